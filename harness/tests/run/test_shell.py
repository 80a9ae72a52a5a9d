# SPDX-License-Identifier: BSD-3-Clause
"""The shell: both servers up before it, gone after it, whatever happens."""

from __future__ import annotations

from pathlib import Path

import pytest

import harness.run.shell
from harness.errors import ContenderError
from harness.plan import load_plan
from harness.run.shell import hint, open_shell as shell, side_by_side
from harness.tests.fixtures.fake_host import FakeHost
from harness.tests.fixtures.wires import bare_wire

WIRE = bare_wire("tap")
PLAN = load_plan("quick", WIRE, [0, 1], {})


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    monkeypatch.setattr(harness.run.shell, "RAW", tmp_path)
    monkeypatch.setenv("SHELL", "/bin/zsh")
    machine = FakeHost()
    machine.prints = {"epoll_server": "READY 198.18.0.2:80\n", "lwip_server": "READY 198.18.0.3:80\n"}
    return machine


def acts(host: FakeHost) -> list[str]:
    """Beginnings of what was done from the first server on."""
    first = next(n for n, call in enumerate(host.calls) if call.startswith("spawn"))
    return [" ".join(call.split()[:5]) for call in host.calls[first:] if not call.startswith("append")]


def test_order(host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    before = host.state()
    assert shell(host, WIRE, PLAN) == 0
    assert acts(host)[:5] == ["spawn ip netns exec stackduel-server", "spawn ip netns exec stackduel-bridge",
                              "interactive ip netns exec stackduel-client", "signal 100 SIGTERM",
                              "signal 101 SIGTERM"]
    assert "interactive ip netns exec stackduel-client /bin/zsh" in host.calls
    assert host.state() == before
    assert "curl -i http://198.18.0.2/ " in capsys.readouterr().err


def test_a_server_that_dies_leaves_no_shell_and_nothing_behind(host: FakeHost) -> None:
    before = host.state()
    host.prints.pop("lwip_server")
    real = host.spawn

    def dead(*args: object, **options: object) -> object:
        process = real(*args, **options)  # type: ignore[arg-type]
        if len(host.processes) == 2:
            process.code = 1
        return process
    setattr(host, "spawn", dead)
    with pytest.raises(ContenderError, match="'lwip' ended with exit code 1 before it was ready"):
        shell(host, WIRE, PLAN)
    assert not any(call.startswith("interactive") for call in host.calls)
    host.alive.pop(101, None)
    assert host.state() == before


def test_hint_names_every_contender_and_an_unusual_port() -> None:
    text = "\n".join(hint(WIRE, load_plan("quick", WIRE, [0, 1], {"PORT": "8080"})))
    assert "curl -i http://198.18.0.2:8080/" in text and "curl -i http://198.18.0.3:8080/" in text


def test_a_client_of_its_own_is_started_by_a_script(tmp_path: Path, host: FakeHost) -> None:
    wire = bare_wire("shm")
    plan = load_plan("quick", wire, [0, 1], {})
    before = host.state()
    written: dict[str, str] = {}
    def look(argv: object, *, netns: str | None = None) -> int:
        written.update(host.files)
        return 0
    setattr(host, "interactive", look)
    assert shell(host, wire, plan) == 0
    script = written[str(tmp_path / "lwip-client")]
    assert script.startswith("exec ip netns exec stackduel-lwip-client taskset -c 0 /")
    assert "/build/on-lwip --address 198.18.0.4 " in script and script.endswith(' -- "$@"\n')
    assert f"--counters {tmp_path}/lwip-client.counters" in script
    assert str(tmp_path / "epoll-client") not in written, "the kernel's sockets need none"
    assert host.state() == before
    text = "\n".join(hint(wire, plan))
    assert f"  sh {tmp_path}/lwip-client curl -i http://198.18.0.3/" in text
    assert "  curl -i http://198.18.0.2/" in text and "ip -n stackduel-client -statistics link" in text


def test_of_servers_that_share_an_end_the_first_is_up_and_loadgen_is_what_to_try() -> None:
    wire = bare_wire("scale")
    plan = load_plan("quick", wire, [0, 1], {})
    assert [contender.name for contender in side_by_side(wire, plan)] == ["epoll", "lwip"]
    text = "\n".join(hint(wire, plan))
    assert "sh /run/stackduel/shell/lwip-client --connections 64    # lwIP on DPDK" in text and "curl" not in text
