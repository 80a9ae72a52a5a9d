#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What a CI job runs to judge a change: the quick plan on a wire, then the gate against base runs. Needs root.
# ci/gate.sh WIRE BASE…: each BASE is a run's id or its directory (facts.json, plan.json, trials.jsonl).
# Exit code of the gate: 0 passed, 1 something got worse, 2 the runs do not compare. See ci/README.md.
set -eu
cd "$(dirname "$0")/.."
[ $# -ge 2 ] || { echo "gate: which wire, and against which run? ci/gate.sh WIRE BASE…" >&2; exit 2; }
wire=$1
shift
make "bench-$wire" PLAN="${PLAN:-quick}"
for run in "$@"; do
    set -- "$@" --base "$run"
    shift
done
# make itself would turn every failure into 2
exec "${PYTHON:-/usr/bin/python3}" -m harness gate "$@" ${THRESHOLD:+--threshold "$THRESHOLD"}
