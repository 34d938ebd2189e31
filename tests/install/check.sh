#!/bin/sh
# check.sh BUILD cmake|pkg-config: installs BUILD into a temporary prefix, builds a program outside the tree against it,
# and runs that.
set -eu
build=$1 how=$2
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/prefix" >/dev/null
lib=$(dirname "$(find "$work/prefix" -name 'liboclin.so' | head -n 1)")
[ -e "$lib/liboclin.so" ] && [ -e "$lib/liboclin.a" ]
case $how in
cmake)
    cmake -S "$here" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
    cmake --build "$work/build" >/dev/null
    "$work/build/shared"
    "$work/build/static"
    ;;
pkg-config)
    export PKG_CONFIG_PATH="$lib/pkgconfig"
    # shellcheck disable=SC2046
    ${CC:-cc} "$here/main.c" -o "$work/main" $(pkg-config --cflags --libs oclin)
    LD_LIBRARY_PATH=$lib "$work/main"
    ;;
esac
