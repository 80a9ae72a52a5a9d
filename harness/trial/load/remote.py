# SPDX-License-Identifier: BSD-3-Clause
"""Run one load by clients on other machines: started together, each with its share.

Knows load tools and remote machines, not what a trial makes of the figures.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Mapping, Sequence

from harness.errors import ContenderError, UsageError
from harness.host import RemoteProcess, SshHost
from harness.plan import Plan, Share, shares
from harness.store import ClientPart, CpuTime, Note, Problem, merged
from harness.trial.client import Client
from harness.trial.load.base import Elsewhere, Load, LoadResult, LoadTool, load_tools
from harness.trial.observe.cpu import ProcStat, without_interrupts
from harness.trial.observe.cpu import cpu_seconds as seconds_between
from harness.trial.server import Spawned, last_words

_START_SECONDS = 30
# what looks for words takes no time from a server while the load lasts
_WATCH_SECONDS = 0.25
_LISTEN_SECONDS = 0.01
# of host/ssh's helper and of the tool (base.Elsewhere)
_WORDS = {"poised": "POISED", "began": "LOADING", "ended": "LOADED"}
# of the load's time: how much later than the first a client may begin or end
_APART = 0.1


@dataclass(frozen=True)
class Part:
    """What one client had of a load. `began_seconds`: how much later than the first of them."""

    share: Share
    result: LoadResult
    began_seconds: float


class _Loading(Spawned):
    """A client at work; poised, began, ended: when it said so, by this machine's clock."""

    stop_seconds = 5
    poised = began = ended = 0.0

    def __init__(self, site: SshHost, share: Share, tool: str, report: str, process: RemoteProcess,
                 stdout: Path, stderr: Path) -> None:
        super().__init__(process, stdout, stderr)
        self.site = site
        self.share = share
        self.tool = tool
        self.report = report
        self.process = process

    def listen(self) -> None:
        lines = self.lines()
        for what, word in _WORDS.items():
            if word in lines and not getattr(self, what):
                setattr(self, what, time.monotonic())

    def check(self) -> None:
        """Raise MachineError when its line is lost, ContenderError when it has failed."""
        code = self.process.poll()
        if self.process.lost:
            raise self.site.lost(self.stderr)
        if code:
            raise ContenderError(f"{self.tool} failed on {self.site.destination} (exit {code}): "
                                 f"{last_words(self.stderr) or 'it said nothing'} "
                                 f"(all in {self.stderr})")


def prepare(sites: Sequence[SshHost]) -> None:
    """Give each machine the files that load tools need there."""
    for site in sites:
        for tool in load_tools().values():
            for file in tool.elsewhere.files if tool.elsewhere else ():
                site.write(_there(site, file), file.read_text("utf-8"))


def _there(site: SshHost, file: Path) -> str:
    return f"{site.directory}/{file.name}"


def load(client: Client, tool: LoadTool, whole: Load,
         name: str) -> tuple[LoadResult, tuple[Part, ...]]:
    """Return all clients' loads as one, and each; <raw>/<name>-<machine>.{json,stdout,stderr} stay.

    The whole's `proc_stat` is this machine's, from when the first began to when the last had ended.
    TimeoutError when one does not end.
    """
    elsewhere = tool.elsewhere
    if elsewhere is None:
        able = ", ".join(sorted(each.name for each in load_tools().values() if each.elsewhere))
        raise UsageError(f"{tool.name}, which workload '{whole.workload.name}' needs, cannot load "
                         f"from another machine: {able} can")
    clients: list[_Loading] = []
    try:
        for site, share in zip(client.provisioned.sites, shares(client.plan, whole.connections)):
            clients.append(_start(client, site, tool, elsewhere, whole, share, name))
        _listen(client, clients, time.monotonic() + _START_SECONDS, "poised", all)
        for one in clients:
            one.process.go()
        before = _listen(client, clients, time.monotonic() + _START_SECONDS, "began", any)
        now = time.monotonic()
        end, late = now + whole.seconds, now + whole.most_seconds + tool.grace_seconds
        _listen(client, clients, time.monotonic() + _START_SECONDS, "began", all)
        while time.monotonic() < end - 2 * _WATCH_SECONDS:
            _check(client, clients)
            time.sleep(_WATCH_SECONDS)
        after = _listen(client, clients, late, "ended", all, TimeoutError)
        for one in clients:
            _wait(one, late)
    finally:
        for one in clients:
            one.close()
    first = min(one.began for one in clients)
    parts = tuple(Part(one.share, _result(client, tool, one, name), round(one.began - first, 3))
                  for one in clients)
    return together([part.result for part in parts], ProcStat(before, after)), parts


def _start(client: Client, site: SshHost, tool: LoadTool, elsewhere: Elsewhere, whole: Load,
           share: Share, name: str) -> _Loading:
    report = f"{site.directory}/{name}.json"
    stdout, stderr = (client.raw / f"{_file(name, site.destination)}.{kind}"
                      for kind in ("stdout", "stderr"))
    words = tool.command(replace(whole, connections=share.connections, threads=share.threads),
                         Path(report), [])
    there = {str(file): _there(site, file) for file in elsewhere.files}
    process = site.poise([there.get(word, word) for word in words],
                         cpus=client.plan.clients[share.machine], stdout=stdout, stderr=stderr,
                         env={**tool.environment(Path(report)), **elsewhere.environment})
    loading = _Loading(site, share, tool.name, report, process, stdout, stderr)
    loading.enter(client.provisioned)
    return loading


def _file(name: str, machine: str) -> str:
    return f"{name}-{re.sub(r'[^A-Za-z0-9_.-]', '-', machine)}"


def _check(client: Client, clients: Sequence[_Loading]) -> None:
    client.running.check_alive("under load")
    for one in clients:
        one.check()


def _listen(client: Client, clients: Sequence[_Loading], deadline: float, what: str,
            enough: Any, error: type[Exception] = ContenderError) -> str:
    """Return this machine's /proc/stat when `enough` of the clients have said so; else `error`."""
    while True:
        for one in clients:
            one.listen()
        if enough(getattr(one, what) for one in clients):
            return without_interrupts(client.host.read("/proc/stat"))
        _check(client, clients)
        late = next((one.site.destination for one in clients if not getattr(one, what)), None)
        if time.monotonic() > deadline:
            raise error(f"{late} has not said {_WORDS[what]} in time")
        time.sleep(_LISTEN_SECONDS)


def _wait(one: _Loading, deadline: float) -> None:
    try:
        one.process.wait(max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        raise TimeoutError(f"{one.tool} on {one.site.destination} did not end in time") from None
    one.check()


def _result(client: Client, tool: LoadTool, one: _Loading, name: str) -> LoadResult:
    text = one.site.read(one.report)
    (client.raw / f"{_file(name, one.site.destination)}.json").write_text(text, "utf-8")
    return tool.parse(text)


def together(results: Sequence[LoadResult], proc_stat: ProcStat) -> LoadResult:
    """Return sums, one histogram of all, and the longest of their durations: what all did in the
    time that all had. `proc_stat`: of the machine that served."""
    kinds = dict.fromkeys(kind for result in results for kind in result.errors)
    return LoadResult(
        requests=sum(result.requests for result in results),
        bytes=sum(result.bytes for result in results),
        duration_seconds=max(result.duration_seconds for result in results),
        errors={kind: sum(result.errors.get(kind, 0) for result in results) for kind in kinds},
        latency_us=merged(result.latency_us for result in results), proc_stat=proc_stat)


def clients(parts: Sequence[Part]) -> dict[str, ClientPart]:
    return {part.share.machine: ClientPart(
        part.share.connections, part.share.threads, part.result.requests, part.result.bytes,
        round(part.result.duration_seconds, 6), part.result.requests_per_sec,
        part.result.percentiles_us, part.began_seconds) for part in parts}


def cpu_seconds(parts: Sequence[Part], plan: Plan) -> dict[str, CpuTime]:
    """Return the time of each machine's CPUs that may load, within its own load."""
    spent: dict[str, CpuTime] = {}
    for part in parts:
        machine = part.share.machine
        spent |= seconds_between(part.result.proc_stat, plan.clients[machine], (), machine)
    return spent


def problems(parts: Sequence[Part]) -> list[Note[Problem]]:
    """Return a note for each client that was not there for the time that all should have had."""
    late = [Note(Problem.LATE_CLIENT, {
        "machine": part.share.machine, "seconds": part.began_seconds,
        "of_seconds": round(part.result.duration_seconds, 1)}) for part in parts
        if part.began_seconds > _APART * part.result.duration_seconds]
    return [*late, *(Note(Problem.NOTHING_ANSWERED, {"machine": part.share.machine})
                     for part in parts if not part.result.requests)]


def links(sites: Sequence[SshHost]) -> Mapping[str, Mapping[str, int]]:
    """Return counters of each machine's interface to the server, by "<machine>/<interface>"."""
    return {f"{site.destination}/{site.interface}": site.link_counters(None)[site.interface]
            for site in sites}
