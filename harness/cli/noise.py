# SPDX-License-Identifier: BSD-3-Clause
"""`make noise`: measures contenders against themselves, and says what this machine can tell apart.

Knows the order of the stages, files and pages; what is said is noise.py's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Mapping

from harness.report.charts import base as charts
from harness.regression import charts_noise
from harness.regression import noise
from harness.regression import noise_profile
from harness.report import report
from harness.report import format as words
from harness.run import DEFAULT_PLAN, RunRequest, measure
from harness.errors import CheckFailed, UsageError
from harness.host import Host
from harness.regression.noise_profile import Profile
from harness.plan import load_plan
from harness.regression.paired_logs import readings, trials
from harness.store.store import OUT, RESULTS, Run, Store, find_run, give_to_user, load_run
from harness.plan import twin
from harness.plan import load_wire, with_contenders

COMPARISONS = 20
# among a noise run's facts
KEY = "noise"


def noise_run(wire: str, plan: str, settings: Mapping[str, str], comparisons: int, host: Host, results: Path = RESULTS,
              out: Path = OUT) -> Run:
    """Measures it; `settings` as of bench, CONTENDERS by their first names. Errors as bench()."""
    names = [word.strip() for word in (settings.get("CONTENDERS") or "epoll").split(",")]
    both = [each for name in names for each in (name, twin(name))]
    if settings.get("PRECISION") or settings.get("BUDGET"):
        raise UsageError("PRECISION, BUDGET: a noise run has the rounds that its comparisons need, whatever they show")
    given = {**settings, "CONTENDERS": ",".join(both)}
    bare = load_plan(plan or DEFAULT_PLAN, with_contenders(load_wire(wire), both), host.cpus(), given)
    points, rounds = noise.spread(bare.connections, bare.rounds, -(-comparisons // len(names)))
    if bare.rounds < 2:
        raise UsageError(f"ROUNDS={bare.rounds}: a comparison needs 2 rounds at least")
    given |= {"CONNECTIONS": ",".join(map(str, points)), "ROUNDS": str(rounds), "PRECISION": "0"}
    run = measure(RunRequest(wire, plan, given), host, results)
    assert run is not None, "only a rehearsal has no run"
    run.facts[KEY] = {"rounds": bare.rounds, "precision_percent": bare.precision_percent}
    Store(run).write_facts()
    return run


def show_noise(run: Run, rounds: str, results: Path = RESULTS, out: Path = OUT) -> None:
    """Analyses a noise run, appends it to the machine's profile, writes the page to <out>/noise-<id>/.

    `rounds` of a comparison: "" for what the run was made for. CheckFailed when more than the nominal share is called.
    """
    each = int(rounds) if rounds.isdecimal() and int(rounds) > 1 else (run.facts.get(KEY) or {}).get("rounds")
    if not each:
        raise UsageError(f"run {run.id} does not say how many rounds a comparison has: give ROUNDS=<2 or more>")
    read = readings(run)
    found = noise.analyse(read, trials(run), each, (run.facts.get(KEY) or {}).get("precision_percent", 0))
    machine = noise_profile.machine(run.facts)
    file = noise_profile.place(run.plan.wire, machine, results)
    profile = noise_profile.append(file, run.plan.wire, machine, noise_profile.session(read))
    place = out / f"noise-{run.id}"
    report.write_files(place, build(run, found, profile))
    for path in (place, file.parent):
        give_to_user(path)
    print("\n".join(said(found)))
    print(place / "noise.html")
    print(file)
    if not found["passed"]:
        raise CheckFailed(f"{alarms(found['together'])} called different, more than {100 * noise.NOMINAL:g} % allow "
                          f"(p = {found['together']['p']:.2g}): intervals on this machine are too narrow; "
                          f"{place / 'noise.html'}")


def run_noise(wire: str, plan: str, settings: Mapping[str, str], comparisons: str, run: str, host: Host) -> None:
    """The command: a new run, or one that there is."""
    if run:
        show_noise(load_run(find_run(run)), settings.get("ROUNDS", ""))
        return
    count = comparisons or str(COMPARISONS)
    if not count.isdecimal() or not 1 <= int(count) <= 1000:
        raise UsageError(f"COMPARISONS={count}: must be a number from 1 to 1000")
    if not wire:
        raise UsageError("which wire? give --wire NAME (make: WIRE=NAME)")
    show_noise(noise_run(wire, plan, settings, int(count), host), "")


def build(run: Run, found: Mapping[str, Any], profile: Profile) -> dict[str, bytes]:
    """Every file of the page by its name."""
    note = f"{run.id}: wire {run.plan.wire}, {found['rounds']} rounds of {run.plan.duration_seconds} s a comparison."
    with charts.styled():
        picture = charts.render(charts_noise.draw(found, note))
    context = {"run": run, "noise": found, "words": words, "said": said(found), "alarms": alarms,
               "chart": report.data_uri(picture["svg"]), "sessions": len(profile.sessions),
               "rounds": sorted({int(count) for row in found["detectable"] for count in row["detectable_percent"]})}
    return {"noise.json": (json.dumps(found, indent=1) + "\n").encode(),
            "noise.html": report.render("noise.html.j2", context),
            **{f"noise.{kind}": data for kind, data in picture.items()}}


def said(found: Mapping[str, Any]) -> list[str]:
    """What a person must know, a line each."""
    lines = []
    for row in found["detectable"]:
        if row["connections"] is None:
            least = row["detectable_percent"][str(found["rounds"])]
            lines.append(f"{row['contender']}: {found['rounds']} rounds show a change of {least['80']:.1f} % in the "
                         f"mean of all load points in 8 of 10 cases, of {least['90']:.1f} % in 9 of 10 "
                         f"(a round varies by {row['round_sd_percent']:.1f} %)")
    lines += [f"{kind}: {alarms(found[kind])} called different" for kind in ("measured", "simulated")]
    if found["precision_percent"]:
        lines.append(f"simulated until known to ±{found['precision_percent']:g} % "
                     f"({found['stopped_after_rounds']:g} rounds in the median): "
                     f"{alarms(found['stopped'])} called different")
    for row in found["drift"]:
        if row["percent"] is not None:
            low, high = map(_signed, row["ci95_percent"])
            lines.append(f"{row['contender']}: rate changed by {_signed(row['percent'])} % [{low}, {high}] from the "
                         "first round to the last")
    return lines


def alarms(counted: Mapping[str, Any]) -> str:
    """1 of 20 comparisons (5 %, 95 % interval 0.1 to 25 %)"""
    text = f"{counted['alarms']} of {words.counted(counted['comparisons'], 'comparison')}"
    if counted["ci95"] is None:
        return text
    low, high = counted["ci95"]
    return f"{text} ({100 * counted['share']:.3g} %, 95 % interval {100 * low:.2g} to {100 * high:.2g} %)"


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")
