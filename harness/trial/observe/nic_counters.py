# SPDX-License-Identifier: BSD-3-Clause
"""What a NIC counts itself: by how much it grew, and which of it says that packets were lost. Pure.

Names are the drivers' own (rte_eth_xstats_get of DPDK, `ethtool -S` of the kernel), and every driver has others. Knows
neither who asked the NIC nor what a loss means for a load point.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Mapping, NamedTuple, Sequence

Counts = Mapping[str, int]


class Kind(NamedTuple):
    """A kind of counter that tells of a loss, by its name; `says`: what a NIC with such a count did, {} being it."""

    pattern: re.Pattern[str]
    says: str


# The first that fits a name counts. Whole words of the name, since "fdir_miss" is no loss and "tx_dropless" none.
KINDS = tuple(Kind(re.compile(rf"(?:^|[_.\s-])(?:{pattern})(?:$|[_.\s\d-])", re.IGNORECASE), says) for pattern, says in (
    # the ring was full: who empties it was late (rx_missed_errors, imissed, rx_missed, rx_missed_packets)
    (r"i?missed", "missed {}"),
    # there was no buffer to put it into (rx_nombuf, rx_no_buffer_count, rx_mbuf_allocation_errors,
    # rx_out_of_buffer, alloc_rx_buff_failed, rx_no_dma_resources)
    (r"nombuf|no_mbufs?|no_buffers?|mbuf_allocation|alloc_failed|alloc_\w*failed|out_of_buffer|no_dma_resources",
     "had no buffer for {}"),
    # the NIC's own memory was full (rx_fifo_errors, rx_over_errors, tx_fifo_underrun)
    (r"fifo|overflow|overruns?|over|underruns?", "overran its own memory with {}"),
    # transmission stood still (tx_timeout_count, tx_timeouts)
    (r"timeouts?", "had its transmission stand still {}"),
    # thrown away, for whatever reason (rx_dropped, tx_queue_0_drops, rx_discards_phy)
    (r"drop|drops|dropped|discards?|discarded", "dropped {}"),
    # damaged, too long, too short, refused (rx_errors, rx_crc_errors, rx_wqe_err, tx_aborted_errors)
    (r"err|errs|errors?|dma_failed", "had errors with {}"),
))
# named like losses, and none: time stamps that were late, memory that was put right, what a management engine takes
_NO_LOSS = re.compile(r"hwtstamp|(?<!un)corr_ecc|smbus", re.IGNORECASE)
_PACKETS = re.compile(r"[rt]x_(?:good_|unicast_)?packets", re.IGNORECASE)
_TIMES = "stand still"


@dataclass(frozen=True)
class Loss:
    """One counter of losses: its name in the driver's words, by how much it grew, and what the NIC did."""

    name: str
    count: int
    says: str

    @property
    def is_packets(self) -> bool:
        return _TIMES not in self.says

    @property
    def sentence(self) -> str:
        """missed 1,234 packets (rx_missed_errors)"""
        unit = ("packet" if self.is_packets else "time") + ("" if self.count == 1 else "s")
        return f"{self.says.format(f'{self.count:,} {unit}')} ({self.name})"


def grown(before: Counts, after: Counts) -> dict[str, int]:
    """By how much every counter changed that did, by name; one that came meanwhile began at 0."""
    return {name: change for name in sorted(after) if (change := after[name] - before.get(name, 0))}


def added(several: Sequence[Counts]) -> dict[str, int]:
    """The sums of the same NIC's counters over several trials."""
    return {name: sum(counts.get(name, 0) for counts in several)
            for name in sorted({name for counts in several for name in counts})}


def losses(counts: Counts) -> list[Loss]:
    """The counters that tell of losses, the largest first. Drivers count one packet under several names: do not add."""
    kinds = {name: next((kind for kind in KINDS if kind.pattern.search(name)), None)
             for name in counts if not _NO_LOSS.search(name)}
    found = [Loss(name, counts[name], kind.says) for name, kind in kinds.items() if kind and counts[name] > 0]
    return sorted(found, key=lambda loss: (-loss.count, loss.name))


def lost_share(counts: Counts, requests: int) -> float:
    """Of the packets that a NIC had to do with, the share that was lost for certain: the largest counter alone.

    `requests` is what there must have been at least, where the driver does not count packets.
    """
    lost = max((loss.count for loss in losses(counts) if loss.is_packets), default=0)
    packets = max([requests, *(count for name, count in counts.items() if _PACKETS.fullmatch(name))])
    return lost / (lost + packets) if lost else 0.0
