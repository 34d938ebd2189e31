#!/bin/sh
# bench.sh [options]: installs the peers, builds, and measures oclin beside them in turn; see bench/README.md.
#   --quick        six shapes, one round
#   --shapes FILE  bench/shapes/classic.csv unless said otherwise
#   --rounds N     oclin_bench and PyTorch in turn, N times (3); CLBlast and oneDNN take part in the first round
#   --runs N       timings of each in a round (3)
#   --peers LIST   of openblas,clblast,onednn,torch (all)
#   --out FILE     the Markdown table (build-bench/bench.md); it is printed, too
# OCLIN_DEVICE names the device, as for every program that uses oclin.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$here/..
build=$root/build-bench
shapes=$root/bench/shapes/classic.csv
rounds=3 runs=3 peers=openblas,clblast,onednn,torch out=$build/bench.md quick=

while [ $# -gt 0 ]; do
    case $1 in
    --quick) quick=1 rounds=1 shapes=$root/bench/shapes/quick.csv ;;
    --shapes | --rounds | --runs | --peers | --out)
        [ $# -ge 2 ] || { echo "bench.sh: $1 needs a value" >&2; exit 2; }
        case $1 in
        --shapes) shapes=$2 ;;
        --rounds) rounds=$2 ;;
        --runs) runs=$2 ;;
        --peers) peers=$2 ;;
        --out) out=$2 ;;
        esac
        shift ;;
    --help) sed -n 's/^# \{0,1\}//p' "$0" | sed 1d; exit 0 ;;
    *) echo "bench.sh: unknown option $1; see --help" >&2; exit 2 ;;
    esac
    shift
done

has() { case ,$peers, in *,$1,*) true ;; *) false ;; esac; }
# the peers of oclin_bench among those given, joined by commas
among() {
    list=
    for peer in "$@"; do
        if has "$peer"; then list=${list:+$list,}$peer; fi
    done
    echo "${list:-none}"
}

"$here/install.sh" build bench
"$here/build.sh" "$build" -DOCLIN_BUILD_BENCH=ON -DOCLIN_BUILD_TESTS=OFF
folder=$build/rounds
rm -rf "$folder"
mkdir -p "$folder"

# OpenBLAS picks a slower kernel where these are set
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
# activations go round over twice the last-level cache, 128 MB at least
cache=$(sed -n 's/K$//p' /sys/devices/system/cpu/cpu0/cache/index3/size 2>/dev/null || true)
rotate=$((${cache:-0} / 512))
[ "$rotate" -ge 128 ] || rotate=128
python=/usr/bin/python3 # the one that Debian's python3-torch belongs to
has torch && ! $python -c 'import torch' 2>/dev/null && {
    echo "bench.sh: the peer torch is missing (Debian: python3-torch)" >&2
    peers=$(among openblas clblast onednn)
}

wrong=0 round=1
while [ "$round" -le "$rounds" ]; do
    echo "round $round of $rounds" >&2
    if [ "$round" -eq 1 ]; then beside=$(among openblas clblast onednn); else beside=$(among openblas); fi
    "$build/bench/oclin_bench" --shapes "$shapes" --ops forward,dw,dx,step,fused_step --peers "$beside" --runs "$runs" \
        --rotate-mb "$rotate" --csv "$folder/oclin-$round.csv" >"$folder/oclin-$round.txt" || wrong=1
    if has torch; then
        $python "$root/bench/torch_step.py" --shapes "$shapes" --runs "$runs" --rotate-mb "$rotate" \
            --csv "$folder/torch-$round.csv" || wrong=1
    fi
    if has torch && [ -z "$quick" ] && [ -x "$build/examples/fashion_mnist" ]; then
        "$build/examples/fashion_mnist" --epochs 3 --out "$folder" >"$folder/fashion-oclin-$round.txt" || wrong=1
        $python "$root/bench/torch_fashion_mnist.py" --epochs 3 >"$folder/fashion-torch-$round.txt" || wrong=1
    fi
    round=$((round + 1))
done
"$python" "$root/bench/report.py" "$folder" >"$out"
cat "$out"
[ "$wrong" -eq 0 ] || { echo "bench.sh: something was wrong; see above and $folder" >&2; exit 1; }
