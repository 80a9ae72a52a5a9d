# SPDX-License-Identifier: BSD-3-Clause
"""Read what `perf script` prints of samples, and what addr2line prints of their addresses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from posixpath import normpath
from typing import Iterable, Mapping, Sequence

KERNEL = "kernel"
UNKNOWN = "[unknown]"
_SAMPLE = re.compile(r"(\S.*?)\s+(-?\d+)\s+\d+\.\d+:\s+\S+:\s*")
_CALL = re.compile(r"\s+([0-9a-f]+) (.*?)(?:\+0x[0-9a-f]+)? \((.*)\)")
# the upper half of the addresses is the kernel's
_KERNEL_BIT = 1 << 63


@dataclass(frozen=True)
class Call:
    """One call of a stack.

    address: in the file of which it is code; of the kernel, in memory
    dso: path of that file, KERNEL for the kernel and its modules
    source: file of the source, where the program tells
    """

    address: int
    symbol: str
    dso: str
    source: str = ""


@dataclass(frozen=True)
class Sample:
    """What a core was at: a program, and its stack from the innermost call outwards.

    Of the program itself only the innermost call is there: without frame pointers its callers are
    chance.
    """

    program: str
    pid: int
    stack: tuple[Call, ...]


# by file and address: the calls there that the compiler has put into one another
Inlined = Mapping[tuple[str, int], tuple[Call, ...]]


def parse_samples(text: str) -> list[Sample]:
    """Read samples with the fields comm,pid,time,event,ip,sym,symoff,dso."""
    found: list[Sample] = []
    for is_sample, lines in groupby(filter(None, text.split("\n")),
                                    lambda line: not line[0].isspace()):
        if not is_sample:
            head = found.pop()
            found.append(Sample(head.program, head.pid, _stack(lines)))
            continue
        found += [Sample(match[1], int(match[2]), ()) for line in lines
                  if (match := _SAMPLE.fullmatch(line))]
    return found


def _stack(lines: Iterable[str]) -> tuple[Call, ...]:
    calls: list[Call] = []
    for line in lines:
        match = _CALL.fullmatch(line)
        if match is None:
            continue
        address, dso = int(match[1], 16), match[3].removesuffix(" (deleted)")
        kernel = bool(address & _KERNEL_BIT) and dso != UNKNOWN
        calls.append(Call(address, match[2].partition("@")[0], KERNEL if kernel else dso))
        if not kernel:
            break
    return tuple(calls)


def addresses(samples: Sequence[Sample]) -> dict[str, list[int]]:
    """Return by file the addresses of programs and libraries that were met."""
    found: dict[str, set[int]] = {}
    for sample in samples:
        for call in sample.stack[-1:]:
            if call.dso.startswith("/"):
                found.setdefault(call.dso, set()).add(call.address)
    return {dso: sorted(addresses) for dso, addresses in found.items()}


def parse_inlined(dso: str, text: str) -> dict[tuple[str, int], tuple[Call, ...]]:
    """Read what `addr2line -a -f -i` prints; what it does not know is left out."""
    found: dict[tuple[str, int], tuple[Call, ...]] = {}
    for block in re.split(r"^0x(?=[0-9a-f]+$)", text, flags=re.M)[1:]:
        number, *words = block.rstrip().split("\n")
        address = int(number, 16)
        calls = tuple(Call(address, function, dso, normpath(place.rpartition(":")[0]))
                      for function, place in zip(words[::2], words[1::2]))
        if calls and calls[0].symbol != "??":
            found[dso, address] = calls
    return found
