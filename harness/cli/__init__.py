# SPDX-License-Identifier: BSD-3-Clause
"""Commands: parse, call, print."""

from harness.cli.main import start
