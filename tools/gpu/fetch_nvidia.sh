#!/bin/sh
# fetch_nvidia.sh FOLDER PACKAGE PYPI_PACKAGE: unpacks into FOLDER, and does not install, the OpenCL compiler
# of NVIDIA's driver and, on a machine without a CUDA toolkit, ptxas. The Debian package is in the component
# non-free, which a list of this script's own adds to the system's sources. It says what could not be had; the
# report then goes without it.
set -eu
folder=$1 package=$2 pypi_package=$3
mkdir -p "$folder"
cd "$folder"

fetch_compiler() {
    # shellcheck disable=SC2016 # apt fills these in
    apt-get indextargets --format \
        'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(REPO_URI) $(RELEASE) non-free' \
        'Created-By: Packages' 'Component: main' 'Origin: Debian' >non-free.list
    [ -s non-free.list ] || { echo "there are no lists of Debian's packages" >&2; return 1; }
    mkdir -p lists/partial
    set -- -qq -o Dir::Etc::SourceList="$PWD/non-free.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$PWD/lists" -o Dir::Cache="$PWD" -o APT::Sandbox::User=
    apt-get "$@" update && apt-get "$@" download "$package" && dpkg -x "$package"_*.deb . &&
        rm "$package"_*.deb
}

fetch_ptxas() {
    python3 -m pip download --quiet --retries 2 --disable-pip-version-check --no-deps --dest . \
        "$pypi_package" && python3 -m zipfile -e ./*.whl . && rm ./*.whl &&
        find . -name ptxas -exec chmod +x {} +
}

missing() { echo "fetch_nvidia.sh: could not fetch $1 ($(tail -n 1 log)); NVIDIA's rows are left out"; }
here() { [ -n "$(find . -name "$1")" ]; }
has_ptxas() { command -v ptxas || [ -e /usr/local/cuda/bin/ptxas ] || here ptxas; }

here libnvidia-nvvm.so.4 || fetch_compiler >log 2>&1 || missing "$package"
has_ptxas >/dev/null || fetch_ptxas >log 2>&1 || missing "$pypi_package"
rm -rf lists non-free.list log ./*pkgcache.bin
