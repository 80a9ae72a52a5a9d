# SPDX-License-Identifier: BSD-3-Clause
"""Test a server's TCP from outside: raw segments, and what comes back."""

from harness.conformance.run import run_conformance
