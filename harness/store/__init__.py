# SPDX-License-Identifier: BSD-3-Clause
"""Schemas and files."""

from harness.store.attempts import (
    Attempts, InterferenceCount, account, counted, finished, next_attempt, reported, should_retry)
from harness.store.codes import (
    Bound, CableNote, Caveat, Code, Evidence, Interference, LatencyMeaning, LimitedBy,
    NotCalibrated, NotMeasured, Note, Problem, StoppedBy, Unsettled, Value, Verdict)
from harness.store.conformance import (
    adopt_conformance, create_conformance, load_conformance, write_conformance)
from harness.store.convert import Json, from_json, to_json
from harness.store.facts import (
    ContenderFacts, Facts, HugepageFacts, MachineFacts, SaturationFacts, differing, fact,
    read as read_facts)
from harness.store.obligations import (
    Conformance, Impact, Obligation, Outcome, Result, Service, Severity, UnderTest)
from harness.store.profile_record import (
    BESIDE, UNKNOWN, ContenderProfile, Frame, Load, Profile, Stack, create_profile, load_profile,
    write_profile)
from harness.store.store import (
    NAME, OUT, REFERENCE, RESULTS, Run, Store, check_writable, disk_is_full, disk_reason, find_run,
    give_to_user, load_run, read_json, run_id, write_file)
from harness.store.trial_record import (
    OTHER, PERCENTILES, ClientPart, Clock, CpuTime, EndCount, Histogram, MachineUse, OpenLoop,
    Reconcile, Steady, TrialRecord, merged, quantile, rounded)
