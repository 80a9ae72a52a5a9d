# SPDX-License-Identifier: BSD-3-Clause
"""What perf may sample by, on machines that allow it more or less; whose samples are the contender's."""

from __future__ import annotations

from typing import Sequence

import pytest

from harness.errors import MachineError
from harness.host import Host, Result
from harness.trial.observe.perf import _ours, sampled_event

SHOWN, HIDDEN = "ffffffff81000000 T _text\n", "0000000000000000 T _text\n"
STAT = "{pid} ({name}) S 1 1 {session} 0 -1 {flags} 0 0"


class Machine(Host):
    """One whose perf counts `events`, and which has the processes (name, session, flags)."""

    def __init__(self, symbols: str = SHOWN, events: Sequence[str] = (),
                 processes: Sequence[tuple[str, int, int]] = ()) -> None:
        self._symbols = symbols
        self._events = events
        self._stats = {str(100 + at): STAT.format(pid=100 + at, name=name, session=session, flags=flags)
                       for at, (name, session, flags) in enumerate(processes)}

    def read(self, path: object) -> str:
        if path == "/proc/kallsyms":
            return self._symbols
        return self._stats[str(path).split("/")[2]]

    def listing(self, path: object) -> list[str]:
        return [*self._stats, "self"]

    def run(self, argv: Sequence[str], *, netns: str | None = None, timeout: float = 30,
            check: bool = True) -> Result:
        event = argv[argv.index("-e") + 1]
        return Result(0, "", f"{'12' if event in self._events else '<not supported>'},,{event}\n")


@pytest.mark.parametrize("events, event", [(("cycles", "cpu-clock"), "cycles"), (("cpu-clock",), "cpu-clock")])
def test_cycles_are_sampled_where_the_processor_counts_them(events: Sequence[str], event: str) -> None:
    assert sampled_event(Machine(events=events)) == event


@pytest.mark.parametrize("machine, what", [
    (Machine(HIDDEN, ("cycles",)), "kptr_restrict"), (Machine(), "perf may not count cpu-clock")])
def test_what_is_missing_is_one_line(machine: Machine, what: str) -> None:
    with pytest.raises(MachineError, match=what) as error:
        sampled_event(machine)
    assert "\n" not in str(error.value)


def test_ours_are_the_session_and_the_threads_that_carry_packets() -> None:
    machine = Machine(processes=[("nginx", 7, 0x400100), ("my (odd) one", 7, 0), ("ksoftirqd/1", 0, 0x200040),
                                 ("kswapd0", 0, 0x200040), ("ksoftirqd/1", 9, 0)])
    assert _ours(machine, 7) == {0, 100, 101, 102}
