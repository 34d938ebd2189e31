#!/bin/sh
# lint_kernels.sh [BUILD]: every kernel that oclin builds through the compiler's checks, without a device.
# Warnings are errors. tests/kernel_texts.c says which: all ways, activations and losses, on devices that it
# describes. BUILD: where the tests are built, "build" if not given.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${1-build}/tests/kernel_texts" "$work" >"$work/list"

# helpers that a kernel has no use for are no mistake
while IFS="$(printf '\t')" read -r text options; do
    # shellcheck disable=SC2086
    clang -x cl $options -Xclang -finclude-default-header -fsyntax-only -Wall -Wextra -Werror \
        -Wno-unused-function -Wno-unused-parameter -Wno-unknown-attributes "$text" || {
        echo "lint_kernels.sh: ${text##*/} with $options" >&2
        exit 1
    }
done <"$work/list"
echo "$(wc -l <"$work/list") kernels checked"
