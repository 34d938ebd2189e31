#!/bin/sh
# test.sh OCLIN_BENCH CL_FOLDER FAKE_CUDA: the rows, columns and checks of oclin_bench on tiny shapes. No time
# is looked at. FAKE_CUDA is a folder with libcuda.so.1 and libcublas.so.13 of tests/fake_cuda.c.
set -eu
bench=$1
cl=$2
fake_cuda=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "bench/test.sh: $*" >&2; cat "$work/out" >&2; exit 1; }

printf '# two\n16,8,4\nragged,5,7,3\n' >"$work/shapes.csv"
"$bench" --shapes "$work/shapes.csv" --runs 1 --csv "$work/rows.csv" >"$work/out" 2>&1 || fail "exit status $?"
head -n 1 "$work/rows.csv" |
    grep -q '^op,regime,batch,in,out,oclin_ms,openblas_ms,clblast_ms,onednn_ms,cublas_ms,cublas_tf32_ms,checked,gflops,gbs,' || fail "columns"
[ "$(wc -l <"$work/rows.csv")" -eq 13 ] || fail "6 operations on 2 shapes are 12 rows"
[ "$(awk -F, 'NR > 1 && $6 > 0 && $12 == "yes"' "$work/rows.csv" | wc -l)" -eq 12 ] || fail "not every row is checked and timed"
[ "$(grep -c '^[a-z_]*,tiny,16,8,4,' "$work/rows.csv")" -eq 6 ] || fail "the regime of 16,8,4"
[ "$(grep -c '^[a-z_]*,ragged,5,7,3,' "$work/rows.csv")" -eq 6 ] || fail "the regime that the file gives"

# a wrong step must be seen, named, and not be timed; the fused one does not use that kernel
cp "$cl"/* "$work"
sed 's/store_gradient(load_lanes(dw/store_gradient(-load_lanes(dw/' "$cl/update.cl" >"$work/update.cl"
cmp -s "$cl/update.cl" "$work/update.cl" && fail "update.cl has no dw to spoil"
if OCLIN_CL_DIR="$work" "$bench" --shape 16,8,4 --ops step,fused_step --peers none --runs 1 --csv "$work/rows.csv" \
    >"$work/out" 2>&1; then
    fail "a wrong step was not noticed"
fi
grep -q '^step,tiny,16,8,4,,no:oclin,' "$work/rows.csv" || fail "no row says that step is wrong"
grep -q '^fused_step,tiny,16,8,4,[0-9.e-]*,yes,' "$work/rows.csv" || fail "the fused step is not wrong"

# cuBLAS, played on the host: each product has its operands the right way round, and TF32 does not pass for FP32
cuda() {
    LD_LIBRARY_PATH="$fake_cuda" "$bench" --shape 19,8,5 --peers cublas,cublas_tf32 --runs 1 \
        --csv "$work/rows.csv" >"$work/out" 2>&1
}
cuda || fail "cuBLAS is wrong"
[ "$(awk -F, 'NR > 1 && $7 > 0 && $8 > 0 && $9 == "yes"' "$work/rows.csv" | wc -l)" -eq 6 ] ||
    fail "not every row has cuBLAS"
if NVIDIA_TF32_OVERRIDE=1 cuda; then fail "TF32 passed for FP32"; fi
[ "$(awk -F, 'NR > 1 && $7 == "" && $8 > 0 && $9 == "no:cublas"' "$work/rows.csv" | wc -l)" -eq 6 ] ||
    fail "not every row says that cublas is wrong, and it alone"

if "$bench" --shape 16,8 >"$work/out" 2>&1; then fail "two sizes were taken for a shape"; fi
