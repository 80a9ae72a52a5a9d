# SPDX-License-Identifier: BSD-3-Clause
"""Make a whole run: order, retries, stopping, calibration."""

from harness.run.open_loop import Loads, parse_loads
from harness.run.profile import profile
from harness.run.progress import Words, code_text, listed, point_text
from harness.run.request import DEFAULT_PLAN, RunRequest, by_workload, planned
from harness.run.run import measure, stopped
from harness.run.shell import open_shell
