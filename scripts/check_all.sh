#!/bin/sh
# check_all.sh: every check of this tree, one after the other; scripts/checks.sh has them by name. CI runs the core of
# them each time and the others in turn.
exec "$(dirname "$0")/checks.sh" all
