# SPDX-License-Identifier: BSD-3-Clause
"""Run one trial to its record."""

from harness.trial.client import Client as Client
from harness.trial.load.base import (
    Load as Load, LoadResult as LoadResult, LoadTool as LoadTool, choose_tool as choose_tool,
    load_tools as load_tools)
from harness.trial.load.remote import prepare as prepare
from harness.trial.probe import prove_answer as prove_answer, prove_neighbour as prove_neighbour
from harness.trial.record import Outcome as Outcome
from harness.trial.server import Running as Running, launcher as launcher, start as start
from harness.trial.trial import load_tool as load_tool, run_trial as run_trial
