# SPDX-License-Identifier: BSD-3-Clause
"""Read facts.json for the templates, which show it: tables by name, entries in words.

Templates read `hardware`, `nic` and `tuning` (results/README.md); runs without them have no such
section.
"""

from __future__ import annotations

from typing import Any, Collection, Iterator, Mapping

from harness.errors import UsageError

Facts = Mapping[str, Any]


def table(facts: Facts, key: str) -> Facts:
    """Return a table of the facts, {} where there is none. UsageError where it is no table."""
    value = facts.get(key) or {}
    if not isinstance(value, Mapping):
        raise UsageError(f"facts.json: '{key}' is not a table: not the facts of such a run")
    return value


def tables(facts: Facts, key: str) -> list[Facts]:
    """Return a list of tables, [] where there is none. UsageError where it is no such list."""
    value = facts.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise UsageError(f"facts.json: '{key}' is not a list of tables: not the facts of such a "
                         "run")
    return value


def cards(facts: Facts) -> Iterator[tuple[str, Facts]]:
    """Yield (end, card) of a run on NICs: the server's, then each client's."""
    nic = table(facts, "nic")
    if server := table(nic, "server"):
        yield "server", server
    clients = nic.get("client") or []
    clients = tables(nic, "client") if isinstance(clients, list) else [table(nic, "client")]
    for number, card in enumerate(clients, 1):
        yield "client" if len(clients) == 1 else f"client {number}", card


def flatten(facts: Facts, skip: Collection[str] = (), prefix: str = "") -> list[tuple[str, str]]:
    """Return (dotted name, value in words) of nested facts."""
    found = []
    for key, value in facts.items():
        if key in skip:
            continue
        if isinstance(value, Mapping) and value:
            found += flatten(value, skip, f"{prefix}{key}.")
        else:
            found.append((prefix + key, fact(value)))
    return found


def fact(value: object) -> str:
    """Return a fact in words; a table in one line."""
    if isinstance(value, Mapping):
        return "; ".join(f"{key.replace('_', ' ')}: {text}" for key, text in flatten(value))
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "not known" if value is None else str(value)
