# SPDX-License-Identifier: BSD-3-Clause
"""Run cases against one server, from the client's namespace.

Usage: python3 -m harness.conformance.battery JSON; JSON: an Order. Each line that it prints is a
Report as JSON, or a Wish, which whoever started it grants by a line on its stdin.
"""

from __future__ import annotations

import ipaddress
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Iterator, Sequence

from harness.conformance.case import Case, NotTestable, all_cases
from harness.conformance.order import Order, Report, Wish
from harness.conformance.peer import Failed, Peer
from harness.store import Outcome, Result, to_json

# cases at a time: most of their time they wait; and of those that get another try
_SIDE_BY_SIDE, _AGAIN = 24, 4
_lock = threading.Lock()


class Server:
    """The server's process, as a case steers it; others than this battery do it."""

    def pause(self) -> None:
        """Stop it (SIGSTOP)."""
        self._ask("pause")

    def resume(self) -> None:
        """Continue it (SIGCONT)."""
        self._ask("resume")

    def restart(self) -> None:
        """End it, and start it anew; returns when it serves."""
        self._ask("restart")

    @staticmethod
    def _ask(wish: str) -> None:
        _print(Wish(wish))
        if not sys.stdin.readline():
            raise SystemExit("whoever started this battery has gone")


def _print(value: Report | Wish) -> None:
    with _lock:
        print(json.dumps(to_json(value)), flush=True)


def spare_addresses(network: str, taken: Sequence[str]) -> Iterator[str]:
    """Yield the addresses of a network that nobody has, from the top."""
    inside = ipaddress.ip_network(network)
    for number in range(int(inside.broadcast_address) - 1, int(inside.network_address), -1):
        address = str(ipaddress.ip_address(number))
        if address not in taken:
            yield address


def mac_of(address: str) -> str:
    """Return a MAC for an address: locally administered, and nobody else's here."""
    own = ipaddress.ip_address(address).packed[1:]
    return "02:53:4d:" + ":".join(f"{byte:02x}" for byte in own)


def run_case(case: Case, order: Order, address: str) -> Outcome:
    """Run one case from an address of its own."""
    trace: Sequence[str] = ()
    try:
        with Peer(order.interface, mac_of(address), address, order.server, order.port,
                  case.body) as peer:
            # the list itself: it grows
            trace = peer.trace
            case.run(peer, Server()) if case.steers else case.run(peer)
    except Failed as error:
        return Outcome(Result.MISSED, str(error), tuple(trace))
    except NotTestable as error:
        return Outcome(Result.NOT_TESTABLE, str(error))
    return Outcome(Result.KEPT)


def run_all(order: Order) -> None:
    """Run the cases of an order: side by side, then those that are to be alone.

    What is missed among many is tried again among few: where the machine was too busy for this
    side to be in time, that is not the server's fault.
    """
    addresses = spare_addresses(order.network, order.taken)
    chosen = [all_cases()[name] for name in order.cases]
    chosen.sort(key=lambda case: -case.seconds)
    places = list(zip(chosen, islice(addresses, len(chosen))))
    if len(places) < len(chosen):
        raise SystemExit(f"{order.network} has no {len(chosen)} addresses to spare")

    def run(place: tuple[Case, str]) -> Outcome:
        return run_case(place[0], order, place[1])

    def report(place: tuple[Case, str], outcome: Outcome) -> None:
        _print(Report(place[0].obligation.case, outcome))
    beside = [place for place in places if not place[0].alone]
    for workers in (_SIDE_BY_SIDE, _AGAIN):
        missed = []
        with ThreadPoolExecutor(workers) as pool:
            # an exception of a case is a fault of ours, and ends the battery
            for place, outcome in zip(beside, pool.map(run, beside)):
                if workers != _AGAIN and outcome.result is Result.MISSED:
                    missed.append(place)
                else:
                    report(place, outcome)
        beside = missed
    for place in places:
        if place[0].alone:
            report(place, run(place))


if __name__ == "__main__":
    run_all(Order.read(sys.argv[1]))
