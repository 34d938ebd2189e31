#!/bin/sh
# oclgrind.sh BUILD: kernels of every family on small shapes under Oclgrind, which sees data races, uninitialised values
# and accesses out of bounds that no other runtime reports. Its exit code says nothing: the log must be empty.
set -eu
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# check_with OPTION PROGRAM [ARGUMENTS]: the last argument is a pattern of test names
check_with() {
    option=$1
    shift
    log=$work/log
    : >"$log"
    # Oclgrind 21.10 does not know an instruction (freeze) that its optimiser makes
    OCLIN_DEVICE= OCLIN_PLAN= oclgrind --data-races $option --check-api --log "$log" \
        --build-options '-cl-opt-disable -DOCLIN_USE_SHUFFLE2' "$build/tests/$@" >"$work/out" 2>&1 || { cat "$work/out"; exit 1; }
    if [ -s "$log" ]; then
        head -n 40 "$log"
        echo "oclgrind.sh: $* gave the messages above" >&2
        exit 1
    fi
    echo "$*: $(sed -n 's/^\[==========\] \([0-9]*\) test(s) run.*/\1/p' "$work/out") cases, empty log"
}

# Everything, and everything but uninitialised values. GELU keeps its z in a buffer that only kernels write, packed operands
# lie in one (scratch memory), and there Oclgrind 21.10 is wrong: where such a buffer takes the place of one that was freed,
# it calls the values that a kernel has written uninitialised (the second of two identical layers, made one after the other, shows it; the first does not).
check() { check_with --uninitialized "$@"; }
check_without_uninitialized() { check_with '' "$@"; }

check test_products plain 'plain/edge/*'
check test_products simd-8 'simd-8/edge/7x1*'
check test_products simt-16 'simt-16/edge/?x1*x9*'
for plan in plain simd-4 simd-skinny simt-16 simt-32; do
    check test_products $plan "$plan/small/*"
    check_without_uninitialized test_products $plan "$plan/small_gelu/*"
done
check_without_uninitialized test_products simd-packed 'simd-packed/small/*'
check test_loss 'cross_entropy/*'
check test_loss 'mse/*'
check_without_uninitialized test_edges 'tight_end/*'
