# SPDX-License-Identifier: BSD-3-Clause
"""Choose what stands on the first screen of a report: two charts, three reservations. No sentence.
"""

from __future__ import annotations

import math
from typing import Iterable, Mapping, Sequence, TypeVar

from harness.analyse import Summary
from harness.report.baselines import headlines
from harness.store import Caveat, Note

# what could turn the result over comes first, what blurs it next, what is left out last
RANK = (
    Caveat.POLLING_IN_GAIN, Caveat.EMULATED, Caveat.WIRE, Caveat.SHARED_CPUS, Caveat.CLIENT_LIMIT,
    Caveat.WIRE_LIMIT, Caveat.INVALID, Caveat.INCOMPLETE, Caveat.DISTURBED, Caveat.STOLEN,
    Caveat.IMPRECISE, Caveat.UNSETTLED, Caveat.NO_HUGEPAGES, Caveat.ELSEWHERE, Caveat.TIMER_TICKS, Caveat.UNSEEN,
    Caveat.NOT_APPLICABLE)
SHOWN = 3
# by the first word of their names: those of the first screen, and those below it; others follow
FIRST = ("gain", "throughput", "offered", "percentiles", "waterfall")
BELOW = ("factors", "baselines", "latency", "cpu", "efficiency", "cycles")
_T = TypeVar("_T")


def ranked(caveats: Iterable[Note[Caveat]]) -> list[Note[Caveat]]:
    """Return the reservations, the one that matters most first; of one code in their order."""
    return sorted(caveats, key=lambda note: RANK.index(note.code))


def first_charts(charts: Mapping[str, _T]) -> dict[str, _T]:
    """Return the two charts of the first screen, or as many as there are."""
    names = _ordered(charts, FIRST)[:2]
    return {name: charts[name] for name in names}


def more_charts(charts: Mapping[str, _T]) -> dict[str, _T]:
    """Return the charts that stand below the first screen."""
    rest = {name: chart for name, chart in charts.items() if name not in first_charts(charts)}
    named = _ordered(rest, BELOW)
    return {name: rest[name] for name in [*named, *(name for name in rest if name not in named)]}


def widest(summary: Summary) -> float | None:
    """Return the half width, in percent, of the widest interval of a headline gain.

    None where none has an interval.
    """
    widths = [math.sqrt(gain.ci95[1] / gain.ci95[0]) - 1 for line in headlines(summary)
              for _, gain in line.gains if gain.ci95]
    return 100 * max(widths) if widths else None


def _ordered(charts: Mapping[str, _T], kinds: Sequence[str]) -> list[str]:
    return [name for kind in kinds for name in charts if name.split("-")[0] == kind]
