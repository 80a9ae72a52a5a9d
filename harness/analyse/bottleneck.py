# SPDX-License-Identifier: BSD-3-Clause
"""What limited a point, and may its numbers be believed. Judges figures; knows no files and no machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping, Sequence

from harness.analyse import link_stats as path
from harness.trial.observe import nic_counters as xstats
from harness.analyse.stats import Interval, median

SATURATED = 0.95
# Share of its packets that a NIC may lose before the wire counts as the limit. A lost packet costs its connection a
# retransmission, 200 ms or more in most cases, in which a thousand answers would have come.
WIRE_LOSSES = 0.001
# of the line rate, from which on a wire is full: the answers are not all that it carries
FULL = 0.95
# how far from the client's ceiling a throughput is still the client's; one further above shows that it was none
AT_CEILING = 0.05
# counters of losses that are named for each NIC, and CPUs for each role
_NAMED = 4

FASTER, SLOWER, INCONCLUSIVE = "faster", "slower", "inconclusive"
CLIENT_CPU, SERVER_CPU, WIRE, CONNECTIONS, UNKNOWN = "client cpu", "server cpu", "wire", "connections", "unknown"
_UNCOUNTED = "the server polls and did not count its busy cycles"
_CLIENT_UNCOUNTED = "the client polls and did not count its busy cycles"


@dataclass(frozen=True)
class CoreUse:
    """One CPU of the plan in one trial: busy `share`, 0..1, of the time that it had (steal left out).

    `cpu`: its number, behind "<machine>/" on another machine. `role`: "client", "server", or "client+server" where both
    share the CPU. `split`: that share by "user", "system" and "interrupts", {} where it is not known.
    """

    cpu: str
    role: str
    share: float
    split: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialUse:
    """Who was busy in one trial. `own_share`: a polling contender's time with work, or None; `client_share`: a
    polling client's. `client_bound`: our load generator says that it was too busy to be surely no limit. `nics`: by how
    much the counters of the NIC at each end ("server", "client") grew, where there is one. `moved`: over the wire."""

    cores: tuple[CoreUse, ...]
    own_share: float | None
    client_share: float | None = None
    client_bound: bool = False
    nics: Mapping[str, xstats.Counts] = field(default_factory=dict)
    requests: int = 0
    moved: path.Moved | None = None


@dataclass(frozen=True)
class Ceiling:
    """What the cheapest answerer had at a load point; `reached`: the client was its limit, and so this is the client's
    ceiling. `evidence`: of that."""

    requests_per_sec: float
    reached: bool
    evidence: str


@dataclass(frozen=True)
class Limit:
    """What bound a contender at a point: one of the five words above, and a sentence with the figures."""

    by: str
    evidence: str


def judge_gain(interval: Interval | None, bound: str | None) -> str:
    """faster or slower only when the whole interval lies on one side of 1, and `bound` bears it out.

    `bound` as gain_bound: of "at least 0.8" the truth may be above 1, of "at most 1.2" below it.
    """
    if interval is None or bound == "both":
        return INCONCLUSIVE
    if interval.low > 1:
        return INCONCLUSIVE if bound == "upper" else FASTER
    return SLOWER if interval.high < 1 and bound != "lower" else INCONCLUSIVE


def gain_bound(numerator: Limit, denominator: Limit) -> str | None:
    """What a gain says of the servers where a client was the limit, the same client for both.

    "lower": only the numerator was held back, the servers' true ratio is at least this. "upper": only the
    denominator was. "both": neither server was at its own limit. None: no client was the limit.
    """
    held = (numerator.by == CLIENT_CPU, denominator.by == CLIENT_CPU)
    return {(True, False): "lower", (False, True): "upper", (True, True): "both"}.get(held)


def limit(polls: bool, connections: int, trials: Sequence[TrialUse], client_polls: bool = False,
          line: path.Line = path.Line(), ceiling: Ceiling | None = None) -> Limit:
    """What bound one contender at one load point, from its valid trials.

    `polls`, `client_polls`: contender or client spin, so that their core is always busy and only their own cycle
    counts tell work from waiting. A side is the limit from a busy share of 0.95 on (median over trials, of its
    busiest core where it does not poll); the client is looked at first, because then the server's figure is a
    lower bound, and is the limit too where the throughput comes within 5 % of its `ceiling`. Our load generator says
    itself, from a busy share far below that, when it may have been the limit: it counts as one unless the server was
    saturated. Where neither side was at its end, the wire is the limit if a NIC or an interface lost more than
    WIRE_LOSSES of its packets or the answers filled the `line` (medians over trials); what is known of the wire is told
    in any case.
    """
    if not trials:
        return Limit(UNKNOWN, "There is no valid trial.")
    found = _limit_of_ends(polls, connections, trials, client_polls, line, ceiling)
    moved = [trial.moved for trial in trials if trial.moved]
    return Limit(found.by, " ".join([found.evidence, *_core_sentences(trials), *path.sentences(moved, line),
                                     *_nic_sentences(trials), *_ceiling_sentences(moved, ceiling)]))


def _limit_of_ends(polls: bool, connections: int, trials: Sequence[TrialUse], client_polls: bool, line: path.Line,
                   ceiling: Ceiling | None) -> Limit:
    client, server = _core_share(trials, "client"), _core_share(trials, "server")
    if client is None or server is None:
        return Limit(UNKNOWN, "The CPU times of the client or of the server were not recorded.")
    if any("+" in core.role for trial in trials for core in trial.cores):
        busy = _percent(max(client, server))
        return Limit(UNKNOWN, f"Client and server share a core, which was {busy} busy.")
    by_client, said_client = _client_share([t.client_share for t in trials]) if client_polls else (
        client, f"the client's busiest core was {_percent(client)} busy")
    by_server, said_server = _server_share([t.own_share for t in trials]) if polls else (
        server, f"the server's busiest core was {_percent(server)} busy")
    evidence = f"{_sentence(said_client)} and {said_server}"
    moved = [trial.moved for trial in trials if trial.moved]
    if by_client is not None and by_client >= SATURATED:
        return Limit(CLIENT_CPU, f"{evidence}.")
    if abs(_of_ceiling(moved, ceiling) - 1) <= AT_CEILING:
        return Limit(CLIENT_CPU, f"{evidence}: the throughput is within 5 % of the client's ceiling.")
    if by_client is None or by_server is None:
        return Limit(UNKNOWN, f"{_sentence(said_client)}; {said_server}.")
    if by_server >= SATURATED:
        return Limit(SERVER_CPU, f"{evidence}.")
    if 2 * sum(trial.client_bound for trial in trials) > len(trials):
        return Limit(CLIENT_CPU, f"{evidence}: more than the part of its time up to which it is surely no limit.")
    return _limit_between(evidence, connections, trials, moved, line)


def _limit_between(evidence: str, connections: int, trials: Sequence[TrialUse], moved: Sequence[path.Moved],
                   line: path.Line) -> Limit:
    """Of a point where neither side was at its end."""
    neither = f"{evidence}: neither was at its end, and"
    by_nic = median([max((xstats.lost_share(counts, trial.requests) for counts in trial.nics.values()), default=0.0)
                     for trial in trials])
    if by_nic > WIRE_LOSSES:
        return Limit(WIRE, f"{neither} a NIC lost at least {100 * by_nic:.2g} % of its packets.")
    lost, full = path.shares(moved, line)
    if lost > WIRE_LOSSES:
        return Limit(WIRE, f"{neither} a queue on the way lost at least {100 * lost:.2g} % of its packets.")
    if full >= FULL:
        return Limit(WIRE, f"{neither} the line was full.")
    flight = "1 connection" if connections == 1 else f"{connections} connections"
    little = path.flight(moved)
    return Limit(CONNECTIONS, f"{evidence}: with {flight} in flight the round trip set the rate"
                              f"{f' ({little})' if little else ''}.")


def _of_ceiling(moved: Sequence[path.Moved], ceiling: Ceiling | None) -> float:
    """The throughput as a part of the client's ceiling; 0 where that is not known."""
    if ceiling is None or not ceiling.reached or not moved:
        return 0.0
    return median([each.rate for each in moved]) / ceiling.requests_per_sec


def _ceiling_sentences(moved: Sequence[path.Moved], ceiling: Ceiling | None) -> list[str]:
    if ceiling is None:
        return []
    rate = f"{ceiling.requests_per_sec:,.0f} requests/s"
    if _of_ceiling(moved, ceiling) > 1 + AT_CEILING:
        return [f"The calibration found {rate} with the client at its end, but it can do more: that trial was "
                "disturbed."]
    return [f"The client's ceiling here is {rate}." if ceiling.reached else
            f"The client can do at least the {rate} of the cheapest answerer, which it did not hold back."]


def _core_sentences(trials: Sequence[TrialUse]) -> list[str]:
    """How each CPU of the plan was busy, the busiest of each role: medians over trials."""
    seen: dict[tuple[str, str], list[CoreUse]] = {}
    for core in (core for trial in trials for core in trial.cores if core.split):
        seen.setdefault((core.role, core.cpu), []).append(core)
    told = []
    for role in sorted({role for role, _ in seen}):
        cores = sorted(((median([use.share for use in uses]), cpu, uses) for (of, cpu), uses in seen.items()
                        if of == role), key=lambda one: (-one[0], one[1]))
        parts = [f"CPU {cpu} {_percent(share)} ({', '.join(_parts(uses))})" for share, cpu, uses in cores[:_NAMED]]
        more = [f"and {len(cores) - _NAMED} less busy"] if len(cores) > _NAMED else []
        told.append(f"{role}: {', '.join([*parts, *more])}")
    return [f"Cores of {'; of '.join(told)}."] if told else []


def _parts(uses: Sequence[CoreUse]) -> list[str]:
    return [f"{name} {_percent(median([use.split.get(name, 0.0) for use in uses]))}" for name in uses[0].split]


def _nic_sentences(trials: Sequence[TrialUse]) -> list[str]:
    """One for each NIC that lost packets in any of the trials."""
    sentences = []
    for end in sorted({end for trial in trials for end in trial.nics}, reverse=True):
        losses = xstats.losses(xstats.added([trial.nics[end] for trial in trials if end in trial.nics]))
        more = [f"and {len(losses) - _NAMED} more of its counters tell of losses"] if len(losses) > _NAMED else []
        if losses:
            sentences.append(f"The {end}'s NIC {', '.join([*(loss.sentence for loss in losses[:_NAMED]), *more])}.")
    return sentences


def _client_share(own: Sequence[float | None]) -> tuple[float | None, str]:
    """Of a client that polls: its own count, and how to say so."""
    counted = [share for share in own if share is not None]
    if not counted:
        return None, _CLIENT_UNCOUNTED
    share = median(counted)
    return share, f"the client's program and stack had work {_percent(share)} of the time"


def _server_share(own: Sequence[float | None]) -> tuple[float | None, str]:
    counted = [share for share in own if share is not None]
    if not counted:
        return None, _UNCOUNTED
    share = median(counted)
    return share, f"the server's poll loop had work {_percent(share)} of the time"


def _core_share(trials: Sequence[TrialUse], role: str) -> float | None:
    """Median over trials of the busiest core that played `role`; None when a trial recorded none."""
    shares = []
    for trial in trials:
        played = [core.share for core in trial.cores if role in core.role.split("+")]
        if not played:
            return None
        shares.append(max(played))
    return median(shares)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
