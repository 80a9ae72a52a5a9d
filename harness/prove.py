# SPDX-License-Identifier: BSD-3-Clause
"""Proof that the path leads to the contender that it should, and that its answer is right to the last byte.

What is asked and what is right: exchange.py. A client of the kernel's sockets pings; one with its own stack cannot,
so for it both ends' counters must show the request and its answer.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any, Mapping

from harness.client import Client
from harness.contender import ROOT, Running
from harness.errors import ContenderError
from harness.exchange import ANSWER_SECONDS, Answer, ask, order
from harness.host import Host
from harness.plan import Workload
from harness.wire import Wire

_PING_TRIES = 3
# a card whose driver has just been changed talks to the other end about speed and duplex first
_PING_TRIES_NIC = 15
# where netem loses packets, of which each ping needs four with its ARP
_PING_TRIES_NETEM = 20
# beyond the answer: the interpreter's start and DPDK's
_GRACE_SECONDS = 30


@dataclass(frozen=True)
class Proof:
    """`counters`: of the client process that asked, None for one of the kernel's sockets."""

    answer: Answer
    counters: dict[str, Any] | None


def prove_neighbour(host: Host, wire: Wire, running: Running) -> None:
    """Ping, with ARP resolved anew: the contender's own MAC must answer. ContenderError if not."""
    client, end = running.contender.client.endpoint.namespace, running.contender.endpoint
    host.flush_neighbours(client)
    tries = _PING_TRIES_NETEM if wire.netem else _PING_TRIES_NIC if running.contender.link == "nic" else _PING_TRIES
    for _ in range(tries):
        result = host.run(["ping", "-c", "1", "-W", "1", "-n", end.ip], netns=client, check=False)
        if result.code == 0:
            break
        running.check_alive("when it was pinged")
    else:
        raise ContenderError(f"contender '{running.contender.name}' does not answer a ping at {end.ip} "
                             f"from namespace {client}")
    entry = host.neighbour(client, end.ip)
    if entry is None or entry[0].lower() != end.mac.lower():
        raise ContenderError(f"{end.ip} is at {entry[0] if entry else 'no MAC'} and not at {end.mac}: "
                             f"somebody else answers for contender '{running.contender.name}'")


def prove_answer(client: Client, workload: Workload, name: str) -> Proof:
    """One request by the way that the load takes, called `name` among the client's files.

    ContenderError when no whole answer comes, or when it did not come by that way.
    """
    return _by_library(client, workload, name) if client.has_launcher else _by_kernel(client, workload)


def _by_kernel(client: Client, workload: Workload) -> Proof:
    running = client.running
    try:
        with client.host.connect(client.namespace, running.address, running.port, ANSWER_SECONDS) as connection:
            return Proof(ask(connection, running.address, workload, running.contender.counters), None)
    except OSError as error:
        running.check_alive("when it was sent a request")
        raise _unanswered(running, str(error)) from None


def _by_library(client: Client, workload: Workload, name: str) -> Proof:
    running = client.running
    wanted = order(running.address, running.port, workload, running.contender.counters)
    before = running.snapshot()
    ended = client.run(name, "the proof's client",
                       lambda launcher: [*launcher, sys.executable, "-m", "harness.exchange", wanted],
                       {"PYTHONPATH": str(ROOT)}, ANSWER_SECONDS + _GRACE_SECONDS)
    if ended.code != 0:
        raise _unanswered(running, str(ended.failure()))
    try:
        answer = Answer(**json.loads(ended.stdout.read_text()))
    except (ValueError, TypeError):
        raise ContenderError(f"the proof's client printed no answer (see {ended.stdout})") from None
    counters = ended.counters or {}
    after = running.snapshot()
    _prove_way(running, answer, counters, before, after)
    return Proof(answer, counters)


def _prove_way(running: Running, answer: Answer, counters: Mapping[str, Any], before: Mapping[str, Any] | None,
               after: Mapping[str, Any] | None) -> None:
    """ContenderError unless both ends counted that request, that answer, and packets both ways."""
    name = running.contender.name
    counted = (counters.get("bytes_sent"), counters.get("bytes_received"))
    if counted != (answer.sent, answer.received) or not counters.get("rx_packets") or not counters.get("tx_packets"):
        raise ContenderError(f"the request to contender '{name}' did not go by the client's library alone: it counted"
                             f" {counted[0]} bytes sent of {answer.sent}, {counted[1]} received of {answer.received},"
                             f" {counters.get('tx_packets')} packets out and {counters.get('rx_packets')} in")
    if before is None or after is None:
        return
    for key, expected in (("bytes_received", answer.sent), ("bytes_sent", answer.received)):
        if key in after and after[key] - before.get(key, 0) != expected:
            raise ContenderError(f"contender '{name}' counted {after[key] - before.get(key, 0)} more {key} for a"
                                 f" request of {answer.sent} and an answer of {answer.received} bytes: somebody else"
                                 " answered, or spoke to it")


def _unanswered(running: Running, why: str) -> ContenderError:
    return ContenderError(f"contender '{running.contender.name}' did not answer a request at "
                          f"{running.address}:{running.port}: {why}")
