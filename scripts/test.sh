#!/bin/sh
# test.sh [ctest options]: installs what is missing, builds, and runs the test suite (on PoCL, unless OCLIN_DEVICE names
# another device). The last line is ctest's verdict.
set -eu
here=$(dirname "$0")
build=$here/../build
"$here/install.sh" build test
"$here/build.sh" "$build" -DOCLIN_BUILD_TESTS=ON
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
(cd "$build" && ctest -j "$(nproc)" --output-on-failure "$@" && echo done >"$log.ok") 2>&1 | tee "$log"
[ -e "$log.ok" ] || status=1
rm -f "$log.ok"
# every program's own count
cases=$(sed -n 's/^tally .*: \([0-9]*\) run,.*/\1/p' "$build/Testing/Temporary/LastTest.log" |
    awk '{ n += $1 } END { print n + 0 }')
echo "$cases test cases in all"
[ "$cases" -gt 0 ] || { echo "test.sh: no test case ran" >&2; status=1; }
grep -E '^[0-9]+% tests passed' "$log"
exit $status
