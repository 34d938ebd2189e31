#!/bin/sh
# install_intel.sh FOLDER: Intel's OpenCL runtime for CPUs (of any maker), from PyPI, into FOLDER; nothing else on the system
# changes. FOLDER/vendors is then a folder for OCL_ICD_VENDORS. About 240 MB are fetched, 0.8 GB is taken.
set -eu
[ $# = 1 ] || { echo "usage: install_intel.sh FOLDER" >&2; exit 2; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
# shellcheck disable=SC2046
python3 -m pip install --quiet --retries 2 --disable-pip-version-check --no-compile --ignore-installed --root-user-action=ignore \
    --prefix "$folder" $("$(dirname "$0")/install.sh" --list intel)
library=$(find "$folder" -name libintelocl.so | head -n 1)
[ -n "$library" ] || { echo "install_intel.sh: the package has no libintelocl.so" >&2; exit 1; }
# the package's own .icd files name a folder of whoever built it
mkdir -p "$folder/vendors"
echo "$library" >"$folder/vendors/intel.icd"
