#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Run libFuzzer on lwIP's input path; lwIP's own fuzz inputs begin the corpus, each behind three bytes of ours.
# Usage: run.sh BUILD_DIRECTORY SECONDS

set -eu

cd "$1"
mkdir -p corpus
for file in lwip/test/fuzz/inputs/*/*.bin; do
    { printf '\000\377\377'; cat "$file"; } >"corpus/$(basename "$file")"
done
exec servers/tests/fuzz_stack -max_total_time="$2" -max_len=2048 -print_final_stats=1 corpus
