#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Set build directories up, each for the variant of its name, where they are not yet or their settings have changed:
# release (any other name) is measured; checked has sanitizers and every assertion of lwIP, and is what the tests use;
# threads looks for data races; fuzz has libFuzzer; aarch64 is for another processor, its tests run under qemu-user
# (AddressSanitizer does not: no sanitizer).
# Usage: CC=… CLANG=… LWIP_SRC=… LWIP_PINNED=true|false SLOW_CYCLES=… [CFLAGS=… CPPFLAGS=… LDFLAGS=…] ci/variant.sh DIRECTORY…

set -eu

unoptimised='-Doptimization=1 -Db_ndebug=false -Db_lto=false'

# Words for `meson setup`, of the variant $1.
options() {
    case $1 in
        checked) echo "$unoptimised -Db_sanitize=address,undefined" ;;
        threads) echo "$unoptimised -Db_sanitize=thread" ;;
        fuzz) echo "$unoptimised -Db_sanitize=address,undefined -Dfuzzer=true -Dwerror=false -Db_lundef=false" ;;
        aarch64) echo "$unoptimised --cross-file $(dirname "$0")/aarch64.ini" ;;
        *) echo "-Dslow_cycles=$SLOW_CYCLES" ;;
    esac
}

# Set up directory $1 with compiler $2. Meson itself takes CFLAGS, CPPFLAGS and LDFLAGS.
set_up() {
    directory=$1 compiler=$2
    # shellcheck disable=SC2046  # several words
    set -- "-Dlwip_src=$(realpath -m "$LWIP_SRC")" "-Dlwip_pinned=${LWIP_PINNED:-false}" \
        $(options "$(basename "$directory")")
    settings="$compiler CFLAGS=${CFLAGS:-} CPPFLAGS=${CPPFLAGS:-} LDFLAGS=${LDFLAGS:-} $*"
    if [ -f "$directory/build.ninja" ] && [ "$settings" = "$(cat "$directory/set-up" 2>/dev/null)" ]; then
        return
    fi
    mkdir -p "$directory"
    rm -rf "$directory/meson-private" "$directory/meson-info" "$directory/build.ninja"
    # whatever the locale, a path's bytes stay as they are
    PYTHONUTF8=1 CC=$compiler meson setup "$@" "$directory" >"$directory/set-up.log" 2>&1 ||
        { grep ERROR "$directory/set-up.log" >&2; rm -f "$directory/build.ninja"; exit 3; }
    printf '%s\n' "$settings" >"$directory/set-up"
}

for directory; do
    case $(basename "$directory") in
        fuzz) set_up "$directory" "$CLANG" ;;
        aarch64) set_up "$directory" gcc ;;
        *) set_up "$directory" "$(command -v ccache >/dev/null && echo 'ccache ')$CC" ;;
    esac
done
