#!/bin/sh
# lint_kernels.sh: every kernel of every family, vector width and activation through the compiler's checks, without a
# device. Warnings are errors.
set -eu
cd "$(dirname "$0")/../cl"
text=$(mktemp)
trap 'rm -f "$text"' EXIT
count=0

# lint DEFINES FILE...: what program.c would build; on CPUs, where work-groups have one item, with a clang's builtins as well
lint() {
    all=$1
    shift
    case $all in
    *OCLIN_GROUP=1\ *) lint_one "$all -DOCLIN_PREFETCH=1 -DOCLIN_TICKETS=1" "$@" ;;
    esac
    lint_one "$all -DOCLIN_PREFETCH=0 -DOCLIN_TICKETS=0" "$@"
}

lint_one() {
    defines=$1
    shift
    cat oclin_tile.h "$@" >"$text"
    # helpers of common.cl that a kernel has no use for are no mistake
    # shellcheck disable=SC2086
    clang -x cl -cl-std=CL1.2 -Xclang -finclude-default-header -fsyntax-only -Wall -Wextra -Werror \
        -Wno-unused-function -Wno-unused-parameter -Wno-unknown-attributes $defines "$text" || {
        echo "lint_kernels.sh: $* with $defines" >&2
        exit 1
    }
    count=$((count + 1))
}

tile() { # GROUP VL TILE_M TILE_N TILE_K ITEM_M ITEM_N ALIGNED
    echo "-DOCLIN_GROUP=$1 -DOCLIN_VL=$2 -DOCLIN_TILE_M=$3 -DOCLIN_TILE_N=$4 -DOCLIN_TILE_K=$5 -DOCLIN_ITEM_M=$6" \
        "-DOCLIN_ITEM_N=$7 -DOCLIN_ALIGNED=$8 -DOCLIN_UNROLL_K=4 -DOCLIN_PEEL=$8 -DOCLIN_SUB_GROUP=0"
}

for act in 0 1 2 3 4; do
    for vl in 4 8 16; do
        lint "$(tile 1 $vl 64 192 1 4 3 0) -DOCLIN_ACTIVATION=$act" common.cl forward.cl forward_skinny.cl
        lint "$(tile 1 $vl 16 1024 16 1 256 0) -DOCLIN_ACTIVATION=$act" common.cl one_pass_skinny.cl
    done
    for equation in forward grad_x grad_w; do
        lint "$(tile 64 1 1 1 1 1 1 0) -DOCLIN_ACTIVATION=$act" common.cl $equation.cl product_plain.cl
        for stage in 0 1 2 4; do
            define="-DOCLIN_ACTIVATION=$act -DOCLIN_STAGE=$stage"
            lint "$(tile 1 4 192 256 256 6 8 0) $define" common.cl $equation.cl product_simd.cl
            lint "$(tile 1 8 192 256 256 6 16 0) $define" common.cl $equation.cl product_simd.cl
            lint "$(tile 1 16 192 256 256 12 32 0) $define" common.cl $equation.cl product_simd.cl
        done
        if [ $equation = forward ]; then
            narrow="-DOCLIN_ACTIVATION=$act -DOCLIN_STAGE=3"
            lint "$(tile 1 4 192 256 256 6 8 0) $narrow" common.cl forward.cl product_simd.cl
            lint "$(tile 1 8 192 256 256 6 16 0) $narrow" common.cl forward.cl product_simd.cl
            lint "$(tile 1 16 192 256 256 12 32 0) $narrow" common.cl forward.cl product_simd.cl
        fi
        lint "$(tile 64 4 32 32 8 4 4 0) -DOCLIN_ACTIVATION=$act" common.cl $equation.cl product_simt.cl
        lint "$(tile 16 4 16 16 8 4 4 1) -DOCLIN_ACTIVATION=$act" common.cl $equation.cl product_simt.cl
        lint "$(tile 128 4 64 64 8 8 4 0) -DOCLIN_ACTIVATION=$act" common.cl $equation.cl product_simt.cl
        lint "$(tile 64 4 64 32 8 8 4 1) -DOCLIN_ACTIVATION=$act" common.cl $equation.cl product_simt.cl
        lint "$(tile 256 4 128 128 8 8 8 1) -DOCLIN_ACTIVATION=$act" common.cl $equation.cl product_simt.cl
    done
done
for group in 1 64; do
    lint "$(tile $group 4 1 1 1 1 4 1) -DOCLIN_ACTIVATION=0" common.cl update.cl
    lint "$(tile $group 1 1 1 1 1 1 0) -DOCLIN_ACTIVATION=0" fill.cl
    for loss in mse l1 huber bce; do
        lint "$(tile $group 1 1 1 1 1 1 0)" loss_common.cl loss_$loss.cl loss_elements.cl
    done
    lint "$(tile $group 1 1 1 1 1 1 0)" loss_common.cl loss_cross_entropy.cl loss_soft_cross_entropy.cl loss_total.cl loss_sum.cl softmax.cl argmax.cl
done
echo "$count kernels checked"
