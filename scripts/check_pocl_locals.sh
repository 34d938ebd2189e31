#!/bin/sh
# check_pocl_locals.sh CACHE: fails if a kernel that PoCL compiled into this cache folder holds an array of its own for all
# threads. PoCL 3.1 makes local memory one array for all threads, instead of one each, where a helper function that was
# not inlined names it; the results are then wrong now and then (see OCLIN_INLINE in cl/oclin_tile.h).
set -eu
count=$(find "$1" -name '*.so' | wc -l)
[ "$count" -gt 0 ] || { echo "check_pocl_locals.sh: no kernels in $1" >&2; exit 1; }
symbols=$(mktemp)
trap 'rm -f "$symbols"' EXIT
find "$1" -name '*.so' -exec nm {} + >"$symbols"
shared=$(awk '$2 ~ /^[bBdD]$/ && $3 !~ /^_/ { print $3 }' "$symbols" | sort | uniq -c)
[ -z "$shared" ] || { echo "check_pocl_locals.sh: shared by all threads:"; echo "$shared"; exit 1; }
echo "$count kernels, none shares local memory between threads"
