#!/bin/sh
# gpu_bundle.sh [FOLDER]: collects what scripts/gpu_measure.sh needs on a machine that has a GPU, its driver,
# a compiler and CMake, but no network: OpenCL's loader and headers, cmocka, and kernels as PTX. They are unpacked
# into FOLDER (.gpu-bundle in the tree, which git ignores), not installed; gpu_measure.sh uses what its system
# lacks.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$here/../.gpu-bundle}

[ ! -e "$folder" ] || [ -e "$folder/unpacked" ] || [ -z "$(ls -A "$folder")" ] || {
    echo "gpu_bundle.sh: $folder is no bundle, and not empty" >&2
    exit 1
}
# shellcheck disable=SC2046
"$here/../tools/gpu/unpack.sh" "$folder" $("$here/install.sh" --list bundle)
rm -rf "${folder:?}/usr/share" "${folder:?}/ptx"

# kernels of an H100, for a machine whose driver has no OpenCL; by the compilers of gpu_report.sh
compilers=${OCLIN_GPU_COMPILERS:-${XDG_CACHE_HOME:-$HOME/.cache}/oclin/gpu-compilers}
if [ -e "$compilers/unpacked" ]; then
    build=$here/../build-gpu
    "$here/build.sh" "$build" -DOCLIN_BUILD_TOOLS=OFF -DOCLIN_BUILD_GPU_TOOLS=ON -DOCLIN_BUILD_TESTS=OFF \
        -DOCLIN_BUILD_EXAMPLES=OFF
    mkdir "$folder/ptx"
    OCLIN_DEVICE=${OCLIN_DEVICE-portable computing} "$build/tools/ptx_record" "$here/../bench/shapes/gpu.csv" "$folder/ptx"
    python3 "$here/../tools/gpu/ptx.py" "$compilers" "$build/tools" "$folder/ptx"
else
    echo "no kernels as PTX: scripts/gpu_report.sh fetches their compilers"
fi
echo "$folder: $(du -sm "$folder" | cut -f1) MB"
