# SPDX-License-Identifier: BSD-3-Clause
"""Profile contenders at one load point: a trial of each with perf beside its load.

Reports nothing.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Callable

from harness.errors import MachineError, UsageError
from harness.facts import gather
from harness.host import Host
from harness.plan import Plan, TrialSpec, threads_of
from harness.profile import addresses, fold, load_rules, parse_inlined, parse_samples
from harness.provision import (
    Provisioned, ResolvedWire, planned_use, provisioned, reached, requested, restore)
from harness.store import (
    RESULTS, ContenderProfile, Load, Profile, TrialRecord, create_profile, give_to_user, run_id,
    write_profile)
from harness.trial import CLOCK, PROGRAMS, Recording, Running, load_tool, prepare, sampled_event
from harness.run.progress import code_text, rate
from harness.run.request import RunRequest, choose
from harness.run.runner import TrialRunner

CONNECTIONS = "64"
Say = Callable[[str], None]


def profile(request: RunRequest, host: Host, say: Say, results: Path = RESULTS) -> Profile:
    """Profile each contender of a request once, and store what comes of it.

    UsageError where it asks for several load points, MachineError where perf cannot be used.
    """
    given = {"CONNECTIONS": CONNECTIONS, **{key: text for key, text in request.settings.items()
                                            if text}}
    request = replace(request, settings={
        **given, "ATTEMPTS": "1", "ROUNDS": "1", "RESTART": "trial"},
                      nic=requested(request.nic, {}))
    with reached(host, request.nic) as sites:
        if request.nic.nic:
            for line in restore(host):
                say(f"undone after a killed run: {line}")
        wire, plan = choose(request, host, None, sites, code_text)
        if len(plan.load_points) != 1:
            raise UsageError("profile: of one load point: give one number, as CONNECTIONS=64")
        id_ = run_id(datetime.now(timezone.utc), wire.name)
        programs = {**load_tool(plan, wire.has_loadgen).programs, **PROGRAMS}
        with provisioned(host, wire, plan.applicable, id_, log=say, programs=programs,
                         use=planned_use(host, wire, plan, sites)) as up:
            prepare(sites)
            event = sampled_event(host)
            facts = gather(host, up.wire, plan, up, load_tool(plan, wire.has_loadgen))
            place = create_profile(id_, results)
            found = Profile(id_, wire.name, plan.load_points[0], plan.server_cpus, tuple(
                _one(host, up, plan, name, event, facts["machine"]["tsc_hz"], place / "raw", say)
                for name in plan.applicable))
    write_profile(place, found, facts)
    give_to_user(place)
    return found


def _one(host: Host, up: Provisioned, plan: Plan, name: str, event: str, tsc_hz: int | None,
         raw: Path, say: Say) -> ContenderProfile:
    if not tsc_hz:
        raise MachineError("this processor has no cycle counter that runs at a known rate")
    wire, point = up.wire, plan.load_points[0]
    contender = wire.contenders[name]
    data = raw / f"{contender.file_name}.data"
    recording = Recording(host, event, data)

    def beside(running: Running):  # type: ignore[no-untyped-def]
        return recording.during(running, up, plan.server_cpus, plan.client_cpus)
    runner = TrialRunner(host, wire, plan, up, beside=beside)
    spec = TrialSpec(name, point, 0, threads_of(plan, point.connections))
    record = runner.run(spec, 0, raw / contender.file_name, lambda _: None)
    samples = parse_samples(recording.text())
    data.unlink()
    inlined = {}
    ours = [sample for sample in samples if sample.pid in recording.ours]
    for dso, found in addresses(ours).items():
        inlined.update(parse_inlined(dso, recording.inlined(dso, found)))
    say(f"{name}: {rate(record.requests_per_sec)} while {len(samples)} samples were taken")
    return fold(name, contender.label, _load(record, plan, event, tsc_hz, contender.polls),
                samples, inlined, recording.ours, load_rules())


def _load(record: TrialRecord, plan: Plan, event: str, tsc_hz: int, polls: bool) -> Load:
    """Return what the samples are parts of: all time of the server's cores, or all but idle."""
    burned = sum(cpu.burned for cpu in record.cpu_seconds.values() if "server" in cpu.role)
    seconds = (len(plan.server_cpus) * record.duration_seconds if event == CLOCK else burned)
    counted = {key: count for key, count in (record.server or {}).items()
               if key.startswith("cycles_")}
    idle = (counted.get("cycles_idle", 0) / sum(counted.values())
            if counted and sum(counted.values()) else None)
    return Load(record.requests, record.requests_per_sec, seconds * tsc_hz, event, polls, idle,
                record.problems)
