# SPDX-License-Identifier: BSD-3-Clause
"""Turn the samples of a profiler into cycles a request by layer. Pure."""

from harness.profile.fold import fold
from harness.profile.layers import Layer, load_rules
from harness.profile.perf_script import addresses, parse_inlined, parse_samples
