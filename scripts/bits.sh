#!/bin/sh
# bits.sh BUILD FILE [CTEST OPTIONS]: runs every product row of the tests in BUILD, and writes a line with a hash of its bits
# for each result to FILE, sorted. Two versions that compute the same bits on a machine give equal files.
set -eu
cd "$(dirname "$0")/.."
build=$1 file=$2
shift 2
case $file in /*) ;; *) file=$PWD/$file ;; esac
rm -f "$file"
OCLIN_HASH_FILE=$file ctest --test-dir "$build" -R '^products_' --output-on-failure "$@" | tail -n 5
sort -o "$file" "$file"
echo "$(wc -l <"$file") results, $(cksum <"$file")"
