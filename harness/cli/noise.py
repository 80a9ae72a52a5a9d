# SPDX-License-Identifier: BSD-3-Clause
"""`noise`: measure contenders against themselves, print what this machine can tell apart."""

from __future__ import annotations

from pathlib import Path
from typing import Mapping

from harness.errors import CheckFailed, UsageError
from harness.host import Host
from harness.plan import load_plan, load_wire, self_comparison, with_contenders
from harness.regression import (
    analyse_noise, append_session, machine_of, profile_file, readings, session_of, spread)
from harness.report import macro, noise_page, note_text, write_files
from harness.run import DEFAULT_PLAN, RunRequest, measure
from harness.store import OUT, RESULTS, Run, Store, find_run, give_to_user, load_run

COMPARISONS = 20


def noise_run(wire: str, plan: str, settings: Mapping[str, str], comparisons: int, host: Host,
              results: Path = RESULTS, out: Path = OUT) -> Run:
    """Measure it; `settings` as of bench, CONTENDERS by their first names. Errors as bench()."""
    names = [word.strip() for word in (settings.get("CONTENDERS") or "epoll").split(",")]
    both = [contender for name in names for contender in (name, self_comparison(name))]
    if settings.get("PRECISION") or settings.get("BUDGET"):
        raise UsageError("PRECISION, BUDGET: a noise run has the rounds that its comparisons need, "
                         "whatever they show")
    given = {**settings, "CONTENDERS": ",".join(both)}
    bare = load_plan(plan or DEFAULT_PLAN, with_contenders(load_wire(wire), both), host.cpus(),
                     given)
    points, rounds = spread(bare.connections, bare.rounds, -(-comparisons // len(names)))
    if bare.rounds < 2:
        raise UsageError(f"ROUNDS={bare.rounds}: a comparison needs 2 rounds at least")
    given |= {"CONNECTIONS": ",".join(map(str, points)), "ROUNDS": str(rounds), "PRECISION": "0"}
    run = measure(RunRequest(wire, plan, given), host, results, words=note_text)
    assert run is not None, "only a rehearsal has no run"
    store = Store(run)
    store.enter(noise={"rounds": bare.rounds, "precision_percent": bare.precision_percent})
    return store.run


def show_noise(run: Run, rounds: str, results: Path = RESULTS, out: Path = OUT) -> None:
    """Analyse a noise run, append it to the machine's profile, write the page to <out>/noise-<id>/.

    rounds: of a comparison; "" for what the run was made for
    Raises CheckFailed when more than the nominal share is called different.
    """
    made_for = run.facts.noise
    count = int(rounds) if rounds.isdecimal() and int(rounds) > 1 else made_for.rounds
    if not count:
        raise UsageError(f"run {run.id} does not say how many rounds a comparison has: give "
                         "ROUNDS=<2 or more>")
    read = readings(run)
    found = analyse_noise(read, count, made_for.precision_percent)
    machine = machine_of(run.facts)
    file = profile_file(run.plan.wire, machine, results)
    profile = append_session(file, run.plan.wire, machine, session_of(read))
    place = out / f"noise-{run.id}"
    write_files(place, noise_page(found, run.plan, run.facts.raw, len(profile.sessions)))
    for path in (place, file.parent):
        give_to_user(path)
    print("\n".join(macro("noise.j2", "lines", found)))
    print(place / "noise.html")
    print(file)
    if not found.passed:
        raise CheckFailed(f"{macro('noise.j2', 'failure', found)[0]}; {place / 'noise.html'}")


def run_noise(wire: str, plan: str, settings: Mapping[str, str], comparisons: str, run: str,
              host: Host) -> None:
    """Run the command: on a new run, or on one that there is."""
    if run:
        show_noise(load_run(find_run(run)), settings.get("ROUNDS", ""))
        return
    count = comparisons or str(COMPARISONS)
    if not count.isdecimal() or not 1 <= int(count) <= 1000:
        raise UsageError(f"COMPARISONS={count}: must be a number from 1 to 1000")
    show_noise(noise_run(wire, plan, settings, int(count), host), "")
