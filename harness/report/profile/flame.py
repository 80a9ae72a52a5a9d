# SPDX-License-Identifier: BSD-3-Clause
"""Lay out a flame graph: the calls of all samples, each as wide as it was met often."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Iterator

from harness.store import ContenderProfile, Frame

WIDTH, ROW = 1160, 17
# of the width; what is narrower cannot be seen
_LEAST = 0.0008
_LETTER = 6.6


@dataclass(frozen=True)
class Box:
    """One call. x, width: parts of 1000 of the whole; cycles: a request, with all that it calls."""

    x: float
    width: float
    depth: int
    frame: Frame
    cycles: float
    samples: int

    @property
    def text(self) -> str:
        """Return as much of its name as has room in the whole picture."""
        room = int(self.width * WIDTH / 1000 / _LETTER) - 1
        name = self.frame.symbol
        return name if len(name) <= room else f"{name[:room - 1]}…" if room > 2 else ""


@dataclass
class _Node:
    frame: Frame
    samples: int = 0
    below: dict[Frame, "_Node"] = field(default_factory=dict)


def boxes(of: ContenderProfile) -> list[Box]:
    """Return the boxes, a program's before those that it calls."""
    root = _Node(Frame(of.label, "", ""))
    for stack in of.stacks:
        node = root
        node.samples += stack.samples
        for place in stack.calls:
            frame = of.frames[place]
            node = node.below.setdefault(frame, _Node(frame))
            node.samples += stack.samples
    return list(_boxes(root, 0.0, 0, root.samples, of.worked)) if root.samples else []


def _boxes(node: _Node, x: float, depth: int, total: int, cycles: float) -> Iterator[Box]:
    share = node.samples / total
    if share < _LEAST:
        return
    yield Box(round(1000 * x, 2), round(1000 * share, 2), depth, node.frame, cycles * share,
              node.samples)
    for child in sorted(node.below.values(), key=lambda item: (item.frame.symbol, item.frame.dso,
                                                               item.frame.layer)):
        yield from _boxes(child, x, depth + 1, total, cycles)
        x += child.samples / total
