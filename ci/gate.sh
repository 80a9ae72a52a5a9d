#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What a CI job runs to judge a change: ci/bench.sh on a wire, then the gate against base runs. Needs root.
# ci/gate.sh WIRE BASE…: each BASE is a run's id or its directory (facts.json, plan.json, trials.jsonl).
# ci/gate.sh WIRE BUILD: BUILD is the build directory of the base, as ../base/build: its server and ours are measured in
# turns, in one run (CONTENDER=lwip or epoll; PLAN: gate). The surest, where both can be built on one machine.
# Exit code of the gate: 0 passed, 1 something got worse, 2 the runs do not compare; else that of ci/bench.sh.
# See ci/README.md.
set -eu
[ $# -ge 2 ] || { echo "gate: which wire, and against which run? ci/gate.sh WIRE BASE…" >&2; exit 2; }

contender=${CONTENDER:-lwip} place=
if [ ! -e "$2/plan.json" ] && [ -x "$2/${contender}_server" ]; then
    place=$(mktemp -d)
    trap 'rm -rf "$place"' EXIT
    printf "like = '%s'\nlabel = 'base of %s'\nprogram = '%s'\n" "$contender" "$contender" \
        "$(realpath "$2/${contender}_server")" >"$place/$contender@base.toml"
    export CONTENDERS="$place/$contender@base.toml,$contender" PLAN="${PLAN:-gate}"
fi
# a check of the measurement that failed is no verdict on the change
"$(dirname "$0")/bench.sh" "$1" || { code=$?; [ $code != 1 ] || code=4; exit $code; }
shift
if [ -n "$place" ]; then
    cd "$(dirname "$0")/.."
    ./stackduel gate ${THRESHOLD:+--threshold "$THRESHOLD"}
    exit
fi
for run in "$@"; do
    [ ! -d "$run" ] || run=$(realpath "$run")
    set -- "$@" --base "$run"
    shift
done
cd "$(dirname "$0")/.."
exec ./stackduel gate "$@" ${THRESHOLD:+--threshold "$THRESHOLD"}
