#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Copy lwIP's source and apply our series to it.
# Usage: patch_lwip.sh SOURCE COPY STAMP   COPY is made anew, STAMP written when that is done.
#        patch_lwip.sh --list              print all patches
#        patch_lwip.sh --version SOURCE    print the release of that tree
set -eu
export LC_ALL=C # the order of names, and bytes that are no text
HERE=$(cd "$(dirname "$0")" && pwd)

# version SOURCE: as its init.h has it.
version() {
    [ -f "$1/src/core/tcp.c" ] || { echo "no lwIP source in $1: run 'make deps'" >&2; exit 1; }
    sed -n 's/^#define LWIP_VERSION_\(MAJOR\|MINOR\|REVISION\) *\([0-9]*\).*/\2/p' "$1/src/include/lwip/init.h" |
        paste -sd.
}

# series VERSION: the patches in their order. The series is on 2.2.1; what another release has in other words comes first,
# from that release's folder. A fast path stands on what scales, and both on what is right; what a TCP owes to others
# stands on all of them, and what helps where packets are lost comes last.
series() {
    for patch in "$HERE/patches/$1"/*.patch "$HERE"/patches/fixes/*.patch "$HERE"/patches/scale/*.patch \
                 "$HERE"/patches/fastpath/*.patch "$HERE"/patches/obligations/*.patch "$HERE"/patches/loss/*.patch; do
        [ ! -e "$patch" ] || echo "$patch"
    done
}

case $1 in
    --list) find "$HERE/patches" -name '*.patch' | sort; exit 0 ;;
    --version) version "$2"; exit 0 ;;
esac
source=$1 copy=$2 stamp=$3
release=$(version "$source")
rm -rf "$copy"
mkdir -p "$copy"
cp -r "$source/src" "$source/test" "$copy/"
find "$copy" -type f -exec sed -i 's/\r$//' {} +
series "$release" | while read -r patch; do
    patch -s -d "$copy" -p1 --fuzz=0 --no-backup-if-mismatch < "$patch"
done
date > "$stamp"
