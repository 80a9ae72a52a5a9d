# SPDX-License-Identifier: BSD-3-Clause
"""The promise of what one change touches: a wire, a contender and a load tool are a file each, also a stranger's."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.host import Host
from harness.cli.bench import bench
from harness.run import RunRequest
from harness.trial.load.base import FOLDERS
from harness.tests.fixtures.serving_host import ServingHost, at_load, interrupt, only_run

STRANGER = Path(__file__).parent / "data" / "stranger"
GNOME = STRANGER / "contenders" / "gnome.toml"
# the fake host tells servers that are up at once by their addresses, of which a stranger's arguments may say nothing
TINY = {"CONNECTIONS": "8", "ROUNDS": "1", "TURN": "0"}


def measure(tmp_path: Path, wire: str, host: Host, resume: str = "", **settings: str) -> None:
    bench(RunRequest(wire, "" if resume else "quick", settings, resume=resume), host, tmp_path, tmp_path / "out", report=False)


def test_a_wire_and_a_contender_of_a_stranger_are_a_file_each(tmp_path: Path) -> None:
    host = ServingHost()
    before = host.state()
    measure(tmp_path, str(STRANGER / "wires" / "garden.toml"), host, **TINY)
    run = only_run(tmp_path)
    assert run.plan.wire == run.facts.raw["wire"]["name"] == "garden" and run.facts.raw["wire"]["mtu"] == 9000
    assert run.plan.contenders == ("epoll", "gnome") and len(run.trials) == 2
    assert run.facts.raw["wire"]["contenders"]["gnome"]["label"] == "gnome (net_tap)"
    started = next(call for call in host.calls if call.startswith("spawn") and "gnome_server" in call)
    assert "--vdev=net_tap0,iface=tap0" in started and "--listen=198.18.0.3:80" in started
    assert any("link add bridge0 mtu 9000" in call for call in host.calls) and host.state() == before


def test_a_contender_is_named_by_its_file_on_any_wire(tmp_path: Path) -> None:
    measure(tmp_path, "tap", ServingHost(), CONTENDERS=f"epoll,lwip,{GNOME}", **TINY)
    run = only_run(tmp_path)
    assert {trial.contender for trial in run.trials} == {"epoll", "lwip", "gnome"}


def test_a_run_with_a_stranger_s_contender_goes_on_where_its_file_is_named(tmp_path: Path) -> None:
    host = ServingHost()
    host.on_load = at_load(3, interrupt)
    settings = {"CONTENDERS": f"epoll,{GNOME}", **TINY}
    with pytest.raises(BaseException, match="interrupted"):
        measure(tmp_path, "tap", host, **settings)
    run = only_run(tmp_path)
    with pytest.raises(UsageError, match="has contender 'gnome'"):
        measure(tmp_path, "tap", ServingHost(), resume=run.id)
    measure(tmp_path, "tap", ServingHost(), resume=run.id, **settings)
    assert len(only_run(tmp_path).trials) == 2


def test_what_a_stranger_s_contender_needs_is_named(tmp_path: Path) -> None:
    host = ServingHost()
    host.missing = {"gnome_server"}
    with pytest.raises(Exception, match=r"missing: gnome_server \(package gnome-server"):
        measure(tmp_path, "tap", host, CONTENDERS=str(GNOME), **TINY)
    assert host.calls == []


def test_a_load_tool_of_a_stranger_is_a_file_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="sprinkler"):
        measure(tmp_path, "tap", ServingHost(), CONTENDERS="epoll", LOAD_TOOL="sprinkler", **TINY)
    monkeypatch.setenv(FOLDERS, str(STRANGER / "load"))
    measure(tmp_path, "tap", ServingHost(), CONTENDERS="epoll", LOAD_TOOL="sprinkler", **TINY)
    run = only_run(tmp_path)
    assert run.facts.raw["load_tool"]["name"] == run.plan.load_tool == "sprinkler" and len(run.trials) == 1
    assert list(run.path.glob("raw/0*/sprinkler.json"))
