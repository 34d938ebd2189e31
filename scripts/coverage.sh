#!/bin/sh
# coverage.sh [ctest options]: which lines of src/ the test suite reaches, by gcovr. Prints the table of files, and the lines
# that are not reached.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$here/..
build=$root/build-coverage
"$here/install.sh" build test coverage
"$here/build.sh" "$build" -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS="-O1 --coverage" -DOCLIN_BUILD_EXAMPLES=OFF \
    -DOCLIN_BUILD_TOOLS=OFF
find "$build" -name '*.gcda' -delete
status=0
(cd "$build" && ctest -j "$(nproc)" --output-on-failure "$@") >&2 || status=1
# The objects are compiled once for both libraries, and the tests link the static one.
(cd "$root" && gcovr --root . --filter src/ --exclude-unreachable-branches --print-summary "$build")
exit $status
