# SPDX-License-Identifier: BSD-3-Clause
"""One load by clients on other machines: started together, each with its share, and what they measured as one.

Knows load tools and remote machines, not what a trial makes of the figures.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Mapping, Sequence

from harness.trial.observe import cpu as collect
from harness.trial.client import Client
from harness.errors import ContenderError, UsageError
from harness.trial.load.wrk import SCRIPT, Load, LoadResult, LoadTool, Wrk
from harness.plan import Plan, Share, shares
from harness.host import RemoteProcess, SshHost

_STOP_SECONDS = 5
_START_SECONDS = 30
# what looks for words takes no time from a server while the load lasts
_WATCH_SECONDS = 0.25
_LISTEN_SECONDS = 0.01
# of remote.py and of wrk_report.lua
_WORDS = {"poised": "POISED", "began": "LOADING", "ended": "LOADED"}
# of the load's time: how much later than the first a client may begin or end
_APART = 0.1


@dataclass(frozen=True)
class Part:
    """What one client had of a load. `began_seconds`: how much later than the first of them."""

    share: Share
    result: LoadResult
    began_seconds: float


@dataclass
class _Loading:
    """A client at work. `poised`, `began` and `ended`: when the news came, by this machine's clock."""

    site: SshHost
    share: Share
    report: str
    process: RemoteProcess
    stdout: Path
    stderr: Path
    poised: float = 0.0
    began: float = 0.0
    ended: float = 0.0

    def listen(self) -> None:
        said = self.stdout.read_text(errors="replace").split("\n")[:-1]
        for what, word in _WORDS.items():
            if word in said and not getattr(self, what):
                setattr(self, what, time.monotonic())

    def check(self) -> None:
        """MachineError when its line is lost, ContenderError when it has failed."""
        code = self.process.poll()
        if self.process.lost:
            raise self.site.lost(self.stderr)
        if code:
            said = [line for line in self.stderr.read_text(errors="replace").splitlines() if line.strip()]
            raise ContenderError(f"wrk failed on {self.site.destination} (exit {code}): "
                                 f"{said[-1].strip() if said else 'it said nothing'} (all in {self.stderr})")


def prepare(sites: Sequence[SshHost]) -> None:
    """Gives each machine what a load needs there."""
    for site in sites:
        site.write(_script(site), SCRIPT.read_text())


def _script(site: SshHost) -> str:
    return f"{site.directory}/{SCRIPT.name}"


def load(client: Client, tool: LoadTool, whole: Load, name: str) -> tuple[LoadResult, tuple[Part, ...]]:
    """All clients' loads as one, and each; <raw>/<name>-<machine>.json, .stdout and .stderr stay.

    The whole's `proc_stat` is this machine's, from when the first began to when the last had ended.
    """
    if not isinstance(tool, Wrk):
        raise UsageError(f"only wrk can load from another machine; workload '{whole.workload.name}' needs {tool.name}")
    clients: list[_Loading] = []
    try:
        for site, share in zip(client.provisioned.sites, shares(client.plan, whole.connections)):
            clients.append(_start(client, site, tool, whole, share, name))
        _listen(client, clients, time.monotonic() + _START_SECONDS, "poised", all)
        for each in clients:
            each.process.go()
        before = _listen(client, clients, time.monotonic() + _START_SECONDS, "began", any)
        end = time.monotonic() + whole.seconds
        _listen(client, clients, time.monotonic() + _START_SECONDS, "began", all)
        while time.monotonic() < end - 2 * _WATCH_SECONDS:
            _check(client, clients)
            time.sleep(_WATCH_SECONDS)
        after = _listen(client, clients, end + tool.grace_seconds, "ended", all)
        for each in clients:
            _wait(each, end + tool.grace_seconds)
    finally:
        for each in clients:
            if each.process.poll() is None:
                each.process.stop(_STOP_SECONDS)
    first = min(each.began for each in clients)
    parts = tuple(Part(each.share, _result(client, tool, each, name), round(each.began - first, 3)) for each in clients)
    return merged([part.result for part in parts], (before, after)), parts


def _start(client: Client, site: SshHost, tool: LoadTool, whole: Load, share: Share, name: str) -> _Loading:
    report = f"{site.directory}/{name}.json"
    stdout, stderr = (client.raw / f"{_file(name, site.destination)}.{kind}" for kind in ("stdout", "stderr"))
    words = tool.command(replace(whole, connections=share.connections, threads=share.threads), Path(report), [])
    process = site.poise([_script(site) if word == str(SCRIPT) else word for word in words],
                         cpus=client.plan.clients[share.machine], stdout=stdout, stderr=stderr,
                         env={**tool.environment(Path(report)), "STACKDUEL_WRK_TELLS": "1"})
    try:
        client.provisioned.journal.process(process)
    except BaseException:
        process.stop(_STOP_SECONDS)
        raise
    return _Loading(site, share, report, process, stdout, stderr)


def _file(name: str, machine: str) -> str:
    return f"{name}-{re.sub(r'[^A-Za-z0-9_.-]', '-', machine)}"


def _check(client: Client, clients: Sequence[_Loading]) -> None:
    client.running.check_alive("under load")
    for each in clients:
        each.check()


def _listen(client: Client, clients: Sequence[_Loading], deadline: float, what: str, enough: Any) -> str:
    """This machine's /proc/stat when `enough` of the clients have said so."""
    while True:
        for each in clients:
            each.listen()
        if enough(getattr(each, what) for each in clients):
            return client.host.read("/proc/stat").partition("intr ")[0]
        _check(client, clients)
        late = next((each.site.destination for each in clients if not getattr(each, what)), None)
        if time.monotonic() > deadline:
            raise ContenderError(f"{late} has not said {_WORDS[what]} in time")
        time.sleep(_LISTEN_SECONDS)


def _wait(each: _Loading, deadline: float) -> None:
    try:
        each.process.wait(max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        raise ContenderError(f"wrk on {each.site.destination} did not end in time") from None
    each.check()


def _result(client: Client, tool: LoadTool, each: _Loading, name: str) -> LoadResult:
    text = each.site.read(each.report)
    (client.raw / f"{_file(name, each.site.destination)}.json").write_text(text)
    return tool.parse(text)


def merged(results: Sequence[LoadResult], proc_stat: tuple[str, str]) -> LoadResult:
    """Sums, one histogram of all, and the longest of their durations: what all did in the time that all had.

    With `proc_stat` of the machine that served.
    """
    histogram: dict[float, int] = {}
    for value, count in (pair for result in results for pair in result.histogram):
        histogram[value] = histogram.get(value, 0) + count
    kinds = dict.fromkeys(kind for result in results for kind in result.errors)
    return LoadResult(
        requests=sum(result.requests for result in results), bytes=sum(result.bytes for result in results),
        duration_seconds=max(result.duration_seconds for result in results),
        errors={kind: sum(result.errors.get(kind, 0) for result in results) for kind in kinds},
        histogram=tuple(sorted(histogram.items())), proc_stat=proc_stat)


def account(parts: Sequence[Part]) -> dict[str, dict[str, Any]]:
    """What the record says of each machine."""
    return {part.share.machine: {
        "connections": part.share.connections, "threads": part.share.threads, "requests": part.result.requests,
        "bytes": part.result.bytes, "duration_seconds": round(part.result.duration_seconds, 6),
        "requests_per_sec": part.result.requests_per_sec, "latency_us": part.result.latency_us,
        "began_seconds": part.began_seconds} for part in parts}


def cpu_seconds(parts: Sequence[Part], plan: Plan) -> dict[str, dict[str, Any]]:
    """Of each machine's CPUs that may load, between the beginning and the end of its own load."""
    spent: dict[str, dict[str, Any]] = {}
    for part in parts:
        before, after = map(collect.parse_proc_stat, part.result.proc_stat)
        spent |= collect.cpu_seconds_of(part.share.machine, before, after, plan.clients[part.share.machine])
    return spent


def problems(parts: Sequence[Part]) -> list[str]:
    """One line for each client that was not there for the time that all should have had together."""
    found = []
    for part in parts:
        if part.began_seconds > _APART * part.result.duration_seconds:
            found.append(f"{part.share.machine} began {part.began_seconds:g} s after the first client, in a load of "
                         f"{part.result.duration_seconds:.1f} s")
        if not part.result.requests:
            found.append(f"{part.share.machine} had not one answer")
    return found


def links(sites: Sequence[SshHost]) -> Mapping[str, Mapping[str, int]]:
    """Counters of each machine's interface to the server, by "<machine>/<interface>"."""
    return {f"{site.destination}/{site.interface}": site.link_counters(None)[site.interface] for site in sites}
