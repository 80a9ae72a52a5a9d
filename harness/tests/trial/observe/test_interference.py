# SPDX-License-Identifier: BSD-3-Clause
"""What disturbs a trial: CPU time told apart by whose it is, and thresholds on causes alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.store import Clock, Interference, MachineUse, Note
from harness.trial.observe import interference as disturbance
from harness.trial.observe.interference import Sample, Work, between, reasons, work

QUIET = MachineUse(0.0, 0.0, mhz=Clock(2000.0, 2600.0), throttled=0, pressure_cpu_some_share=0.9)
KERNEL = 0x00200000


def stat(pid: int, name: str, parent: int, ticks: tuple[int, int, int, int] = (0, 0, 0, 0), flags: int = 0) -> str:
    """A line of /proc/<pid>/stat, proc(5)."""
    return (f"{pid} ({name}) S {parent} {pid} {pid} 0 -1 {flags} 9 9 9 9 {' '.join(map(str, ticks))} "
            "20 0 1 0 4711 1000 100 18446744073709551615\n")


def idle(at: float, seconds: float, steal: float = 0.0) -> dict[int, dict[str, float]]:
    return {cpu: {"user": at, "idle": seconds, "iowait": 0.0, "steal": steal} for cpu in (0, 1)}


def sample(at: float, idle_seconds: float = 0.0, ours: float = 0.0, carriers: float = 0.0,
           others: dict[int, tuple[str, float]] = {}, steal: float = 0.0, throttled: int | None = None,
           pressure: float | None = None) -> Sample:
    return Sample(at, idle(at, idle_seconds, steal), Work(ours, carriers, others), throttled, pressure)


def test_processes_are_told_apart_by_their_parents() -> None:
    found = work([stat(1, "init", 0, (5, 5, 100, 0)), stat(50, "make", 1, (1, 0, 0, 0)),
                  stat(60, "python3", 50, (100, 0, 40, 10)), stat(61, "epoll (1) x", 60, (200, 100, 0, 0)),
                  stat(62, "worker", 61, (50, 0, 0, 0)), stat(70, "cc1", 50, (300, 0, 0, 0)),
                  stat(3, "ksoftirqd/0", 2, (0, 70, 0, 0), KERNEL), stat(4, "kworker/0:1", 2, (0, 30, 0, 0), KERNEL),
                  stat(80, "ksoftirqd/0", 1, (20, 0, 0, 0))], own=60)
    assert found.ours == pytest.approx(1.0 + 0.5 + 3.0 + 0.5) and found.carriers == pytest.approx(0.7)
    assert found.others == {1: ("init", 1.1), 50: ("make", 0.01), 70: ("cc1", 3.0), 4: ("kworker/0:1", 0.3),
                            80: ("ksoftirqd/0", 0.2)}


@pytest.mark.parametrize("text", ["", "7 (gone", "7 (short) S 1 2 3", "nonsense"])
def test_a_process_that_went_while_it_was_read_is_left_out(text: str) -> None:
    assert work([text], own=1) == Work(0.0, 0.0, {})


def test_processes_in_a_circle_are_nobodys() -> None:
    assert work([stat(5, "a", 6, (1, 0, 0, 0)), stat(6, "b", 5, (1, 0, 0, 0))], own=1).ours == 0


def test_a_polling_server_and_its_client_leave_nothing_over() -> None:
    machine = between(sample(10, 100), sample(12, 100.2, ours=3.79), (0, 1), [])
    assert machine == MachineUse(0.0, 0.0)


def test_soft_interrupts_for_the_load_are_not_others() -> None:
    """0.8 s of the CPUs were spent on packets that came to an idle CPU: no process has them, so nobody else has."""
    before, after = sample(10, 100), sample(12, 101.2, ours=1.0, carriers=1.0)
    assert between(before, after, (0, 1), []).others_share == 0.0


def test_a_busy_program_is_seen_with_its_name_and_its_children_that_have_ended() -> None:
    before = sample(10, 100, others={7: ("make", 5.0), 8: ("cc1", 1.0), 9: ("cron", 3.0)})
    after = sample(12, 100, ours=3.2, others={7: ("make", 6.75), 9: ("cron", 3.05)})
    # make has cc1's whole second by now, of which it had run 1.0 s before
    machine = between(before, after, (0, 1), [])
    assert machine.others_share == pytest.approx(0.2) and machine.others_most == "make"


def test_what_others_ran_on_other_cpus_is_not_taken_from_these() -> None:
    before, after = sample(10, 100), sample(12, 101, ours=1.98, others={7: ("elsewhere", 8.0)})
    assert between(before, after, (0, 1), []).others_share == pytest.approx(0.005)


def test_steal_is_neither_ours_nor_others() -> None:
    machine = between(sample(10, 100), sample(12, 100, ours=1.9, steal=0.5, others={7: ("x", 1.1)}), (0, 1), [])
    assert machine.steal_share == 0.25 and machine.others_share == pytest.approx(0.275)


def test_clock_throttling_and_pressure() -> None:
    machine = between(sample(10, 0, throttled=3, pressure=1.0), sample(12, 0, throttled=5, pressure=1.5), (0, 1),
                      [2600.04, 1200.0])
    assert machine.mhz == Clock(1200.0, 2600.0) and machine.throttled == 2
    assert machine.pressure_cpu_some_share == 0.25
    with pytest.raises(ValueError, match="one instant"):
        between(sample(10), sample(10), (0, 1), [])


def test_files_that_a_machine_may_lack() -> None:
    assert disturbance.throttle_events(["3\n", "", "4\n"]) == 7 and disturbance.throttle_events(["", ""]) is None
    text = "some avg10=1.95 avg60=1.44 avg300=0.58 total=9717314\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    assert disturbance.pressure_seconds(text) == 9.717314 and disturbance.pressure_seconds("") is None


@pytest.mark.parametrize("change, note", [
    ({"steal_share": 0.021}, Note(Interference.STOLEN, {"share": 0.021})),
    ({"others_share": 0.305, "others_most": "cc1"},
     Note(Interference.OTHERS, {"share": 0.305, "most": "cc1"})),
    ({"others_share": 0.031}, Note(Interference.OTHERS, {"share": 0.031})),
    ({"mhz": Clock(900.0, 2400.0)}, Note(Interference.CLOCK, {"mhz": 2400.0, "before_mhz": 2600.0})),
    ({"throttled": 2}, Note(Interference.THROTTLING, {"events": 2})),
])
def test_each_cause_has_its_code(change: dict[str, Any], note: Note[Interference]) -> None:
    assert reasons(replace(QUIET, **change), [QUIET, replace(QUIET, mhz=None)]) == (note,)


@pytest.mark.parametrize("change", [
    {}, {"steal_share": 0.02}, {"others_share": 0.03}, {"throttled": None}, {"mhz": None},
    {"mhz": Clock(800.0, 2480.0)}, {"pressure_cpu_some_share": None}])
def test_below_the_thresholds_and_what_is_not_told_are_no_cause(change: dict[str, Any]) -> None:
    assert reasons(replace(QUIET, **change), [QUIET]) == ()
    assert reasons(replace(QUIET, **change), []) == ()


def test_several_causes_are_several_notes() -> None:
    assert len(reasons(replace(QUIET, steal_share=0.5, others_share=0.4, throttled=1), [])) == 3
