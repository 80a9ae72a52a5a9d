# SPDX-License-Identifier: BSD-3-Clause
"""Run the trials of one load point in turns: every contender with its load, one at work at a time.

What a shared machine does to a tenth of a second it does, for the most part, to the next one too,
and hardly to the next second: one server beside itself scattered by 13 to 18 % with loads of a
second one after the other, by 2 to 5 % with turns of a tenth (results/FIGURES.md). So each contender is loaded by a tool of its own; the tool is
stopped (SIGSTOP) at the end of its turn, then what is under way comes in, and so the server, if it
polls, is stopped with nothing unacknowledged. (Bulej et al., "Duet benchmarking", ICPE 2020, run
both at once; here that would be two servers on one core.)

Of a load's figures its tool knows nothing of the pauses: LoadTool.unpaused() takes them out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic, sleep
from typing import Iterable, Sequence

from harness.errors import ContenderError
from harness.host import Energy, Host, energy, joules, now
from harness.plan import Plan, TrialSpec
from harness.provision import Provisioned, ResolvedWire
from harness.store import TrialRecord
from harness.trial.client import Client, Loading
from harness.trial.load.base import Load, Pauses
from harness.trial.observe.counters import REWRITTEN_SECONDS, Counters
from harness.trial.observe.cpu import ProcStat, in_all
from harness.trial.record import Loaded, Outcome, Setting
from harness.trial.servers import Servers
from harness.trial.trial import Ready, load_tool, outcome_of, overdue, proc_stat, ready

# seconds: until the first answers, and of what was under way when a tool was stopped
_FIRST_ANSWER_SECONDS, _LAST_ANSWER_SECONDS = 30, 0.02
# looks at the counter of bytes; one that stands still so long has all
_POLL_SECONDS = 0.001
Place = tuple[int, TrialSpec, Path]


def run_in_turns(host: Host, wire: ResolvedWire, plan: Plan, places: Sequence[Place],
                 provisioned: Provisioned, servers: Servers,
                 earlier: Iterable[TrialRecord] = ()) -> list[Outcome]:
    """Run trials of one load point, none of whose contenders excludes another.

    places: sequence number, trial and directory of each; all else and errors as run_trial(), which
    takes one alone
    """
    seen, loads = list(earlier), [
        _Load(_ready(host, wire, plan, spec, provisioned, raw, servers), servers)
        for _, spec, raw in places]
    turns = max(2, round(1000 * plan.duration_seconds / plan.turn_ms))
    first = loads[0].at.watch
    try:
        first.begin()
        for load in loads:
            load.begin(plan.turn_ms / 1000)
        for turn in range(1, turns):
            for load in loads:
                load.turn(plan.turn_ms / 1000, last=turn == turns - 1)
        first.end()
    finally:
        for load in loads:
            load.close()
    outcomes = []
    for (sequence, _, _), load in zip(places, loads):
        load.at.watch.beside(first)
        load.work()
        measured = load.at.measured(load.loaded(), load.joules)
        outcomes.append(outcome_of(load.at.setting, sequence, measured, seen))
    return outcomes


def _ready(host: Host, wire: ResolvedWire, plan: Plan, spec: TrialSpec, provisioned: Provisioned,
           raw: Path, servers: Servers) -> Ready:
    raw.mkdir(parents=True, exist_ok=True)
    started_at, plan = now(), plan.at(spec.point)
    contender = wire.contenders[spec.contender]
    running = servers.turn(contender, plan, raw)
    client = Client(host, wire, plan, provisioned, running, raw)
    setting = Setting(wire, plan, spec, contender, client, load_tool(plan, wire.has_loadgen))
    return ready(setting, running, started_at)


@dataclass
class _Load:
    """The load of one contender. Whoever has one calls close().

    samples: of its client's library, soon after the beginning of each turn and at its end
    stats: of each time it was at work
    pauses: s, of each time that it was not
    """

    at: Ready
    servers: Servers
    samples: list[tuple[Counters, ...]] = field(default_factory=list)
    stats: list[ProcStat] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    joules: float | None = None
    counters: Counters | None = None
    _received: int = 0
    _loading: Loading | None = None
    _overdue: str = ""
    _paused_at: float = 0.0

    @property
    def _name(self) -> str:
        return self.at.setting.tool.name

    @property
    def _shape(self) -> Load:
        return self.at.setting.load(self.at.setting.plan.duration_seconds, held_up=True)

    @property
    def _report(self) -> Path:
        return self.at.setting.client.raw / f"{self._name}.json"

    def begin(self, seconds: float) -> None:
        """Have the first turn: so many seconds from the first answers on."""
        tool, client = self.at.setting.tool, self.at.setting.client
        self.work()
        self._report.unlink(missing_ok=True)
        stat, used, begun = proc_stat(client.host), energy(client.host), monotonic()
        self._loading = client.begin(
            self._name, self._name,
            lambda launcher: tool.command(self._shape, self._report, launcher),
            tool.environment(self._report))
        at_first = self._total()
        while self._total() == at_first and self._loading.poll() is None:
            if monotonic() - begun > _FIRST_ANSWER_SECONDS:
                raise ContenderError(f"{self._name} had no answer within {_FIRST_ANSWER_SECONDS} s")
            sleep(_POLL_SECONDS)
        self._work_for(seconds)
        self._pause(begun, at_first, stat, used)

    def turn(self, seconds: float, last: bool) -> None:
        """Have a turn of so many seconds; after the last one it ends."""
        assert self._loading
        host, watch = self.at.setting.client.host, self.at.watch
        self.work()
        stat, used, before, begun = (
            proc_stat(host), energy(host), self._total(), monotonic())
        self.pauses.append(begun - self._paused_at)
        self._loading.resume()
        self._work_for(seconds)
        if not last:
            watch.see_clocks()
            self._pause(begun, before, stat, used)
            return
        watch.grown(self._name, monotonic() - begun, self._total() - before)
        self._loading.interrupt()
        tool = self.at.setting.tool
        try:
            ended = self._loading.ended(self._shape.turn_seconds + tool.grace_seconds)
        except TimeoutError as error:
            self._overdue = str(error)
            self.close()
            return
        if ended.code != 0 or not self._report.exists():
            raise ended.failure()
        self.counters = ended.counters
        self._spent(stat, used)

    def _work_for(self, seconds: float) -> None:
        """Wait so long. A stack in user space notices its pause when it goes on, so the first sample
        is of after that, and of after its library has written."""
        assert self._loading
        begin = min(REWRITTEN_SECONDS, seconds / 2)
        sleep(begin)
        first = self._loading.glance()
        sleep(seconds - begin)
        last = self._loading.glance()
        self.at.running.check_alive("under load")
        if first and last:
            self.samples.append((first, last))

    def _pause(self, begun: float, before: int, stat: str, used: dict[str, Energy]) -> None:
        assert self._loading
        self._loading.pause()
        self._paused_at = monotonic()
        total = self._total()
        while monotonic() - self._paused_at < _LAST_ANSWER_SECONDS:
            sleep(_POLL_SECONDS)
            was, total = total, self._total()
            if was == total:
                break
        self.at.watch.grown(self._name, self._paused_at - begun, total - before)
        self._spent(stat, used)

    def _spent(self, stat: str, used: dict[str, Energy]) -> None:
        host = self.at.setting.client.host
        self.stats.append(ProcStat(stat, proc_stat(host)))
        more = joules(used, energy(host))
        self.joules = None if more is None else (self.joules or 0.0) + more

    def _total(self) -> int:
        """Return the bytes received so far; those of the last look while a library writes."""
        if self._loading:
            self._received = self.at.watch.total(
                self._name, self._loading.pid) or self._received
        return self._received

    def work(self) -> None:
        """Have the contender at work, and those that poll beside it paused."""
        setting = self.at.setting
        self.servers.turn(setting.contender, setting.plan, setting.client.raw)

    def loaded(self) -> Loaded:
        """Return what became of the load."""
        stats = in_all(self.stats)
        if self._overdue:
            return overdue(self._overdue, self._shape.seconds, stats)
        tool = self.at.setting.tool
        result = tool.parse(self._report.read_text("utf-8"))
        # what it spent before its load and after it, on a report, is none of the load's
        first, last = self.stats[0].after, self.stats[-1].before
        stats = in_all([ProcStat(result.proc_stat.before, first), *self.stats[1:-1],
                        ProcStat(last, result.proc_stat.after)])
        pauses = Pauses(len(self.pauses), sum(self.pauses), min(self.pauses))
        return Loaded(replace(tool.unpaused(result, self._shape, pauses), proc_stat=stats),
                      self.counters, tuple(self.samples))

    def close(self) -> None:
        if self._loading:
            self._loading.close()
