# SPDX-License-Identifier: BSD-3-Clause
"""Make a whole run: order, retries, stopping, calibration."""

from harness.run.open_loop import Loads as Loads
from harness.run.open_loop import parse_loads as parse_loads
from harness.run.progress import clock as clock
from harness.run.progress import notes_text as notes_text
from harness.run.progress import point_text as point_text
from harness.run.progress import rate as rate
from harness.run.request import DEFAULT_PLAN as DEFAULT_PLAN
from harness.run.request import RunRequest as RunRequest
from harness.run.request import by_workload as by_workload
from harness.run.request import planned as planned
from harness.run.run import measure as measure
from harness.run.run import stop_text as stop_text
from harness.run.shell import open_shell as open_shell
