#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Run a command in a fresh clone of HEAD, on another release of Debian than this machine's (root; needs debootstrap).
# Usage: ci/on-debian.sh 12|13|other COMMAND…      e.g. ci/on-debian.sh 13 make test
# other: 12 on Debian 13, else 13.
# The release lies in $DEBIAN_ROOT, or in build/deps/debian-<release>: it is made at the first use and kept, with the
# packages that `make deps` installs there. What is measured or tested there uses this machine's kernel. The command has
# a mount and a process namespace of its own, so all that it leaves mounted or running ends with it. The folder is a mount
# for `ip netns exec`, which makes / private; the shell stays, for whom a command leaves behind when it ends.
# Exit: the command's; 2 bad usage; 3 the machine cannot (says what is missing).
set -eu

fail() { printf 'on-debian: %s\n' "$2" >&2; exit "$1"; }

release=${1:-}
if [ "$release" = other ]; then
    release=$(grep -qx 'VERSION_ID="13"' /etc/os-release && echo 12 || echo 13)
fi
case $release in
    12) suite=bookworm ;;
    13) suite=trixie ;;
    *) fail 2 'usage: ci/on-debian.sh 12|13|other COMMAND…' ;;
esac
shift
[ $# -gt 0 ] || fail 2 'which command?'
[ "$(id -u)" = 0 ] || fail 3 'not root'
command -v debootstrap >/dev/null || fail 3 'debootstrap is missing: sudo apt-get install debootstrap'

tree=$(cd "$(dirname "$0")/.." && pwd)
root=${DEBIAN_ROOT:-$tree/build/deps/debian-$release}
case $root in
    *[!A-Za-z0-9/._+~=@%-]*) fail 3 "debootstrap takes no path like $root: say DEBIAN_ROOT=DIRECTORY" ;;
esac
if [ ! -e "$root/made" ]; then
    mkdir -p "$root"
    debootstrap --variant=minbase --include=ca-certificates,git,make "$suite" "$root" \
        ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} > "$root.log" 2>&1 ||
        fail 3 "debootstrap failed: $(tail -n 1 "$root.log")"
    : > "$root/made"
fi

rm -rf "$root/stackduel"
git clone -q --no-hardlinks "$tree" "$root/stackduel"
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
# shellcheck disable=SC2016
exec unshare --mount --pid --fork --kill-child sh -euc '
    root=$1
    shift
    mount --make-rprivate /
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs tmpfs "$root/run"
    mkdir "$root/run/lock"
    chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM="${TERM:-dumb}" \
        ${CI:+CI="$CI"} sh -euc "cd /stackduel && exec \"\$@\"" sh "$@" || exit $?
' sh "$root" "$@"
