#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Check what `make lint` says.   Usage: PYTHON=… ci/lint.sh

set -eu

"$PYTHON" -m mypy --no-error-summary
"$PYTHON" ci/check_imports.py
if command -v clang-format >/dev/null; then
    find servers -name '*.[ch]' -exec clang-format --dry-run -Werror {} +
else
    echo "clang-format is not installed: format not checked"
fi
