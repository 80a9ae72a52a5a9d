#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What a CI job runs to measure: the quick plan on the wire of the first argument, and its Markdown summary to where
# the CI shows it (GITHUB_STEP_SUMMARY) or to standard output. Needs root, no hardware.
set -eu
cd "$(dirname "$0")/.."
wire=${1:?which wire? tap, shm, …}
make "bench-$wire" PLAN="${PLAN:-quick}"
newest=$(find reports/out -mindepth 2 -maxdepth 2 -path "*-$wire/summary.md" -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2-)
[ -n "$newest" ] || { echo "bench-$wire: no summary was written" >&2; exit 1; }
cat "$newest" >> "${GITHUB_STEP_SUMMARY:-/dev/stdout}"
