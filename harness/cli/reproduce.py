# SPDX-License-Identifier: BSD-3-Clause
"""A publication's points measured here: its TOML becomes plans, each of which is a run; the report sets both side by
side. What a plan is made of is a pure function; only reproduce() knows a machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

from harness.facts import of_machine
from harness.host import Host
from harness.plan import (
    BY_VARIABLE, GENERAL, MOST_OF_WRK, PUBLISHED_METRICS, WORKLOADS, NicRequest, Plan, Published, Wire, load_wire,
    needs_loadgen, of_paper, to_settings)
from harness.report import command, connections, counted, differences, listed
from harness.run import RunRequest, planned
from harness.trial import load_tool
from harness.errors import CheckFailed, UsageError
from harness.cli.bench import bench


@dataclass(frozen=True)
class Errand:
    """One run: the settings of a plan, as plan.OVERRIDES, and one sentence for each point that it leaves out."""

    paper: Published
    settings: Mapping[str, str]
    left_out: tuple[str, ...] = ()


def errands(other: Published, wire: Wire, server_cores: int) -> list[Errand]:
    """What of a publication this wire can measure on so many server cores: its table, then each workload of its claims.

    A table's load points are those that were measured on as many cores, or on a number that is not stated: another
    number would compare cores, not stacks. An errand without settings says only what is left out, and why.
    """
    found = [_table(other, wire, server_cores)] if other.series else []
    return found + [_claim(other, wire, metric) for metric in dict.fromkeys(claim.metric for claim in other.claims)]


def _table(other: Published, wire: Wire, server_cores: int) -> Errand:
    points, left_out = [], []
    for count, cores in zip(other.connections, other.server_cores):
        where = connections([count])
        if cores not in (None, server_cores):
            left_out.append(f"Not run at {where}: theirs had {counted(cores or 0, 'server core')}, ours "
                            f"{server_cores}")
        elif count > MOST_OF_WRK and not wire.has_loadgen:
            left_out.append(f"Not run at {where}: wrk opens {MOST_OF_WRK} at most")
        else:
            points.append(count)
    if not points:
        return Errand(other, {}, tuple(left_out))
    again = {"body_size_bytes": "BODY_SIZE", "duration_seconds": "DURATION"}
    return Errand(other, {"WORKLOAD": "rps", "CONNECTIONS": ",".join(map(str, points)),
                          **{again[key]: str(value) for key, value in other.again.items()}, "PAPER": other.name},
                  tuple(left_out))


def _claim(other: Published, wire: Wire, metric: str) -> Errand:
    """Load points and sizes are not stated: those of our own plan."""
    workload = PUBLISHED_METRICS[metric]
    said = listed([f"“{claim.said}”" for claim in other.claims if claim.metric == metric])
    why = needs_loadgen(WORKLOADS[workload], wire)
    if wire.workloads[0] not in GENERAL:
        why = f"wire '{wire.name}' has no workload '{workload}'"
    if why:
        return Errand(other, {}, (f"Not run for {said}: {why}",))
    most = max(claim.figure for claim in other.claims if claim.metric == metric)
    reach = {"SWEEP_TO": f"{most:.0f}"} if metric == "connections" else {}
    return Errand(other, {"WORKLOAD": workload, **reach, "PAPER": other.name})


def reproduce(paper: str, wire: str, plan: str, settings: Mapping[str, str], nic: NicRequest, dry_run: bool,
              host: Host) -> None:
    """Measures and reports every errand of a paper; what is given on the command line goes before the paper's own.

    `dry_run`: shows the plans and what differs, and does nothing; needs no root.
    UsageError where nothing of it can be measured on that wire; CheckFailed, after all runs, when a contender has no
    valid trial at some load point; else whatever bench() raises.
    """
    failed: list[CheckFailed] = []
    given = {key: value for key, value in settings.items() if value}
    cpus = BY_VARIABLE["SERVER_CPUS"].parse(given.get("SERVER_CPUS", "0"))
    todo = [errand for other in of_paper(paper) for errand in errands(other, load_wire(wire), len(cpus))]
    if not any(errand.settings for errand in todo):
        raise UsageError("; ".join(why for errand in todo for why in errand.left_out))
    for errand in todo:
        print(f"# {errand.paper.title} ({errand.paper.source})")
        for why in errand.left_out:
            print(f"# {why}")
        if not errand.settings:
            continue
        request = RunRequest(wire, plan, {**errand.settings, **given}, nic=nic)
        if dry_run:
            print("\n".join(shown(errand.paper, *planned(request, host), of_machine(host), nic)))
            continue
        try:
            bench(request, host)
        except CheckFailed as error:
            # its report says what is missing; the other runs are none the worse for it
            failed.append(error)
    if failed:
        raise CheckFailed("; ".join(map(str, failed)))


def shown(other: Published, wire: Wire, plan: Plan, facts: Mapping[str, object], nic: NicRequest) -> list[str]:
    """A plan as one would type it, and what differs, for a terminal. `facts`: those of the machine."""
    labels = {name: {"label": wire.contenders[name].label} for name in plan.contenders}
    table = list(differences(plan, {**facts, "wire": {"title": wire.title, "contenders": labels},
                                      "load_tool": {"name": load_tool(plan, wire.has_loadgen).name}}, other))
    wide = max(len(what) for what, _, _ in table)
    return [command(plan, to_settings(nic) if nic.nic else {}), *(line for what, ours, theirs in table
                                   for line in (f"{what:>{wide}}  ours:   {ours}", f"{'':>{wide}}  theirs: {theirs}"))]
