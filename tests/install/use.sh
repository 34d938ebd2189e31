#!/bin/sh
# use.sh PREFIX cmake|pkg-config: builds programs outside the tree against the installation in PREFIX, and
# runs them.
set -eu
prefix=$1 how=$2
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
case $how in
cmake)
    cmake -S "$here" -B "$work/build" -DCMAKE_PREFIX_PATH="$prefix" >/dev/null
    cmake --build "$work/build" >/dev/null
    "$work/build/default"
    "$work/build/static"
    ;;
pkg-config)
    file=$(find "$prefix" -name oclin.pc)
    PKG_CONFIG_PATH=$(dirname "$file")
    export PKG_CONFIG_PATH
    lib=$(dirname "$(find "$prefix" -name liboclin.so)")
    # eval: pkg-config marks what a shell would take apart, such as the spaces of a folder
    eval "set -- $(pkg-config --cflags --libs oclin)"
    ${CC:-cc} "$here/main.c" -o "$work/main" "$@"
    LD_LIBRARY_PATH=$lib "$work/main"
    ;;
esac
