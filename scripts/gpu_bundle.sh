#!/bin/sh
# gpu_bundle.sh [FOLDER]: collects what scripts/gpu_measure.sh needs on a machine that has a GPU, its driver,
# a compiler and CMake, but no network: OpenCL's loader and headers, and cmocka. They are unpacked into FOLDER
# (.gpu-bundle in the tree, which git ignores), not installed; gpu_measure.sh uses what its system lacks.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$here/../.gpu-bundle}

[ ! -e "$folder" ] || [ -e "$folder/unpacked" ] || [ -z "$(ls -A "$folder")" ] || {
    echo "gpu_bundle.sh: $folder is no bundle, and not empty" >&2
    exit 1
}
# shellcheck disable=SC2046
"$here/../tools/gpu/unpack.sh" "$folder" $("$here/install.sh" --list bundle)
rm -rf "${folder:?}/usr/share"
echo "$folder: $(du -sm "$folder" | cut -f1) MB"
