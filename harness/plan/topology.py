# SPDX-License-Identifier: BSD-3-Clause
"""Read topologies/: a wire's file, and the files of the contenders on it, as values. Knows no
machine.

A file that is `like` another gives only what differs; tables are merged, everything else is
replaced. What a file may not say is one line that names it and the key. What a kind of link wants
is checked in harness/provision/links.py.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Iterable

from cattrs.gen import make_dict_structure_fn, override

from harness.errors import UsageError
from harness.plan import ablation
from harness.plan.wire import (
    CORES, DPDK, KERNEL, PLACEHOLDERS, PRELOAD, READY, STACKS, Bridge, Contender, End, Endpoint,
    Program, Wire, filled, with_self_comparisons)
from harness.structure import read_toml, strict, structured

TOPOLOGIES = Path(__file__).resolve().parents[2] / "topologies"
WIRES, CONTENDERS = TOPOLOGIES / "wires", TOPOLOGIES / "contenders"
VHOST_NET = "vhost-net"
MOST_LIKE = 4
Tables = dict[str, Any]
_CONVERTER = strict(forbid_extra_keys=True)
_CONVERTER.register_structure_hook(Program, make_dict_structure_fn(
    Program, _CONVERTER, title=override(rename="label"), _cattrs_forbid_extra_keys=True))


@dataclass(frozen=True)
class _Hugepages:
    size_kib: int
    count: int


@dataclass(frozen=True)
class _File:
    """A wire's file but for its ends; `ablation_of`: the contender from which the steps of an
    ablation are made; `ablates`: what is left out in them."""

    title: str
    mtu: int
    port: int
    contenders: tuple[str, ...]
    client: Endpoint
    hugepages: _Hugepages
    bridge: Bridge | None = None
    caveat: str = ""
    workloads: tuple[str, ...] = ("rps",)
    ablation_of: str = ""
    ablates: str = ablation.OF_OPTIMISATIONS


def load_wire(name: str) -> Wire:
    """Return the wire of topologies/wires/<name>.toml, or of the TOML file at path `name`.

    UsageError on an unknown wire or contender, an unknown key, a wrong type or a missing value.
    """
    path = Path(name) if name.endswith(".toml") else WIRES / f"{name}.toml"
    data = _read(path, "wire", [path.parent, WIRES])
    vhost = data.pop(VHOST_NET, None)
    wire = _wire(path, data)
    if isinstance(vhost, dict) and DPDK in wire.ends and wire.ends[DPDK].link == "tap":
        other = _wire(path, _merged(data, vhost))
        wire = replace(wire, over_vhost=replace(other, contenders={}))
    return wire


def wire_names() -> list[str]:
    """Return the names of the wires of topologies/wires/."""
    return _names(WIRES)


def contender_name(name: str) -> str:
    """Return what the contender of this name, or of the file at this path, is called in a run."""
    return Path(name).stem if name.endswith(".toml") else name


def with_contenders(wire: Wire, names: Iterable[str]) -> Wire:
    """Return the wire with those of `names` that it does not list: a name in
    topologies/contenders/, the path of a TOML file, or the second name of a contender
    (an A/A test). A name that is none of these is left out."""
    names = list(names)
    known = {item for folder in _folders(wire) for item in _names(folder)}
    more = {contender_name(name): _contender(name, wire) for name in names
            if name.endswith(".toml") or name in known - {*wire.contenders}}
    wire = replace(wire, contenders={**wire.contenders, **more}) if more else wire
    _check_contenders(wire)
    return with_self_comparisons(wire, names)


def over_vhost(wire: Wire) -> Wire | None:
    """Return the wire with its TAP on vhost-net; None where its file has no such thing."""
    other = wire.over_vhost
    if other is None:
        return None
    return replace(wire, title=other.title, caveat=other.caveat).with_ends(other.ends)


def _wire(path: Path, data: Tables) -> Wire:
    own = {key: value for key, value in data.items() if key not in STACKS}
    file = structured(_CONVERTER, _File, own, str(path))
    wire = Wire(path.stem, str(path), file.title, file.caveat, file.mtu, file.port, file.client,
                file.bridge, file.hugepages.size_kib, file.hugepages.count, _ends(path, data), {},
                file.workloads)
    _check(wire)
    wire = replace(wire, contenders={name: _contender(name, wire) for name in file.contenders})
    _check_contenders(wire)
    if not file.ablation_of:
        return wire
    if file.ablation_of not in wire.contenders:
        raise UsageError(f"{path}: ablation_of: there is no contender '{file.ablation_of}'")
    _choice(file.ablates, ablation.KINDS, str(path), "ablates")
    return ablation.of(wire, file.ablation_of, file.ablates)


def _ends(path: Path, data: Tables) -> dict[str, End]:
    """Return the ends by stack. What [preload] does not say is as in [dpdk], and the client's end
    as in [client]."""
    tables = {stack: data[stack] for stack in (KERNEL, DPDK, PRELOAD) if stack in data}
    for stack, table in tables.items():
        if not isinstance(table, dict):
            raise UsageError(f"{path}: '{stack}' must be a table, not {table!r}")
    if DPDK in tables:
        tables[PRELOAD] = _merged(tables[DPDK], tables.get(PRELOAD, {}))
    return {stack: structured(_CONVERTER, End, {"client": data["client"], **table},
                              f"{path} [{stack}]") for stack, table in tables.items()}


def _contender(name: str, wire: Wire) -> Contender:
    folders = _folders(wire)
    path = _find(name, folders, "contender")
    where = str(path)
    program = structured(_CONVERTER, Program, _read(path, "contender", folders), where)
    _choice(program.stack, STACKS, where, "stack")
    if program.stack not in wire.ends:
        raise UsageError(f"{where}: wire '{wire.name}' has no [{program.stack}], the stack of this "
                         f"contender; it has: {', '.join(wire.ends)}")
    end = wire.ends[program.stack]
    program = replace(program, ready=end.ready or program.ready,
                      cores=program.cores if end.cores == "all" else end.cores)
    return Contender(**vars(program), name=contender_name(name), end=end)


def _folders(wire: Wire) -> list[Path]:
    """Return where a wire's contenders are looked for: in contenders/ beside its folder, then in
    ours."""
    return [Path(wire.source).resolve().parent.parent / "contenders", CONTENDERS]


def _find(name: str, folders: Iterable[Path], what: str) -> Path:
    """Return the file of that name. UsageError where there is none."""
    places = [folder / f"{name}.toml" for folder in folders]
    for path in [Path(name)] if name.endswith(".toml") else places:
        if path.is_file():
            return path
    known = dict.fromkeys(item for folder in folders for item in _names(folder))
    raise UsageError(f"no {what} '{name}'; there are: {', '.join(known)}")


def _names(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder).with_suffix("")) for file in folder.rglob("*.toml"))


def _read(path: Path, what: str, folders: list[Path], depth: int = 0) -> Tables:
    """Return the tables of a file, over those of the one that it is `like`."""
    try:
        data = read_toml(path)
    except OSError:
        known = ", ".join(_names(folders[-1]))
        raise UsageError(f"no {what} '{path.stem}'; there are: {known}") from None
    like = data.pop("like", None)
    if like is None:
        return data
    if not isinstance(like, str) or depth == MOST_LIKE:
        raise UsageError(f"{path}: 'like' must name a {what}, and no chain of them may be longer "
                         f"than {MOST_LIKE}")
    return _merged(_read(_find(like, folders, what), what, folders, depth + 1), data)


def _merged(base: Tables, over: Tables) -> Tables:
    """Return `base` with the keys of `over`; tables merge, everything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _choice(value: str, allowed: Iterable[str], where: str, key: str) -> None:
    if value not in allowed:
        raise UsageError(f"{where}: '{key}' must be one of {', '.join(allowed)}, not '{value}'")


def _check(wire: Wire) -> None:
    """UsageError on values that no kernel would take, before anything is provisioned with them."""
    where, bridge = wire.source, [wire.bridge] if wire.bridge else []
    if not re.fullmatch(r"[A-Za-z0-9_-]+", wire.name):
        raise UsageError(f"{where}: name '{wire.name}' cannot be part of a run's id (letters, "
                         "digits, - _)")
    ends = {f"{where} [client]": wire.client}
    for stack, item in wire.ends.items():
        ends |= {f"{where} [{stack}.server]": item.server, f"{where} [{stack}.client]": item.client}
        _choice(item.client_stack, STACKS, f"{where} [{stack}]", "client_stack")
        _choice(item.cores, CORES, f"{where} [{stack}]", "cores")
        _choice(item.ready, ("", *READY), f"{where} [{stack}]", "ready")
    for place, end in ends.items():
        _check_endpoint(end, place)
    names = [*(end.interface for end in ends.values()),
             *(end.bridge_port for end in wire.ends.values())]
    ours = [name for item in bridge for name in (item.interface, item.client_port)]
    for name in (*filter(None, names), *ours):
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,15}", name):
            raise UsageError(f"{where}: '{name}' cannot name an interface (1 to 15 letters, digits, "
                             ". _ -)")
    for name in (*(end.namespace for end in ends.values()), *(item.namespace for item in bridge)):
        if not re.fullmatch(r"stackduel-[a-z0-9-]+", name):
            raise UsageError(f"{where}: namespace '{name}' must be named stackduel-…")
    for what, value, low, high in (("mtu", wire.mtu, 576, 65521), ("port", wire.port, 1, 65535),
                                   ("[hugepages] size_kib", wire.hugepage_kib, 4, 1 << 24),
                                   ("[hugepages] count", wire.hugepage_count, 1, 1 << 20)):
        if not low <= value <= high:
            raise UsageError(f"{where}: {what} = {value} is not within {low} to {high}")


def _check_endpoint(end: Endpoint, where: str) -> None:
    try:
        ipaddress.IPv4Interface(end.address)
        ipaddress.IPv4Address(end.gateway or "0.0.0.0")
    except ValueError as error:
        raise UsageError(f"{where}: address: {error}") from None
    if end.mac and not re.fullmatch(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}", end.mac):
        raise UsageError(f"{where}: mac: '{end.mac}' is not a unicast address in lower case")
    _check_arguments(end.eal, where)
    if blank := next((word for word in end.eal if re.search(r"\s", word)), ""):
        raise UsageError(f"{where}: eal: '{blank}' has a blank, which no word of EAL's may have")


def _check_contenders(wire: Wire) -> None:
    for name, item in wire.contenders.items():
        where = f"{wire.source}: contender '{name}'"
        _choice(item.ready, READY, where, "ready")
        _choice(item.cores, CORES, where, "cores")
        _check_arguments(item.arguments, where)
        if item.most_connections < 0 or bool(item.most_connections) != bool(item.most_because):
            raise UsageError(f"{where}: most_connections and most_because go together, and cannot "
                             "be negative")
        if item.same_on_one_core not in ("", *wire.contenders):
            raise UsageError(f"{where}: same_on_one_core: there is no contender "
                             f"'{item.same_on_one_core}'")
        if item.client_polls and item.client.stack != KERNEL:
            raise UsageError(f"{where}: client_polls: on wire '{wire.name}' the client of stack "
                             f"{item.stack} is not on the kernel's sockets")
        if item.busy_polls and (item.stack != KERNEL or not item.counters):
            raise UsageError(f"{where}: only a kernel contender that counts can say that it "
                             "busy-polls")
        if item.counts_at and (item.counters or not item.counts_at.startswith("/")):
            raise UsageError(f"{where}: counts_at is the path of a server without counters of ours")
    if wire.has_loadgen and any(item.client.stack != DPDK for item in wire.contenders.values()):
        raise UsageError(f"{wire.source}: the load generator must be the client of all contenders "
                         "or of none")


def _check_arguments(arguments: Iterable[str], where: str) -> None:
    """UsageError unless each can be filled in with the placeholders that there are."""
    for argument in arguments:
        try:
            filled((argument,), dict.fromkeys(PLACEHOLDERS, "7"))
        except KeyError as error:
            raise UsageError(f"{where}: argument '{argument}': no placeholder {error}; there are: "
                             f"{', '.join(PLACEHOLDERS)}") from None
        except (ValueError, IndexError, AttributeError, TypeError) as error:
            raise UsageError(f"{where}: argument '{argument}' is not one with placeholders: "
                             f"{error}") from None


# kinds of links of which a bridge can have several
_TAPS = ("tap", "vhost-net")
_MOST_TAPS = 6


def with_devices(wire: Wire, names: Iterable[str]) -> Wire:
    """Return the wire with a TAP of its own, and memory, for each of `names` that drives one.

    As it is where there are too many for addresses of the same length.
    """
    driving = [name for name in names if wire.contenders[name].link in _TAPS]
    if not 2 <= len(driving) <= _MOST_TAPS:
        return wire
    contenders = dict(wire.contenders)
    for count, name in enumerate(driving[1:], start=1):
        end = contenders[name].end
        contenders[name] = replace(contenders[name], end=replace(
            end, server=end.server.next(count)))
    return replace(wire, contenders=contenders, hugepage_count=wire.hugepage_count * len(driving))
