#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Copy lwIP's source and apply our series to it.
# Usage: patch_lwip.sh SOURCE COPY STAMP   COPY is made anew, STAMP written when that is done.
#        patch_lwip.sh --list              print the patches in the order in which they are applied
set -eu
HERE=$(cd "$(dirname "$0")" && pwd)

# A fast path stands on what scales, and both on what is right.
series() {
    for folder in . fixes scale fastpath; do
        for patch in "$HERE/patches/$folder"/*.patch; do
            [ ! -e "$patch" ] || echo "$patch"
        done
    done
}

[ "$1" != --list ] || { series; exit 0; }
source=$1 copy=$2 stamp=$3
[ -f "$source/src/core/tcp.c" ] || { echo "no lwIP source in $source: run 'make deps'" >&2; exit 1; }
rm -rf "$copy"
mkdir -p "$copy"
cp -r "$source/src" "$source/test" "$copy/"
find "$copy" -type f -exec sed -i 's/\r$//' {} +
series | while read -r patch; do
    patch -s -d "$copy" -p1 --fuzz=0 --no-backup-if-mismatch < "$patch"
done
date > "$stamp"
