# SPDX-License-Identifier: BSD-3-Clause
"""Prove that the path leads to the contender that it should, and that its answer is right.

What is asked and what is right: probe_protocol.py. A client of the kernel's sockets pings; one with
its own stack cannot, so for it both ends' counters must show the request and its answer.
"""

from __future__ import annotations

import json
import socket
import sys
from dataclasses import dataclass
from typing import Sequence

from harness.errors import ContenderError, UsageError
from harness.host import Host, SshHost
from harness.plan import Workload
from harness.store import from_json
from harness.trial import probe_protocol
from harness.trial.client import Client
from harness.trial.observe.counters import Counters
from harness.trial.probe_protocol import ANSWER_SECONDS, Answer, Order, ask
from harness.trial.server import ROOT, Running

# seconds that each ping waits for its answer. An ARP request that is lost is sent again after a
# second only: short waits, each with a request of its own, come first
_PINGS = (0.05, 0.1, 0.2, 0.4, 1, 1)
# a card whose driver has just been changed talks to the other end about speed and duplex first
_PINGS_NIC = (1,) * 15
# where netem loses packets, of which each ping needs four with its ARP, or delays them
_PINGS_NETEM = (1,) * 20
# beyond the answer: the interpreter's start and DPDK's
_GRACE_SECONDS = 30


@dataclass(frozen=True)
class Proof:
    """`counters`: of the client process that asked, None for one of the kernel's sockets."""

    answer: Answer
    counters: Counters | None


def prove_neighbour(client: Client) -> None:
    """Ping from each client's machine, with ARP resolved anew.

    ContenderError unless the contender's own MAC answers.
    """
    running = client.running
    nic = _PINGS_NIC if running.contender.link == "nic" else _PINGS
    if running.contender.link in ("tap", "vhost-net"):
        # a bridge hears within a second that its TAP has been opened, or (since Linux 6.8) as soon
        # as somebody asks
        end = running.contender.endpoint
        client.host.run(["ip", "link", "show", "dev", end.interface], netns=end.namespace)
    for host in client.ends:
        _prove_neighbour(host, client.namespace, running,
                         _PINGS_NETEM if client.plan.netem else nic)


def _prove_neighbour(host: Host, client: str, running: Running, waits: Sequence[float]) -> None:
    end, name = running.contender.endpoint, running.contender.name
    for seconds in waits:
        host.flush_neighbours(client)
        if _answers(host, client, running, seconds):
            break
        running.check_alive("when it was pinged")
    else:
        place = (f"machine {host.destination}" if isinstance(host, SshHost)
                 else f"namespace {client}")
        raise ContenderError(f"contender '{name}' does not answer a ping at {end.ip} from {place}")
    mac = host.neighbour(client, end.ip)
    if mac.lower() != end.mac.lower():
        raise ContenderError(f"{end.ip} is at {mac or 'no MAC'} and not at {end.mac}: "
                             f"somebody else answers for contender '{name}'")


def _answers(host: Host, client: str, running: Running, seconds: float) -> bool:
    """Ping, or where there is no such program connect without a request: both need the MAC."""
    ip = running.contender.endpoint.ip
    if not isinstance(host, SshHost) or host.which("ping"):
        ping = ["ping", "-c", "1", "-W", f"{seconds:g}", "-n", ip]
        return host.run(ping, netns=client, check=False).code == 0
    try:
        with host.connect(client, ip, running.port, ANSWER_SECONDS) as connection:
            connection.shutdown(socket.SHUT_WR)
            return connection.recv(1) == b""
    except OSError:
        return False


def prove_answer(client: Client, workload: Workload, name: str) -> list[Proof]:
    """Ask once from each client's machine, by the way that the load takes.

    `name`: among the client's files. ContenderError when no whole answer comes, or when it did not
    come by that way.
    """
    running, contender = client.running, client.running.contender
    order = Order(running.address, running.port, workload, contender.counters,
                  contender.counts_at)
    if client.own_stack:
        return [_by_library(client, order, name)]
    return [_by_kernel(client, host, order) for host in client.ends]


def _by_kernel(client: Client, host: Host, order: Order) -> Proof:
    try:
        with host.connect(client.namespace, order.address, order.port,
                          ANSWER_SECONDS) as connection:
            return Proof(ask(connection, order), None)
    except OSError as error:
        client.running.check_alive("when it was sent a request")
        place = f" (asked from {host.destination})" if isinstance(host, SshHost) else ""
        raise _unanswered(client.running, f"{error}{place}") from None


def _by_library(client: Client, order: Order, name: str) -> Proof:
    running = client.running
    before = running.snapshot()
    try:
        ended = client.run(
            name, "the proof's client",
            lambda launcher: [*launcher, sys.executable, probe_protocol.__file__, order.text()],
            {"PYTHONPATH": str(ROOT)}, order.seconds + _GRACE_SECONDS)
    except TimeoutError as error:
        raise _unanswered(running, str(error)) from None
    if ended.code != 0:
        raise _unanswered(running, str(ended.failure()))
    try:
        answer = from_json(Answer, json.loads(ended.stdout.read_text("utf-8")), "answer")
    except (ValueError, UsageError):
        raise ContenderError(f"the proof's client printed no answer (see {ended.stdout})"
                             ) from None
    counters = ended.counters or Counters()
    _prove_way(running, answer, counters, before, running.snapshot())
    return Proof(answer, counters)


def _prove_way(running: Running, answer: Answer, client: Counters, before: Counters | None,
               after: Counters | None) -> None:
    """Raise ContenderError unless both ends counted that request, that answer, and packets."""
    name = running.contender.name
    counted = client["bytes_sent"], client["bytes_received"]
    if (counted != (answer.sent, answer.received) or not client["rx_packets"]
            or not client["tx_packets"]):
        raise ContenderError(
            f"the request to contender '{name}' did not go by the client's library alone: it "
            f"counted {counted[0]} bytes sent of {answer.sent}, {counted[1]} received of "
            f"{answer.received}, {client['tx_packets']} packets out and {client['rx_packets']} in")
    grown = after.since(before) if before and after else {}
    for key, expected in (("bytes_received", answer.sent), ("bytes_sent", answer.received)):
        if grown.get(key, expected) != expected:
            raise ContenderError(
                f"contender '{name}' counted {grown[key]} more {key} for a request of "
                f"{answer.sent} and an answer of {answer.received} bytes: somebody else answered, "
                "or spoke to it")


def _unanswered(running: Running, why: str) -> ContenderError:
    return ContenderError(f"contender '{running.contender.name}' did not answer a request at "
                          f"{running.address}:{running.port}: {why}")
