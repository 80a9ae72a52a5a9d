# SPDX-License-Identifier: BSD-3-Clause
"""Draw a gain as polling times bypass: one stacked bar a load point and contender. Knows no run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from harness.analyse import Distance, Factors
from harness.report.charts.base import HEIGHT, Frame, entry, framed, label_rows, log_axis, name_panel
from harness.report.charts.svg import tip
from harness.report.format import ratio

_HATCH = "//////"
# of a bar, where the two factors go opposite ways and one would hide the other
_NARROW = 0.5
# the least factor that has room for its figure
_NAMED = 1.25


@dataclass(frozen=True)
class Stack:
    """One contender. colours: of polling and of bypass; factors: by load point, None for none."""

    label: str
    colours: tuple[str, str]
    factors: tuple[Factors | None, ...]


def factors(rows: Mapping[str, Sequence[Stack]], names: Sequence[str], label: str,
            frame: Frame) -> Figure:
    """Draw rows of stacks by their titles; `names`: of the load points, `label`: of their axis."""
    first = next(iter(rows.values()))
    entries: list[Any] = [Patch(facecolor=first[0].colours[0], edgecolor="black", linewidth=0.5, hatch=_HATCH,
                     label="polling")]
    entries += [Patch(facecolor=one.colours[1], edgecolor="black", linewidth=0.5,
                      label="bypass" if len(first) == 1 else f"bypass, {one.label}")
                for one in first]
    entries.append(entry("gain [95 %]", marker="_"))
    figure, grid = framed(entries, frame, [HEIGHT] * len(rows))
    known = [one for stacks in rows.values() for stack in stacks for one in stack.factors if one]
    log_axis(grid[0][0], [1.0, *(end for one in known for end in _ends(one))])
    for (axes,), (title, stacks) in zip(grid, rows.items()):
        name_panel(axes, title)
        axes.axhline(1, color="black", linewidth=0.6)
        for number, stack in enumerate(stacks):
            for place, one in enumerate(stack.factors):
                width = 0.8 / len(stacks)
                _bar(axes, place - 0.4 + width * (number + 0.5), 0.9 * width, stack.colours, one)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_xticks(range(len(names)), names, rotation=45 if len(names) > 12 else 0)
    axes.set_xlabel(label)
    label_rows(grid, "Gain over a kernel that sleeps")
    return figure


def _ends(one: Factors) -> tuple[float, ...]:
    """Return what the axis must show; of an interval of few rounds not so much that bars lie flat."""
    gain, reach = _of(one.gain), max(_of(one.gain), 1 / _of(one.gain), 2.0)
    low, high = one.gain.ci95 or (gain, gain)
    return _of(one.by_polling), gain, max(low, gain / reach), min(high, gain * reach)


def _of(factor: Distance) -> float:
    # there are factors only where a round has all three
    return factor.ratio or 1.0


def _bar(axes: Any, x: float, width: float, colours: tuple[str, str], one: Factors | None) -> None:
    """Draw 1 to polling, from there to the gain, and the gain's interval."""
    if one is None:
        axes.text(x, 1, "×", ha="center", va="bottom", fontsize=7)
        return
    polling, bypass, gain = map(_of, (one.by_polling, one.by_bypass, one.gain))
    narrow = _NARROW if (polling < 1) != (bypass < 1) else 1.0
    for start, factor, colour, hatch, wide, of in (
            (1.0, polling, colours[0], _HATCH, 1.0, f"polling ({one.polling}/{one.sleeping})"),
            (polling, bypass, colours[1], "", narrow, f"bypass ({one.contender}/{one.polling})")):
        (bar,) = axes.bar(x, start * (factor - 1), width * wide, start, color=colour,
                          edgecolor="black", linewidth=0.5, hatch=hatch)
        tip(bar, f"{of}: {ratio(factor)}")
        if max(factor, 1 / factor) >= _NAMED:
            axes.text(x, start * factor ** 0.5, ratio(factor), ha="center", va="center",
                      fontsize=5, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6})
    low, high = one.gain.ci95 or (gain, gain)
    axes.errorbar([x], [gain], yerr=[[gain - low], [high - gain]], fmt="_", color="black",
                  markersize=5, linewidth=0.8, capsize=1.5)
