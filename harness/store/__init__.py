# SPDX-License-Identifier: BSD-3-Clause
"""Schemas and files."""

from harness.store.codes import Bound as Bound
from harness.store.codes import LimitedBy as LimitedBy
from harness.store.codes import Verdict as Verdict
from harness.store.store import NAME as NAME
from harness.store.store import Run as Run
from harness.store.store import load_run as load_run
