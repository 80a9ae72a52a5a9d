# SPDX-License-Identifier: BSD-3-Clause
"""Compare runs with earlier ones: the gate, the machine's noise, trends."""

from harness.regression.change_points import LEVEL as LEVEL
from harness.regression.compatibility import Difference as Difference
from harness.regression.gate import THRESHOLD as THRESHOLD
from harness.regression.gate import GateResult as GateResult
from harness.regression.gate import GateTest as GateTest
from harness.regression.gate import NotTested as NotTested
from harness.regression.gate import Reason as Reason
from harness.regression.gate import Result as Result
from harness.regression.gate import judge as judge
from harness.regression.noise import NOMINAL as NOMINAL
from harness.regression.noise import Alarms as Alarms
from harness.regression.noise import Detectable as Detectable
from harness.regression.noise import NoiseResult as NoiseResult
from harness.regression.noise import analyse as analyse_noise
from harness.regression.noise import spread as spread
from harness.regression.noise_profile import Profile as Profile
from harness.regression.noise_profile import append as append_session
from harness.regression.noise_profile import load as load_profile
from harness.regression.noise_profile import machine as machine_of
from harness.regression.noise_profile import place as profile_file
from harness.regression.noise_profile import session as session_of
from harness.regression.paired_logs import COST as COST
from harness.regression.paired_logs import RATE as RATE
from harness.regression.paired_logs import Readings as Readings
from harness.regression.paired_logs import readings as readings
from harness.regression.trend import FIGURES as FIGURES
from harness.regression.trend import GAIN as GAIN
from harness.regression.trend import Trend as Trend
from harness.regression.trend import TrendCaveat as TrendCaveat
from harness.regression.trend import TrendLine as TrendLine
from harness.regression.trend import follow as follow

__all__ = ("analyse_noise", "append_session", "judge", "load_profile", "machine_of", "profile_file", "session_of")
