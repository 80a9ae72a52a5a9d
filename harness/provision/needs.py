# SPDX-License-Identifier: BSD-3-Clause
"""Say what a wire wants of this process and of DPDK, beside programs, files and modules.

The table is needs.toml. Looks before a run, and changes nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Sequence

from harness.host import (
    Host, driver_folders_of, has_capability, in_user_namespace, is_confined, is_read_only,
    most_locked_kib, network_drivers)
from harness.plan import KERNEL, Contender, Wire
from harness.provision.step import Step
from harness.structure import read_toml, strict, structured

# of a packet socket where its words do not say
_FRAMES = 512
_VDEV = re.compile(r"--vdev[= ]([a-z_]+)")
# ports below are for who may bind them (ip(7), ip_unprivileged_port_start)
_LOW = 1024
_OURS = ("Client and server ran in no namespaces of their own, which this process was not allowed "
         "to make; their packets have no other way than the memory.")
# the kind of memory pool that our programs have
_POOLS = "librte_mempool_ring.so"


@dataclass(frozen=True)
class Need:
    """What a part of a wire wants.

    why: what that part is
    capabilities: that this process must have in effect
    own_user_namespace: they also count in a user namespace other than the machine's first
    locked_kib: memory that it locks, of a packet socket for 512 frames; it counts against
        `ulimit -l` without CAP_IPC_LOCK
    writable: paths that must not be mounted read-only
    """

    why: str
    capabilities: tuple[str, ...] = ()
    own_user_namespace: bool = True
    locked_kib: int = 0
    writable: tuple[str, ...] = ()


_FILE = Path(__file__).with_name("needs.toml")
TABLE = structured(strict(forbid_extra_keys=True), dict[str, Need], read_toml(_FILE), str(_FILE))


def parts(contenders: Sequence[Contender], port: int) -> list[str]:
    """Return the rows of the table that these contenders want, each once. `port`: the servers'."""
    found = ["namespaces"] * any(item.endpoint.namespace for item in contenders)
    for item in contenders:
        found += ["low-port"] * (item.stack == KERNEL and port < _LOW)
        found += ["ping"] * (item.client.stack == KERNEL) + [item.link, *vdevs([item])]
    return [name for name in dict.fromkeys(found) if name in TABLE]


def may_make_namespaces(host: Host) -> bool:
    return all(has_capability(host, name) for name in TABLE["namespaces"].capabilities)


def confined_to_ours(wire: Wire, contenders: Sequence[str]) -> Wire:
    """Return the wire with its shared memory in the harness's own namespace, if these contenders
    have nothing else between them and their clients; else as it is."""
    if any(wire.contenders[name].link != "shm" for name in contenders):
        return wire
    ends = {stack: replace(end, server=replace(end.server, namespace=""),
                           client=replace(end.client, namespace="")) if end.link == "shm" else end
            for stack, end in wire.ends.items()}
    return replace(wire.with_ends(ends), caveat=f"{wire.caveat} {_OURS}".strip())


def vdevs(contenders: Sequence[Contender]) -> list[str]:
    """Return the drivers of DPDK that EAL's words for their ends name, each once."""
    ends = [(item.endpoint, item.stack) for item in contenders]
    ends += [(item.client.endpoint, item.client.stack) for item in contenders]
    return list(dict.fromkeys(name for end, stack in ends if stack != KERNEL
                              for name in _VDEV.findall(" ".join(end.eal))))


@dataclass(frozen=True)
class Privileges(Step):
    """What this process must be allowed to do."""

    title = "privileges"
    contenders: Sequence[Contender]
    port: int

    def check(self, host: Host) -> str:
        needs = [replace(TABLE[name], locked_kib=_locked_kib(name, self.contenders))
                 for name in parts(self.contenders, self.port)]
        lacks = [_capabilities(host, needs), *(_limits(host, need) for need in needs),
                 *(_read_only(host, need) for need in needs)]
        return "; ".join(filter(None, lacks)) or _refused(host)


@dataclass(frozen=True)
class Drivers(Step):
    """DPDK's drivers of the ports, which some distributions have in packages of their own."""

    title = "drivers of DPDK"
    contenders: Sequence[Contender]
    programs: Sequence[str]

    def check(self, host: Host) -> str:
        folders = driver_folders_of(host)
        if folders is None:
            # it is DPDK that is missing, which the build and doctor say
            return ""
        names = vdevs(self.contenders)
        known = {driver["name"] for driver in network_drivers(host, self.programs)}
        missing = [f"{name} (package librte-{name.removesuffix('_user').replace('_', '-')}…)"
                   for name in names if name not in known]
        if folders and not any(file.startswith(_POOLS) for folder in folders
                               for file in host.listing(folder)):
            missing.append("mempool_ring (package librte-mempool-ring…)")
        return (f"missing: DPDK's driver {', '.join(missing)}, "
                f"not in {', '.join(folders) or 'our programs'}" if missing else "")


def _locked_kib(part: str, contenders: Sequence[Contender]) -> int:
    """Return how much memory a part locks; of a packet socket its rings, which EAL's words size."""
    least = TABLE[part].locked_kib
    words = " ".join(word for item in contenders
                     for word in (*item.endpoint.eal, *item.client.endpoint.eal) if part in word)
    frames = [int(count) for count in re.findall(r"framecnt=(\d+)", words)]
    return least * max(frames, default=_FRAMES) // _FRAMES


def _capabilities(host: Host, needs: Sequence[Need]) -> str:
    reasons: dict[str, str] = {}
    for need in needs:
        for name in need.capabilities:
            if not has_capability(host, name):
                reasons.setdefault(name, need.why)
    for need in needs if in_user_namespace(host) else ():
        if not need.own_user_namespace:
            return (f"missing: {need.why} wants capabilities on the machine itself, and this is a "
                    "user namespace (rootless container, `unshare --user`)")
    if not reasons:
        return ""
    listed = ", ".join(" and ".join(f"CAP_{name}" for name in reasons if reasons[name] == why)
                       + f" ({why})" for why in dict.fromkeys(reasons.values()))
    options = " ".join(f"--cap-add {name}" for name in reasons)
    return f"missing: {listed}; in a container: {options}"


def _limits(host: Host, need: Need) -> str:
    most = most_locked_kib(host) if need.locked_kib else None
    if most is None or most >= need.locked_kib:
        return ""
    return (f"missing: {need.locked_kib} KiB of locked memory ({need.why}), {most} are allowed: "
            "raise `ulimit -l`; in a container: --cap-add IPC_LOCK, or --ulimit memlock=-1")


def _read_only(host: Host, need: Need) -> str:
    paths = [path for path in need.writable if is_read_only(host, path)]
    return (f"missing: {', '.join(paths)} is mounted read-only ({need.why}); in a container: "
            "--privileged" if paths else "")


def _refused(host: Host) -> str:
    """Return why a filter forbids namespaces that the capabilities would allow; "" if none does."""
    if not host.is_root() or not is_confined(host):
        return ""
    tried = host.query(["unshare", "--mount", "--net", "true"], check=False)
    return (f"missing: namespaces, which a seccomp filter or an AppArmor profile forbids "
            f"({tried.complaint}); in a container: --security-opt seccomp=unconfined "
            "--security-opt apparmor=unconfined" if tried.code else "")
