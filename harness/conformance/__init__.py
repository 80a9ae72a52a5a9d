# SPDX-License-Identifier: BSD-3-Clause
"""Test a server's TCP from outside: raw segments, and what comes back."""
