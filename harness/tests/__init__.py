# SPDX-License-Identifier: BSD-3-Clause
"""Tests of the harness. Those that need root say so when they are skipped."""
