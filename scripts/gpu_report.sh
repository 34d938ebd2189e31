#!/bin/sh
# gpu_report.sh [--gate] [--markdown FILE] [--activations none,relu,gelu]: what the simt kernels become on GPUs that are not
# there, each with the tile that oclin chooses on it; see docs/gpus.md. --gate: exit 1 where a kernel is not as it must be.
# Compilers are unpacked into OCLIN_GPU_COMPILERS (your cache folder, if not set), about 500 MB.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$here/../build-gpu
compilers=${OCLIN_GPU_COMPILERS:-${XDG_CACHE_HOME:-$HOME/.cache}/oclin/gpu-compilers}

"$here/install.sh" build check
absent=$("$here/install.sh" --absent gpu)
[ -z "$absent" ] || [ -e "$compilers/unpacked" ] || {
    echo "gpu_report.sh: this system has no packages of $absent; Debian 12 has all compilers that the report needs" >&2
    exit 1
}
# shellcheck disable=SC2046
"$here/../tools/gpu/unpack.sh" "$compilers" $("$here/install.sh" --list gpu)
"$here/../tools/gpu/fetch_nvidia.sh" "$compilers/nvidia" "$("$here/install.sh" --list nvidia)" "$("$here/install.sh" --list ptxas)"
"$here/build.sh" "$build" -DOCLIN_BUILD_TOOLS=OFF -DOCLIN_BUILD_GPU_TOOLS=ON -DOCLIN_BUILD_TESTS=OFF -DOCLIN_BUILD_EXAMPLES=OFF
g++ -std=c++14 -Wall -Wextra -O2 -shared -fPIC -fno-rtti -o "$build/memory_counts.so" "$here/../tools/gpu/memory_counts.cpp"
exec python3 "$here/../tools/gpu/gpu_report.py" --programs "$build/tools" --plugin "$(cd "$build" && pwd)/memory_counts.so" \
    --compilers "$compilers" --page "$here/../docs/gpus.md" "$@"
