#!/bin/sh
# verify_demo.sh FOLDER [--train]: OCLIN_VERIFY=1 on the example programs in FOLDER as they are. With the
# tree's kernels they run through; with a mistake in one (OCLIN_CL_DIR) they stop at the first operation that
# is wrong, and say which it was. --train: the demo also trains, on 1280 images.
set -eu
examples=$1
train=${2-}
cl=$(cd "$(dirname "$0")/../cl" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset OCLIN_CL_DIR OCLIN_VERIFY OCLIN_PLAN

fail() {
    echo "verify_demo.sh: $*" >&2
    exit 1
}

# right PROGRAM...: exit 0 with every operation compared
right() {
    OCLIN_VERIFY=1 timeout 300 "$@" >"$work/out" 2>&1 || {
        cat "$work/out"
        fail "$1 stops with the right kernels"
    }
    echo "right kernels: $(basename "$1") runs through"
}

# broken FILE SED-COMMAND SENTENCE PROGRAM...: stops, and says the sentence (a basic regular expression)
broken() {
    file=$1 change=$2 sentence=$3
    shift 3
    rm -rf "$work/cl"
    mkdir "$work/cl"
    sed "$change" "$cl/$file" >"$work/cl/$file"
    ! cmp -s "$cl/$file" "$work/cl/$file" || fail "'$change' changes nothing in $file"
    ! OCLIN_CL_DIR=$work/cl OCLIN_VERIFY=1 timeout 300 "$@" >"$work/out" 2>&1 ||
        fail "$1 does not notice: $file with '$change'"
    grep -q "$sentence" "$work/out" || { cat "$work/out"; fail "no '$sentence' for $file with '$change'"; }
    echo "$file, $change: $(grep "$sentence" "$work/out" | head -n 1)"
}

number='-\{0,1\}[0-9.e+-]*'
says() { echo "$1[a-z]*\\[[0-9]*, [0-9]*\\] is $number, the reference says $number within $number"; }

linear=$examples/linear_regression
right "$linear"
broken forward.cl 's/sum += load_lanes(e.bias, lanes)/sum += 0.0f/' "$(says 'forward: y')" "$linear"
broken loss_mse.cl 's/y - t/1.00001f * y - t/' "$(says 'mse: ')" "$linear"
broken rule_sgd.cl 's/(real)(-u.n.lr)/(real)(-1.001f * u.n.lr)/' "$(says 'backward_update: w')" "$linear"

demo=$examples/fashion_mnist
if [ -x "$demo" ] && [ -d /usr/share/datasets/fashion-mnist ]; then
    small="$demo --epochs 1 --samples 128 --out $work"
    broken forward.cl 's/sum += load_lanes(e.bias, lanes)/sum += 0.0f/' "$(says 'forward: y')" $small
    broken activation_relu.cl \
        's/select(dy, (real)(0.0f), islessequal(s/select(dy, dy * 0.01f, islessequal(s/' \
        "$(says 'backward_update: w')" $small
    broken gradient.cl 's/store_lanes(to, g, lanes)/store_lanes(to, 1.0001f * g, lanes)/' \
        "$(says 'backward: dw')" $small --batch 64 --accumulate 2
    broken loss_cross_entropy.cl 's/p \* all - q/p * all - 0.999f * q/' "$(says 'cross_entropy: dy')" $small
    [ -z "$train" ] || right $demo --epochs 1 --samples 1280 --out "$work"
else
    echo "the demo is not there: left out"
fi
