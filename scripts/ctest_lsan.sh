#!/bin/bash
# ctest_lsan.sh BUILD [ctest options]: ctest, and once more those tests in whose output LeakSanitizer itself
# gave up ("LeakSanitizer has encountered a fatal error"), as it does now and then when a runtime's thread
# ends while it looks. Nothing else is tried again: what fails once has failed.
set -uo pipefail
cd "$1" || exit 2
shift
ctest "$@" && exit 0
logs=Testing/Temporary
failed=$(sed 's/^[0-9]*://' "$logs/LastTestsFailed.log" | sort)
gave_up=$(awk '/^[0-9]+\/[0-9]+ Testing: / { sub(/^[^:]*: /, ""); name = $0 }
    /LeakSanitizer has encountered a fatal error/ { print name }' "$logs/LastTest.log" | sort -u)
if [ -z "$failed" ] || [ -n "$(comm -23 <(echo "$failed") <(echo "$gave_up"))" ]; then
    echo "ctest_lsan.sh: not tried again: $(comm -23 <(echo "$failed") <(echo "$gave_up") | paste -sd' ')" >&2
    exit 1
fi
echo "ctest_lsan.sh: LeakSanitizer gave up, once more: $(echo "$failed" | paste -sd' ')" >&2
exec ctest "$@" -R "^($(echo "$failed" | paste -sd'|'))\$"
