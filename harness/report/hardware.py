# SPDX-License-Identifier: BSD-3-Clause
"""Read the hardware of a run from facts.json, so that a reader can build the same again.

It reads `hardware`, `nic` and `tuning` (results/README.md); runs without them have no such section.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterator, Mapping

from harness.errors import UsageError
from harness.report.format import facts_line, flatten
from harness.report.templates import macro

Facts = Mapping[str, Any]
Rows = tuple[tuple[str, str], ...]
# of a card, what its own section does not show again
_CABLE = ("speed_mbps", "duplex", "port", "autonegotiation", "link", "module")
# of some sixty features of an interface, those that change what TCP costs
_OFFLOADS = ("rx-checksumming", "tx-checksumming", "scatter-gather", "tcp-segmentation-offload",
             "generic-segmentation-offload", "generic-receive-offload", "large-receive-offload")
_SHOWN = ("started_at", "machine", "kernel", "cpus", "hugepages", "versions", "git", "load_tool",
          "clients")


@dataclass(frozen=True)
class Section:
    """One table of the page."""

    title: str
    rows: Rows


def sections(facts: Facts) -> list[Section]:
    """Return all that there is: host, cards, both ends of the cable, the drivers of the card."""
    host, nic = table(facts, "hardware"), table(facts, "nic")
    found = [Section(_name("host"), tuple(_host(facts, host)))] if host else []
    if not nic:
        return found
    for end, card in cards(nic):
        found.append(Section(_name("card", end), tuple(flatten(
            {key: value for key, value in card.items() if key not in _CABLE}))))
    found.append(Section(_name("cable"), tuple(_cable(nic))))
    return [*found, Section(_name("binding"), tuple(binding(nic)))]


def tunings(facts: Facts) -> list[tuple[str, ...]]:
    """Return (what, asked, got, why) of each setting that was asked for."""
    return [tuple(_text(entry.get(key)) for key in ("what", "asked", "got", "why"))
            for entry in _tables(facts, "tuning")]


def machine(facts: Facts) -> list[tuple[str, str]]:
    """Return the facts of the machine by dotted names."""
    return list(flatten({key: facts.get(key) for key in _SHOWN
                         if key in facts or key != "clients"}, skip=("cpu_flags",)))


def offloads(facts: Facts) -> list[tuple[str, list[str], list[str]]]:
    """Return (interface, active, not active) of the offloads that change what TCP costs."""
    return [(interface, [name for name in _OFFLOADS if name in active],
             [name for name in _OFFLOADS if name not in active])
            for interface, active in sorted(facts.get("offloads", {}).items())]


def system(facts: Facts) -> str:
    """Return the machine in a few words."""
    host = table(facts, "hardware")
    return macro("hardware.j2", "system", table(host, "system"), table(host, "bios"),
                 table(facts, "machine").get("cpu_model"), host.get("hypervisor"))[0]


def card_in_short(card: Facts) -> str:
    """Return a card in a few words: name, driver, firmware, link, bus."""
    return macro("hardware.j2", "card", card, table(card, "pcie"))[0]


def server_card(facts: Facts) -> Facts:
    """Return the server's NIC; {} of a run without one."""
    return table(table(facts, "nic"), "server")


def cards(nic: Facts) -> Iterator[tuple[str, Facts]]:
    """Yield (end, card): the server's, then each client's."""
    if nic.get("server"):
        yield "server", table(nic, "server")
    client = nic.get("client") or []
    clients = list(client) if isinstance(client, (list, tuple)) else [client]
    for number, card in enumerate(clients, 1):
        yield "client" if len(clients) == 1 else f"client {number}", table({"client": card},
                                                                           "client")


def binding(nic: Facts) -> Rows:
    """Return who holds the server's NIC, and what the changes of driver took."""
    drivers, rebinds = table(nic, "binding"), table(nic, "rebinds")
    seconds = [float(value) for value in rebinds.get("seconds") or []]
    took, = macro("hardware.j2", "rebinds", rebinds.get("count", len(seconds)), seconds)
    return ((_name("dpdk_driver"), f"{_text(drivers.get('dpdk'))} ({_text(drivers.get('mode'))})"),
            (_name("kernel_driver"), _text(drivers.get("kernel"))), (_name("changes"), took))


def _host(facts: Facts, host: Facts) -> Iterator[tuple[str, str]]:
    yield from flatten({"CPU": table(facts, "machine").get("cpu_model"),
                        **{key: value for key, value in host.items() if key != "numa"}})
    for node in _tables(host, "numa"):
        yield (f"NUMA node {node.get('node')}",
               macro("hardware.j2", "node", _text(node.get("cpus")), _text(node.get("memory_kib")),
                     table(node, "hugepages"))[0])


def _cable(nic: Facts) -> Iterator[tuple[str, str]]:
    for end, card in cards(nic):
        yield _name("cable_end", end), facts_line({key: card.get(key) for key in _CABLE})
    yield _name("between"), _text(nic.get("between"))
    for note in nic.get("notes") or []:
        yield _name("checked"), str(note)


def table(facts: Facts, key: str) -> Facts:
    """Return a table of the facts, {} where there is none. UsageError where it is no table."""
    value = facts.get(key) or {}
    if not isinstance(value, Mapping):
        raise UsageError(f"facts.json: '{key}' is not a table: not the facts of such a run")
    return value


def _tables(facts: Facts, key: str) -> list[Facts]:
    value = facts.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise UsageError(f"facts.json: '{key}' is not a list of tables: not the facts of such a "
                         "run")
    return value


def _name(what: str, end: str = "") -> str:
    return macro("hardware.j2", "name", what, end)[0]


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return facts_line(value)
    return "not known" if value in (None, "") else str(value)
