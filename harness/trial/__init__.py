# SPDX-License-Identifier: BSD-3-Clause
"""Run one trial to its record."""

from harness.trial.client import Client
from harness.trial.load.base import choose_tool, load_tools
from harness.trial.load.remote import prepare
from harness.trial.observe.perf import CLOCK, PROGRAMS, Recording, sampled_event
from harness.trial.probe import prove_answer, prove_neighbour
from harness.trial.record import Outcome
from harness.trial.server import Running, last_words, launcher, start
from harness.trial.servers import Servers
from harness.trial.trial import Beside, load_tool, no_beside, run_trial
from harness.trial.turns import Place, run_in_turns
