# SPDX-License-Identifier: BSD-3-Clause
"""Proof that the path leads to the contender that it should, and that its answer is right to the last byte.

What is asked and what is right: exchange.py. A client of the kernel's sockets pings; one with its own stack cannot,
so for it both ends' counters must show the request and its answer.
"""

from __future__ import annotations

import json
import socket
import sys
from dataclasses import dataclass
from typing import Any, Mapping

from harness.trial import probe_protocol
from harness.trial.client import Client
from harness.trial.server import ROOT, Running
from harness.errors import ContenderError
from harness.trial.probe_protocol import ANSWER_SECONDS, Answer, ask, order
from harness.host import Host, SshHost
from harness.plan import Workload

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


def prove_neighbour(client: Client) -> None:
    """Ping from each client's machine, with ARP resolved anew: the contender's own MAC must answer. ContenderError if
    not."""
    tries = _PING_TRIES_NETEM if client.plan.netem else _PING_TRIES
    if client.running.contender.link == "nic":
        tries = max(tries, _PING_TRIES_NIC)
    for host in client.ends:
        _prove_neighbour(host, client.namespace, client.running, tries)


def _prove_neighbour(host: Host, client: str, running: Running, tries: int) -> None:
    end = running.contender.endpoint
    host.flush_neighbours(client)
    for _ in range(tries):
        if _answers(host, client, running):
            break
        running.check_alive("when it was pinged")
    else:
        place = f"machine {host.destination}" if isinstance(host, SshHost) else f"namespace {client}"
        raise ContenderError(f"contender '{running.contender.name}' does not answer a ping at {end.ip} from {place}")
    mac = host.neighbour(client, end.ip)
    if mac.lower() != end.mac.lower():
        raise ContenderError(f"{end.ip} is at {mac or 'no MAC'} and not at {end.mac}: "
                             f"somebody else answers for contender '{running.contender.name}'")


def _answers(host: Host, client: str, running: Running) -> bool:
    """A ping, or where there is no such program a connection without a request: both need the contender's MAC."""
    ip = running.contender.endpoint.ip
    if not isinstance(host, SshHost) or host.which("ping"):
        return host.run(["ping", "-c", "1", "-W", "1", "-n", ip], netns=client, check=False).code == 0
    try:
        with host.connect(client, ip, running.port, ANSWER_SECONDS) as connection:
            connection.shutdown(socket.SHUT_WR)
            return connection.recv(1) == b""
    except OSError:
        return False


def prove_answer(client: Client, workload: Workload, name: str) -> list[Proof]:
    """One request from each client's machine, by the way that the load takes, called `name` among the client's files.

    ContenderError when no whole answer comes, or when it did not come by that way.
    """
    if client.has_launcher:
        return [_by_library(client, workload, name)]
    return [_by_kernel(client, host, workload) for host in client.ends]


def _by_kernel(client: Client, host: Host, workload: Workload) -> Proof:
    running = client.running
    try:
        with host.connect(client.namespace, running.address, running.port, ANSWER_SECONDS) as connection:
            return Proof(ask(connection, running.address, workload, running.contender.counters,
                             running.contender.counts_at), None)
    except OSError as error:
        running.check_alive("when it was sent a request")
        place = f" (asked from {host.destination})" if isinstance(host, SshHost) else ""
        raise _unanswered(running, f"{error}{place}") from None


def _by_library(client: Client, workload: Workload, name: str) -> Proof:
    running = client.running
    wanted = order(running.address, running.port, workload, running.contender.counters, running.contender.counts_at)
    before = running.snapshot()
    ended = client.run(name, "the proof's client",
                       lambda launcher: [*launcher, sys.executable, probe_protocol.__file__, wanted],
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
