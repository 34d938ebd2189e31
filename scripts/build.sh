#!/bin/sh
# build.sh FOLDER [CMake options]: configures and builds into FOLDER; one line, and the rest only if it fails.
set -eu
folder=$1
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "Building oclin in ${folder##*/}/"
if ! { cmake -S "$(dirname "$0")/.." -B "$folder" -DCMAKE_BUILD_TYPE=Release "$@" &&
    cmake --build "$folder" -j "$(nproc)"; } >"$log" 2>&1; then
    cat "$log"
    echo "build.sh: the build in $folder failed" >&2
    exit 1
fi
