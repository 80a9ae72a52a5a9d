# SPDX-License-Identifier: BSD-3-Clause
"""Make tables of which obligations each contender keeps. Writes no file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

from harness.plan import KERNEL
from harness.report.templates import macro
from harness.store import Conformance, Obligation, Result, Service, UnderTest


@dataclass(frozen=True)
class Difference:
    """An obligation that a contender misses while some contender on the kernel's TCP keeps it."""

    contender: str
    obligation: Obligation
    why: str


def differences(found: Conformance) -> list[Difference]:
    """Return what contenders miss that the kernel's TCP keeps."""
    kernels = [item for item in found.contenders if item.stack == KERNEL]
    return [Difference(item.contender, obligation, item.outcomes[obligation.case].why)
            for item in found.contenders if item.stack != KERNEL
            for obligation in found.by_severity
            if _is(item, obligation, Result.MISSED)
            and any(_is(kernel, obligation, Result.KEPT) for kernel in kernels)]


def _is(tested: UnderTest, obligation: Obligation, result: Result) -> bool:
    outcome = tested.outcomes.get(obligation.case)
    return outcome is not None and outcome.result is result


def conformance_lines(found: Conformance) -> list[str]:
    """Return what a terminal shows: a row for each obligation, then what is missed and why."""
    if not found.obligations:
        return _aligned(_impacts(found))
    return [*_aligned(_rows(found)), "", *macro("conformance.j2", "counts", found),
            *macro("conformance.j2", "differences", differences(found))]


def _rows(found: Conformance) -> Iterator[list[str]]:
    yield ["obligation", "severity", "RFC", *(item.contender for item in found.contenders)]
    for obligation in found.by_severity:
        yield [obligation.case, obligation.severity, obligation.rfc.removeprefix("RFC "), *(
            item.outcomes[obligation.case].result.replace("-", " ")
            if obligation.case in item.outcomes else "-" for item in found.contenders)]


def _impacts(found: Conformance) -> Iterator[list[str]]:
    yield ["attack", "contender", "frames/s sent", "answers/s before", "under it", "p99 ms before",
           "under it", "unanswered before", "under it"]
    for number, impact in enumerate(found.contenders[0].impacts):
        for item in found.contenders:
            one = item.impacts[number]
            before, under = one.before, one.under
            sent = "-" if one.frames_per_sec is None else f"{one.frames_per_sec:.0f}"
            yield [impact.attack, item.contender, sent, f"{before.answers_per_sec:.0f}",
                   f"{under.answers_per_sec:.0f}", _ms(before), _ms(under), str(before.failed),
                   str(under.failed)]


def _ms(service: Service) -> str:
    return "-" if service.p99_ms is None else f"{service.p99_ms:.1f}"


def _aligned(rows: Iterator[list[str]]) -> list[str]:
    cells = list(rows)
    widths = [max(map(len, column)) for column in zip(*cells)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
            for row in cells]
