# SPDX-License-Identifier: BSD-3-Clause
"""Read the words of the setting NETEM: delay and loss on a wire, by the kernel's qdisc netem. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.errors import UsageError

WORDS = ("delay", "jitter", "loss", "duplicate", "reorder")
# packets that it may hold: never so few that it drops on its own account
LIMIT = 100_000
Command = tuple[str, ...]
# a ping and its ARP must be back within a second
MOST_DELAY_US, MOST_PERCENT = 200_000, 20.0
_UNITS = {"us": 1, "ms": 1000, "s": 1_000_000}
_TIMES = ("delay", "jitter")
_NUMBER = r"(\d{1,6}(?:\.\d{1,3})?)"


@dataclass(frozen=True)
class Netem:
    """`values`: word -> its number and unit, in the order of WORDS."""

    values: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return " ".join(f"{word} {value}" for word, value in self.values)

    @property
    def counts_packets(self) -> bool:
        """Does its effect hang on how much is in a packet?"""
        return any(word not in _TIMES for word, _ in self.values)

    @property
    def slug(self) -> str:
        """As part of a name of a file: delay-5ms-loss-0-5."""
        return re.sub(r"[^a-z0-9]+", "-", str(self)).strip("-")

    def qdisc(self, namespace: str, interface: str) -> Command:
        """argv that puts it where an interface sends."""
        # tc has the jitter as a second number of the delay
        words = [word for name, value in self.values for word in ((value,) if name == "jitter" else (name, value))]
        return ("tc", "-n", namespace, "qdisc", "add", "dev", interface, "root", "netem", "limit", str(LIMIT), *words)


def parse(text: str, place: str) -> Netem:
    """Of "delay 5ms jitter 1ms loss 0.5%", in any order. UsageError, which names `place`, on anything else."""
    words = text.split()
    if not words or len(words) % 2:
        raise UsageError(f"{place}: must be pairs of a word and a number, as \"delay 5ms\" or \"delay 2ms loss 0.5%\"")
    given: dict[str, str] = {}
    for word, value in zip(words[::2], words[1::2]):
        if word not in WORDS:
            raise UsageError(f"{place}: there is no '{word}'; there are: {', '.join(WORDS)}")
        if word in given:
            raise UsageError(f"{place}: '{word}' stands there twice")
        _check(word, value, place)
        given[word] = value
    for word in ("jitter", "reorder"):
        if word in given and "delay" not in given:
            raise UsageError(f"{place}: '{word}' needs a delay")
    if sum(_microseconds(given[word]) for word in _TIMES if word in given) > MOST_DELAY_US:
        raise UsageError(f"{place}: delay and jitter must not be more than {MOST_DELAY_US // 1000}ms together")
    return Netem(tuple((word, given[word]) for word in WORDS if word in given))


def amount(text: str, word: str) -> float:
    """Return the number of one word in a netem text: ms or percent; 0 where it is not there."""
    value = dict(zip(text.split()[::2], text.split()[1::2])).get(word, "")
    if word in _TIMES:
        return _microseconds(value) / 1000
    return float(value.rstrip("%") or 0)


def with_amount(text: str, word: str, number: float) -> str:
    """Return a netem text in which that word has another number, of ms or percent; 0 takes it away."""
    words = dict(zip(text.split()[::2], text.split()[1::2]))
    words.pop(word, None)
    if number:
        words[word] = f"{number:g}{'ms' if word in _TIMES else '%'}"
    joined = " ".join(f"{key} {value}" for key, value in words.items())
    return str(parse(joined, f"--sweep {word}")) if joined else ""


def _check(word: str, value: str, place: str) -> None:
    if word in _TIMES:
        if not re.fullmatch(_NUMBER + "(us|ms|s)", value) or not _microseconds(value):
            raise UsageError(f"{place}: {word} '{value}' is not a time, as 500us, 5ms or 0.1s")
    elif not re.fullmatch(_NUMBER + "%", value) or not 0 < float(value[:-1]) <= MOST_PERCENT:
        raise UsageError(f"{place}: {word} '{value}' is not a share of more than 0% and at most {MOST_PERCENT:g}%")


def _microseconds(value: str) -> float:
    match = re.fullmatch(_NUMBER + "(us|ms|s)", value)
    return float(match[1]) * _UNITS[match[2]] if match else 0.0
