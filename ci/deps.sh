#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Install what is missing, with apt where that is, then lwIP's source. What counts is whether a thing is found
# (packages.txt says how), not which package it came with. Knows nothing of the build.
# Usage: ci/deps.sh [packages [vm|aarch64] | lwip DIR VERSION]   Exit: 0 done, 3 the machine cannot (says what is missing).
# What only the virtual machine or the cross build needs is installed when asked for by that name, and alone. For
# aarch64 in a container alone (ci/README.md): Debian's libdpdk-dev is there for one processor at a time.
set -eu

HERE=$(dirname "$0")
PYTHON=${PYTHON:-/usr/bin/python3}
PKG_CONFIG=pkg-config
SBIN=${SBIN-/usr/local/sbin:/usr/sbin:/sbin} # not on the PATH of every user

# pin VERSION: a release of lwIP. Sets the hash of the tree that its archives must unpack to (line ends as LF), which is
# that of the tag STABLE-2_x_y_RELEASE of the lwIP project's git. Ubuntu 24.04 has 2.2.0.
pin() {
    LWIP_VERSION=$1
    case $1 in
        2.1.3) LWIP_TREE_SHA256=23f9709510e5898ac93a92e1053789e6caa41913f90ac5a17bd754712d959432 ;;
        2.2.0) LWIP_TREE_SHA256=2a092a520045319e368196b639ff735a0e68bdf047d122459b5199a715954180 ;;
        2.2.1) LWIP_TREE_SHA256=6125ae1f7ce16e4069cde3420922b77d15a80812132aebb994ddc9b83af99b85 ;;
        *) say "deps: no pinned lwIP $1; there are 2.1.3, 2.2.0 and 2.2.1"; exit 2 ;;
    esac
    LWIP_UPSTREAM=https://download.savannah.nongnu.org/releases/lwip/lwip-$LWIP_VERSION.zip
}

say() { printf '%s\n' "$*" >&2; }
fail() { say "deps: $*"; exit 3; }

# rows KIND: package, how it is found and Fedora's name, of `vm` or `aarch64`, or of all other kinds when KIND is empty.
rows() {
    sed 's/#.*//' "$HERE/packages.txt" | while read -r package kind how fedora _; do
        case $1/$kind/$how in
            //*) continue ;;
            vm/vm/* | aarch64/aarch64/*) ;;
            aarch64/build/pc:* | aarch64/test/pc:*) package=${package%%|*}:arm64 how=${how%%|*} ;;
            aarch64/build/bin:*) [ "$package" != gcc ] || continue ;;
            vm/* | aarch64/* | /vm/* | /aarch64/*) continue ;;
        esac
        echo "$package $how $fedora"
    done
}

# there HOW: whether one of its "|" is there, with all of its ",".
there() (
    IFS='|'
    for way in $1; do
        IFS=,
        lacking=
        for name in ${way#*:}; do
            case ${way%%:*} in
                bin) PATH=$PATH:$SBIN command -v "$name" >/dev/null ;;
                pc) "$PKG_CONFIG" --exists "$name" 2>/dev/null ;;
                py) case " $modules " in *" $name "*) ;; *) false ;; esac ;;
                pmd) set -- "$libdir"/dpdk/pmds-*/librte_"$name".so* "$libdir"/dpdk-pmds/librte_"$name".so*
                    [ -e "$1" ] || [ -e "$2" ] ;;
                file) [ -e "$name" ] ;;
                *) fail "packages.txt: unknown way '$way'" ;;
            esac || lacking=$name
        done
        [ -n "$lacking" ] || exit 0
    done
    exit 1
)

# missing_packages KIND: name and way of what is not found. Where apt-get is not, Fedora's names.
missing_packages() {
    libdir=$("$PKG_CONFIG" --variable=libdir libdpdk 2>/dev/null) || libdir=
    # One question for all: Python takes long to start.
    # shellcheck disable=SC2046  # words
    modules=$("$PYTHON" -c 'import sys; from importlib.util import find_spec; print(*filter(find_spec, sys.argv[1:]))' \
        $(rows "$1" | sed -n 's/.* py:\([^ ]*\) .*/\1/p') 2>/dev/null) || modules=
    rows "$1" | while read -r package how fedora; do
        if ! command -v apt-get >/dev/null; then
            case $fedora in -) continue ;; =) ;; *) package=$fedora ;; esac
        fi
        there "$how" || echo "$package $how"
    done
}

# known PACKAGES: of each "this|or that" the first that this release has.
known() {
    for choice; do
        for package in $(echo "$choice" | tr '|' ' '); do
            apt-cache show "$package" >/dev/null 2>&1 && break
        done
        echo "$package"
    done
}

install_packages() {
    missing=$(missing_packages "$1")
    [ -n "$missing" ] || return 0
    list=$(echo "$missing" | sed 's/ .*//' | sort -u | tr '\n' ' ')
    say "missing packages: $list"
    if ! command -v apt-get >/dev/null; then
        ! command -v dnf >/dev/null || fail "not found here: run 'sudo dnf install $list'"
        fail "no apt-get here: install these (names are Fedora's): $(echo "$missing" | sed 's/\(.*\) \(.*\)/\1 (\2)/' | tr '\n' ' ')"
    fi
    [ "$(id -u)" = 0 ] || fail "not root: run 'sudo $AGAIN', or: sudo apt-get install --no-install-recommends $list"
    if [ "$1" = aarch64 ]; then
        ! pkg-config --exists libdpdk ||
            fail "libdpdk-dev:arm64 would take the place of this machine's libdpdk-dev: rather in a container, or with ci/on-debian.sh"
        dpkg --add-architecture arm64
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >&2 || say "deps: apt-get update reported an error; trying to install all the same"
    # A policy that answers 101 keeps packages from starting daemons at install time; it goes whatever ends us.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        trap "rm -f $policy" EXIT
        trap 'exit 130' HUP INT TERM
        printf '#!/bin/sh\nexit 101\n' > $policy && chmod +x $policy
    fi
    status=0
    # shellcheck disable=SC2086,SC2046  # words
    list=$(known $list | tr '\n' ' ')
    # shellcheck disable=SC2086
    apt-get install -y -q --no-install-recommends $list >&2 || status=$?
    # Nor are those that came just now to start at the next boot.
    for daemon in redis-server memcached nginx openssh-server:ssh; do
        package=${daemon%:*} unit=${daemon#*:}
        case " $list" in
            *" $package"*) ! command -v systemctl >/dev/null 2>&1 || systemctl -q disable $unit 2>/dev/null || true ;;
        esac
    done
    [ $status = 0 ] || fail "apt-get could not install: $list"
    missing=$(missing_packages "$1")
    [ -z "$missing" ] || fail "installed, and yet not found: $(echo "$missing" | tr '\n' ' ')"
}

# tree_sha256 DIR: one hash over the names and bytes of src/ and test/.
tree_sha256() {
    (cd "$1" && find src test -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -d' ' -f1)
}

# from_distribution DIR: the orig tar from the machine's own package archive, through a private apt state. A Debian mirror
# also has the releases before and after the machine's: bookworm has lwIP 2.1.3, trixie 2.2.1.
from_distribution() {
    command -v apt-get >/dev/null 2>&1 || return 1
    state=$(realpath "$1")/apt
    mkdir -p "$state/lists/partial" "$state/parts"
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -e "$file" ] || continue
        grep -v '^#' "$file" | sed 's/^Types:.*/Types: deb-src/'
        echo
    done > "$state/parts/own.sources"
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
        sed -n 's/^[[:space:]]*deb[[:space:]]/deb-src /p' > "$state/parts/own.list"
    mirrors=$(cat "$state/parts/own.list" "$state/parts/own.sources" | grep -o '[a-z+]*://[^ ]*/debian/\?\( \|$\)' | sort -u)
    for mirror in $mirrors; do
        for suite in bookworm trixie; do
            echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
        done
    done > "$state/parts/releases.list"
    set -- -q -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$state/parts" \
        -o "Dir::State::Lists=$state/lists" -o Dir::Cache::srcpkgcache= -o Dir::Cache::pkgcache= -o APT::Sandbox::User=
    # Archives that offer no sources make update complain; only the hash of the tree decides.
    (cd "$state" && { apt-get "$@" update || true; } && apt-cache "$@" showsrc lwip | sed -n 's/^Version: //p' >versions &&
        version=$(grep "^$LWIP_VERSION[+-]" versions | head -n 1) && [ -n "$version" ] &&
        apt-get "$@" source --download-only "lwip=$version") >"$state/log" 2>&1 || return 1
    tar=$(find "$state" -name "lwip_$LWIP_VERSION*.orig.tar.*" | head -n 1)
    [ -n "$tar" ] || return 1
    tar -xf "$tar" -C "$state"
}

# from_upstream DIR: the release archive from the lwIP project.
from_upstream() {
    mkdir -p "$1/apt"
    curl -fsSL --max-time 120 -o "$1/apt/lwip.zip" "$LWIP_UPSTREAM" 2>>"$1/apt/log" &&
        unzip -q -o "$1/apt/lwip.zip" -d "$1/apt"
}

# fetch_lwip DIR: leaves the pinned tree in DIR/lwip-VERSION.
fetch_lwip() {
    tree=$1/lwip-$LWIP_VERSION
    if [ -d "$tree" ] && [ "$(tree_sha256 "$tree")" = $LWIP_TREE_SHA256 ]; then
        return 0
    fi
    rm -rf "$tree" "$1/apt"
    mkdir -p "$1"
    say "fetching lwIP $LWIP_VERSION"
    from_distribution "$1" || from_upstream "$1" || {
        say "$(tail -n 3 "$1/apt/log" 2>/dev/null || true)"
        others=$(sed 's/[+-].*//' "$1/apt/versions" 2>/dev/null | sort -u | paste -sd' ')
        fail "no source of lwIP $LWIP_VERSION: neither the distribution's archive (it has: ${others:-none}) nor $LWIP_UPSTREAM answered; set LWIP= to 2.1.3, 2.2.0 or 2.2.1, or LWIP_SRC= to a tree of it"
    }
    find "$1/apt/lwip-$LWIP_VERSION/src" "$1/apt/lwip-$LWIP_VERSION/test" -type f -exec sed -i 's/\r$//' {} +
    got=$(tree_sha256 "$1/apt/lwip-$LWIP_VERSION")
    [ "$got" = $LWIP_TREE_SHA256 ] || fail "the lwIP source fetched has sha256 $got, expected $LWIP_TREE_SHA256"
    mv "$1/apt/lwip-$LWIP_VERSION" "$tree"
    rm -rf "$1/apt"
}

case ${1:-packages}/${2:-} in
    packages/) AGAIN='make deps'; install_packages '' ;;
    packages/vm) AGAIN='ci/deps.sh packages vm'; install_packages vm ;;
    packages/aarch64)
        PKG_CONFIG=aarch64-linux-gnu-pkg-config AGAIN='ci/deps.sh packages aarch64'
        install_packages aarch64 ;;
    lwip/?*) pin "${3:?which release of lwIP?}"; fetch_lwip "$2" ;;
    *) say "usage: ci/deps.sh [packages [vm|aarch64] | lwip DIR VERSION]"; exit 2 ;;
esac
