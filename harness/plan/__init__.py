# SPDX-License-Identifier: BSD-3-Clause
"""What to measure. Pure: no root, no clock, no machine."""

from harness.plan.load_point import AXES as AXES
from harness.plan.load_point import CONNECTIONS as CONNECTIONS
from harness.plan.load_point import OFFERED as OFFERED
from harness.plan.load_point import Axis as Axis
from harness.plan.load_point import LoadPoint as LoadPoint
from harness.plan.options import MOST_ATTEMPTS as MOST_ATTEMPTS
from harness.plan.plan import MOST_OF_WRK as MOST_OF_WRK
from harness.plan.plan import NET_TAP as NET_TAP
from harness.plan.plan import OVERRIDES as OVERRIDES
from harness.plan.plan import PLANS as PLANS
from harness.plan.plan import SPARE_FILES as SPARE_FILES
from harness.plan.plan import VHOST_NET as VHOST_NET
from harness.plan.plan import Plan as Plan
from harness.plan.plan import from_json as from_json
from harness.plan.plan import load_plan as load_plan
from harness.plan.plan import to_json as to_json
from harness.plan.schedule import Share as Share
from harness.plan.schedule import TrialSpec as TrialSpec
from harness.plan.schedule import round_specs as round_specs
from harness.plan.schedule import schedule as schedule
from harness.plan.schedule import shares as shares
from harness.plan.schedule import threads_of as threads_of
from harness.plan.schedule import turns as turns
from harness.plan.workload import FEW as FEW
from harness.plan.workload import GENERAL as GENERAL
from harness.plan.workload import MANY as MANY
from harness.plan.workload import SIZES as SIZES
from harness.plan.workload import WORKLOADS as WORKLOADS
from harness.plan.workload import Workload as Workload
from harness.plan.workload import expected_body as expected_body
