#!/bin/bash
# large.sh [PATTERN]: builds, and runs what is too long for the suite: fills, steps, losses, products and weights of more
# than 2^31 and 2^32 elements at once (tests/test_large.c, huge/...). PATTERN: some of them, as huge/31/*; all: huge/*.
# Every test has a process of its own, takes 0.5 to 10 minutes of CPU time and up to 1 GB of memory. Needs PoCL.
set -euo pipefail
cd "$(dirname "$0")/.."
pattern=${1:-huge/*}
scripts/build.sh build -DOCLIN_BUILD_TESTS=ON
export OCLIN_DEVICE=${OCLIN_DEVICE-portable computing} OCLIN_CACHE_DIR=
failed=0 count=0
while read -r name; do
    # shellcheck disable=SC2053 # a pattern is meant
    [[ $name == $pattern ]] || continue
    count=$((count + 1))
    log=$(mktemp)
    if build/tests/test_large "$name" >"$log" 2>&1 && ! grep -q "SKIPPED" "$log"; then
        echo "passed $name"
    else
        echo "FAILED $name" && cat "$log" && failed=$((failed + 1))
    fi
    rm -f "$log"
done < <(build/tests/test_large huge/names 2>/dev/null) # which runs none
echo "$count tests, $failed failed"
[ $count -gt 0 ] && [ $failed = 0 ]
