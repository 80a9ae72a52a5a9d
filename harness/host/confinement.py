# SPDX-License-Identifier: BSD-3-Clause
"""Read what this process may do and have: capabilities, locked memory, limits of its cgroups.

Only reads. Knows nothing of what a run needs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Iterator

from harness.host.host import Host

# of capabilities(7), by the number of the bit: those that anything of ours needs
CAPABILITIES = {"NET_BIND_SERVICE": 10, "NET_ADMIN": 12, "NET_RAW": 13, "IPC_LOCK": 14,
                "SYS_RAWIO": 17, "SYS_ADMIN": 21}
_ALL_IDS = "0 0 4294967295"
# of a limit: its file in cgroup v1 and v2, and that of what is used of it
_LIMITS = {"memory": (("memory.limit_in_bytes", "memory.usage_in_bytes"),
                      ("memory.max", "memory.current")),
           "pids": (("pids.max", "pids.current"), ("pids.max", "pids.current")),
           "hugetlb": (("hugetlb.{size}.limit_in_bytes", "hugetlb.{size}.usage_in_bytes"),
                       ("hugetlb.{size}.max", "hugetlb.{size}.current"))}
# what v1 has where there is no limit: the most pages that a 64-bit number of bytes can hold
_ENDLESS = 1 << 62


@dataclass(frozen=True)
class Room:
    """A limit of a cgroup, and what is left of it."""

    file: str
    limit: int
    left: int


def has_capability(host: Host, name: str) -> bool:
    """Tell whether this process has it in effect; without root, whether `sudo` could have it."""
    field = "CapEff" if host.is_root() else "CapBnd"
    bits = re.search(rf"^{field}:\s*([0-9a-f]+)$", host.text("/proc/self/status"), re.M)
    return bits is None or bool(int(bits[1], 16) >> CAPABILITIES[name] & 1)


def in_user_namespace(host: Host) -> bool:
    """Tell whether capabilities count only in a user namespace other than the machine's first."""
    return " ".join(host.text("/proc/self/uid_map").split()) not in ("", _ALL_IDS)


def has_seccomp_filter(host: Host) -> bool:
    return bool(re.search(r"^Seccomp:\s*2$", host.text("/proc/self/status"), re.M))


def is_confined(host: Host) -> bool:
    """Tell whether a filter or a profile may forbid what the capabilities allow."""
    profile = host.text("/proc/self/attr/current").strip("\0")
    return has_seccomp_filter(host) or profile not in ("", "unconfined", "kernel")


def is_read_only(host: Host, path: str) -> bool:
    """Tell whether the mount that has a path is read-only here."""
    mounts = [line.split() for line in host.text("/proc/self/mountinfo").splitlines()]
    over = [words for words in mounts if PurePosixPath(path).is_relative_to(words[4])]
    # of two on one place the later is on top
    top = max(over, key=lambda words: (len(words[4]), mounts.index(words)), default=None)
    return top is not None and "ro" in top[5].split(",")


def most_locked_kib(host: Host) -> int | None:
    """Return how much memory this process may lock; None for no limit."""
    found = re.search(r"^Max locked memory\s+(\d+)", host.text("/proc/self/limits"), re.M)
    return int(found[1]) // 1024 if found and not has_capability(host, "IPC_LOCK") else None


def room(host: Host, kind: str, size: str = "") -> Room | None:
    """Return the tightest limit of our cgroups: of `memory` or `hugetlb` in bytes, or of `pids`.

    size: of hugepages, as in the file's name ("2MB"). None where nothing limits.
    """
    rooms = []
    for version, group in _groups(host, kind):
        limit_file, used_file = (name.format(size=size) for name in _LIMITS[kind][version - 1])
        limit, used = host.text(f"{group}/{limit_file}"), host.text(f"{group}/{used_file}")
        if limit.isdecimal() and int(limit) < _ENDLESS:
            rooms.append(Room(f"{group}/{limit_file}", int(limit), int(limit) - int(used or 0)))
    return min(rooms, key=lambda item: item.left) if rooms else None


def cpu_quota(host: Host) -> float | None:
    """Return how many CPUs' time our cgroups may use; None where nothing limits it."""
    shares = []
    for version, group in _groups(host, "cpu"):
        words = (host.text(f"{group}/cpu.max").split() if version == 2 else
                 [host.text(f"{group}/cpu.cfs_{which}_us") for which in ("quota", "period")])
        if len(words) == 2 and all(word.isdecimal() for word in words):
            shares.append(int(words[0]) / int(words[1]))
    return min(shares, default=None)


def _groups(host: Host, controller: str) -> Iterator[tuple[int, str]]:
    """Yield our cgroup of a controller and those above it, as far as they are mounted here, with
    the version."""
    ours = {names: path for _, names, path in (
        line.split(":", 2) for line in host.text("/proc/self/cgroup").splitlines())}
    for line in host.text("/proc/self/mountinfo").splitlines():
        words = line.split()
        root, mount, (kind, _, options) = words[3], words[4], words[words.index("-") + 1:][:3]
        version = {"cgroup": 1, "cgroup2": 2}.get(kind)
        if version is None or (version == 1 and controller not in options.split(",")):
            continue
        path = next((place for names, place in ours.items()
                     if (not names if version == 2 else controller in names.split(","))), None)
        # a container may see a mount of its own group alone
        if path is None or not PurePosixPath(path).is_relative_to(root):
            continue
        here = PurePosixPath(mount) / PurePosixPath(path).relative_to(root)
        for group in (here, *here.parents):
            if group.is_relative_to(mount):
                yield version, str(group)
