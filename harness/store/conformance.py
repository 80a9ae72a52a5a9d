# SPDX-License-Identifier: BSD-3-Clause
"""Read and write results/conformance/<id>/ {facts.json, conformance.json, raw/}.

A run takes over what was found of programs that are its contenders', byte for byte.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Iterable

from harness.plan import KERNEL
from harness.store.convert import Json
from harness.store.facts import Facts
from harness.store.obligations import FILE, SCHEMA, Conformance, UnderTest, read, written
from harness.store.store import RESULTS, Run, make_new, read_json, write_json


def create_conformance(id_: str, results: Path = RESULTS) -> Path:
    """Make the directory of a new record. MachineError if the disk refuses."""
    return make_new(results / "conformance" / id_)


def write_conformance(path: Path, found: Conformance, facts: Json) -> None:
    """Write the files of a record into its directory. MachineError if the disk refuses."""
    write_json(path / "facts.json", {"schema": SCHEMA, "run": found.id, **facts})
    write_json(path / FILE, written(found))


def load_conformance(path: Path) -> Conformance:
    """Return the record in a directory. UsageError where it is none of ours."""
    return read(read_json(path / FILE), str(path / FILE))


def adopt_conformance(run: Run, results: Path = RESULTS) -> Run:
    """Add to a run what the newest records say of those of its contenders of which it has nothing.

    A record is of a contender if stack, arguments, every program and the kernel's release are its,
    and it has all cases.
    """
    before = run.conformance or Conformance(run.id, (), ())
    known = {item.contender for item in before.contenders}
    wanted = [name for name in run.plan.contenders if name not in known]
    records = sorted((results / "conformance").glob(f"*/{FILE}"), reverse=True) if wanted else ()
    found = before
    for file in records:
        record = read(read_json(file), str(file))
        for name in list(wanted) if record.obligations and not record.named else ():
            tested = _of(name, run.facts, record.contenders)
            if tested:
                wanted.remove(name)
                found = _with(found, tested, record)
    if found == before:
        return run
    order = list(run.plan.contenders)
    found = replace(found, contenders=tuple(sorted(
        found.contenders, key=lambda item: order.index(item.contender))))
    write_json(run.path / FILE, written(found))
    return replace(run, conformance=found)


def _of(name: str, facts: Facts, tested: Iterable[UnderTest]) -> UnderTest | None:
    """Return what was tested of the program of a run's contender, by the contender's name."""
    contender, programs = facts.wire.contenders[name], facts.binaries.programs
    kernel = (facts.kernel.release or "") if contender.stack == KERNEL else ""
    for item in tested:
        same = all(hash_ and name in programs and programs[name].sha256 == hash_
                   for name, hash_ in item.programs.items())
        if same and contender.program in item.programs and (
                item.stack, item.arguments, item.kernel) == (
                contender.stack, contender.arguments, kernel):
            return replace(item, contender=name)
    return None


def _with(found: Conformance, tested: UnderTest, record: Conformance) -> Conformance:
    known = {item.case for item in found.obligations}
    return replace(
        found, contenders=(*found.contenders, tested),
        obligations=(*found.obligations, *(item for item in record.obligations
                                           if item.case not in known)))
