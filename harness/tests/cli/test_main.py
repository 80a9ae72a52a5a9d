# SPDX-License-Identifier: BSD-3-Clause
"""The command line and whole runs on a fake host: exit codes, one line for every end, what stays."""

from __future__ import annotations

import errno
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

import harness.cli.bench
from harness.cli.commands import COMMANDS, settings
from harness.plan import OPTIONS
from harness.cli.main import main, parse
from harness.cli.bench import bench
from harness.run import RunRequest
from harness.errors import CheckFailed, ContenderError, Interrupted, MachineError, UsageError
from harness.cli.report import show_run
from harness.tests.fixtures.fake_host import FakeHost
from harness.tests.fixtures.serving_host import LoadingProcess, ServingHost, at_load, interrupt, only_run

ROOT = Path(__file__).resolve().parents[3]
TINY = {"CONNECTIONS": "1,8", "ROUNDS": "2", "CALIBRATE": "no", "CONTENDERS": "epoll,lwip", "TURN": "0"}
ORDER = RunRequest("tap", "quick", TINY)


@pytest.fixture(autouse=True)
def handlers_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """main() stores its runs here."""
    def bench_here(request: RunRequest, host: ServingHost, **options: Any) -> None:
        bench(request, host, tmp_path, tmp_path / "out", **options)
    monkeypatch.setattr(harness.cli.bench, "bench", bench_here)
    return tmp_path


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    err = capsys.readouterr().err
    assert err.startswith("stackduel: ") and err.count("\n") == 1
    return err


def test_a_run_measures_stores_undoes_and_reports(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()
    before = host.state()
    bench(ORDER, host, tmp_path, tmp_path / "out")
    run = only_run(tmp_path)
    assert [(t.round, t.point.connections, t.contender) for t in run.trials] == [
        (0, 1, "epoll"), (0, 1, "lwip"), (0, 8, "epoll"), (0, 8, "lwip"),
        (1, 1, "lwip"), (1, 1, "epoll"), (1, 8, "lwip"), (1, 8, "epoll")]
    assert [t.sequence for t in run.trials] == list(range(8))
    assert all(t.valid for t in run.trials)
    assert run.facts.raw["ports"] == {"lwip": {"driver": "net_tap"}} and run.facts.raw["run"] == run.id
    assert sorted(path.name for path in (run.path / "raw").iterdir())[0] == "0000-epoll-c1-r0"
    assert host.state() == before
    assert shown == [run.path]


def test_nothing_is_measured_before_the_wire_is_up_nor_after_it_is_undone(tmp_path: Path,
                                                                          shown: list[Path]) -> None:
    host = ServingHost()
    bench(ORDER, host, tmp_path, tmp_path / "out")
    spawns = [place for place, call in enumerate(host.calls) if call.startswith("spawn")]
    ups = [place for place, call in enumerate(host.calls) if "netns add" in call]
    downs = [place for place, call in enumerate(host.calls) if "netns del" in call]
    assert max(ups) < min(spawns) and max(spawns) < min(downs)


def test_the_report_and_its_gains_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench(ORDER, ServingHost(), tmp_path, tmp_path / "out")
    out = capsys.readouterr().out
    run = only_run(tmp_path)
    for name in ("report.html", "summary.md"):
        path = tmp_path / "out" / run.id / name
        assert str(path) in out and path.stat().st_size > 0
    assert "lwip/epoll 1.00× " in out


def test_a_contender_that_fails_ends_the_run_with_it_kept(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()
    before = host.state()

    def die(wrk: LoadingProcess) -> None:
        assert host.serving is not None
        host.serving.code = 1
    host.on_load = at_load(4, die)
    with pytest.raises(ContenderError, match="'lwip' ended with exit code 1 under load.*; 1 of 8 .*RESUME="):
        bench(ORDER, host, tmp_path, tmp_path / "out")
    assert host.alive == {} and host.state() == before and len(only_run(tmp_path).trials) == 1


def full_disk(path: str) -> Callable[[LoadingProcess], None]:
    def fail(wrk: LoadingProcess) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
    return fail


def test_a_full_disk_ends_the_run_with_it_kept(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()
    before = host.state()
    host.on_load = at_load(3, full_disk("raw/x"))
    with pytest.raises(MachineError, match="raw/x: the disk is full: free some space; 1 of 8 .*RESUME="):
        bench(ORDER, host, tmp_path, tmp_path / "out")
    assert host.state() == before and len(only_run(tmp_path).trials) == 1


def test_a_disk_that_fills_while_a_trial_is_stored_loses_only_that(tmp_path: Path, shown: list[Path],
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    host = ServingHost()
    real = os.fsync

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    host.on_load = at_load(4, lambda wrk: monkeypatch.setattr(os, "fsync", full))
    with pytest.raises(MachineError, match="trials.jsonl: the disk is full.*; 1 of 8 trials are kept"):
        bench(ORDER, host, tmp_path, tmp_path / "out")
    monkeypatch.setattr(os, "fsync", real)
    assert len(only_run(tmp_path).trials) == 1


def test_an_invalid_trial_is_stored_and_the_run_goes_on(tmp_path: Path, shown: list[Path],
                                                        capsys: pytest.CaptureFixture[str]) -> None:
    host = ServingHost()
    host.response = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nX"
    with pytest.raises(CheckFailed) as caught:
        bench(ORDER, host, tmp_path, tmp_path / "out")
    run = only_run(tmp_path)
    assert len(run.trials) == 8 and not any(t.valid for t in run.trials)
    assert capsys.readouterr().out.count("INVALID") == 8
    assert shown == [run.path]
    line = str(caught.value)
    assert line.startswith("no valid trial of ")
    assert line.endswith(f"; the report is in {tmp_path / 'out' / run.id}") and "\n" not in line


def test_only_a_point_without_any_valid_trial_fails_the_run(tmp_path: Path, shown: list[Path]) -> None:
    bench(ORDER, ServingHost(), tmp_path, tmp_path / "out")
    run = only_run(tmp_path)

    def spoil(*rounds: int) -> None:
        file = run.path / "trials.jsonl"
        lines = list(map(json.loads, file.read_text().splitlines()))
        for line in lines:
            if ((line["contender"], line["point"]["connections"]) == ("lwip", 8)
                    and line["round"] in rounds):
                line["problems"] = [{"code": "other", "text": "3 reads failed"}]
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    again = RunRequest("", "", {}, resume=run.id)
    spoil(1)
    bench(again, ServingHost(), tmp_path, tmp_path / "out")
    spoil(0, 1)
    with pytest.raises(CheckFailed, match=r"^no valid trial of lwip at 8 connections "
                                          r"\(3 reads failed\); the report is"):
        bench(again, ServingHost(), tmp_path, tmp_path / "out")
    assert shown == [run.path] * 3


@pytest.mark.parametrize("order", [
    RunRequest("tap", "quick", {"CONNECTIONS": "0"}), RunRequest("tap", "quick", {"CONNECTIONS": "1000000000"}),
    RunRequest("tap", "quick", {"CONTENDERS": "epoll,nobody"}), RunRequest("tap", "quick", {"SERVER_CPUS": "7"}),
    RunRequest("tap", "slow", {}), RunRequest("wap", "quick", {}), RunRequest("tap", "", {}, resume="20000101-000000-tap"),
])
def test_bad_input_ends_before_anything_is_done(tmp_path: Path, order: RunRequest) -> None:
    host = ServingHost()
    with pytest.raises(UsageError):
        bench(order, host, tmp_path, tmp_path / "out")
    assert host.calls == [] and not (tmp_path / "runs").exists()


def test_results_that_cannot_be_written_end_before_anything_is_done(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    host = ServingHost()
    with pytest.raises(MachineError, match="Not a directory"):
        bench(ORDER, host, tmp_path / "file", tmp_path / "out")
    assert host.calls == []


def test_a_dry_run_prints_steps_and_load_and_does_nothing(tmp_path: Path,
                                                          capsys: pytest.CaptureFixture[str]) -> None:
    host = ServingHost()
    bench(RunRequest("tap", "quick", TINY, dry_run=True), host, tmp_path, tmp_path / "out")
    out = capsys.readouterr().out
    assert "ip netns add stackduel-client" in out and "ip netns del stackduel-client" in out
    assert "plan quick, 8 trials of epoll, lwip at 1, 8 connections, 0:12 of load" in out
    assert host.calls == [] and not (tmp_path / "runs").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_a_run_with_130_the_machine_as_found_and_the_trials_kept(
        here: Path, shown: list[Path], capsys: pytest.CaptureFixture[str], number: signal.Signals) -> None:
    host = ServingHost()
    before = host.state()
    host.on_load = at_load(5, lambda wrk: os.kill(os.getpid(), number))
    assert main(["bench", "--wire", "tap", "--plan", "quick", "--set", "CONNECTIONS=1,8",
                 "--set", "CALIBRATE=no", "--set", "CONTENDERS=epoll,lwip"], host) == 130
    assert "interrupted; 2 of 16 trials are kept, finish the run with RESUME=" in one_line(capsys)
    assert host.state() == before and len(only_run(here).trials) == 2


def test_a_second_signal_does_not_disturb_the_undoing(here: Path, shown: list[Path],
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    host = ServingHost()
    before = host.state()

    def twice(wrk: LoadingProcess) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
    host.on_load = at_load(1, twice)
    assert main(["bench", "--wire", "tap", "--plan", "quick", "--set", "CONTENDERS=epoll,lwip"], host) == 130
    assert "interrupted; 0 of 32 trials" in one_line(capsys)
    assert host.state() == before


@pytest.mark.parametrize("argv, words", [
    ([], "required: COMMAND"),
    (["dance"], "invalid choice: 'dance'"),
    (["bench", "tap", "--plan"], "expected one argument"),
    (["bench", "tap", "--colour"], "unrecognized arguments: --colour"),
    (["bench", "tap", "surplus"], "unrecognized arguments: surplus"),
    (["bench", "tap", "COLOUR=red"], "unknown setting 'COLOUR'"),
    (["bench", "tap", "--connections", "0"], "CONNECTIONS=0: must be 1 to 33554432"),
    (["bench", "tap", "CONNECTIONS=0"], "CONNECTIONS=0: must be 1 to 33554432"),
    (["bench", "tap", "--nic", "eth1"], "--nic is for the wire with a NIC"),
    (["report", "--rounds", "5"], "--rounds is not an option of report; bench, latency, noise, reproduce take it"),
    (["report", "ROUNDS=5"], "ROUNDS is not a setting of report; bench, latency, noise, reproduce take it"),
    (["latency", "--precision", "3"], "--precision is not an option of latency; bench, reproduce take it"),
    (["verify"], "required: FILE"),
    (["compare"], "required: RUN"),
    (["report", "nowhere"], "no run 'nowhere'"),
    (["compare", "nowhere", "neither"], "no run 'nowhere'"),
])
def test_bad_usage_is_one_line_and_2(argv: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv, ServingHost()) == 2
    assert words in one_line(capsys)


def test_not_root_is_one_line_and_3(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    host = ServingHost()
    host.root = False
    assert main(["bench", "--wire", "tap"], host) == 3
    assert "root" in one_line(capsys)
    assert host.calls == [] and list((here / "runs").iterdir()) == []


@pytest.mark.parametrize("error, code, words", [
    (ContenderError("contender 'lwip' died"), 4, "contender 'lwip' died"),
    (OSError(errno.ENOSPC, "No space left on device", "/x/y.html"), 3, "/x/y.html: the disk is full"),
    (PermissionError(errno.EACCES, "Permission denied", "/x"), 3, "/x: Permission denied"),
    (ModuleNotFoundError("No module named 'rich'"), 3, "No module named 'rich': `sudo make deps` installs"),
    (ImportError("cannot import name 'a' from 'b'"), 3, "cannot import name 'a' from 'b': `sudo make deps` installs"),
    (KeyboardInterrupt(), 130, "interrupted"),
])
def test_every_error_is_one_line_and_its_code(monkeypatch: pytest.MonkeyPatch,
                                              capsys: pytest.CaptureFixture[str], error: BaseException,
                                              code: int, words: str) -> None:
    def fail(request: RunRequest, host: ServingHost, **options: Any) -> None:
        raise error
    monkeypatch.setattr(harness.cli.bench, "bench", fail)
    assert main(["bench", "--wire", "tap"], ServingHost()) == code
    assert words in one_line(capsys)


@pytest.mark.parametrize("words", [["-m", "harness"], ["./stackduel"]])
@pytest.mark.parametrize("options, said", [
    (["-S"], "No module named 'cattrs': `sudo make deps` installs"),  # without site there are no packages
    ([], "Python 3.11 or newer is needed; ")])
def test_a_python_that_cannot_run_us_is_one_line_and_3(words: list[str], options: list[str], said: str,
                                                      tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.version_info = (3, 9, 2, 'final', 0)")
    done = subprocess.run([sys.executable, *options, *words, "doctor"], cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert done.stderr.startswith("stackduel: ") and said in done.stderr


def test_restore_says_that_there_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["restore"], ServingHost()) == 0
    assert capsys.readouterr().out == "nothing to undo\n"


def test_options_of_bench() -> None:
    args = parse(["bench", "tap", "--plan", "quick", "--rounds=5", "--netem", "delay 5ms", "--dry-run",
                  "--resume", "id", "--published", "one", "--published", "two"])
    assert (args.WIRE, args.PLAN, args.RESUME, args.DRY_RUN, args.PUBLISHED) == (
        "tap", "quick", "id", True, ["one", "two"])
    given = {key: value for key, value in settings(args).items() if value}
    assert given == {"ROUNDS": "5", "NETEM": "delay 5ms"}


def test_options_as_make_has_them(capsys: pytest.CaptureFixture[str]) -> None:
    args = parse(["bench", "MAX_CONNECTIONS=7", "WIRE=tap", "FORCE=0", "SWEEP=cores=1,2 body=1,2", "PLAN="])
    assert (args.WIRE, args.FORCE, args.PLAN) == ("tap", False, "")
    given = {key: value for key, value in settings(args).items() if value}
    assert given == {"SERVER_MAX_CONNECTIONS": "7", "SWEEP": "cores=1,2 body=1,2"}
    assert capsys.readouterr().err == ("stackduel: MAX_CONNECTIONS is called SERVER_MAX_CONNECTIONS now; "
                                       "the old name works in this release\n")
    assert parse(["trend", "RUNS=last 20", "WIRE=tap"]).RUNS == ["last", "20"]
    assert parse(["gate", "BASE=a b", "HEAD=c"]).BASE == ["a", "b"]


def test_every_option_stands_in_the_help_of_who_takes_it(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        with pytest.raises(SystemExit):
            parse([command, "--help"])
        text = capsys.readouterr().out
        for option in OPTIONS:
            named = option.unit if command in option.positional else option.flag
            assert (named in text) or command not in option.commands


def test_a_run_without_a_trial_has_no_report(tmp_path: Path) -> None:
    host = ServingHost()
    host.on_load = interrupt
    with pytest.raises(Interrupted):
        bench(ORDER, host, tmp_path, tmp_path / "out")
    with pytest.raises(UsageError, match="has no trial yet; RESUME="):
        show_run(only_run(tmp_path).path, [], tmp_path / "out")


def test_the_module_runs_as_a_program_and_passes_its_exit_code_on() -> None:
    argv = ["/usr/bin/python3", "-m", "harness", "bench", "--wire", "tap", "--set", "ROUNDS=-1"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "stackduel: ROUNDS=-1: must be 1 to 1000, not -1\n"


def test_a_signal_at_the_very_end_does_not_replace_the_exit_code(monkeypatch: pytest.MonkeyPatch,
                                                                 capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["harness", "report", "nowhere"])
    # a second copy beside the module that the tests have imported
    monkeypatch.delitem(sys.modules, "harness.__main__", raising=False)
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("harness", run_name="__main__")
    assert caught.value.code == 2 and "no run 'nowhere'" in one_line(capsys)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        assert signal.getsignal(number) == signal.SIG_IGN


def test_results_of_a_run_are_plain_json(tmp_path: Path, shown: list[Path]) -> None:
    bench(ORDER, ServingHost(), tmp_path, tmp_path / "out")
    run = only_run(tmp_path)
    assert json.loads((run.path / "plan.json").read_text())["connections"] == [1, 8]
    for line in (run.path / "trials.jsonl").read_text().splitlines():
        assert json.loads(line)["schema"] == 2


def test_an_exception_that_nobody_foresaw_has_a_code_of_its_own(monkeypatch: pytest.MonkeyPatch,
                                                                capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("unforeseen")
    table: Any = COMMANDS
    monkeypatch.setitem(table, "gate", ("", fail))
    assert main(["gate"], FakeHost()) == 70
    lines = capsys.readouterr().err.splitlines()
    assert lines[-2:] == ["ZeroDivisionError: unforeseen", "internal error: please report it, with the lines above"]


@pytest.mark.parametrize("words", [["./stackduel"], ["/usr/bin/python3", "-m", "harness"]])
def test_so_has_one_before_there_is_a_command_line(tmp_path: Path, words: list[str]) -> None:
    for name in ("stackduel", "harness/__main__.py", "harness/__init__.py", "harness/errors.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "harness" / "cli.py").write_text("1 / 0")
    done = subprocess.run([*words, "gate"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        70, "internal error: please report it, with the lines above")


def test_several_names_are_words_of_a_shell_or_one_directory(tmp_path: Path) -> None:
    odd = tmp_path / "it's a run"
    odd.mkdir()
    assert parse(["gate", f"BASE={odd}"]).BASE == parse(["gate", "--base", str(odd)]).BASE == [str(odd)]
    assert parse(["gate", f"BASE=a '{tmp_path}/b c'"]).BASE == ["a", f"{tmp_path}/b c"]
    assert parse(["compare", 'RUNS=a "b c" d']).RUNS == ["a", "b c", "d"]
    with pytest.raises(UsageError, match="it's: no closing quotation"):
        parse(["gate", "BASE=it's"])


def test_what_is_written_is_nobody_elses_to_change_whatever_the_umask_is(tmp_path: Path) -> None:
    done = subprocess.run([ROOT / "stackduel", "export", "reference", "--output", tmp_path / "x.csv"], umask=0,
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "") and (tmp_path / "x.csv").stat().st_mode & 0o777 == 0o644
