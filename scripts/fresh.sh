#!/bin/bash
# fresh.sh [OPTION]... [12|13]...: both commands of the README, demo.sh and test.sh, on a Debian that was made a
# minute ago (12 and 13, if none is named), as a newcomer has it: nothing is installed, nothing is cached. On
# demand, as root: it takes an hour and more, and about 2 GB for each. Ends with 1 where a command failed.
#   --folder FOLDER   where the systems are made (a new folder in TMPDIR); kept with --keep, and used again if they are there
#   --keep            they are not removed at the end
#   --command TEXT    instead of the two commands, in the tree's folder there; may be given more than once
# Packages come from where this machine's apt gets them.
set -euo pipefail
cd "$(dirname "$0")/.."
folder='' keep='' versions='' commands=()
while [ $# -gt 0 ]; do
    case $1 in
    --folder) folder=$2; shift ;;
    --keep) keep=1 ;;
    --command) commands+=("$2"); shift ;;
    12 | 13) versions+=" $1" ;;
    *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2 ;;
    esac
    shift
done
[ -n "$versions" ] || versions='12 13'
[ ${#commands[@]} -gt 0 ] || commands=('scripts/demo.sh --out /tmp' scripts/test.sh)
[ "$(id -u)" = 0 ] || { echo "fresh.sh: debootstrap and chroot need root" >&2; exit 2; }
scripts/install.sh fresh

folder=${folder:-$(mktemp -d)}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
remove() { [ -n "$keep" ] || rm -rf --one-file-system "$folder"; }
trap remove EXIT

# mirror: the first archive that this machine's apt knows, of Debian's own packages
mirror() {
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
        sed -n -e 's/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\) .*/\2/p' -e 's/^URIs: *\([^ ]*\).*/\1/p' |
        grep -m 1 '/debian/*$'
}

# make ROOT SUITE: a Debian without anything, with this machine's way to the network, and the tree in /oclin
make() {
    if [ ! -e "$1/made" ]; then
        rm -rf --one-file-system "$1"
        debootstrap --variant=minbase "$2" "$1" "$(mirror)" >"$1.log" 2>&1 || { tail -n 20 "$1.log"; return 1; }
        cp /etc/resolv.conf "$1/etc/"
        apt-config dump | grep -E '^Acquire::(Check-|https?::|Retries)' >"$1/etc/apt/apt.conf.d/99machine" || true
        touch "$1/made"
    fi
    rm -rf "$1/oclin"
    mkdir "$1/oclin"
    git ls-files -z --cached --others --exclude-standard | tar c --null --ignore-failed-read -T - | tar x -C "$1/oclin"
}

# inside ROOT COMMAND: mounts are gone when it ends, however it ends
inside() {
    unshare --mount sh -c '
        mount -t proc proc "$0/proc" && mount --rbind /sys "$0/sys" && mount --rbind /dev "$0/dev" &&
            exec chroot "$0" /usr/bin/env -i HOME=/root TERM=dumb PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -c "$1"
    ' "$1" "cd /oclin && $2"
}

failed=
for version in $versions; do
    root=$folder/$version suite=bookworm
    [ "$version" = 12 ] || suite=trixie
    echo "=== Debian $version"
    make "$root" $suite || { failed+=" $version"; continue; }
    for command in "${commands[@]}"; do
        echo "=== Debian $version: $command"
        inside "$root" "$command" || failed+=" $version ($command)"
    done
done
[ -z "$failed" ] || { echo "fresh.sh: FAILED on Debian$failed" >&2; exit 1; }
echo "fresh.sh: all right on Debian ${versions# }"
