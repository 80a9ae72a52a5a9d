# SPDX-License-Identifier: BSD-3-Clause
"""Make the record of a trial from what was measured: figures, and by codes what is wrong with it.

Runs nothing. What each field of the record means: results/README.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Iterator, Mapping, Sequence

from harness.plan import KERNEL, Contender, Plan, TrialSpec
from harness.provision import ResolvedWire
from harness.store import (
    CpuTime, EndCount, Json, MachineUse, Note, Problem, Reconcile, Steady, TrialRecord, Unsettled,
    rounded)
from harness.trial.client import Client
from harness.trial.load import remote
from harness.trial.load.base import Load, LoadResult, LoadTool
from harness.trial.load.loadgen import Account
from harness.trial.observe import cpu, interference
from harness.trial.observe.counters import Counters, client_busy_share
from harness.trial.observe.sampler import Watch
from harness.trial.observe.steady_state import INTERVAL_SECONDS, of_load, rates, steadiness
from harness.trial.probe import Proof
from harness.trial.probe_protocol import exchange_for

# share of a core that one takes that never sleeps, but for the beginning and end of its load
_POLLS = 0.9
# of files and series, as the load's are named after its tool
WARMUP = "warmup"


@dataclass(frozen=True)
class Outcome:
    """A trial's record, and what contender ("server") and "client" say of their ports."""

    record: TrialRecord
    ports: Mapping[str, Json]


@dataclass(frozen=True)
class Setting:
    """What one trial is made in; the plan is that of its load point."""

    wire: ResolvedWire
    plan: Plan
    spec: TrialSpec
    contender: Contender
    client: Client
    tool: LoadTool

    def load(self, seconds: int, held_up: bool = False) -> Load:
        running = self.client.running
        return Load(running.address, running.port, self.plan.workload, self.spec.point.connections,
                    self.spec.threads, seconds, patient=bool(self.spec.point.impairment),
                    rate=self.spec.point.offered_per_sec, seed=self.spec.round + 1,
                    held_up=held_up)

    @property
    def turn_bytes(self) -> int:
        """Return the bytes of one body on each connection that asks; 0 where answers have none."""
        workload = self.plan.workload
        return (workload.in_turn(self.spec.point.connections) * workload.body_size_bytes
                if self.tool.same_answers else 0)

    @property
    def in_flight(self) -> int:
        return self.tool.in_flight(self.load(self.plan.duration_seconds))


@dataclass(frozen=True)
class Sample:
    """Counters at one instant.

    counters: the contender's own
    links: of every interface on the path
    nics: by end, of the NICs there
    """

    counters: Counters | None
    links: cpu.Links
    nics: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Loaded:
    """A load that has ended.

    counters: of a client that has a library, as client.Ended
    turns: its samples in each stretch in which it was at work; one of a load without pauses
    parts: of clients on other machines, what each had of it
    overdue: what was said of a tool that did not end, and so has no result
    """

    result: LoadResult
    counters: Counters | None
    turns: tuple[tuple[Counters, ...], ...]
    parts: tuple[remote.Part, ...] = ()
    overdue: str = ""


@dataclass(frozen=True)
class Measured:
    """All that a trial has seen.

    first, second: proofs before the load and after it, as many
    rehearsals: loads before the one that counts, by name
    began, ended: the contender's counters around all of that; none of one that was just started
    joules: that the machine used meanwhile; None where it does not tell
    account, failed, memory: of a tool that is one process: its account, what ended it early, and
        the bytes that the server held
    """

    started_at: str
    first: tuple[Proof, ...]
    second: tuple[Proof, ...]
    rehearsals: Mapping[str, Loaded]
    load: Loaded
    before: Sample
    after: Sample
    began: Counters | None
    ended: Counters | None
    watch: Watch
    joules: float | None
    account: Account | None = None
    failed: str = ""
    memory: dict[str, int] | None = None

    @property
    def final(self) -> Counters | None:
        """Return what the contender counted from the first proof to the second."""
        if self.ended is None or self.began is None:
            return None
        return replace(self.ended, counts=self.ended.since(self.began))

    @property
    def phases(self) -> dict[str, Loaded]:
        return {**self.rehearsals, "load": self.load}

    @property
    def results(self) -> list[LoadResult]:
        return [load.result for load in self.phases.values()]

    @property
    def clients(self) -> list[Counters]:
        """Counters of every client process, in their order; [] where the kernel has the sockets."""
        processes: list[Proof | Loaded] = [
            *self.first, *self.phases.values(), *self.second]
        return [process.counters for process in processes if process.counters is not None]


def record_of(setting: Setting, sequence: int, measured: Measured,
              earlier: Sequence[MachineUse]) -> Outcome:
    """Return the record, complete. `earlier`: of the same contender at the same load point."""
    plan, spec, load = setting.plan, setting.spec, measured.load.result
    parts, account = measured.load.parts, measured.account
    final, client = measured.final or Counters(), measured.load.counters
    before, after = measured.before, measured.after
    server = (after.counters.since(before.counters) if before.counters and after.counters
              else None)
    reconcile = _reconcile(setting, measured)
    both = _ends(setting, measured, reconcile)
    seconds = {**cpu.cpu_seconds(load.proc_stat, plan.client_cpus, plan.server_cpus),
               **remote.cpu_seconds(parts, plan)}
    machine = measured.watch.machine()
    steady, unsettled = _steadiness(setting, measured)
    bound = account or load.open_loop
    record = TrialRecord(
        contender=spec.contender, point=spec.point, round=spec.round, sequence=sequence,
        threads=spec.threads, started_at=measured.started_at,
        duration_seconds=round(load.duration_seconds, 6), requests=load.requests,
        requests_per_sec=load.requests_per_sec, bytes=load.bytes,
        latency_us=load.percentiles_us, latency_histogram_us=rounded(load.latency_us),
        errors=load.errors, reconcile=reconcile,
        cpu_seconds=seconds, attempt=spec.attempt, load_tool=setting.tool.name,
        problems=tuple((*_wrong_answers(measured), *remote.problems(parts),
                        *_clock_problems(measured), *_load_problems(setting, measured),
                        *_count_problems(reconcile),
                        *_end_problems(both or {}), *_server_problems(setting, measured, server),
                        *_optimisation_problems(setting.contender, measured.final),
                        *_polling_problems(setting.contender, seconds))),
        disturbed=interference.reasons(machine, earlier), unsettled=unsettled,
        energy_joules=measured.joules,
        cpu_us_per_request=cpu.cpu_us_per_request(seconds, load.requests),
        cycles_per_request=cpu.cycles_per_request(server, load.requests),
        busy_share=cpu.busy_share(server, final.tsc_hz, load.duration_seconds),
        client_busy_share=account.busy_share if account else client_busy_share(
            measured.load.turns, spec.point.connections),
        client_bound=bound.client_bound if bound else None,
        connections_per_sec=account.connects_per_sec if account else None,
        ends=both, server=server, client=client.counts if client else None,
        dropped=cpu.dropped(before.links, after.links),
        xstats={end: cpu.changed(before.nics.get(end, {}), counts)
                for end, counts in sorted(after.nics.items())},
        emulated=setting.wire.emulated, memory=measured.memory,
        bytes_per_connection=final.bytes_per_connection if account else None,
        clients=remote.clients(parts), machine=machine, steady=steady, open_loop=load.open_loop)
    ports = {"server": final.port, "client": client.port if client else {}}
    return Outcome(record, {end: port for end, port in ports.items() if port})


def _steadiness(setting: Setting,
                measured: Measured) -> tuple[Steady | None, Note[Unsettled] | None]:
    """Return `steady` and `unsettled`; None where the answers could not be counted as they came."""
    watch, load, plan = measured.watch, measured.load.result, setting.plan
    opened, asked = watch.series(WARMUP), watch.series(setting.tool.name)
    if measured.account:
        # its warm-up ends, and its interval begins, when the line MEASURING comes
        count = int(plan.warmup_seconds / INTERVAL_SECONDS)
        warmup = rates(opened.times, opened.totals)[-count:] if count else []
        loaded = rates(asked.times, asked.totals)[:int(load.duration_seconds / INTERVAL_SECONDS)]
    else:
        rehearsed = measured.rehearsals.get("warm-up")
        warmup = of_load(opened, rehearsed.result.duration_seconds) if rehearsed else []
        loaded = of_load(asked, load.duration_seconds)
    if not any(loaded) or not load.requests:
        return None, None
    requests_per_byte = load.requests_per_sec / (sum(loaded) / len(loaded))
    return steadiness([requests_per_byte * rate for rate in warmup],
                      [requests_per_byte * rate for rate in loaded])


def _reconcile(setting: Setting, measured: Measured) -> Reconcile:
    """Return, over the trial, requests answered as clients know and as the contender counted."""
    account, counts = measured.account, measured.final.counts if measured.final else {}
    parsed, answered = counts.get("requests_parsed"), counts.get("responses_sent")
    if account:
        return Reconcile(account.total_requests, parsed, answered, account.in_flight)
    proofs = len(measured.first) + len(measured.second)
    first, second = measured.first[-1].answer.served, measured.second[0].answer.served
    if first is not None and second is not None:
        # a server of other make was asked in each proof: what it was asked with is not of the load
        asked = exchange_for(setting.plan.workload, setting.contender.counts_at).asks
        answered = second - first - asked + proofs
    runs = measured.results
    sent = sum(run.answered for run in runs)
    return Reconcile(proofs + sent, parsed, answered, setting.in_flight * len(runs))


def _ends(setting: Setting, measured: Measured,
          reconcile: Reconcile) -> dict[str, EndCount] | None:
    """Return what both ends counted over the trial; None unless both count."""
    if not measured.clients or measured.final is None or measured.account:
        return None
    return ends_of(measured.clients, measured.final, reconcile.sent,
                          reconcile.in_flight_limit, setting.contender.end.ring)


def _wrong_answers(measured: Measured) -> list[Note[Problem]]:
    return [Note(Problem.WRONG_ANSWER, {"when": when, "what": proof.answer.wrong})
            for when, proofs in (("before", measured.first), ("after", measured.second))
            for proof in proofs if proof.answer.wrong]


def _count_problems(reconcile: Reconcile) -> list[Note[Problem]]:
    sent, limit = reconcile.sent, reconcile.in_flight_limit
    return [Note(Problem.COUNTS_DIFFER, {"sent": sent, "counter": counter, "count": count,
                                         "limit": limit})
            for counter, count in (("parsed", reconcile.parsed), ("answered", reconcile.answered))
            if count is not None and not sent <= count <= sent + limit]


def _end_problems(ends: Mapping[str, EndCount]) -> list[Note[Problem]]:
    return [Note(Problem.ENDS_DIFFER, {"what": key, "sent": way.sent, "received": way.received,
                                       "limit": way.limit})
            for key, way in ends.items() if not 0 <= way.sent - way.received <= way.limit]


def _clock_problems(measured: Measured) -> list[Note[Problem]]:
    """Return a note for each load whose tool's own clock cannot have told its time."""
    loads = [(phase, machine, result)
             for phase, run in measured.phases.items()
             for machine, result in (("", run.result), *(
                 (part.share.machine, part.result) for part in run.parts))]
    return [Note(Problem.CLOCK_JUMPED, {
        "phase": phase, "told_seconds": round(result.told_seconds, 3),
        "seconds": round(result.duration_seconds, 3), **({"machine": machine} if machine else {})})
        for phase, machine, result in loads if result.told_seconds is not None]


def _load_problems(setting: Setting, measured: Measured) -> list[Note[Problem]]:
    load = measured.load.result
    overdue = [Note(Problem.OVERDUE, {"phase": phase, "what": run.overdue})
               for phase, run in measured.phases.items() if run.overdue]
    if overdue:
        return overdue
    problems = [Note(Problem.LOAD_ERRORS, {"phase": phase, "kind": kind, "count": count})
                for phase, run in measured.phases.items()
                for kind, count in run.result.errors.items() if count]
    turn = setting.turn_bytes
    if 0 < load.bytes < turn:
        # what is under way at the end is in no figure: here it is most of what came
        problems.append(Note(Problem.LOAD_TOO_SHORT, {
            "seconds": round(load.duration_seconds, 1),
            "turn_seconds": round(load.duration_seconds * turn / load.bytes, 1),
            "connections": setting.spec.point.connections}))
    elif not load.requests:
        problems.append(Note(Problem.NOTHING_ANSWERED))
    if measured.failed:
        problems.append(Note(Problem.LOAD_TOOL, {"what": measured.failed}))
    if setting.tool.same_answers and measured.first:
        size = measured.first[0].answer.single
        if not load.requests * size <= load.bytes <= (load.requests + setting.in_flight) * size:
            problems.append(Note(Problem.WRONG_BYTES, {
                "requests": load.requests, "size": size, "bytes": load.bytes}))
    return problems


def _server_problems(setting: Setting, measured: Measured,
                     server: Mapping[str, int] | None) -> list[Note[Problem]]:
    if server is None:
        return []
    account, expected = measured.account, setting.spec.point.connections
    if account:
        # they were opened before the interval; of those opened one by one, the last may not have
        # arrived
        server = measured.final.counts if measured.final else {}
        expected = account.total_connects - (expected if setting.plan.workload.connect else 0)
    extra = 0 if account else setting.tool.extra_connections * len(setting.client.ends)
    arrived = server.get("accepts", 0) - extra
    problems = []
    if arrived < expected:
        problems.append(Note(Problem.CONNECTIONS_MISSING,
                             {"arrived": arrived, "expected": expected}))
    return problems + [Note(code, {"count": server[key]}) for key, code in (
        ("refused", Problem.REFUSED), ("errors_http", Problem.HTTP_ERRORS)) if server.get(key)]


def _optimisation_problems(contender: Contender,
                           final: Counters | None) -> list[Note[Problem]]:
    """Compare what the server had in force with what its name says: it leaves some out."""
    stayed = ((Problem.OPTIMISATIONS_IN_FORCE, contender.without, final and final.optimisations),
              (Problem.OBLIGATIONS_IN_FORCE, contender.waived, final and final.obligations))
    if any(out and there is None for _, out, there in stayed):
        return [Note(Problem.OPTIMISATIONS_UNKNOWN)]
    return [Note(problem, {"names": names}) for problem, out, there in stayed
            if (names := tuple(name for name in out if name in (there or ())))]


def _polling_problems(contender: Contender,
                      spent: Mapping[str, CpuTime]) -> Iterator[Note[Problem]]:
    """Yield each end that sleeps though it is to poll on the kernel's sockets: nothing it counts
    would show that."""
    for end, polls in (("client", contender.client.polls),
                       ("server", contender.polls and contender.stack == KERNEL)):
        shares = [time.burned / (time.burned + time.idle + time.iowait) for time in spent.values()
                  if end in time.role.split("+") and time.burned + time.idle + time.iowait]
        if polls and shares and max(shares) < _POLLS:
            yield Note(Problem.NOT_POLLING, {"end": end, "share": round(max(shares), 4)})


def ends_of(clients: Sequence[Counters], server: Counters, answers: int, in_flight: int,
              ring: int) -> dict[str, EndCount]:
    """Return what each end counted, over the trial and all client processes in it.

    What the receiver may have less than the sender is bounded by what can be under way when a
    client process ends, and by nothing else.

    answers: that all clients had
    in_flight: requests that may have been without one when a client ended
    ring: packets that the link holds in each direction; they go with the client process
    """
    def up(key: str) -> int:
        return sum(client[key] for client in clients)

    requests, responses = up("bytes_sent"), server["bytes_sent"]
    on_the_link = ring * len(clients)
    return {
        "connections": EndCount(up("connects"), server["accepts"] + server["refused"], 0),
        "bytes_to_server": EndCount(requests, server["bytes_received"],
                                    in_flight * _each(requests, answers)),
        "bytes_to_client": EndCount(responses, up("bytes_received"),
                                    in_flight * _each(responses, answers)),
        "packets_to_server": EndCount(up("tx_packets"), server["rx_packets"],
                                      on_the_link + _lost(server)),
        "packets_to_client": EndCount(server["tx_packets"], up("rx_packets"),
                                      on_the_link + sum(map(_lost, clients))),
    }


def _each(total: int, answers: int) -> int:
    """Return the bytes of one, rounded up: never too small, as those under way are in the total."""
    return -(-total // max(1, answers))


def _lost(end: Counters) -> int:
    # packets that its port counted as not received
    return end["rx_dropped"] + end["no_mbuf"]
