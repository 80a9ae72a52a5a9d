# SPDX-License-Identifier: BSD-3-Clause
"""Schemas and files."""

from harness.store.attempts import (
    Attempts as Attempts, InterferenceCount as InterferenceCount, account as account,
    counted as counted, counting as counting, finished as finished, next_attempt as next_attempt,
    reported as reported, should_retry as should_retry)
from harness.store.codes import (
    Bound as Bound, Caveat as Caveat, Evidence as Evidence, Interference as Interference,
    LatencyMeaning as LatencyMeaning, LimitedBy as LimitedBy, Note as Note,
    NotMeasured as NotMeasured, Problem as Problem, StoppedBy as StoppedBy, Unsettled as Unsettled,
    Value as Value, Verdict as Verdict)
from harness.store.convert import (
    from_json as from_json, to_json as to_json)
from harness.store.histogram import (
    PERCENTILES as PERCENTILES, merged as merged, quantile as quantile, rounded as rounded)
from harness.store.store import (
    CALIBRATION as CALIBRATION, ID as ID, NAME as NAME, OUT as OUT, RESULTS as RESULTS, Run as Run,
    Store as Store, check_writable as check_writable, disk_is_full as disk_is_full,
    disk_reason as disk_reason, find_run as find_run, give_to_user as give_to_user,
    load_run as load_run, run_id as run_id, write_file as write_file)
from harness.store.trial_record import (
    ClientPart as ClientPart, Clock as Clock, CpuTime as CpuTime, EndCount as EndCount,
    Histogram as Histogram, MachineUse as MachineUse, OTHER as OTHER,
    OpenLoop as OpenLoop, Reconcile as Reconcile,
    Steady as Steady, TrialRecord as TrialRecord, SCHEMA as TRIAL_SCHEMA)
