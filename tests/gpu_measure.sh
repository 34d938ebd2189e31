#!/bin/bash
# gpu_measure.sh BUILD: scripts/gpu_measure.sh on PoCL, into the build folder BUILD, with tests/fake_cuda.c
# for NVIDIA's driver and cuBLAS and a PyTorch that fails: what is in the report, and how the script ends. No
# time is looked at.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    cat "$work/said" "$work"/out/{parts.csv,log.txt,report.md} || true
    echo "gpu_measure.sh: $*"
    exit 1
} >&2

# the script builds what a GPU needs, which these are no part of
cmake -S . -B "$build" -DOCLIN_BUILD_TESTS=ON -DOCLIN_BUILD_BENCH=ON >/dev/null
cmake --build "$build" -j "$(nproc)" --target fake_cuda fake_cublas >/dev/null

mkdir "$work/bin"
printf '#!/bin/sh\necho "NVIDIA of the test, 1.0"\n' >"$work/bin/nvidia-smi"
# has PyTorch, as it says, which then breaks
cat >"$work/bin/python3" <<EOF
#!/bin/sh
case "\$*" in
*"import torch"*) exit 0 ;;
*torch_step.py*) echo "no step today" >&2; exit 3 ;;
esac
exec $(command -v python3) "\$@"
EOF
chmod +x "$work"/bin/*
echo 16,8,4 >"$work/shapes.csv"

# start PARTS [OPTION]...: on $device, in the background, as $!
start() {
    PATH=$work/bin:$PATH LD_LIBRARY_PATH=$PWD/$build/tests/fake_cuda \
        scripts/gpu_measure.sh --out "$work/out" --build "$build" --device "${device-portable computing}" \
        --shapes "$work/shapes.csv" --tests '^golden_plain$' --minutes 8 --parts "$@" >"$work/said" 2>&1 &
}
reports() { grep -qE "$1" "$work/out/report.md" || fail "the report has no $1"; }

start machine,build,driver,suite,rates,bench,kernels,plans,torch
status=0
wait $! || status=$?
[ "$status" = 1 ] || fail "exit status $status, though a part failed"
for part in machine build driver suite rates bench kernels plans; do
    reports "^\| $part \| done \| [0-9]+ \|"
done
reports '^\| torch \| failed \(3\) \| [0-9]+ \| no step today \|'
reports '^\| machine .* NVIDIA of the test'
reports '^\| suite .* [1-9][0-9]* test cases ran, 0 failed; programs: 1 passed, 0 failed'
reports '^\| launch and wait \| [0-9.]+ \| us \|'
reports '^\| copy by a kernel \| [0-9.]+ \| GB/s \|'
reports '^\| fused_step \| 16 x 8 x 4 \|( [0-9.e+]+ \|){5} yes \|' # oclin, cuBLAS, with TF32, GFLOP/s, GB/s
reports '^\| dx \| 16 x 8 x 4 \|( [0-9.e+]+ \|){4,}'                # every plan
reports '^\| step \| 16 x 8 x 4 \| update \| [0-9]+ \| [0-9.e+]+ \|'
[ "$(find "$work/out" -type f | wc -l)" -le 8 ] || fail "more than 8 files"
! find "$work/out" -type f | sed 's,.*/,,' | grep -v '^[A-Za-z0-9._-]*$' || fail "names of files"

# without an OpenCL device: kernels through the driver, which knows them by their names
cmake -S . -B "$build" -DOCLIN_BUILD_GPU_TOOLS=ON >/dev/null
cmake --build "$build" --target ptx_record >/dev/null
mkdir -p "$work/bundle/ptx"
OCLIN_DEVICE='portable computing' "$build/tools/ptx_record" "$work/shapes.csv" "$work/bundle/ptx"
for text in "$work"/bundle/ptx/*.cl; do mv "$text" "${text%.cl}.ptx"; done
device=nonsense start driver,suite,bench,ptx --bundle "$work/bundle"
wait $! || true
reports '^\| driver \| failed \(1\) \|.*nonsense'
reports '^\| suite \| left out \|.* no OpenCL device'
reports '^\| bench \| left out \|.* no OpenCL device'
reports '^\| ptx \| done \|'
for product in forward dw dx; do reports "^\| $product \| 16 x 8 x 4 \| [0-9.e+-]+ \| [0-9]+ \| yes \|"; done

# ended in the middle of a part, there is a report of what was done and what was not
start machine,plans
for _ in $(seq 100); do
    grep -q '^=== plans' "$work/said" 2>/dev/null && break
    sleep 0.1
done
kill -TERM $!
wait $! || true
reports '^\| machine \| done \|'
reports '^\| plans \| failed \(the script was ended\) \|'
echo "gpu_measure.sh: every part is in the report"
