# SPDX-License-Identifier: BSD-3-Clause
"""Look for the client's ceiling: before the rounds, TRIALS a load point against the cheapest
answerer on this wire, all points in turn. The ceiling is their median.

It takes the place of a kernel contender, behind that one's link.
"""

from __future__ import annotations

from dataclasses import replace

from harness.errors import MachineError
from harness.host import Host
from harness.plan import GENERAL, KERNEL, Contender, Plan, TrialSpec, schedule
from harness.provision import ROOT, ResolvedWire, has_program
from harness.store import Json, NotCalibrated, Note, Store, finished, to_json
from harness.run.progress import Words, listed, point_name, point_text, rate
from harness.run.runner import TrialRunner

# the contender of calibration.jsonl
NAME = "canned"
PROGRAM = "build/canned_server"
# the fewest of which one that was disturbed unseen does not make the median
TRIALS = 3
_ARGUMENTS = ("--address", "{address}", "--port", "{port}", "--body-size", "{body_size}",
              "--max-connections", "{max_connections}")


def why_not(wire: ResolvedWire, plan: Plan) -> Note[NotCalibrated] | None:
    """Return why the ceiling is not looked for; None where it is."""
    workload = plan.workload
    reasons = (
        (not plan.calibrate, Note(NotCalibrated.OFF)),
        (wire.has_loadgen, Note(NotCalibrated.COUNTS_ITSELF)),
        (bool(wire.emulated), Note(NotCalibrated.EMULATED)),
        (workload.name not in GENERAL, Note(NotCalibrated.WORKLOAD, {"workload": workload.name})),
        (workload.connect, Note(NotCalibrated.CLOSES)),
        (not _alike(wire, plan), Note(NotCalibrated.NO_PATH)))
    return next((note for holds, note in reasons if holds), None)


def _alike(wire: ResolvedWire, plan: Plan) -> list[Contender]:
    """Return the contenders whose link and client the answerer can have."""
    contenders = (wire.contenders[name] for name in plan.contenders)
    return [item for item in contenders if item.stack == item.client.stack == KERNEL
            and not item.client.polls]


def canned(wire: ResolvedWire, plan: Plan) -> Contender:
    """Return the answerer as a contender, where why_not() has nothing against it."""
    return replace(_alike(wire, plan)[0], name=NAME, title="canned answers", program=PROGRAM,
                   arguments=_ARGUMENTS, ready="line", counters=True, needs=(), without=(),
                   most_connections=0, most_because="")


def facts(host: Host, wire: ResolvedWire, plan: Plan) -> Json:
    """Return `calibration` of facts.json: what stands for which contender, or `why_not`."""
    reason = why_not(wire, plan)
    if reason:
        return {"why_not": to_json(reason)}
    return {"program": PROGRAM, "arguments": list(_ARGUMENTS),
            "instead_of": _alike(wire, plan)[0].name, "sha256": host.sha256(ROOT / PROGRAM)}


def measure(runner: TrialRunner, store: Store, words: Words) -> None:
    """Run the trials that are still to run; each is on disk when the next begins.

    MachineError when the answerer is not built; whatever a trial raises.
    """
    host, wire, plan = runner.host, runner.wire, runner.plan
    threads = {spec.point: spec.threads for spec in schedule(plan)}
    done = finished(store.run.calibration, plan.attempts)
    specs = [TrialSpec(NAME, point, round_, threads[point]) for round_ in range(TRIALS)
             for point in plan.load_points if point in threads]
    if why_not(wire, plan) or all(spec.key in done for spec in specs):
        return
    if not has_program(host, PROGRAM):
        raise MachineError(f"{PROGRAM} is not there: run `make`, or leave the calibration out with "
                           "CALIBRATE=no")
    contenders = {**wire.contenders, NAME: canned(wire, plan)}
    alone = replace(runner, wire=replace(wire, contenders=contenders),
                    seen=list(store.run.calibration))
    with alone:
        for place, spec in enumerate(specs):
            if spec.key not in done:
                raw = store.raw / f"calibration-{point_name(spec.point, plan)}-r{spec.round}"
                record = alone.run(spec, place, raw, store.append_calibration)
                wrong = "" if record.valid else f": INVALID: {listed(record.problems, words)}"
                print(f"calibration, {point_text(spec.point, plan)}: "
                      f"{rate(record.requests_per_sec)}{wrong}", flush=True)
