# SPDX-License-Identifier: BSD-3-Clause
"""Commands: parse, call, print."""
