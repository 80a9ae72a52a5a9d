# SPDX-License-Identifier: BSD-3-Clause
"""Analyse a run: from its records to Summary."""

from harness.analyse.model import SCHEMA as SCHEMA
from harness.analyse.model import Interval as Interval
from harness.analyse.model import OfferedPoint as OfferedPoint
from harness.analyse.model import OptimisationStep as OptimisationStep
from harness.analyse.model import Saving as Saving
from harness.analyse.model import Attempts as Attempts
from harness.analyse.model import Ablation as Ablation
from harness.analyse.model import Ceiling as Ceiling
from harness.analyse.model import Cell as Cell
from harness.analyse.model import ContenderInfo as ContenderInfo
from harness.analyse.model import Figure as Figure
from harness.analyse.model import Gain as Gain
from harness.analyse.model import Limit as Limit
from harness.analyse.model import OpenContender as OpenContender
from harness.analyse.model import OpenLoopSummary as OpenLoopSummary
from harness.analyse.model import Point as Point
from harness.analyse.model import Statistics as Statistics
from harness.analyse.model import Steadiness as Steadiness
from harness.analyse.model import Summary as Summary
from harness.analyse.gain import kernel_baselines as kernel_baselines
from harness.analyse.metrics import METRICS as METRICS
from harness.analyse.metrics import Metric as Metric
from harness.analyse.stats import LEAST_TO_RESAMPLE as LEAST_TO_RESAMPLE
from harness.analyse.stopping_rule import FIRST_LOOK as FIRST_LOOK
from harness.analyse.stopping_rule import HELD as HELD
from harness.analyse.stopping_rule import Look as Look
from harness.analyse.stopping_rule import complete_rounds as complete_rounds
from harness.analyse.stopping_rule import ended as ended
from harness.analyse.stopping_rule import look as look
from harness.analyse.stopping_rule import one_round as one_round
from harness.analyse.stopping_rule import remaining as remaining
from harness.analyse.stopping_rule import sessions as sessions
from harness.analyse.stopping_rule import sure_rounds as sure_rounds
from harness.analyse.summary import summarise as summarise
