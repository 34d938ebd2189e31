#!/bin/sh
# programs.sh BUILD: what oclin_tune and the examples say, and how they end, where no device fits, where there
# is none, and where the budget for tuning is too little.
set -eu
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/no-drivers"
unset OCLIN_PLAN OCLIN_CL_DIR OCLIN_VERIFY

# wrong SENTENCE: after what the program has printed
wrong() {
    cat "$work/out"
    echo "programs.sh: $*" >&2
    exit 1
}

# ends STATUS SENTENCE PROGRAM...: with this exit status, and says that (a basic regular expression)
ends() {
    status=$1 sentence=$2 got=0
    shift 2
    "$@" >"$work/out" 2>&1 || got=$?
    [ "$got" = "$status" ] || wrong "$* ends with $got, not $status"
    grep -q "$sentence" "$work/out" || wrong "$*: no '$sentence'"
    echo "$(basename "$1"): $(grep "$sentence" "$work/out" | head -n 1)"
}

for program in "tools/oclin_tune --in 4 --out 4 --batch 4" "examples/linear_regression" \
    "examples/fashion_mnist --out $work" "examples/interop"; do
    [ -x "$build/${program%% *}" ] || { echo "${program%% *} is not built: left out"; continue; }
    # shellcheck disable=SC2086
    (
        # interop has OpenCL handles of its own, and takes the best device
        [ "$program" = examples/interop ] ||
            OCLIN_DEVICE=nonsense ends 1 "'nonsense'.*; usable: \[0\]" "$build"/$program
        OCL_ICD_VENDORS=$work/no-drivers ends 1 "no OpenCL platform: .*no driver" "$build"/$program
    )
done

tune="$build/tools/oclin_tune --in 40 --out 24 --batch 8"
export OCLIN_CACHE_DIR="$work/cache"
# shellcheck disable=SC2086
{
    ends 3 "too little time for forward, grad_x, grad_w, backward; .* budget of about [0-9]* s would do" \
        $tune --budget 1e-6
    # how far it comes in 20 s depends on the machine: either to a table, or it says so
    got=0
    $tune --budget 20 >"$work/out" 2>&1 || got=$?
    case $got in
    0) sentence='^forward  *8  *40  *24 ' ;;
    *) sentence='too little time for' ;;
    esac
    case $got in 0 | 3) ;; *) cat "$work/out"; exit 1 ;; esac
    grep -q "$sentence" "$work/out" || { cat "$work/out"; echo "programs.sh: no '$sentence'" >&2; exit 1; }
}
