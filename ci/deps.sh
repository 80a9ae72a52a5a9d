#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Install what is missing: Debian packages, then lwIP's source. Knows nothing of the build.
# Usage: ci/deps.sh [packages [vm] | lwip DIR VERSION]      Exit: 0 done, 3 the machine cannot (says what is missing).
# What only the virtual machine needs (packages.txt: vm) is installed when asked for by that name, and alone.
set -eu

HERE=$(dirname "$0")

# pin VERSION: a release of lwIP. Sets the hash of the tree that its archives must unpack to (line ends as LF).
pin() {
    LWIP_VERSION=$1
    case $1 in
        2.1.3) LWIP_TREE_SHA256=23f9709510e5898ac93a92e1053789e6caa41913f90ac5a17bd754712d959432 ;;
        2.2.1) LWIP_TREE_SHA256=6125ae1f7ce16e4069cde3420922b77d15a80812132aebb994ddc9b83af99b85 ;;
        *) say "deps: no pinned lwIP $1; there are 2.1.3 and 2.2.1"; exit 2 ;;
    esac
    LWIP_UPSTREAM=https://download.savannah.nongnu.org/releases/lwip/lwip-$LWIP_VERSION.zip
}

say() { printf '%s\n' "$*" >&2; }
fail() { say "deps: $*"; exit 3; }

# missing_packages KIND: of `vm`, or of all other kinds when KIND is empty.
missing_packages() {
    wanted=$(sed 's/#.*//' "$HERE/packages.txt" | while read -r package kind _; do
        [ -n "$package" ] || continue
        case $kind in
            vm) [ "$1" = vm ] || continue ;;
            *) [ -z "$1" ] || continue ;;
        esac
        echo "$package"
    done)
    # one question for all: a slow machine takes long to start a program
    # shellcheck disable=SC2016,SC2086
    there=" $(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $(echo "$wanted" | tr '|' '\n') 2>/dev/null |
             sed -n 's/^installed //p' | tr '\n' ' ') "
    for choice in $wanted; do
        lacking=
        for package in $(echo "$choice" | tr '|' ' '); do
            case $there in *" $package "*) lacking=; break ;; *) lacking="${lacking:-$choice}" ;; esac
        done
        [ -z "$lacking" ] || echo "$lacking"
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
    list=$(echo "$missing" | tr '\n' ' ')
    say "missing packages: $list"
    command -v apt-get >/dev/null 2>&1 || fail "no apt-get here: install these packages by hand: $list"
    [ "$(id -u)" = 0 ] || fail "not root: run 'sudo $AGAIN', or: sudo apt-get install --no-install-recommends $list"
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
    (cd "$state" && { apt-get "$@" update || true; } && version=$(apt-cache "$@" showsrc lwip |
        sed -n "s/^Version: \($LWIP_VERSION[+-].*\)/\1/p" | head -n 1) && [ -n "$version" ] &&
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
        fail "no lwIP source: neither the distribution's source archive nor $LWIP_UPSTREAM answered; set LWIP_SRC= to a tree of lwIP $LWIP_VERSION, or LWIP= to another release"
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
    lwip/?*) pin "${3:?which release of lwIP?}"; fetch_lwip "$2" ;;
    *) say "usage: ci/deps.sh [packages [vm] | lwip DIR VERSION]"; exit 2 ;;
esac
