#!/bin/bash
# ctest_lsan.sh CTEST-LSAN: which failing tests scripts/ctest_lsan.sh tries again, by three that fail once
# each.
set -euo pipefail
script=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# tests NAME=OUTPUT...: each writes OUTPUT and fails, but only the first time; one more that passes
tests() {
    rm -rf "$work/build"
    mkdir "$work/build"
    echo 'add_test(passes true)' >"$work/build/CTestTestfile.cmake"
    for test in "$@"; do
        printf '#!/bin/sh\n[ ! -e "$0.ran" ] || exit 0\ntouch "$0.ran"\necho "%s"\nexit 1\n' "${test#*=}" \
            >"$work/build/${test%%=*}.sh"
        echo "add_test(${test%%=*} sh $work/build/${test%%=*}.sh)" >>"$work/build/CTestTestfile.cmake"
    done
}
must() { # STATUS of the script on these
    local status=0
    "$script" "$work/build" >"$work/out" 2>&1 || status=$?
    [ $((status != 0)) = "$1" ] || {
        cat "$work/out"
        echo "exit status $status, $1 was expected" >&2
        exit 1
    }
}

gave_up='==7==LeakSanitizer has encountered a fatal error.'
tests
must 0
tests "first=$gave_up" "second=$gave_up"
must 0
tests 'leaks=ERROR: LeakSanitizer: detected memory leaks'
must 1
tests "first=$gave_up" 'wrong=y is 1, 2 is expected'
must 1
tests wrong=nothing
must 1
echo "tried again only where LeakSanitizer gave up"
