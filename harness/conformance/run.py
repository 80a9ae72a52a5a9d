# SPDX-License-Identifier: BSD-3-Clause
"""Test contenders on a wire: each is started, and a battery of cases runs against it.

Reports nothing.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Callable, Mapping, Sequence

from harness.conformance.attacks import ATTACKS
from harness.conformance.case import Case, all_cases
from harness.conformance.session import Session
from harness.errors import UsageError
from harness.facts import gather
from harness.host import Host
from harness.plan import KERNEL, SPARE_FILES, Contender, Plan
from harness.provision import (
    Provisioned, ResolvedWire, allow_files, needed_files, planned_use, provisioned)
from harness.store import (
    RESULTS, Conformance, Impact, Json, Outcome, Result, UnderTest, create_conformance, fact,
    give_to_user, run_id, write_conformance)

# a wire where the same builds can be tested
_WIRE = "tap"
Say = Callable[[str], None]


def run_conformance(host: Host, wire: ResolvedWire, plan: Plan, names: Sequence[str], say: Say,
                    results: Path = RESULTS, attacks: bool = False) -> Conformance:
    """Test the contenders of a plan and store what was found.

    names: of the cases, or of the attacks; () for all
    attacks: no cases, but what attacks do to honest clients
    UsageError on a name that is none, or a wire without a kernel at the client's end.
    """
    known: Mapping[str, object] = ATTACKS if attacks else all_cases()
    _check(names, known, "attack" if attacks else "case")
    chosen = list(names or known)
    cases = [] if attacks else [all_cases()[name] for name in chosen]
    for name in plan.applicable:
        if wire.contenders[name].client.stack != KERNEL:
            raise UsageError(f"wire '{wire.name}' has no kernel at the client's end, so nobody can "
                             f"send raw segments there; test the same programs on wire '{_WIRE}'")
    allow_files(needed_files(wire, plan) + SPARE_FILES)
    id_ = run_id(datetime.now(timezone.utc), wire.name)
    with provisioned(host, wire, plan.applicable, id_, log=say,
                     use=planned_use(host, wire, plan, ())) as up:
        facts = gather(host, up.wire, plan, up)
        place = create_conformance(id_, results)
        tested = tuple(
            replace(_tested(up.wire.contenders[name], facts, id_, wire.name),
                    outcomes=_outcomes(host, up, plan, name, cases, place / "raw", say),
                    impacts=_impacts(host, up, plan, name, chosen if attacks else (), place / "raw",
                                     say))
            for name in plan.applicable)
    found = Conformance(id_, tuple(case.obligation for case in cases), tested, bool(names))
    write_conformance(place, found, facts)
    give_to_user(place)
    return found


def _check(names: Sequence[str], known: Mapping[str, object], kind: str) -> None:
    for name in names:
        if name not in known:
            raise UsageError(f"no {kind} '{name}'; there are: {', '.join(known)}")


def _tested(contender: Contender, facts: Json, id_: str, wire: str) -> UnderTest:
    names = [name for name in (*contender.files, *contender.packages)
             if name not in (contender.client.launcher, *contender.client.needs)]
    kernel = contender.stack == KERNEL
    return UnderTest(contender.name, contender.label, contender.stack, contender.arguments,
                  {name: fact(facts["binaries"]["programs"].get(name), "sha256") for name in names},
                  (fact(facts, "kernel.release") or "") if kernel else "", wire, id_)


def _impacts(host: Host, up: Provisioned, plan: Plan, name: str, attacks: Sequence[str], raw: Path,
             say: Say) -> tuple[Impact, ...]:
    contender, found = up.wire.contenders[name], []
    up.turn_to(host, contender)
    for attack in attacks:
        place = raw / f"{contender.file_name}-{attack}"
        place.mkdir()
        # started anew for each: what one leaves behind is not the next one's
        with Session(host, up, plan, contender, place) as session:
            found.append(session.attack(attack))
        say(f"{name}: {attack}: {found[-1].under.answers_per_sec:.0f} answers/s of "
            f"{found[-1].before.answers_per_sec:.0f}")
    return tuple(found)


def _outcomes(host: Host, up: Provisioned, plan: Plan, name: str, cases: Sequence[Case],
              raw: Path, say: Say) -> dict[str, Outcome]:
    contender = up.wire.contenders[name]
    found: dict[str, Outcome] = {}
    up.turn_to(host, contender)
    for body, options in sorted({(case.body, case.options) for case in cases}):
        chosen = [case for case in cases if (case.body, case.options) == (body, options)]
        if refused := _refuses(contender, body, options):
            found |= {case.obligation.case: Outcome(Result.NOT_TESTABLE, refused)
                      for case in chosen}
        else:
            workload = replace(plan.workload, body_size_bytes=body)
            place = raw / f"{contender.file_name}-{body}{''.join(options)}"
            place.mkdir()
            started = replace(contender, arguments=(*contender.arguments, *options))
            with Session(host, up, replace(plan, workload=workload), started, place) as session:
                found |= session.run(chosen)
        for case in chosen:
            outcome = found[case.obligation.case]
            if outcome.result is Result.MISSED:
                say(f"{name}: {case.obligation.case}: {outcome.why}")
    return {case.obligation.case: found[case.obligation.case] for case in cases}


def _refuses(contender: Contender, body: int, options: Sequence[str]) -> str:
    """Return why a contender cannot be started so; "" if it can."""
    if options and not contender.counters:
        return f"a server of others: it takes no {options[0]}"
    only, most = contender.only_body_size, contender.most_body_size
    if only not in (None, body) or 0 < most < body:
        return f"it answers with no body of {body} bytes"
    return ""
