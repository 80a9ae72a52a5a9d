# SPDX-License-Identifier: BSD-3-Clause
"""What limited a point, and may its numbers be believed. Judges figures; knows no files and no machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

from harness.stats import Interval, median

SATURATED = 0.95

FASTER, SLOWER, INCONCLUSIVE = "faster", "slower", "inconclusive"
CLIENT_CPU, SERVER_CPU, CONNECTIONS, UNKNOWN = "client cpu", "server cpu", "connections", "unknown"
_UNCOUNTED = "the server polls and did not count its busy cycles"


@dataclass(frozen=True)
class CoreUse:
    """One CPU of the plan in one trial: busy `share`, 0..1, of the time that it had (steal left out).

    `role`: "client", "server", or "client+server" where both share the CPU.
    """

    cpu: int
    role: str
    share: float


@dataclass(frozen=True)
class TrialUse:
    """Who was busy in one trial. `own_share`: a polling contender's time with work, or None."""

    cores: tuple[CoreUse, ...]
    own_share: float | None


@dataclass(frozen=True)
class Limit:
    """What bound a contender at a point: one of the four words above, and a sentence with the figures."""

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
    """What a gain says of the servers where a client was the limit.

    "lower": only the numerator was held back, the servers' true ratio is at least this. "upper": only the
    denominator was. "both": neither server was at its own limit. None: no client was the limit.
    """
    held = (numerator.by == CLIENT_CPU, denominator.by == CLIENT_CPU)
    return {(True, False): "lower", (False, True): "upper", (True, True): "both"}.get(held)


def limit(polls: bool, connections: int, trials: Sequence[TrialUse]) -> Limit:
    """What bound one contender at one load point, from its valid trials.

    `polls`: the contender spins, so that its core is always busy and only its own cycle counts tell load from
    waiting. A side is the limit from a busy share of 0.95 on (median over trials of its busiest core); the
    client is looked at first, because then the server's figure is a lower bound.
    """
    if not trials:
        return Limit(UNKNOWN, "There is no valid trial.")
    client, server = _core_share(trials, "client"), _core_share(trials, "server")
    if client is None or server is None:
        return Limit(UNKNOWN, "The CPU times of the client or of the server were not recorded.")
    if any("+" in core.role for trial in trials for core in trial.cores):
        busy = _percent(max(client, server))
        return Limit(UNKNOWN, f"Client and server share a core, which was {busy} busy.")
    said_client = f"the client's busiest core was {_percent(client)} busy"
    if polls:
        own = [trial.own_share for trial in trials if trial.own_share is not None]
        if client < SATURATED and not own:
            return Limit(UNKNOWN, f"{_sentence(said_client)}; {_UNCOUNTED}.")
        server = median(own) if own else None
        said_server = (_UNCOUNTED if server is None
                       else f"the server's poll loop had work {_percent(server)} of the time")
    else:
        said_server = f"the server's busiest core was {_percent(server)} busy"
    evidence = f"{_sentence(said_client)} and {said_server}"
    if client >= SATURATED:
        return Limit(CLIENT_CPU, f"{evidence}.")
    if server is not None and server >= SATURATED:
        return Limit(SERVER_CPU, f"{evidence}.")
    flight = "1 connection" if connections == 1 else f"{connections} connections"
    return Limit(CONNECTIONS, f"{evidence}: with {flight} in flight the round trip set the rate.")


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
