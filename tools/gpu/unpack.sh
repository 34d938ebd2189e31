#!/bin/sh
# unpack.sh FOLDER PACKAGE...: unpacks Debian packages into FOLDER without installing them: no other compiler becomes the
# machine's, and no OpenCL driver is added to those that the tests see.
set -eu
folder=$1
shift
stamp=$folder/unpacked
[ "$(cat "$stamp" 2>/dev/null || true)" != "$*" ] || exit 0
command -v dpkg >/dev/null || { echo "unpack.sh: this is no Debian or Ubuntu" >&2; exit 1; }
rm -rf "$folder"
mkdir -p "$folder/packages"
cd "$folder/packages"
apt-get download -qq "$@" || { echo "unpack.sh: could not fetch $*" >&2; exit 1; }
for package in *.deb; do dpkg -x "$package" ..; done
cd ..
rm -r packages
# Intel's disassembler opens its library by this name
[ ! -e usr/lib/x86_64-linux-gnu/libiga64.so.1 ] || ln -sf libiga64.so.1 usr/lib/x86_64-linux-gnu/libiga64.so
echo "$*" >unpacked
