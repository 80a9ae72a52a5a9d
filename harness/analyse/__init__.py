# SPDX-License-Identifier: BSD-3-Clause
"""Analyse a run: from its records to Summary."""

from harness.analyse.gain import (
    Value as PairedValue, adjust, gain as paired_gain, log_ratios, table as gain_table)
from harness.analyse.metrics import METRICS, Better, Context
from harness.analyse.model import (
    SCHEMA, Attempts, Ceiling, Cell, ContenderInfo, Distance, Factors, Gain, Interval, Limit,
    OfferedPoint, OpenContender, OpenLoopSummary, OptimisationStep, Point, Saving,
    Steadiness, Summary)
from harness.analyse.stats import (
    LEAST_TO_RESAMPLE, Table, Variance, held_freedom, holm, median, noise_prior, pooled_variance,
    round_significant)
from harness.analyse.stopping_rule import (
    HELD, Look, look, one_round, precise, remaining, sure_rounds)
from harness.analyse.summary import summarise
from harness.analyse.trial_use import cores_of
