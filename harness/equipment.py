# SPDX-License-Identifier: BSD-3-Clause
"""The hardware of a run as a reader reads it, so that he can build the same again. Knows facts.json, no figures.

`hardware`, `nic` and `tuning` of the facts (results/README.md); a run without them has no such section.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Sequence

from harness import words

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
    host, nic = facts.get("hardware"), facts.get("nic")
    found = [Section("Host", tuple(_host(facts, host)))] if isinstance(host, Mapping) else []
    if not isinstance(nic, Mapping):
        return found
    for end, card in _cards(nic):
        found.append(Section(f"The {end}'s NIC", tuple(words.flatten(
            {key: value for key, value in card.items() if key not in _CABLE}))))
    found.append(Section("Cable", tuple(_cable(nic))))
    found.append(Section("Who holds the server's NIC", tuple(_binding(nic))))
    return found


def tunings(facts: Facts) -> list[Tuning]:
    return [Tuning(*(_said(entry.get(key)) for key in ("what", "asked", "got", "why")))
            for entry in facts.get("tuning") or []]


def brief(facts: Facts) -> list[str]:
    """The same in some lines, for a summary; [] for a run without a NIC."""
    nic = facts.get("nic")
    if not isinstance(nic, Mapping):
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
    """What stood on the command line of a run on a NIC beside the plan: NIC, CLIENT and so on; {} for any other."""
    nic = facts.get("nic")
    found = nic.get("order") if isinstance(nic, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def system(facts: Facts) -> str:
    """The machine in a few words."""
    host = facts.get("hardware") or {}
    made = host.get("system") or {}
    model = " ".join(str(made[key]) for key in ("vendor", "product") if made.get(key))
    bios = host.get("bios") or {}
    parts = [model, str((facts.get("machine") or {}).get("cpu_model") or ""),
             f"BIOS {bios['version']} of {bios.get('date') or 'no date'}" if bios.get("version") else "",
             f"under {host['hypervisor']}" if host.get("hypervisor") not in (None, "none") else ""]
    return ", ".join(part for part in parts if part) or "not known"


def card_in_short(card: Facts) -> str:
    """A card in a few words: name, driver, firmware, link, bus."""
    pcie = card.get("pcie") or {}
    parts = [str(card.get("name") or "not known"),
             f"{card['driver']} {card.get('driver_version') or ''}".strip() if card.get("driver") else "",
             f"firmware {card['firmware']}" if card.get("firmware") else "",
             f"{card['speed_mbps']} Mb/s" if card.get("speed_mbps") else "",
             f"PCIe {pcie['speed']} x{pcie.get('width') or '?'}" if pcie.get("speed") else ""]
    return ", ".join(part for part in parts if part)


def server_card(facts: Facts) -> Facts | None:
    """The server's NIC, of a run that had one."""
    nic = facts.get("nic")
    card = nic.get("server") if isinstance(nic, Mapping) else None
    return card if isinstance(card, Mapping) else None


def _cards(nic: Facts) -> Iterator[tuple[str, Facts]]:
    """(end, card): the server's, then each client's."""
    if isinstance(nic.get("server"), Mapping):
        yield "server", nic["server"]
    client = nic.get("client")
    clients: Sequence[Any] = client if isinstance(client, (list, tuple)) else [client]
    for number, card in enumerate(clients, 1):
        if isinstance(card, Mapping):
            # of another machine, its card may stand beside what else is told of that machine
            yield "client" if len(clients) == 1 else f"client {number}", card


def _host(facts: Facts, host: Facts) -> Iterator[tuple[str, str]]:
    yield from words.flatten({"CPU": (facts.get("machine") or {}).get("cpu_model"),
                              **{key: value for key, value in host.items() if key != "numa"}})
    for node in host.get("numa") or []:
        pages = ", ".join(f"{count if count is not None else 'unknown'} of {size}"
                          for size, count in (node.get("hugepages") or {}).items())
        yield (f"NUMA node {node.get('node')}",
               f"CPUs {_said(node.get('cpus'))}; memory {_said(node.get('memory_kib'))} KiB; "
               f"hugepages at the start: {pages or 'none'}")


def _cable(nic: Facts) -> Iterator[tuple[str, str]]:
    for end, card in _cards(nic):
        yield f"the {end}'s end", words.facts_line({key: card.get(key) for key in _CABLE})
    yield "between the ends", _said(nic.get("between"))


def _binding(nic: Facts) -> Iterator[tuple[str, str]]:
    binding, rebinds = nic.get("binding") or {}, nic.get("rebinds") or {}
    yield "lwIP's driver", f"{_said(binding.get('dpdk'))} ({_said(binding.get('mode'))})"
    yield "the kernel's driver", _said(binding.get("kernel"))
    seconds = [float(each) for each in rebinds.get("seconds") or []]
    yield "changes of driver", (f"{rebinds.get('count', len(seconds))}, which took {sum(seconds):.1f} s in all, "
                                f"the longest {max(seconds):.1f} s" if seconds else str(rebinds.get("count", 0)))


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return words.facts_line(value)
    return "not known" if value in (None, "") else str(value)
