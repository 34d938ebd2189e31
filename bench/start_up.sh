#!/bin/bash
# start_up.sh BUILD [ROUNDS]: what the first forward of a process costs, with and without oclin's cache folder. Each row is
# a process of its own in each round; rows take turns, and PoCL's own cache is emptied before each run but where it says
# otherwise. Medians over the rounds, in ms. All folders are temporary; on other runtimes their own cache is left as it is.
set -euo pipefail
program=$1/bench/start_up
rounds=${2:-9}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C POCL_CACHE_DIR=$work/runtime
mkdir "$work/rows"

# run ROW CACHE MODE: empties the runtime's cache, runs, adds the time to the row
run() {
    rm -rf "$POCL_CACHE_DIR"
    mkdir "$POCL_CACHE_DIR"
    run_warm "$@"
}
run_warm() {
    local start=$EPOCHREALTIME
    OCLIN_CACHE_DIR=$2 "$program" "$3" >>"$work/rows/$1.printed"
    local end=$EPOCHREALTIME
    echo $((${end/./} - ${start/./})) >>"$work/rows/$1"
}
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
row() { printf '%-70s %9.1f\n' "$2" "$(median "$work/rows/$1" | awk '{ print $1 / 1000 }')"; }

run fill_cache "$work/cache" forward
run fill_cache "$work/cache" square
for ((i = 0; i < rounds; i++)); do
    run context "$work/cache" context
    run warm "$work/cache" forward
    run off '' forward
    rm -rf "$work/cold"
    run cold "$work/cold" forward
    run_warm both "$work/cold" forward
    run_warm runtime '' forward
    run square_warm "$work/cache" square
    run square_off '' square
done

echo "process from start to end, $rounds rounds, median in ms"
row context "context only"
row warm "first forward, oclin's cache warm, the runtime's empty"
row off "first forward, oclin's cache off, the runtime's empty"
row cold "first forward, oclin's cache empty (and filled), the runtime's empty"
row both "first forward, both caches warm"
row runtime "first forward, oclin's cache off, the runtime's warm"
echo "a 512 x 512 x 512 forward, median in ms"
printf '%-70s %9.3f\n' "kernel from oclin's cache" "$(median "$work/rows/square_warm.printed")"
printf '%-70s %9.3f\n' "kernel built from its text" "$(median "$work/rows/square_off.printed")"
awk -v a="$(median "$work/rows/warm")" -v b="$(median "$work/rows/context")" \
    'BEGIN { d = (a - b) / 1000; printf "the first forward costs %.1f ms more than a context; 100 ms are allowed\n", d; exit d > 100 }'
