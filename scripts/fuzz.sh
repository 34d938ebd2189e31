#!/bin/bash
# fuzz.sh [--seconds N] [--seed N] [--keep FOLDER] [api|files|all]: builds tests/fuzz with clang, ASan and UBSan in build-fuzz, lets each
# fuzzer run for N seconds (30) from its corpus on PoCL, and says how many inputs it ran, what it reached, and how many
# lines of src/ the inputs that it kept reach. What is found stays as build-fuzz/find-NAME-..., and the script fails.
# --seed: the same inputs in the same order each time; 0: new ones. --keep: new inputs are kept there, for the next time.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=30 seed=0 keep= names="api files"
while [ $# -gt 0 ]; do
    case $1 in
    --seconds) seconds=$2 && shift ;;
    --seed) seed=$2 && shift ;;
    --keep) keep=$(mkdir -p "$2" && cd "$2" && pwd) && shift ;;
    api | files) names=$1 ;;
    all) names="api files" ;;
    *) sed -n '2,5s/^# //p' "$0" && exit 2 ;;
    esac
    shift
done

root=$PWD
build=$root/build-fuzz
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
build_in() { # FOLDER OPTIONS...: clang, the fuzzers alone
    local folder=$1 log=$work/build.log
    shift
    if ! { cmake -S . -B "$folder" -DCMAKE_C_COMPILER=clang -DOCLIN_BUILD_EXAMPLES=OFF -DOCLIN_WERROR=ON "$@" &&
        cmake --build "$folder" -j "$(nproc)" --target fuzz_api fuzz_files; } >"$log" 2>&1; then
        cat "$log" && exit 1
    fi
}
build_in "$build" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DOCLIN_FUZZ=ON -DOCLIN_SANITIZE=address,undefined

# PoCL alone: other drivers on the machine bring leaks of their own. Leaks are looked for at the end, not after each input:
# a driver keeps what it compiles.
export OCL_ICD_VENDORS OCLIN_DEVICE="portable computing" OCLIN_CACHE_DIR= OCLIN_PLAN= OCLIN_VERIFY= OCLIN_STRICT=
OCL_ICD_VENDORS=$(grep -l libpocl /etc/OpenCL/vendors/*.icd | head -n 1)
export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
export LSAN_OPTIONS=suppressions=$root/tests/lsan.supp:print_suppressions=0
[ -w /dev/shm ] && export TMPDIR=/dev/shm

failed=
for name in $names; do
    corpus=${keep:-$work}/$name
    mkdir -p "$corpus"
    log=$build/fuzz-$name.log
    started=$SECONDS
    if "$build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -seed="$seed" -max_len=512 -len_control=0 -detect_leaks=0 -timeout=60 \
        -print_final_stats=1 -artifact_prefix="$build/find-$name-" "$corpus" "tests/fuzz/corpus/$name" >"$log" 2>&1; then
        result="nothing found"
    else
        result="FAILED, see $log"
        failed=1
        grep -E 'WRONG|ERROR|runtime error|SUMMARY|Test unit written' "$log" || tail -n 5 "$log"
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: //p' "$log")
    edges=$(sed -n 's/.*cov: \([0-9]*\) ft: \([0-9]*\).*/\1 edges, \2 features/p' "$log" | tail -n 1)
    echo "fuzz_$name: ${runs:-?} inputs in $((SECONDS - started)) s, ${edges:-nothing reached}, $(ls "$corpus" | wc -l) inputs kept; $result"
done
[ -z "$failed" ] || exit 1

# The lines that the kept inputs and the corpus reach, from a build without sanitizers.
command -v llvm-profdata-14 llvm-cov-14 >/dev/null || { echo "no llvm-cov-14: line coverage is not measured" && exit 0; }
build_in "$build/coverage" -DCMAKE_BUILD_TYPE=Debug -DOCLIN_FUZZ=OFF \
    -DCMAKE_C_FLAGS="-fprofile-instr-generate -fcoverage-mapping"
objects=()
for name in $names; do
    program=$build/coverage/tests/fuzz/fuzz_$name
    LLVM_PROFILE_FILE=$work/$name.profraw "$program" "${keep:-$work}/$name" "tests/fuzz/corpus/$name" >/dev/null
    objects+=(-object "$program")
done
llvm-profdata-14 merge -o "$work/all.profdata" "$work"/*.profraw
llvm-cov-14 report "${objects[@]:1}" -instr-profile "$work/all.profdata" src >"$build/coverage.txt"
awk '/^Filename/ || /\.c / || /^TOTAL/ { printf "%-24s %s of %s lines\n", $1, $(NF - 5) - $(NF - 4), $(NF - 5) }' "$build/coverage.txt" | tail -n +2
