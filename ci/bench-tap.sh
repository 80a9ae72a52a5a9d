#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# ci/bench.sh on the TAP wire.
exec "$(dirname "$0")/bench.sh" tap
