# SPDX-License-Identifier: BSD-3-Clause
"""Give each contender one colour, marker and dash, in all charts of all runs.

A contender keeps its look whichever others are measured and in whatever order: the table names
those of the project, any other gets one by its name's hash.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

# After Okabe and Ito; what white paper swallows of theirs (yellow, orange, sky) is darker here.
# On a dark page each has a lighter sister. Grey is kept for published figures and limits.
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
CYAN, OCHRE, BLACK, WINE = "#3A9BC8", "#8A6D00", "#000000", "#882255"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, CYAN, OCHRE, BLACK, WINE)
GREY, GREY_MARKERS = "#767676", ("x", "+", "1", "2")
DARK = {BLUE: "#56B4E9", VERMILION: "#F08030", GREEN: "#2FCB9E", PURPLE: "#E6A3C8",
        CYAN: "#8FA8FF", OCHRE: "#F0E442", BLACK: "#FFFFFF", WINE: "#D0568A", GREY: "#9A9A9A"}
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")
DASHES: tuple[Any, ...] = (
    "-", (0, (5, 1.6)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2)), (0, (8, 2)),
    (0, (3, 1.2, 1, 1.2, 1, 1.2)), (0, (2.5, 1)), (0, (8, 1.2, 2, 1.2)))

# by the last part of a contender's name ("nginx/lwip"): colour, marker, number of the dash
_KNOWN: dict[str, tuple[str, str, int]] = {
    "lwip": (BLUE, "o", 0), "plain": (CYAN, "*", 7),
    "epoll": (VERMILION, "s", 1), "kernel": (VERMILION, "s", 1), "epoll-mt": (VERMILION, "P", 5),
    "uring": (GREEN, "D", 2), "nginx": (PURPLE, "^", 3), "nginx-mt": (PURPLE, "X", 6),
    "epoll-spin": (OCHRE, "v", 4), "epoll-spin-both": (WINE, "P", 3),
    "epoll-busypoll": (BLACK, "v", 5), "minimal": (BLACK, "*", 4)}
Look = tuple[str, str, Any]


def look(name: str) -> Look:
    """Return colour, marker and dash of a contender.

    A variant of a known one ("lwip@base", "lwip-slow") has its colour, and marker and dash by its
    own name.
    """
    last = name.rpartition("/")[2]
    digest = hashlib.sha256(last.encode()).digest()
    if last in _KNOWN:
        colour, marker, dash = _KNOWN[last]
        return colour, marker, DASHES[dash]
    stems = [stem for stem in _KNOWN if re.match(re.escape(stem) + r"[^A-Za-z0-9]", last)]
    if not stems:
        return (COLOURS[digest[0] % len(COLOURS)], MARKERS[digest[1] % len(MARKERS)],
                DASHES[digest[2] % len(DASHES)])
    colour, taken, dash = _KNOWN[max(stems, key=len)]
    markers = [marker for marker in MARKERS if marker != taken]
    return (colour, markers[digest[1] % len(markers)],
            DASHES[(dash + 1 + digest[2] % (len(DASHES) - 1)) % len(DASHES)])
