#!/bin/sh
# check_pocl_locals.sh CACHE: fails if a kernel that PoCL compiled into this cache folder holds an array of its own for all
# threads. PoCL 3.1 makes local memory one array for all threads, instead of one each, where a helper function that was
# not inlined names it; the results are then wrong now and then (see OCLIN_INLINE in cl/oclin_tile.h).
set -eu
kernels=$(find "$1" -name '*.so')
[ -n "$kernels" ] || { echo "check_pocl_locals.sh: no kernels in $1" >&2; exit 1; }
shared=$(for kernel in $kernels; do nm "$kernel" 2>/dev/null | awk '$2 ~ /[bBdD]/ && $3 !~ /^_/ { print $3 }'; done | sort | uniq -c)
[ -z "$shared" ] || { echo "check_pocl_locals.sh: shared by all threads:"; echo "$shared"; exit 1; }
echo "$(echo "$kernels" | wc -l) kernels, none shares local memory between threads"
