#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# ci/bench.sh on the wire of shared memory.
exec "$(dirname "$0")/bench.sh" shm
