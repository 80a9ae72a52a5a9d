# SPDX-License-Identifier: BSD-3-Clause
"""What to measure. Pure: no root, no clock, no machine."""

from harness.plan.ablation import (
    AS_PUBLISHED, OF_OBLIGATIONS, OF_OPTIMISATIONS, OPTIMISATIONS, PLAIN, Optimisation, added, apart,
    below, table_of)
from harness.plan.load import (
    AXES, CONNECTIONS, GENERAL, OFFERED, SIZES, WORKLOADS, Axis, LoadPoint, Workload, expected_body)
from harness.plan.load_plan import MOST_OF_WRK, PLANS, load_plan, needs_loadgen, without
from harness.plan.netem import parse as parse_netem
from harness.plan.nic_request import (
    WIRE, IfClient, NicRequest, SshClients, SshTarget, from_settings, known_settings,
    parse_client, to_settings)
from harness.plan.options import (
    BY_VARIABLE, MOST_ATTEMPTS, NET_TAP, OFFERED_RATES, OPTIONS, OVERRIDES, RENAMED, RESTART_ROUND,
    RESTART_TRIAL, VHOST_NET, Kind, Option)
from harness.plan.plan import SPARE_FILES, UNKNOWN, Plan, Reason, from_json, to_json
from harness.plan.published import (
    METHOD, METRICS, METRICS as PUBLISHED_METRICS, NOT_STATED, Claim, Published, load_published,
    of_paper)
from harness.plan.schedule import (
    Share, TrialSpec, round_specs, schedule, settled, shares, threads_of, turns)
from harness.plan.topology import (
    load_wire, over_vhost, wire_names, with_contenders, with_devices)
from harness.plan.wire import (
    CLIENT_EAL_PREFIX, DPDK, EAL_PREFIX, KERNEL, LOADGEN, PRELOAD, Contender, End, Endpoint, Wire,
    original, pairs, self_comparison, with_self_comparisons)
