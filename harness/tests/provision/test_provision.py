# SPDX-License-Identifier: BSD-3-Clause
"""Undoing after a failure at each act, the journal, restore, the dry run: on a machine in memory."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness.provision import journal
from harness.provision import journal as undoing
from harness.errors import ContenderError, MachineError
from harness.host import NETNS_DIRECTORY, Result
from harness.plan import Reason
from harness.provision.journal import DIRECTORY, PATH
from harness.provision.provision import Provisioned, provisioned, restore, steps
from harness.tests.fixtures.fake_host import PAGES, FakeHost
from harness.tests.fixtures.wires import bare_wire

WIRE = bare_wire("tap")
BOTH = ("epoll", "lwip")
NR = f"{PAGES}/nr_hugepages"


def run_once(host: FakeHost, body: Callable[[Provisioned], None] = lambda up: None) -> list[str]:
    """Provisions, runs `body`, undoes; the lines that were logged."""
    said: list[str] = []
    with provisioned(host, WIRE, BOTH, "run-1", log=said.append) as up:
        body(up)
    return said


@pytest.fixture(autouse=True)
def signals_as_they_were() -> Iterator[None]:
    """A run that is killed while it undoes gives no signal back, which would reach the tests after it."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before):
        signal.signal(number, handler)


def killed_host(acts: int) -> FakeHost:
    """A machine on which the harness was killed after so many acts."""
    class Killed(BaseException):
        pass

    class Mortal(FakeHost):
        def act(self, call: str) -> None:
            if len(self.calls) >= acts:
                raise Killed
            super().act(call)

    host = Mortal()
    try:
        run_once(host)
    except Killed:
        pass
    survivor = FakeHost()
    for name in ("files", "directories", "links", "mounts", "alive", "inside"):
        setattr(survivor, name, getattr(host, name))
    return survivor


def up_and_down() -> tuple[list[str], list[str]]:
    """The acts of a run without trouble: before the body, after it."""
    host = FakeHost()
    run_once(host, lambda up: host.calls.append("body"))
    middle = host.calls.index("body")
    return host.calls[:middle], host.calls[middle + 1:]


def undo_of(acts: list[str]) -> Iterator[str]:
    """What must be done, in that order, after these acts, by what they wrote into the journal."""
    entries = [json.loads(act.split(" ", 2)[2]) for act in acts if act.startswith(f"append {PATH} ")]
    for entry in reversed(entries):
        for kind, *arguments in entry["undo"]:
            if kind == "run":
                yield "run " + " ".join(arguments)
            elif kind == "kill_inside":
                yield f"kill inside {arguments[0]}"
            elif kind == "rmdir":
                yield f"rmdir {arguments[0]}"
            elif kind == "write" and f"write {NR} 99" in acts:
                yield f"write {arguments[0]} {arguments[1]}"
            elif kind == "unmount_if_empty" and "run ip netns add stackduel-client" in acts:
                yield f"run umount {arguments[0]}"
    yield f"unlink {PATH}"
    yield f"rmdir {DIRECTORY}"


def test_every_step_is_in_the_journal_before_it_acts() -> None:
    up, _ = up_and_down()
    written = [json.loads(act.split(" ", 2)[2])["step"] for act in up if act.startswith("append")]
    assert written == [step.name for step in steps(WIRE, BOTH)]
    for step, first_act in (("namespace stackduel-client", "run ip netns add stackduel-client"),
                            ("hugepages: 96 of 2048 KiB", f"write {NR} 99")):
        position = next(n for n, act in enumerate(up) if act.startswith("append") and f'"{step}"' in act)
        assert up[position + 1] == first_act


def test_everything_is_undone_in_reverse() -> None:
    host = FakeHost()
    before = host.state()
    up, down = up_and_down()
    assert down == list(undo_of(up))
    run_once(host)
    assert host.state() == before


def test_what_the_wire_that_is_up_cannot_carry_is_part_of_it() -> None:
    host, seen = FakeHost(), list[Provisioned]()
    known, found = Reason("other", {"text": "known"}), Reason("other", {"text": "found"})
    wire = replace(WIRE, not_applicable={"epoll": known})

    def inspect(up: Provisioned) -> dict[str, Reason]:
        seen.append(up)
        return {"lwip": found}
    with provisioned(host, wire, BOTH, "r", log=print, inspect=inspect) as up:
        assert up.wire == replace(wire, not_applicable={"epoll": known, "lwip": found})
    assert seen[0].wire is wire


def test_a_wire_that_cannot_be_inspected_is_undone() -> None:
    host = FakeHost()
    before = host.state()

    def inspect(up: Provisioned) -> dict[str, Reason]:
        raise ContenderError("it does not start")
    with pytest.raises(ContenderError, match="it does not start"):
        with provisioned(host, WIRE, BOTH, "r", log=print, inspect=inspect):
            raise AssertionError("there is no body")
    assert host.state() == before


@pytest.mark.parametrize("failing", range(1, len(up_and_down()[0]) + 1))
def test_failure_at_every_act_undoes_what_was_before(failing: int) -> None:
    host = FakeHost()
    before = host.state()
    host.fail_at = failing
    reached: list[Provisioned] = []
    if host_goes_on_without(failing):
        run_once(host, reached.append)
        assert reached and not reached[0].hugepages
    else:
        with pytest.raises(MachineError, match="scripted failure"):
            run_once(host, reached.append)
        assert not reached
        acts = host.calls[:failing - 1]
        assert host.calls[failing:] == list(undo_of(acts))
    assert host.state() == before


def host_goes_on_without(act: int) -> bool:
    return up_and_down()[0][act - 1] == f"write {NR} 99"


@pytest.mark.parametrize("failing", range(len(up_and_down()[1])))
def test_undo_goes_on_when_one_action_fails(failing: int) -> None:
    up, down = up_and_down()
    host = FakeHost()
    before = host.state()
    host.fail_at = len(up) + 1 + failing
    with pytest.raises(MachineError, match="not undone: .*scripted failure.*make restore"):
        run_once(host)
    host.fail_at = 0
    done = host.calls[len(up):]
    if failing < len(down) - 2:
        # the directory of namespaces stays as long as one is left in it
        withheld = "run umount /run/netns" if "netns del" in down[failing] else ""
        assert done == [act for act in down[:-2] if act != withheld]
        assert host.exists(PATH), "the journal must stay while something is left"
    assert restore(host) is not None
    assert host.state() == before


def test_undo_fails_for_real_when_a_command_fails_for_real() -> None:
    host = FakeHost()
    host.answers[("ip", "netns", "del", "stackduel-server")] = Result(2, "", "Device or resource busy\n")
    said: list[str] = []
    with pytest.raises(MachineError, match="namespace stackduel-server: .*Device or resource busy"):
        with provisioned(host, WIRE, BOTH, "r", log=said.append):
            pass
    assert any(line.startswith("could not be undone: namespace stackduel-server") for line in said)
    assert not host.exists(f"{NETNS_DIRECTORY}/stackduel-client"), "the rest is undone all the same"


@pytest.mark.parametrize("error", [KeyboardInterrupt, MachineError("died"), SystemExit])
def test_an_error_in_the_body_undoes_and_is_passed_on(error: BaseException | type[BaseException]) -> None:
    host = FakeHost()
    before = host.state()

    def fail(up: Provisioned) -> None:
        raise error
    with pytest.raises(error if isinstance(error, type) else type(error)):
        run_once(host, fail)
    assert host.state() == before


def test_signals_do_not_disturb_the_undoing() -> None:
    class Shot(FakeHost):
        def remove_directory(self, path: object) -> bool:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            return super().remove_directory(str(path))

    host = Shot()
    before, handler = host.state(), signal.getsignal(signal.SIGINT)
    run_once(host)
    assert host.state() == before
    assert signal.getsignal(signal.SIGINT) is handler


def test_processes_are_killed_before_their_namespace_goes(tmp_path: Path) -> None:
    host = FakeHost()

    def body(up: Provisioned) -> None:
        up.journal.process(host.spawn(["server"], stdout=tmp_path / "out", stderr=tmp_path / "err"))
    run_once(host, body)
    assert not host.alive
    assert host.calls.index("kill 100") < host.calls.index("kill inside stackduel-server")


def test_processes_nobody_recorded_die_with_their_namespace() -> None:
    host = FakeHost()
    host.inside["stackduel-client"] = [77]

    def start(up: Provisioned) -> None:
        host.alive[77] = 1
    run_once(host, start)
    assert not host.alive


@pytest.mark.parametrize("acts", range(1, sum(len(part) for part in up_and_down())))
def test_restore_after_a_kill_at_every_act(acts: int) -> None:
    host = killed_host(acts)
    assert host.state() != FakeHost().state()
    assert restore(host)
    assert host.state() == FakeHost().state()
    assert restore(host) == []


@pytest.mark.parametrize("acts", [3, 9, 20])
def test_the_next_run_undoes_what_a_killed_run_left(acts: int) -> None:
    host = killed_host(acts)
    said = run_once(host)
    assert said and all(line.startswith("undone after a killed run: ") for line in said)
    assert host.state() == FakeHost().state()


def test_restore_kills_only_the_process_that_was_recorded() -> None:
    host = FakeHost()
    host.directories.add(DIRECTORY)
    host.files[PATH] = ('{"step": "process a", "undo": [["kill", 7, 111]]}\n'
                        '{"step": "process b", "undo": [["kill", 8, 222]]}\n')
    host.alive = {7: 111, 8: 999}
    assert restore(host) == ["kill -KILL 7"]
    assert host.alive == {8: 999}, "pid 8 is another process by now"


def test_restore_tolerates_a_truncated_last_line() -> None:
    host = killed_host(20)
    host.files[PATH] += '{"run": "run-1", "step": "bri'
    assert restore(host)
    assert host.state() == FakeHost().state()


@pytest.mark.parametrize("line", [
    "not JSON", "[]", "{}", *('{"step": "x", "undo": %s}' % undo for undo in (
        '[["format", "/dev/sda"]]', '[["rmdir"]]', '[["kill", "7", 1]]', '[["run"]]', "[[]]", "7",
        '["rmdir"]', '[[["run"]]]'))])
def test_restore_leaves_a_foreign_journal_alone(line: str) -> None:
    host = killed_host(20)
    host.files[PATH] += line + "\n"
    host.calls.clear()
    with pytest.raises(MachineError, match=rf"{PATH}:\d+ is not an undo journal .*, so nothing was undone"):
        restore(host)
    assert host.calls == []


def test_restore_keeps_the_journal_while_something_is_left() -> None:
    host = killed_host(20)
    host.answers[("ip", "netns", "del", "stackduel-client")] = Result(1, "", "Device or resource busy\n")
    with pytest.raises(MachineError, match="could not all be undone: namespace stackduel-client: .*busy"):
        restore(host)
    assert host.exists(PATH) and not host.exists(f"{NETNS_DIRECTORY}/stackduel-bridge")
    with pytest.raises(MachineError, match="could not all be undone"):
        run_once(host)
    host.answers.clear()
    assert restore(host)
    assert host.state() == FakeHost().state()


def test_a_second_run_is_refused() -> None:
    host = FakeHost()
    host.holder = 4711
    with pytest.raises(MachineError, match="pid 4711"):
        run_once(host)
    host.directories.add(DIRECTORY)
    with pytest.raises(MachineError, match="pid 4711"):
        restore(host)
    assert host.calls == []


def test_root_is_needed() -> None:
    host = FakeHost()
    host.root = False
    with pytest.raises(MachineError, match="needs root"):
        run_once(host)
    assert restore(host) == []
    host.directories.add(DIRECTORY)
    with pytest.raises(MachineError, match="needs root"):
        restore(host)
    assert host.calls == []


def test_whatever_is_missing_is_said_at_once_and_nothing_is_touched() -> None:
    host = FakeHost()
    host.missing = {"wrk", "lwip_server", "tun"}
    host.directories |= {NETNS_DIRECTORY, f"{NETNS_DIRECTORY}/stackduel-bridge"}
    with pytest.raises(MachineError) as caught:
        run_once(host)
    for words in ("wire tap", "wrk (package wrk", "build/lwip_server (run `make`)",
                  "/dev/net/tun (`modprobe tun`", "/run/netns/stackduel-bridge is there already"):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value) and host.calls == []


def test_dry_run_prints_commands_and_touches_nothing() -> None:
    host = FakeHost()
    host.root = False
    host.missing = {"wrk"}
    before = host.state()
    said: list[str] = []
    with provisioned(host, WIRE, BOTH, "r", dry_run=True, log=said.append):
        pass
    assert host.calls == [] and host.state() == before
    assert said[0].startswith("# in the way of a real run: missing: wrk")
    up, down = said[:said.index("# afterwards")], said[said.index("# afterwards") + 1:]
    assert [line[2:] for line in up[1:] if line.startswith("# ")] == [step.name for step in steps(WIRE, BOTH)]
    assert f"echo 99 > {NR}" in up and "ip netns add stackduel-client" in up
    assert down[0] == "ip -n stackduel-bridge link del tap0" and down[-1] == f"echo 4 > {NR}"


def test_describe_is_what_a_person_would_type() -> None:
    assert undoing.describe(["kill", 7, 1]) == "kill -KILL 7"
    assert undoing.describe(["unlink", "/run/x"]) == "rm -f /run/x"
    assert undoing.describe(["run", "ip", "netns", "del", "a b"]) == "ip netns del 'a b'"
