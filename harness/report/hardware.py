# SPDX-License-Identifier: BSD-3-Clause
"""The hardware of a run as a reader reads it, so that he can build the same again. Knows facts.json, no figures.

`hardware`, `nic` and `tuning` of the facts (results/README.md); a run without them has no such section.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterator, Mapping

from harness.report import format as words
from harness.errors import UsageError

Facts = Mapping[str, Any]
Rows = tuple[tuple[str, str], ...]
# of a card, what its own section does not show again
_CABLE = ("speed_mbps", "duplex", "port", "autonegotiation", "link", "module")


@dataclass(frozen=True)
class Section:
    """One table of the page: what, and how it was."""

    title: str
    rows: Rows


@dataclass(frozen=True)
class Tuning:
    """One setting that was asked for; `why` it was not got, or what it is good for."""

    what: str
    asked: str
    got: str
    why: str


def sections(facts: Facts) -> list[Section]:
    """All that there is: host, cards, both ends of the cable, what holds the card and what the changes cost."""
    host, nic = _table(facts, "hardware"), _table(facts, "nic")
    found = [Section("Host", tuple(_host(facts, host)))] if host else []
    if not nic:
        return found
    for end, card in _cards(nic):
        found.append(Section(f"The {end}'s NIC", tuple(words.flatten(
            {key: value for key, value in card.items() if key not in _CABLE}))))
    found.append(Section("Cable", tuple(_cable(nic))))
    found.append(Section("Who holds the server's NIC", tuple(_binding(nic))))
    return found


def tunings(facts: Facts) -> list[Tuning]:
    return [Tuning(*(_said(entry.get(key)) for key in ("what", "asked", "got", "why")))
            for entry in _tables(facts, "tuning")]


def brief(facts: Facts) -> list[str]:
    """The same in some lines, for a summary; [] for a run without a NIC."""
    nic = _table(facts, "nic")
    if not nic:
        return []
    lines = [f"Host: {system(facts)}."]
    lines += [f"The {end}'s NIC: {card_in_short(card)}." for end, card in _cards(nic)]
    lines.append("; ".join(f"{key}: {value}" for key, value in _binding(nic)) + ".")
    tuned = tunings(facts)
    if tuned:
        lines.append("Tuned: " + "; ".join(f"{each.what}: asked {each.asked}, got {each.got}"
                                           for each in tuned) + ".")
    return lines


def order(facts: Facts) -> Facts:
    """What stood on the command line of a run on a NIC beside the plan: nic, client and so on; {} for any other."""
    return _table(_table(facts, "nic"), "order")


def system(facts: Facts) -> str:
    """The machine in a few words."""
    host = _table(facts, "hardware")
    made, bios = _table(host, "system"), _table(host, "bios")
    model = " ".join(str(made[key]) for key in ("vendor", "product") if made.get(key))
    parts = [model, str(_table(facts, "machine").get("cpu_model") or ""),
             f"BIOS {bios['version']} of {bios.get('date') or 'no date'}" if bios.get("version") else "",
             f"under {host['hypervisor']}" if host.get("hypervisor") not in (None, "none") else ""]
    return ", ".join(part for part in parts if part) or "not known"


def card_in_short(card: Facts) -> str:
    """A card in a few words: name, driver, firmware, link, bus."""
    pcie = _table(card, "pcie")
    parts = [str(card.get("name") or card.get("interface") or "not known"),
             f"of {card['machine']}" if card.get("machine") else "",
             f"{card['driver']} {card.get('driver_version') or ''}".strip() if card.get("driver") else "",
             f"firmware {card['firmware']}" if card.get("firmware") else "",
             f"{card['speed_mbps']} Mb/s" if card.get("speed_mbps") else "",
             f"PCIe {pcie['speed']} x{pcie.get('width') or '?'}" if pcie.get("speed") else ""]
    return ", ".join(part for part in parts if part)


def server_card(facts: Facts) -> Facts:
    """The server's NIC; {} of a run without one."""
    return _table(_table(facts, "nic"), "server")


def _cards(nic: Facts) -> Iterator[tuple[str, Facts]]:
    """(end, card): the server's, then each client's."""
    if nic.get("server"):
        yield "server", _table(nic, "server")
    client = nic.get("client") or []
    clients = list(client) if isinstance(client, (list, tuple)) else [client]
    for number, card in enumerate(clients, 1):
        yield "client" if len(clients) == 1 else f"client {number}", _table({"client": card}, "client")


def _host(facts: Facts, host: Facts) -> Iterator[tuple[str, str]]:
    yield from words.flatten({"CPU": _table(facts, "machine").get("cpu_model"),
                              **{key: value for key, value in host.items() if key != "numa"}})
    for node in _tables(host, "numa"):
        pages = ", ".join(f"{count if count is not None else 'unknown'} of {size}"
                          for size, count in _table(node, "hugepages").items())
        yield (f"NUMA node {node.get('node')}",
               f"CPUs {_said(node.get('cpus'))}; memory {_said(node.get('memory_kib'))} KiB; "
               f"hugepages at the start: {pages or 'none'}")


def _cable(nic: Facts) -> Iterator[tuple[str, str]]:
    for end, card in _cards(nic):
        yield f"the {end}'s end", words.facts_line({key: card.get(key) for key in _CABLE})
    yield "between the ends", _said(nic.get("between"))
    for note in nic.get("notes") or []:
        yield "seen beforehand", str(note)


def _binding(nic: Facts) -> Iterator[tuple[str, str]]:
    binding, rebinds = _table(nic, "binding"), _table(nic, "rebinds")
    yield "lwIP's driver", f"{_said(binding.get('dpdk'))} ({_said(binding.get('mode'))})"
    yield "the kernel's driver", _said(binding.get("kernel"))
    seconds = [float(each) for each in rebinds.get("seconds") or []]
    yield "changes of driver", (f"{rebinds.get('count', len(seconds))}, which took {sum(seconds):.1f} s in all, "
                                f"the longest {max(seconds):.1f} s" if seconds else str(rebinds.get("count", 0)))


def _table(facts: Facts, key: str) -> Facts:
    """{} where there is none."""
    value = facts.get(key) or {}
    if not isinstance(value, Mapping):
        raise UsageError(f"facts.json: '{key}' is not a table: not the facts of such a run")
    return value


def _tables(facts: Facts, key: str) -> list[Facts]:
    """[] where there are none."""
    value = facts.get(key) or []
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise UsageError(f"facts.json: '{key}' is not a list of tables: not the facts of such a run")
    return value


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return words.facts_line(value)
    return "not known" if value in (None, "") else str(value)
