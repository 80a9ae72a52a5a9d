# SPDX-License-Identifier: BSD-3-Clause
"""Judge what limited a contender at a load point, by who was busy and what was lost on the way.

Judges figures; knows no files and no machine. A NIC's counters are known by the drivers' own names
(rte_eth_xstats_get of DPDK, `ethtool -S` of the kernel), and every driver has others.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Iterable, Iterator, Mapping, Sequence

from harness.analyse.model import Ceiling, Limit
from harness.analyse.stats import median, round_significant
from harness.analyse.trial_use import CoreUse, Moved, cores_of, moved as moved_by
from harness.plan import LoadPoint
from harness.store import Bound, Code, Evidence, LimitedBy, Note, TrialRecord, Value

SATURATED = 0.95
# Share of its packets that a NIC may lose before the wire counts as the limit. A lost packet costs
# its connection a retransmission, 200 ms or more in most cases, in which a thousand answers would
# have come.
WIRE_LOSSES = 0.001
# of the line rate, from which on a wire is full: the answers are not all that it carries
FULL = 0.95
# how far from the client's ceiling a throughput is still the client's
AT_CEILING = 0.05
# counters of losses that are named for each NIC, and CPUs for each role; places that lost packets
_NAMED, _PLACES = 4, 3
# bytes that a segment takes beside its payload: preamble, Ethernet's header and FCS, gap (IEEE
# 802.3: 8 + 14 + 4 + 12); the least headers of IPv4 and TCP (RFC 791, RFC 9293)
_FRAMING, _HEADERS = 38, 40

Found = list[Note[Evidence]]
Counts = Mapping[str, int]


@dataclass(frozen=True)
class Line:
    """A contender's wire.

    tap: the server has its packets by system calls of a TAP
    speed_mbps: 10^6 bits/s in each direction; None where nothing is there that has a speed
    """

    tap: bool = False
    speed_mbps: int | None = None
    mtu: int = 1500


def gain_bound(contender: Limit, over: Limit) -> Bound | None:
    """Return what a gain says of the servers where a client, the same for both, was the limit.

    LOWER: only the contender was held back, the servers' true ratio is at least this. UPPER: only
    the other was. BOTH: neither server was at its own limit. None: no client was the limit.
    """
    held = (contender.by == LimitedBy.CLIENT_CPU, over.by == LimitedBy.CLIENT_CPU)
    return {(True, False): Bound.LOWER, (False, True): Bound.UPPER,
            (True, True): Bound.BOTH}.get(held)


def limit(polls: bool, connections: int, trials: Sequence[TrialRecord], client_polls: bool = False,
          line: Line = Line(), ceiling: Ceiling | None = None) -> Limit:
    """Return what bound one contender at one load point, from its valid trials.

    `polls`, `client_polls`: that side spins, so that its core is always busy and only its own cycle
    counts tell work from waiting. A side is the limit from a busy share of SATURATED on (median
    over trials, of its busiest core where it does not poll). The client is looked at first, because
    then the server's figure is a lower bound; it is the limit too where the throughput comes within
    AT_CEILING of its `ceiling`. A load tool that says itself that it was `client_bound` counts as
    the limit unless the server was saturated. Where neither side was at its end, the wire is the
    limit if a NIC or an interface lost more than WIRE_LOSSES of its packets or the answers filled
    the `line` (medians over trials). What is known of the wire is told in any case.
    """
    if not trials:
        return Limit(LimitedBy.UNKNOWN, (note(Evidence.NO_VALID_TRIAL),))
    by, evidence = _ends(polls, connections, trials, client_polls, line, ceiling)
    moved = list(map(moved_by, trials))
    return Limit(by, (*evidence, *_cores(trials), *_wire(moved, line), *_nics(trials),
                      *_about_ceiling(ceiling)))


def ceilings(trials: Iterable[TrialRecord]) -> dict[LoadPoint, Ceiling]:
    """Return the client's ceiling by load point, of valid trials against the cheapest answerer.

    It is their median. They show the ceiling only where the client was what held them back;
    elsewhere the client can do at least as much.
    """
    by_point: dict[LoadPoint, list[TrialRecord]] = {}
    for trial in trials:
        by_point.setdefault(trial.point, []).append(trial)
    found = {}
    for point, of in by_point.items():
        judged = limit(False, point.connections, of)
        rate = round_significant(median([trial.requests_per_sec for trial in of]))
        found[point] = Ceiling(rate, of[0].contender, judged.by != LimitedBy.CLIENT_CPU,
                               judged.evidence)
    return found


def raised(ceiling: Ceiling, reached: Mapping[str, float | None]) -> Ceiling:
    """Return the ceiling, never below what the client has reached with any contender.

    One that had to be raised was none: the client can do at least that. So whoever raised it does
    not count as bound by the client for having come so near; that takes the client's own CPU.
    """
    rate, name = max(((rate or 0.0, name) for name, rate in reached.items()), default=(0.0, ""))
    if rate <= ceiling.requests_per_sec:
        return ceiling
    said = note(Evidence.CEILING_RAISED, requests_per_sec=rate, contender=name,
                measured=ceiling.requests_per_sec)
    return replace(ceiling, requests_per_sec=rate, contender=name, at_least=True, raised=True,
                   evidence=(*ceiling.evidence, said))


def note(code: Code, **values: Value) -> Note[Code]:
    """Return a code with its numbers as a file has them."""
    return Note(code, {key: round_significant(value) if isinstance(value, float) else value
                       for key, value in values.items()})


def _ends(polls: bool, connections: int, trials: Sequence[TrialRecord], client_polls: bool,
          line: Line, ceiling: Ceiling | None) -> tuple[LimitedBy, Found]:
    client, server = _core_share(trials, "client"), _core_share(trials, "server")
    if client is None or server is None:
        return LimitedBy.UNKNOWN, [note(Evidence.NO_CPU_TIMES)]
    if any("+" in core.role for trial in trials for core in cores_of(trial)):
        return LimitedBy.UNKNOWN, [note(Evidence.SHARED_CORE, share=max(client, server))]
    core = note(Evidence.CLIENT_CORE, share=client)
    by_client, by_server, found = client, server, [core]
    if client_polls:
        by_client, found = _own_share([trial.client_busy_share for trial in trials],
                                      Evidence.CLIENT_WORK, Evidence.CLIENT_UNCOUNTED)
    if polls:
        by_server, of_server = _own_share([trial.busy_share for trial in trials],
                                          Evidence.SERVER_WORK, Evidence.SERVER_UNCOUNTED)
        found = found + of_server
    else:
        found = [*found, note(Evidence.SERVER_CORE, share=server)]
    moved = list(map(moved_by, trials))
    if by_client >= SATURATED:
        return LimitedBy.CLIENT_CPU, found
    share = _of_ceiling(moved, ceiling)
    if share >= 1 - AT_CEILING:
        return LimitedBy.CLIENT_CPU, [*found, note(Evidence.NEAR_CEILING, share=share)]
    if by_client < 0 or by_server < 0:
        return LimitedBy.UNKNOWN, found
    if by_server >= SATURATED:
        return LimitedBy.SERVER_CPU, found
    if 2 * sum(bool(trial.client_bound) for trial in trials) > len(trials):
        return LimitedBy.CLIENT_CPU, [*found, note(Evidence.CLIENT_BOUND)]
    by, reason = _between(connections, trials, moved, line)
    return by, [*found, reason]


def _between(connections: int, trials: Sequence[TrialRecord], moved: Sequence[Moved],
             line: Line) -> tuple[LimitedBy, Note[Evidence]]:
    """Judge a point where neither side was at its end."""
    by_nic = median([max((lost_share(counts, trial.requests) for counts in trial.xstats.values()),
                         default=0.0) for trial in trials])
    if by_nic > WIRE_LOSSES:
        return LimitedBy.WIRE, note(Evidence.NIC_LOST, share=by_nic)
    lost = median([item.lost_share for item in moved] or [0.0])
    if lost > WIRE_LOSSES:
        return LimitedBy.WIRE, note(Evidence.QUEUE_LOST, share=lost)
    full = median([line_share(item, line) or 0.0 for item in moved] or [0.0])
    if full >= FULL:
        return LimitedBy.WIRE, note(Evidence.LINE_FULL, share=full)
    return LimitedBy.CONNECTIONS, _round_trip(connections, moved)


def _round_trip(connections: int, moved: Sequence[Moved]) -> Note[Evidence]:
    """Tell how much was in flight in the middle trial by its rate."""
    known = sorted((item for item in moved if item.latency_us is not None),
                   key=lambda item: item.rate)
    if not known:
        return note(Evidence.ROUND_TRIP, connections=connections)
    middle = known[(len(known) - 1) // 2]
    return note(Evidence.ROUND_TRIP, connections=connections, in_flight=middle.in_flight or 0.0,
                requests_per_sec=middle.rate, latency_us=float(middle.latency_us or 0),
                by_median=int(middle.by_median))


def _own_share(counted: Sequence[float | None], work: Evidence,
               uncounted: Evidence) -> tuple[float, Found]:
    """Return the share of time with work that a side that polls counted itself; -1: it did not."""
    known = [share for share in counted if share is not None]
    if not known:
        return -1.0, [note(uncounted)]
    return median(known), [note(work, share=median(known))]


def _core_share(trials: Sequence[TrialRecord], role: str) -> float | None:
    """Return the median over trials of the busiest core of a role; None where one has none."""
    played = [[core.share for core in cores_of(trial) if role in core.role.split("+")]
              for trial in trials]
    return median([max(shares) for shares in played]) if all(played) else None


def _of_ceiling(moved: Sequence[Moved], ceiling: Ceiling | None) -> float:
    """Return the throughput as a part of the client's ceiling; 0 where that is not known."""
    if ceiling is None or ceiling.at_least or not moved:
        return 0.0
    return median([item.rate for item in moved]) / ceiling.requests_per_sec


def _about_ceiling(ceiling: Ceiling | None) -> Found:
    if ceiling is None:
        return []
    code = Evidence.CEILING_AT_LEAST if ceiling.at_least else Evidence.CEILING
    return [note(code, requests_per_sec=ceiling.requests_per_sec)]


def _cores(trials: Sequence[TrialRecord]) -> Found:
    """Tell how each CPU of the plan was busy, the busiest of each role: medians over trials."""
    seen: dict[tuple[str, str], list[CoreUse]] = {}
    for core in (core for trial in trials for core in cores_of(trial)):
        seen.setdefault((core.role, core.cpu), []).append(core)
    found: Found = []
    for role in sorted({role for role, _ in seen}):
        cores = sorted(((-median([core.share for core in uses]), cpu, uses)
                        for (of, cpu), uses in seen.items() if of == role), key=lambda one: one[:2])
        found += [note(Evidence.CORE, role=role, cpu=cpu, share=-share,
                       user=median([core.user for core in uses]),
                       system=median([core.system for core in uses]),
                       interrupts=median([core.interrupts for core in uses]))
                  for share, cpu, uses in cores[:_NAMED]]
        if len(cores) > _NAMED:
            found.append(note(Evidence.CORES_LEFT_OUT, role=role, count=len(cores) - _NAMED))
    return found


# --- the wire ---------------------------------------------------------------------------------


def line_share(moved: Moved, line: Line) -> float | None:
    """Return the least share of the line rate that the answers took.

    Each in whole segments of its own. None where no speed is known.
    """
    if not line.speed_mbps or moved.seconds <= 0:
        return None
    segments = max(moved.requests, -(-moved.bytes // (line.mtu - _HEADERS)))
    bits = 8 * (moved.bytes + segments * (_FRAMING + _HEADERS))
    return bits / moved.seconds / (line.speed_mbps * 1e6)


def _wire(moved: Sequence[Moved], line: Line) -> Iterator[Note[Evidence]]:
    """Tell what is known of the wire: system calls, losses, line rate."""
    calls = [item.packets / item.requests for item in moved
             if item.packets is not None and item.requests]
    if line.tap and calls:
        yield note(Evidence.TAP_CALLS, packets_per_request=median(calls))
    lost = added(item.lost for item in moved)
    places = sorted((-count, place) for place, count in lost.items())
    for count, place in places[:_PLACES]:
        yield note(Evidence.PLACE_LOST, place=place, packets=-count)
    if len(places) > _PLACES:
        yield note(Evidence.PLACES_LEFT_OUT, count=len(places) - _PLACES)
    used = [share for item in moved if (share := line_share(item, line)) is not None]
    if used:
        yield note(Evidence.LINE_SHARE, share=median(used), speed_mbps=line.speed_mbps or 0)


# By whole words of a counter's name, since "fdir_miss" is no loss and "tx_dropless" none: the first
# that fits counts.
KINDS = {kind: re.compile(rf"(?:^|[_.\s-])(?:{pattern})(?:$|[_.\s\d-])", re.IGNORECASE)
         for kind, pattern in {
             # the ring was full: who empties it was late (rx_missed_errors, imissed)
             "missed": r"i?missed",
             # there was no buffer to put it into (rx_nombuf, rx_no_buffer_count,
             # rx_mbuf_allocation_errors, rx_out_of_buffer, alloc_rx_buff_failed,
             # rx_no_dma_resources)
             "no-buffer": r"nombuf|no_mbufs?|no_buffers?|mbuf_allocation|alloc_failed"
                          r"|alloc_\w*failed|out_of_buffer|no_dma_resources",
             # the NIC's own memory was full (rx_fifo_errors, rx_over_errors, tx_fifo_underrun)
             "overrun": r"fifo|overflow|overruns?|over|underruns?",
             # transmission stood still, so often (tx_timeout_count, tx_timeouts)
             "stalled": r"timeouts?",
             # thrown away, for whatever reason (rx_dropped, tx_queue_0_drops, rx_discards_phy)
             "dropped": r"drop|drops|dropped|discards?|discarded",
             # damaged, too long, too short, refused (rx_errors, rx_crc_errors, rx_wqe_err)
             "errors": r"err|errs|errors?|dma_failed",
         }.items()}
# named like losses, and none: time stamps that were late, memory that was put right, what a
# management engine takes
_NO_LOSS = re.compile(r"hwtstamp|(?<!un)corr_ecc|smbus", re.IGNORECASE)
_PACKETS = re.compile(r"[rt]x_(?:good_|unicast_)?packets", re.IGNORECASE)


def added(several: Iterable[Counts]) -> Counts:
    """Return the sums of the same counters over several trials, of those that counted."""
    sums = Counter[str]()
    for counts in several:
        sums.update(counts)
    return +sums


def losses(counts: Counts) -> list[tuple[str, int, str]]:
    """Return (name, count, kind) of a NIC's counters that tell of losses, the largest first.

    Drivers count one packet under several names: do not add.
    """
    kinds = {name: next((kind for kind, words in KINDS.items() if words.search(name)), "")
             for name, count in counts.items() if count > 0 and not _NO_LOSS.search(name)}
    return sorted(((name, counts[name], kind) for name, kind in kinds.items() if kind),
                  key=lambda loss: (-loss[1], loss[0]))


def lost_share(counts: Counts, requests: int) -> float:
    """Return the share of a NIC's packets that was lost for certain: the largest counter alone.

    `requests` is what there must have been at least, where the driver does not count packets.
    """
    lost = max((count for _, count, kind in losses(counts) if kind != "stalled"), default=0)
    packets = max([requests, *(count for name, count in counts.items()
                               if _PACKETS.fullmatch(name))])
    return lost / (lost + packets) if lost else 0.0


def _nics(trials: Sequence[TrialRecord]) -> Iterator[Note[Evidence]]:
    """Tell of each NIC that lost packets in any of the trials."""
    for end in sorted({end for trial in trials for end in trial.xstats}, reverse=True):
        found = losses(added(trial.xstats.get(end, {}) for trial in trials))
        for name, count, kind in found[:_NAMED]:
            yield note(Evidence.NIC_COUNTER, end=end, counter=name, count=count, kind=kind)
        if len(found) > _NAMED:
            yield note(Evidence.NIC_COUNTERS_LEFT_OUT, end=end, count=len(found) - _NAMED)


