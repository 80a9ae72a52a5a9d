# SPDX-License-Identifier: BSD-3-Clause
"""Schemas and files."""

from harness.store.codes import Bound as Bound
from harness.store.codes import LimitedBy as LimitedBy
from harness.store.codes import Note as Note
from harness.store.codes import NotMeasured as NotMeasured
from harness.store.codes import Verdict as Verdict
from harness.store.convert import to_json as to_json
from harness.store.store import NAME as NAME
from harness.store.store import OUT as OUT
from harness.store.store import RESULTS as RESULTS
from harness.store.store import Run as Run
from harness.store.store import Store as Store
from harness.store.store import disk_reason as disk_reason
from harness.store.store import find_run as find_run
from harness.store.store import give_to_user as give_to_user
from harness.store.store import load_run as load_run
