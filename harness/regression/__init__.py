# SPDX-License-Identifier: BSD-3-Clause
"""Compare runs with earlier ones: the gate, the machine's noise, trends."""

from harness.regression.change_points import LEVEL
from harness.regression.gate import THRESHOLD, GateResult, Result, judge
from harness.regression.interleaved import (
    AT_BASE, Interleaved, interleaved_pairs, judge_interleaved)
from harness.regression.noise import Detectable, NoiseResult, analyse as analyse_noise, spread
from harness.regression.noise_profile import (
    append as append_session, load as load_profile, machine as machine_of, place as profile_file,
    session as session_of)
from harness.regression.paired_logs import COST, RATE, Readings, readings
from harness.regression.trend import GAIN, Trend, TrendLine, follow
