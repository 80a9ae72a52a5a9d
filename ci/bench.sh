#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What a CI job runs to measure: PLAN (default: quick; a file as the caller names it) on the wire of the first argument,
# CONTENDERS or all of that wire,
# and its Markdown summary to where the CI shows it (GITHUB_STEP_SUMMARY) or to standard output. Where the run and its
# report lie goes to GITHUB_OUTPUT, if there is one. Needs root, no hardware, and on Debian or Ubuntu nothing installed.
# Exit: as ./stackduel; 3 also where something cannot be installed or built.
set -eu
wire=${1:?which wire? tap, shm, …}
plan=${PLAN:-quick}
[ ! -f "$plan" ] || plan=$(realpath "$plan")
cd "$(dirname "$0")/.."
ci/deps.sh packages  # make is one of them
make ready || exit 3
# make itself would turn every failure into 2
./stackduel bench "$wire" "PLAN=$plan" ${CONTENDERS:+"CONTENDERS=$CONTENDERS"}
newest=$(find reports/out -mindepth 2 -maxdepth 2 -path "*-$wire/summary.md" -printf '%T@ %p\n' | LC_ALL=C sort -n | tail -n 1 | cut -d' ' -f2-)
[ -n "$newest" ] || { echo "bench-$wire: no summary was written" >&2; exit 1; }
cat "$newest" >> "${GITHUB_STEP_SUMMARY:-/dev/stdout}"
run=$(basename "$(dirname "$newest")")
[ -z "${GITHUB_OUTPUT:-}" ] || printf '%s\n' "run=$PWD/results/runs/$run" "report=$PWD/reports/out/$run" >> "$GITHUB_OUTPUT"
