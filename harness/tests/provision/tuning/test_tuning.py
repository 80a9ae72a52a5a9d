# SPDX-License-Identifier: BSD-3-Clause
"""The machine's tuning: its acts in order, undone completely after any failure, refusals recorded and never fatal."""

from __future__ import annotations

import pytest

from harness.provision import journal
from harness.provision import journal as undoing
from harness.provision.tuning.cpus import CPUS
from harness.errors import MachineError
from harness.host import DryRun, Result
from harness.provision.journal import Journal
from harness.provision.steps import Hugepages
from harness.tests.fixtures.fake_host import PAGES, FakeHost
from harness.provision.tuning import LEVELS, Tuned, hugepages_for, machine_steps, results
from harness.provision.tuning.machine import SYSCTL, WORKQUEUES, Setting

CLIENT, SERVER = (0, 1), (3,)
USED = (0, 1, 3)
GOVERNOR = CPUS + "/cpu{}/cpufreq/scaling_governor"
LATENCY = CPUS + "/cpu{}/power/pm_qos_resume_latency_us"
STATE = CPUS + "/cpu{}/cpuidle/state1/latency"
THRESHOLD = f"{SYSCTL}/net/ipv4/neigh/default/gc_thresh{{}}"
NUMA, NMI = f"{SYSCTL}/kernel/numa_balancing", f"{SYSCTL}/kernel/nmi_watchdog"
IRQBALANCE = 77
# every act of level "max" on machine(), in order
ACTS = ["run pgrep -x irqbalance", f"pause {IRQBALANCE}",
        *(f"write {GOVERNOR.format(cpu)} performance" for cpu in USED),
        *(f"write {LATENCY.format(cpu)} 2" for cpu in USED),
        *(f"write {THRESHOLD.format(number)} {entries}" for number, entries in ((1, 1024), (2, 4096), (3, 8192))),
        f"write {NUMA} 0", f"write {NMI} 0", f"write {WORKQUEUES} 7"]
UNDO = [f"write {WORKQUEUES} 0000000f", f"write {NMI} 1", f"write {NUMA} 1",
        *(f"write {THRESHOLD.format(number)} {entries}" for number, entries in ((1, 128), (2, 512), (3, 1024))),
        *(f"write {LATENCY.format(cpu)} 0" for cpu in USED),
        *(f"write {GOVERNOR.format(cpu)} powersave" for cpu in USED), f"resume {IRQBALANCE}"]


def machine() -> FakeHost:
    """Four CPUs with all that can be tuned."""
    host = FakeHost()
    for cpu in range(4):
        host.files.update({GOVERNOR.format(cpu): "powersave", LATENCY.format(cpu): "0", STATE.format(cpu): "2"})
    host.files.update({NUMA: "1", NMI: "1", WORKQUEUES: "0000000f", f"{CPUS}/intel_pstate/no_turbo": "0\n",
                       f"/proc/{IRQBALANCE}/stat": stat("S"),
                       **{THRESHOLD.format(number): entries for number, entries in ((1, "128"), (2, "512"), (3, "1024"))}})
    host.answers[("pgrep", "-x", "irqbalance")] = Result(0, f"{IRQBALANCE}\n", "")
    host.alive[IRQBALANCE] = 4711
    return host


def stat(state: str) -> str:
    """proc(5): the start time is the 22nd field."""
    return f"{IRQBALANCE} (irq balance) {state} {' '.join(['0'] * 18)} 4711 0 0\n"


def bring_up(host: FakeHost, level: str) -> tuple[Journal, list[Tuned]]:
    """Each step in the journal before it acts, as provision.py does it."""
    kept = Journal(host, "run-1")
    steps = machine_steps(level, CLIENT, SERVER)
    for step in steps:
        assert step.check(host) == ""
        kept.record(step.name, step.undo(host))
        step.up(host)
    return kept, results(steps)


def acts(host: FakeHost) -> list[str]:
    return [call for call in host.calls if not call.startswith(("append", "mkdir", "unlink", "rmdir"))]


def test_level_none_does_nothing_and_says_nothing() -> None:
    host = machine()
    assert LEVELS[0] == "none" and bring_up(host, "none")[1] == [] and acts(host) == []


def test_every_act_in_order_and_undone_in_reverse() -> None:
    host = machine()
    before = host.state()
    kept, found = bring_up(host, "max")
    assert acts(host) == ACTS
    assert host.paused == {IRQBALANCE} and all(not entry.why for entry in found)
    host.calls.clear()
    assert kept.undo() == [] and acts(host) == UNDO and host.state() == before


def test_level_fair_leaves_the_kernel_s_own_work_alone() -> None:
    host = machine()
    _, found = bring_up(host, "fair")
    assert acts(host) == ACTS[:-3]
    assert [(entry.what, entry.got) for entry in found] == [
        ("irqbalance", "paused"), ("CPU governor", "performance"), ("C-states", "2"),
        ("SMT siblings", "there are none"), ("turbo", "on"), ("neighbour table", "1024, 4096, 8192")]


def test_a_machine_with_more_room_for_neighbours_keeps_it() -> None:
    host = machine()
    host.files[THRESHOLD.format(3)] = "65536"
    _, found = bring_up(host, "fair")
    assert found[-1].got == "1024, 4096, 65536" and not found[-1].why


@pytest.mark.parametrize("failing", range(1, 30))
def test_a_failure_at_every_act_is_recorded_and_all_is_undone(failing: int) -> None:
    whole = machine()
    bring_up(whole, "max")
    host = machine()
    before = host.state()
    host.fail_at = failing
    kept = Journal(host, "run-1")
    steps = machine_steps("max", CLIENT, SERVER)
    try:
        for step in steps:
            kept.record(step.name, step.undo(host))
            step.up(host)
    except MachineError:
        # without a journal nothing may be done
        assert whole.calls[failing - 1].startswith(("mkdir", "append"))
    else:
        refused = [entry for entry in results(steps) if entry.why]
        assert len(refused) == (1 if failing <= len(whole.calls) else 0)
        assert all("scripted failure" in entry.why for entry in refused)
    host.fail_at = 0
    assert kept.undo() == [] and host.state() == before


def test_what_a_kill_left_is_undone_from_the_disk() -> None:
    host = machine()
    before = host.state()
    bring_up(host, "max")
    done, failed = journal.restore(host)
    assert failed == [] and host.state() == before
    assert done[0] == f"echo 0000000f > {WORKQUEUES}" and done[-1] == f"kill -CONT {IRQBALANCE}"


def test_a_machine_that_has_none_of_it_says_so() -> None:
    host = FakeHost()
    before = host.state()
    kept, found = bring_up(host, "max")
    assert {entry.what: (entry.got, entry.why) for entry in found} == {
        "irqbalance": ("does not run", ""),
        "CPU governor": ("", "the kernel does not set this machine's frequency (no cpufreq)"),
        "C-states": ("", "the kernel does not choose this machine's C-states (no cpuidle)"),
        "SMT siblings": ("there are none", ""),
        "turbo": ("", "the machine does not tell"),
        "neighbour table": ("", f"cannot read {THRESHOLD.format(1)}: No such file or directory"),
        "NUMA balancing": ("", f"cannot read {NUMA}: No such file or directory"),
        "NMI watchdog": ("", f"cannot read {NMI}: No such file or directory"),
        "unbound kernel work": ("", "this kernel does not let its work be placed"),
    }
    assert acts(host) == ["run pgrep -x irqbalance"] and kept.undo() == [] and host.state() == before


def test_what_is_so_already_is_left_and_not_undone() -> None:
    host = machine()
    for cpu in USED:
        host.files.update({GOVERNOR.format(cpu): "performance\n", LATENCY.format(cpu): "2\n"})
    host.files.update({THRESHOLD.format(number): "8192\n" for number in (1, 2, 3)})
    host.files[f"/proc/{IRQBALANCE}/stat"] = stat("T")
    kept, found = bring_up(host, "fair")
    assert acts(host) == ["run pgrep -x irqbalance"] and not any(entry.why for entry in found)
    host.calls.clear()
    assert kept.undo() == [] and acts(host) == []


def test_a_setting_that_does_not_take_is_said() -> None:
    class Stubborn(FakeHost):
        def write(self, path: object, text: str) -> None:
            self.act(f"write {path} {text}")
    host = Stubborn()
    host.files = machine().files
    found = {entry.what: entry for entry in bring_up(host, "max")[1]}
    assert found["NMI watchdog"].got == "1" and found["NMI watchdog"].why == f"{NMI} says 1"
    assert found["CPU governor"].got == "powersave"
    assert found["CPU governor"].why.startswith(f"{GOVERNOR.format(0)} says powersave; ")


def test_one_file_of_several_that_cannot_be_read_does_not_hide_the_others() -> None:
    host = FakeHost()
    host.files["/sys/a"] = "1\n"
    step = Setting("both", "0", lambda host: {"/sys/a": "0", "/sys/b": "0"})
    assert step.undo(host) == [["write", "/sys/a", "1"]]
    step.up(host)
    assert host.files["/sys/a"] == "0" and step.result and step.result.got == "0" and "/sys/b" in step.result.why


def test_what_is_only_noted_may_be_unreadable() -> None:
    host = machine()
    del host.files[f"{CPUS}/intel_pstate/no_turbo"]
    host.directories.add(f"{CPUS}/intel_pstate/no_turbo")
    found = {entry.what: entry for entry in bring_up(host, "fair")[1]}
    assert found["turbo"].got == "" and found["turbo"].why.startswith("cannot read")


@pytest.mark.parametrize("file, text, said", [("intel_pstate/no_turbo", "1", "off"), ("cpufreq/boost", "1", "on"),
                                              ("cpufreq/boost", "0", "off")])
def test_turbo_by_driver(file: str, text: str, said: str) -> None:
    host = machine()
    del host.files[f"{CPUS}/intel_pstate/no_turbo"]
    host.files[f"{CPUS}/{file}"] = f"{text}\n"
    assert [entry.got for entry in bring_up(host, "fair")[1] if entry.what == "turbo"] == [said]


def test_a_sibling_that_is_used_is_said() -> None:
    host = machine()
    for cpu in range(4):
        host.files[f"{CPUS}/cpu{cpu}/topology/thread_siblings_list"] = f"{cpu % 2},{cpu % 2 + 2}\n"
    found = {entry.what: entry for entry in bring_up(host, "fair")[1]}
    assert found["SMT siblings"] == Tuned("SMT siblings", "idle", "CPUs 2 idle",
                                          "CPU 3 shares its core with CPU 1, which is used too")


@pytest.mark.parametrize("now, server, asked", [
    ("f", (3,), "7"), ("00000000,0000000f", (0,), "e"), ("ff,ffffffff", (33,), "fd,ffffffff"),
    ("1,00000000,00000003", (64,), "3"), ("7", (3,), None), ("1", (0,), None)])
def test_the_mask_of_unbound_work(now: str, server: tuple[int, ...], asked: str | None) -> None:
    host = machine()
    host.files[WORKQUEUES] = f"{now}\n"
    step = machine_steps("max", (1,), server)[-1]
    undo = step.undo(host)
    step.up(host)
    written = [call for call in host.calls if WORKQUEUES in call]
    assert written == ([f"write {WORKQUEUES} {asked}"] if asked else [])
    assert undo == ([["write", WORKQUEUES, now]] if asked else [])
    assert step.result and step.result.why == ("no CPU would be left for it" if now == "1" else "")


def test_a_cpu_without_a_wait_still_has_a_limit() -> None:
    host = machine()
    host.files[STATE.format(3)] = "0\n"
    bring_up(host, "fair")
    assert host.files[LATENCY.format(3)] == "1"


def test_a_rehearsal_prints_what_would_be_done_and_undone() -> None:
    host = machine()
    before, printed = host.state(), list[str]()
    dry = DryRun(host, printed.append)
    undo = []
    for step in machine_steps("fair", CLIENT, SERVER):
        undo += step.undo(dry)
        step.up(dry)
    assert printed == [f"kill -STOP {IRQBALANCE}", *(f"echo performance > {GOVERNOR.format(cpu)}" for cpu in USED),
                       *(f"echo 2 > {LATENCY.format(cpu)}" for cpu in USED),
                       *(f"echo {entries} > {THRESHOLD.format(number)}"
                         for number, entries in ((1, 1024), (2, 4096), (3, 8192)))]
    assert undoing.describe(undo[0]) == f"kill -CONT {IRQBALANCE}" and host.state() == before


def test_what_is_no_tuning_says_nothing() -> None:
    pages = Hugepages(2048, 4, node=1)
    assert results([object(), Hugepages(2048, 4)]) == []
    pages.up(FakeHost())
    assert results([pages]) == [Tuned("hugepages", "4 of 2048 KiB on NUMA node 1", "not granted",
                                      "this kernel has no hugepages of 2048 KiB on NUMA node 1")]


@pytest.mark.parametrize("level, free, count, pages", [
    ("max", "1", 96, (1048576, 1)), ("max", "0", 96, (2048, 96)), ("max", None, 96, (2048, 96)),
    ("max", "1", 513, (2048, 513)), ("max", "2", 513, (1048576, 2)), ("fair", "8", 96, (2048, 96)),
    ("max", "1", 0, (2048, 0))])
def test_pages_of_1_gib_where_there_are(level: str, free: str | None, count: int, pages: tuple[int, int]) -> None:
    host = FakeHost()
    if free:
        host.files["/sys/devices/system/node/node1/hugepages/hugepages-1048576kB/free_hugepages"] = free
    assert hugepages_for(host, level, 1, 2048, count) == pages
    assert hugepages_for(host, level, None, 2048, count) == (2048, count)


def test_hugepages_of_a_node_are_counted_and_given_back_there() -> None:
    host = FakeHost()
    node = "/sys/devices/system/node/node1/hugepages/hugepages-2048kB"
    host.files.update({f"{node}/nr_hugepages": "2\n", f"{node}/free_hugepages": "2\n"})
    before = host.state()
    step = Hugepages(2048, 96, node=1)
    assert step.name == "hugepages: 96 of 2048 KiB on NUMA node 1" and step.check(host) == ""
    kept = Journal(host, "run-1")
    kept.record(step.name, step.undo(host))
    step.up(host)
    assert acts(host) == [f"write {node}/nr_hugepages 96"] and step.granted
    assert results([step])[0].got == "granted" and host.files[f"{PAGES}/nr_hugepages"].strip() == "4"
    assert kept.undo() == [] and host.state() == before and acts(host)[-1] == f"write {node}/nr_hugepages 2"


def test_a_node_that_gives_too_few_is_named() -> None:
    host = FakeHost()
    node = "/sys/devices/system/node/node0/hugepages/hugepages-2048kB"
    host.files.update({f"{node}/nr_hugepages": "0\n", f"{node}/free_hugepages": "0\n"})
    host.page_limit = 40
    with pytest.raises(MachineError, match=rf"the machine gave 40 of 96 hugepages of 2048 KiB on NUMA node 0.*{node}"):
        Hugepages(2048, 96, "the NIC needs them", 0).up(host)
    assert host.files[f"{node}/nr_hugepages"].strip() == "0"


def test_an_action_that_continues_a_process_is_one_of_the_journal() -> None:
    assert undoing.describe(["continue", 7, 1]) == "kill -CONT 7"
    host = FakeHost()
    host.alive, host.paused = {7: 1}, {7}
    assert undoing.undo(host, [undoing.Entry("a", (["continue", 7, 1], ["continue", 8, 1]))]) == (["kill -CONT 7"], [])
    assert host.paused == set()
