#!/bin/bash
# oclgrind.sh BUILD [Oclgrind's options]: kernels of every family on small shapes under Oclgrind, which sees data races,
# uninitialised values and accesses out of bounds that no other runtime reports. Its exit code says nothing: the log must be
# empty. Options are for devices that are smaller: --max-wgsize 64, --local-mem-size 32768.
# OCLIN_PART: a regular expression; only programs (products_simt-16, loss, ...) that match it.
set -uo pipefail
build=$1
shift
limits=("$@")
part=${OCLIN_PART-}
command -v oclgrind >/dev/null || {
    echo "oclgrind.sh: there is no program oclgrind (Debian 12 has a package of it, Debian 13 has none)" >&2
    exit 2
}
failures=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# check_with OPTION PROGRAM [ARGUMENTS]: the last argument is a pattern of test names
check_with() {
    local option=$1 program=$2 log=$work/log status=0
    shift 2
    local name=$program
    [ $# = 1 ] || name=${program}_$1 # as ctest calls it
    [[ $name =~ $part ]] || return 0
    : >"$log"
    # Oclgrind 21.10 does not know an instruction (freeze) that its optimiser makes
    OCLIN_DEVICE='' OCLIN_PLAN='' timeout "${OCLIN_TIMEOUT-900}" oclgrind --data-races $option --check-api "${limits[@]}" --log "$log" \
        --build-options '-cl-opt-disable -DOCLIN_USE_SHUFFLE2' "$build/tests/test_$program" "$@" >"$work/out" 2>&1 ||
        status=$?
    local cases
    local skipped=
    cases=$(sed -n 's/^tally .*: \([0-9]*\) run,.*/\1/p' "$work/out")
    if [ $status != 0 ] || [ -s "$log" ] || [ "${cases:-0}" = 0 ]; then
        grep -v '^\[ RUN\|^\[       OK' "$work/out" | tail -n 40
        head -n 40 "$log"
        echo "$name $*: FAILED (exit status $status, $(wc -l <"$log") lines of log)"
        failures=$((failures + 1))
    else
        skipped=$(sed -n 's/^tally .*, \([1-9][0-9]*\) skipped$/\1/p' "$work/out")
        echo "$name $*: $((cases - ${skipped:-0})) cases, empty log${skipped:+ ($skipped need larger work-groups)}"
    fi
}

# Everything, and everything but uninitialised values. GELU keeps its z in a buffer that only kernels write;
# packed operands and the sums of parts lie in one (scratch memory). There Oclgrind 21.10 is wrong: where such
# a buffer takes the place of one that was freed, it calls the values that a kernel has written uninitialised
# (the second of two identical layers, made one after the other, shows it; the first does not).
check() { check_with --uninitialized "$@"; }
check_without_uninitialized() { check_with '' "$@"; }

check products plain 'plain/edge/*'
check products simd-8 'simd-8/edge/7x1*'
for plan in plain simd-4 simd-skinny simd-narrow simt-16 simt-32; do
    check products $plan "$plan/small/*"
    check_without_uninitialized products $plan "$plan/small_gelu/*"
done
check products simt-16 'simt-16/edge/?x1*x9*'
check_without_uninitialized products simd-packed 'simd-packed/small/*'
check_without_uninitialized products simt-16-split 'simt-16-split/small/*'
check loss 'cross_entropy/*'
check loss 'mse/*'
for plan in plain simd-4 simt-16; do
    check arrays "$plan/small/*"
done
# one at a time: a buffer that takes the place of a larger one that was freed has no end that Oclgrind 21.10 sees
for plan in plain simd simd-whole simd-packed simd-narrow simt-16; do
    check_without_uninitialized edges "tight_end/$plan"
done
# one operand alone is not aligned: a whole quad read or written beside its place is reported
check_without_uninitialized edges 'alone/*'
exit $((failures > 0))
