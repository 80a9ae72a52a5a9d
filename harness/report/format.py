# SPDX-License-Identifier: BSD-3-Clause
"""Write numbers, ratios, intervals, load points and facts as a reader reads them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Callable, Iterator, Mapping, Sequence

from harness.analyse import Distance, Gain, Interval, Saving, Summary
from harness.plan import (
    AXES, GENERAL, MOST_ATTEMPTS, Axis, LoadPoint, Plan, known_settings)
from harness.store import Bound

NONE = "–"
# a word that a shell takes as it is; {…}: a placeholder
_PLAIN = re.compile(r"(?!#)(?:[\w@%+=:,./#-]|\{\w+\})+", re.ASCII)
_BOUNDS = {Bound.LOWER: "≥ ", Bound.UPPER: "≤ "}
# one value of an axis, and several; (s) falls away where the value is 1
_PLACES = {
    "connections": ("{} connection(s)",) * 2,
    "rate": ("{} requests/s",) * 2,
    "cores": ("{} server core(s)",) * 2,
    "body": ("a body of {} byte(s)", "bodies of {} bytes"),
    "loss": ("{} % loss",) * 2,
    "duplicate": ("{} % duplicates",) * 2,
    "delay": ("{} ms delay",) * 2,
}


def number(value: float | None) -> str:
    """Return 12,700 for 12700.4; small figures keep three digits."""
    if value is None:
        return NONE
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def ratio(value: float | None) -> str:
    """Return 0.31× for 0.3123, 12.8× for 12.84; only 1 itself reads 1.00×."""
    if value is None:
        return NONE
    digits = 1 if value >= 10 else 2 if value >= 0.1 else 3
    while digits < 6 and value != 1 and float(f"{value:.{digits}f}") == 1:
        digits += 1
    return f"{value:.{digits}f}×"


def share(value: float | None, digits: int = 0) -> str:
    """Return 31 % for 0.312."""
    return NONE if value is None else f"{100 * value:.{digits}f} %"


def small_share(value: float) -> str:
    """Return 0.013 % for 0.000131: two significant digits."""
    return f"{100 * value:.2g} %"


def signed(percent: float | None) -> str:
    """Return +3.1 % or −3.1 %, of percent."""
    return NONE if percent is None else f"{percent:+.1f} %".replace("-", "−")


def interval(pair: Interval | None, show: Callable[[float], str] = number) -> str:
    """Return [low, high], each as `show` writes it; nothing without an interval."""
    return "" if pair is None else f"[{', '.join(show(end).rstrip('×') for end in pair)}]"


def bounded(gain: Gain | Distance) -> str:
    """Return 0.31×, with ≥ or ≤ where the client made the gain a bound."""
    return (_BOUNDS.get(gain.bound, "") if gain.bound else "") + ratio(gain.ratio)


def with_interval(gain: Gain | Distance) -> str:
    """Return 0.31× [0.29, 0.33]."""
    return f"{bounded(gain)} {interval(gain.ci95, ratio)}".strip()


def saved(saving: Saving) -> str:
    """Return 312 [290, 334], in cycles."""
    return f"{number(saving.mean)} {interval(saving.ci95)}".strip()


def listed(items: Sequence[Any]) -> str:
    """Return 1, 8 and 64."""
    texts = [str(item) for item in items]
    return ", ".join(texts[:-1]) + " and " + texts[-1] if len(texts) > 1 else "".join(texts)


def counted(count: int, what: str) -> str:
    """Return 1 thread, or 2 threads."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def thousands(value: float) -> str:
    """Return 1000, but 1,000,000; fractions as they are."""
    return f"{value:,.0f}" if value >= 10_000 else f"{value:g}"


def pair(over: str, below: str) -> str:
    """Return lwip/epoll, but redis/lwip over redis/kernel."""
    return f"{over} over {below}" if "/" in over + below else f"{over}/{below}"


def by_name(names: Sequence[str]) -> tuple[Axis, ...]:
    """Return the axes of a sweep by their names: the word, or the field of a load point."""
    found = [next(axis for axis in AXES if name in (axis.word, axis.key)) for name in names]
    return tuple(found) or AXES[:1]


@dataclass(frozen=True)
class Places:
    """Load points in words. axes: the one or two that vary, the chart's x axis first."""

    axes: tuple[Axis, ...]
    points: tuple[LoadPoint, ...]

    @classmethod
    def of(cls, points: Sequence[LoadPoint]) -> Places:
        """Return points by the axes on which they differ."""
        axes = [axis for axis in AXES if len(set(map(axis.value, points))) > 1]
        return cls(tuple(axes) or AXES[:1], tuple(points))

    @property
    def axis(self) -> Axis:
        """Return the axis of a chart's x."""
        return self.axes[0]

    def value(self, point: LoadPoint) -> str:
        """Return where a point lies, for the first column of a table: 64, or 64, 2 server cores."""
        return ", ".join([thousands(self.axis.value(point)), *(
            phrase(axis, [thousands(axis.value(point))]) for axis in self.axes[1:])])

    def listed(self, points: Sequence[LoadPoint]) -> str:
        """Return 1, 8 and 64 connections."""
        return "; ".join(
            phrase(self.axis, [thousands(self.axis.value(point)) for point in line])
            + _with(rest) for rest, line in self.lines(points))

    def span(self, points: Sequence[LoadPoint]) -> str:
        """Return 1 to 64 connections; one or two points by themselves."""
        if len(points) < 3:
            return self.listed(points)
        values = [self.axis.value(point) for point in points]
        return phrase(self.axis, [f"{thousands(min(values))} to {thousands(max(values))}"], True)

    def stretches(self, marked: Sequence[LoadPoint]) -> str:
        """Return 1 to 8 and 64 connections: neighbours are drawn together; "" for none."""
        texts = []
        for rest, line in self.lines(self.points):
            runs = [list(run) for is_marked, run in groupby(line, lambda point: point in marked)
                    if is_marked]
            ends = [" to ".join(thousands(self.axis.value(point)) for point in
                                dict.fromkeys((run[0], run[-1]))) for run in runs]
            if ends:
                texts.append(phrase(self.axis, ends, len(runs[0]) > 1) + _with(rest))
        return "; ".join(texts)

    def lines(self, points: Sequence[LoadPoint]) -> Iterator[tuple[str, list[LoadPoint]]]:
        """Yield the points of each value of a second axis, and it in words; all, with one axis."""
        if len(self.axes) < 2:
            yield "", list(points)
            return
        second = self.axes[1]
        for value in dict.fromkeys(map(second.value, points)):
            yield (phrase(second, [thousands(value)]),
                   [point for point in points if second.value(point) == value])


def _with(rest: str) -> str:
    return f" with {rest}" if rest else ""


def phrase(axis: Axis, values: Sequence[str], several: bool = False) -> str:
    """Return 1, 8 and 64 connections; `several`: one of the values is a range."""
    text = _PLACES[axis.word][several or len(values) > 1].format(listed(values))
    return text.replace("(s)", "" if list(values) == ["1"] else "s")


def places(of: Summary | Sequence[LoadPoint]) -> Places:
    """Return the load points of a run, or some."""
    if not isinstance(of, Summary):
        return Places.of(of)
    return Places(by_name(of.sweep), tuple(point.at for point in of.points))


def command_line(program: str, arguments: Sequence[str]) -> str:
    """Return a command as one would type it; placeholders stay."""
    return " ".join(word if _PLAIN.fullmatch(word) else shlex.quote(word)
                    for word in (program, *arguments))


def command(plan: Plan, request: Mapping[str, str] = {}) -> str:
    """Return the command that runs this plan again, every value spelled out.

    `request`: what a run on a NIC was given beside its plan, {} for none.
    """
    settings: dict[str, object] = {
        "WORKLOAD": plan.workload.name if plan.workload.name != "rps" else "",
        "CONTENDERS": ",".join(plan.contenders), "CONNECTIONS": _numbers(plan.connections),
        "ROUNDS": plan.rounds, "DURATION": plan.duration_seconds, "WARMUP": plan.warmup_seconds,
        "BODY_SIZE": plan.workload.body_size_bytes, **_client(plan),
        "SERVER_CPUS": _numbers(plan.server_cpus), "PORT": plan.port,
        "SERVER_MAX_CONNECTIONS": plan.server_max_connections,
        "ATTEMPTS": plan.attempts if plan.attempts != MOST_ATTEMPTS else "",
        "PRECISION": f"{plan.precision_percent:g}" if plan.precision_percent else "",
        "BUDGET": f"{plan.budget_seconds}s" if plan.precision_percent else "",
        "SEED": plan.seed or "", "SWEEP": _sweep(plan), "TAP": plan.tap,
        "NETEM": plan.netem, "SOFTIRQ": plan.softirq, "LOAD_TOOL": plan.load_tool,
        "CALIBRATE": "" if plan.calibrate else "no"}
    target, first = f"bench-{plan.wire}", known_settings(request)
    if plan.offered:
        target, first = "latency", {"WIRE": plan.wire, "RATES": _numbers(plan.offered), **first}
    elif plan.paper:
        target, first = "reproduce", {"PAPER": plan.paper, "WIRE": plan.wire, **first}
    elif request:
        target = "bench"
    elif plan.workload.name not in GENERAL:
        target, first = "bench-app", {"APP": plan.wire}
    given = {**first, **{key: str(value) for key, value in settings.items()
                         if value != "" and key not in first}}
    # make would expand a dollar
    return " ".join(["sudo make", command_line(target, ()), *(
        f"{key}={command_line(value.replace('$', '$$'), ())}" for key, value in given.items())])


def _client(plan: Plan) -> dict[str, str]:
    """Return which client, on which CPUs; several machines have all of theirs if they differ."""
    if not plan.clients:
        return {"CLIENT_CPUS": _numbers(plan.client_cpus)}
    different = set(plan.clients.values())
    return {"CLIENT": ";".join(f"ssh:{machine}" for machine in plan.clients),
            **({"CLIENT_CPUS": _numbers(different.pop())} if len(different) == 1 else {})}


def _sweep(plan: Plan) -> str:
    """Return what varies beside connections and offered rates, as SWEEP takes it."""
    return " ".join(f"{axis.word}=" + ",".join(
        f"{value:.12g}" for value in dict.fromkeys(map(axis.value, plan.load_points)))
        for axis in plan.sweep if axis.word not in ("connections", "rate"))


def _numbers(values: Sequence[int]) -> str:
    return ",".join(map(str, values))


def connections(counts: Sequence[int]) -> str:
    """Return 1 and 8 connections."""
    return phrase(AXES[0], [thousands(count) for count in counts])
