# SPDX-License-Identifier: BSD-3-Clause
"""The registry of load tools: which is chosen for what, and that one more is one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import ContenderError, UsageError
from harness.plan import WORKLOADS, Workload
from harness.store import LatencyMeaning
from harness.trial import choose_tool, load_tools
from harness.trial.load.base import FOLDERS, LoadResult, account_of, load_result
from harness.trial.observe.cpu import ProcStat

OWN = {"h2load", "loadgen", "openload", "redis-benchmark", "wrk"}
ANOTHER = '''
from pathlib import Path
from harness.trial.load.base import LoadTool

class Another(LoadTool):
    name = "another"
    workloads = ("rps", "echo")
    usual = {usual}

    def command(self, load, report, launcher):
        return [*launcher, "another", str(load.connections), str(report)]

TOOL = Another()
'''


def test_every_tool_of_the_folder_is_there() -> None:
    assert set(load_tools()) == OWN


@pytest.mark.parametrize("workload, open_loop, sockets, tool", [
    ("rps", False, True, "wrk"), ("bandwidth", False, True, "wrk"), ("cps", False, True, "wrk"),
    ("nginx-get", False, True, "wrk"), ("redis-set", False, True, "redis-benchmark"),
    ("redis-get", False, True, "redis-benchmark"), ("rps", True, True, "openload"),
    ("conns", False, False, "loadgen"), ("rps", True, False, "loadgen")])
def test_each_workload_has_its_usual_tool(workload: str, open_loop: bool, sockets: bool,
                                          tool: str) -> None:
    assert choose_tool(WORKLOADS[workload], open_loop=open_loop, sockets=sockets).name == tool


@pytest.mark.parametrize("workload", WORKLOADS)
def test_no_workload_has_two_usual_tools(workload: str) -> None:
    for sockets in (False, True):
        usual = [tool.name for tool in load_tools().values() if tool.usual and tool.closed_loop
                 and tool.has_sockets == sockets and workload in tool.workloads]
        assert len(usual) <= 1


def test_another_than_the_usual_is_asked_for_by_name() -> None:
    assert choose_tool(WORKLOADS["rps"], name="h2load").name == "h2load"


@pytest.mark.parametrize("workload, name, words", [
    ("rps", "ab", "no load tool 'ab'; there are: h2load, loadgen, openload, redis-benchmark, wrk"),
    ("cps", "h2load", "h2load cannot make a closed loop of workload 'cps'"),
    ("rps", "openload", "openload cannot make a closed loop of workload 'rps'"),
    ("rps", "loadgen", "loadgen cannot make"), ("redis-set", "wrk", "wrk cannot make")])
def test_a_tool_that_cannot_is_refused(workload: str, name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        choose_tool(WORKLOADS[workload], name=name)


def test_a_workload_that_nobody_can_make_is_refused() -> None:
    with pytest.raises(UsageError, match="no load tool makes an open loop of workload 'x'"):
        choose_tool(Workload("x", "/", 1), open_loop=True)


def test_one_more_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "another.py").write_text(ANOTHER.format(usual=False))
    monkeypatch.setenv(FOLDERS, str(tmp_path))
    assert set(load_tools()) == {*OWN, "another"}
    assert choose_tool(WORKLOADS["rps"]).name == "wrk"
    tool = choose_tool(WORKLOADS["rps"], name="another")
    assert tool.latency(False) is LatencyMeaning.FROM_SENDING and tool.elsewhere is None
    monkeypatch.delenv(FOLDERS)
    assert set(load_tools()) == OWN


def test_a_tool_of_another_folder_can_be_the_usual_one_of_a_new_workload(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "another.py").write_text(ANOTHER.format(usual=True))
    monkeypatch.setenv(FOLDERS, str(tmp_path))
    assert choose_tool(Workload("echo", "", 1)).name == "another"


REPORT: dict[str, Any] = {
    "requests": 2, "bytes": 9, "duration_seconds": 2, "latency_us": [[3, 1], [4.5, 1]],
    "errors": {"status": 0, "other": 5}, "proc_stat": {"before": "a", "after": "b"}}


def test_a_report_is_read_by_its_names() -> None:
    assert load_result(REPORT, ("status",)) == LoadResult(
        2, 9, 2, {"status": 0}, ((3, 1), (4.5, 1)), ProcStat("a", "b"))
    assert load_result(REPORT, (), duration_seconds=4).requests_per_sec == 0.5


@pytest.mark.parametrize("key, value, words", [
    *(("requests", value, "'requests' is missing or of a wrong type")
      for value in (True, "1", None, 1.5)),
    *(("duration_seconds", value, "'duration_seconds' is missing or of a wrong type")
      for value in (True, "1", None, float("nan"), float("inf"))),
    ("latency_us", [[-1, 2]], "'latency_us' is"), ("latency_us", [[1]], "'latency_us' is"),
    ("requests", -1, "negative"), ("errors", {"status": -1}, "negative"), ("errors", {}, "KeyError"),
    ("duration_seconds", 0, "its duration is 0"), ("duration_seconds", -0.5, "its duration is 0"),
    ("proc_stat", {}, "'proc_stat.before' is missing")])
def test_what_is_wrong_with_a_report_is_one_line_with_the_tools_name(
        key: str, value: object, words: str) -> None:
    with pytest.raises(ContenderError, match=f"^x wrote no usable report: .*{words}"):
        with account_of("x"):
            load_result({**REPORT, key: value}, ("status",))
