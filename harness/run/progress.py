# SPDX-License-Identifier: BSD-3-Clause
"""Show a person the trials: by a live bar on a terminal, by one plain line a trial otherwise."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Callable, Iterable, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from harness.analyse import Look
from harness.plan import CONNECTIONS, OFFERED, LoadPoint, Plan, TrialSpec, round_specs
from harness.store import Note, TrialRecord

# makes a phrase of a code with its numbers
Words = Callable[[Note[Any]], str]
# start, READY, proof and stop of a contender, before there is a trial to learn it from
_OVERHEAD_SECONDS = 2.0
# the bar is drawn on a core that is being measured
_DRAWN_PER_SECOND = 1


def rate(requests_per_sec: float) -> str:
    """Return requests a second for a person: 12.3 k/s."""
    for factor, unit in ((1e6, " M/s"), (1e3, " k/s")):
        if requests_per_sec >= factor:
            return f"{requests_per_sec / factor:.3g}{unit}" if requests_per_sec < 100 * factor \
                else f"{requests_per_sec / factor:.0f}{unit}"
    return f"{requests_per_sec:.0f} /s"


def clock(seconds: float) -> str:
    """Return minutes and seconds, 2:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def point_text(point: LoadPoint, plan: Plan) -> str:
    """Return a load point for a person: its connections, and what else the plan sweeps."""
    rest = [f"{axis.value(point):g} {axis.unit or axis.word}" for axis in plan.sweep
            if axis is not CONNECTIONS]
    return " and ".join([f"{point.connections} connections", *rest])


def point_name(point: LoadPoint, plan: Plan) -> str:
    """Return a load point as part of a file's name."""
    rest = [f"{axis.word[0]}{axis.value(point):g}" for axis in plan.sweep
            if axis not in (CONNECTIONS, OFFERED)]
    rate_ = [f"o{point.offered_per_sec}"] if point.offered_per_sec else []
    return "-".join([f"c{point.connections}", *rate_, *rest])


def code_text(note: Note[Any]) -> str:
    """Return a code with its numbers, where nobody has words for it."""
    values = (f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
              for name, value in note.values.items())
    return " ".join([note.code, *values])


def listed(notes: Iterable[Note[Any]], words: Words) -> str:
    return "; ".join(map(words, notes))


class TimeLeft:
    """How long the rest takes: as the plan says at first, then as the trials so far have taken.

    With a stop rule nobody knows: then the time to the end of the round, and of the rest what the
    scatter so far makes likely and what the budget allows, anew with every look.
    """

    def __init__(self, plan: Plan, trials: int,
                 monotonic: Callable[[], float] = time.monotonic) -> None:
        self._plan = plan
        self._expected = plan.load_seconds + _OVERHEAD_SECONDS
        self._left = trials
        self._done = 0
        self._monotonic = monotonic
        self._started = self._last = self._looked = monotonic()
        self._seen: Look | None = None

    def looked(self, seen: Look, trials: int) -> None:
        """Look before a round of so many `trials`; of no effect in a plan without rule."""
        if self._plan.precision_percent:
            self._seen, self._left, self._looked = seen, trials, self._monotonic()

    def trials_done(self, count: int = 1) -> None:
        self._last = self._monotonic()
        self._left -= count
        self._done += count

    def seconds(self) -> float:
        """Return those of what comes in any case; with a stop rule, of the round."""
        return max(0.0, self._each() * self._left - (self._monotonic() - self._last))

    def text(self) -> str:
        if self._seen is None:
            return f"{clock(self.seconds())} left"
        end, seen = self.seconds(), self._seen
        each = self._each() * len(round_specs(self._plan, 0))
        # what the plan has at least comes even if the budget is spent
        least = end + each * max(0, self._plan.rounds - seen.rounds - 1)
        since = self._monotonic() - self._looked
        most = None if not self._plan.budget_seconds else max(
            least, self._plan.budget_seconds - seen.spent_seconds - since)
        cap = "" if most is None else f"; at most {clock(most)}"
        if seen.more is None:
            rounds = max(1, self._plan.rounds - seen.rounds)
            return f"round ends in {clock(end)}; at least {_rounds(rounds)}, {clock(least)}{cap}"
        likely = end + each * (seen.more - 1)
        if most is not None and likely > most:
            return f"round ends in {clock(end)}; about {_rounds(seen.more)} would be needed{cap}"
        return f"round ends in {clock(end)}; about {_rounds(seen.more)}, {clock(likely)}{cap}"

    def _each(self) -> float:
        return (self._last - self._started) / self._done if self._done else self._expected


def _rounds(count: int) -> str:
    return f"{count} more round{'' if count == 1 else 's'}"


class Progress:
    """Show a run: call looked() before every round, start() and done() for every trial, or
    for those that run together."""

    def __init__(self, plan: Plan, trials: int, words: Words,
                 console: Console | None = None) -> None:
        self._words = words
        self._console = console or Console()
        self._live = self._console.is_terminal and not self._console.is_dumb_terminal
        self._total = trials
        self._number = 0
        self._plan = plan
        self._left = TimeLeft(plan, trials)
        self._rates: dict[tuple[str, LoadPoint], list[float]] = {}
        self._bar = Bar(BarColumn(20), MofNCompleteColumn(), TextColumn("{task.description}"),
                        _Left(self._left), console=self._console, disable=not self._live,
                        refresh_per_second=_DRAWN_PER_SECOND)
        self._task = self._bar.add_task("", total=trials)

    def __enter__(self) -> "Progress":
        if self._live:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._live:
            self._bar.stop()

    def looked(self, seen: Look, trials: int) -> None:
        self._left.looked(seen, trials)
        if self._plan.precision_percent:
            more = max(1, self._plan.rounds - seen.rounds, seen.more or 0)
            rest = (more - 1) * len(round_specs(self._plan, 0))
            self._bar.update(self._task, total=self._number + trials + rest)

    def start(self, specs: Sequence[TrialSpec]) -> None:
        """Show which trials run now: one, or those of a load point whose loads take turns."""
        first, more = specs[0], len(specs) - 1
        beside = f" and {more} in turns" if more else ""
        self._bar.update(self._task, refresh=True,
                         description=f"{self._name(first)}{beside}{self._so_far(first)}")

    def done(self, trials: Sequence[tuple[TrialSpec, TrialRecord]]) -> None:
        """Show what became of those that start() was called with."""
        self._left.trials_done(len(trials))
        self._bar.advance(self._task, len(trials))
        for spec, record in trials:
            self._done(spec, record)

    def _done(self, spec: TrialSpec, record: TrialRecord) -> None:
        self._number += 1
        if record.valid:
            here = self._rates.setdefault((spec.contender, spec.point), [])
            here.append(record.requests_per_sec)
        of = "" if self._plan.precision_percent else f"/{self._total}"
        name = f"[{self._number}{of}] {self._name(spec)}"
        if not record.valid:
            self._print(f"{name}: INVALID: {listed(record.problems, self._words)}")
        elif not self._live:
            stayed = " (disturbed)" if record.disturbed else ""
            self._print(f"{name}: {rate(record.requests_per_sec)}, p99 {record.latency_us['p99']} "
                        f"us{stayed}, {self._left.text()}")

    def repeated(self, spec: TrialSpec, record: TrialRecord) -> None:
        """Say that this attempt at the trial was disturbed, and the next one begins."""
        self._print(f"[{self._number + 1}/{self._total}] {self._name(spec)}: disturbed: "
                    f"{listed(record.disturbed, self._words)}; it runs again")

    def _print(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, markup=False, highlight=False)
        self._console.file.flush()

    def _name(self, spec: TrialSpec) -> str:
        endless = self._plan.precision_percent and spec.round >= self._plan.rounds
        more = "+" if self._plan.precision_percent else ""
        of = "" if endless else f"/{self._plan.rounds}{more}"
        return (f"round {spec.round + 1}{of}, {point_text(spec.point, self._plan)}, "
                f"{spec.contender}")

    def _so_far(self, spec: TrialSpec) -> str:
        """Return the mean throughput of every contender here, from the rounds before."""
        means = [f"{contender} {rate(sum(rates) / len(rates))}"
                 for (contender, point), rates in self._rates.items() if point == spec.point]
        return f"  so far: {', '.join(means)}" if means else ""


class _Left(ProgressColumn):
    def __init__(self, left: TimeLeft) -> None:
        super().__init__()
        self._time_left = left

    def render(self, task: Task) -> Text:
        return Text(self._time_left.text())
