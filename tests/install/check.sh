#!/bin/sh
# check.sh BUILD cmake|pkg-config CONFIGURATION: installs BUILD into a temporary prefix, and uses it.
set -eu
build=$1 how=$2 configuration=$3
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/prefix" --config "$configuration" >/dev/null
[ -n "$(find "$work/prefix" -name liboclin.a)" ]
[ -e "$work/prefix/include/oclin.h" ] && [ -e "$work/prefix/share/licenses/oclin/LICENSE" ]
"$here/use.sh" "$work/prefix" "$how"
