# SPDX-License-Identifier: BSD-3-Clause
"""The typed analysis, until everything reads it."""
