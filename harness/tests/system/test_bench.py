# SPDX-License-Identifier: BSD-3-Clause
"""The whole harness as a user runs it: a short run, and everything that can go wrong with one.

Every test ends with the machine as it was: no namespace, link, process, hugepage, mount or file in /run more.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Iterator

import pytest

from harness.provision.journal import PATH
from harness.tests.conftest import SEED
from harness.store import TrialRecord, load_run
from harness.tests.system.conftest import ROOT, of_this_shard
from harness.tests.system.test_wire_root import snapshot as machine

# four trials and no report: what a test needs more of, it says after these words
SHORT = ("--plan", "quick", "--set", "CONNECTIONS=1,8", "--set", "ROUNDS=1", "--set", "DURATION=1",
         "--set", "WARMUP=0", "--set", "ATTEMPTS=1", "--set", "CONTENDERS=epoll,lwip", "--set", f"SEED={SEED}",
         "--set", "CALIBRATE=no", "--set", "REPORT=no")
REPORTED = ("--set", "REPORT=yes")
OURS = (str(ROOT / "build").encode(), b"wrk\0-t")


def processes() -> list[bytes]:
    """Return the command lines of programs of ours, those of another shard or of nobody's left out."""
    lines = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
                if any(name in line for name in OURS) and of_this_shard(entry):
                    lines.append(line)
            except OSError:
                continue
    return lines


def records(directory: Path) -> tuple[TrialRecord, ...]:
    """Return the trials of the one run there."""
    return load_run(run_directory(directory)).trials


@pytest.fixture(autouse=True)
def same_machine() -> Iterator[None]:
    before = machine(), processes()
    yield
    assert (machine(), processes()) == before


def words(directory: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "harness.tests.system.elsewhere", str(directory), *arguments]


def harness(directory: Path, *arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """Runs to its end; `before`: shell commands first, in a mount namespace that ends with the harness."""
    argv = words(directory, *arguments)
    if before:
        argv = ["unshare", "--mount", "sh", "-ec", f"{before}; exec {shlex.join(argv)}"]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120)


def started(directory: Path, *arguments: str, trials: int) -> subprocess.Popen[str]:
    """A run that has stored `trials` trials and goes on."""
    run = subprocess.Popen(words(directory, *arguments), cwd=ROOT, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len(stored(directory)) < trials:
        assert run.poll() is None and time.monotonic() < deadline, run.communicate()
        time.sleep(0.05)
    return run


def run_directory(directory: Path) -> Path:
    (found,) = (directory / "runs").iterdir()
    return found


def stored(directory: Path) -> list[str]:
    files = list((directory / "runs").glob("*/trials.jsonl"))
    return files[0].read_text().splitlines() if files else []


def one_line(stderr: str) -> str:
    """The harness's own line; what else it says is not an error's."""
    lines = [line for line in stderr.splitlines() if line.startswith("stackduel: ")]
    assert len(lines) == 1, stderr
    assert "Traceback" not in stderr
    return lines[0]


def altered_wire(directory: Path, name: str, *replacements: tuple[str, str]) -> str:
    """A wire with other words in its file, or in those of its contenders epoll and lwip; the path of its file."""
    files = {place: (ROOT / "topologies" / place).read_text()
             for place in (f"wires/{name}.toml", "contenders/epoll.toml", "contenders/lwip.toml")}
    for old, new in replacements:
        assert any(old in text for text in files.values()), f"{old!r} is in none of {list(files)} any more"
        files = {place: text.replace(old, new) for place, text in files.items()}
    for place, text in files.items():
        (directory / place).parent.mkdir(exist_ok=True)
        (directory / place).write_text(text)
    return str(directory / "wires" / f"{name}.toml")


def wire_with(directory: Path, *replacements: tuple[str, str]) -> str:
    """The TAP wire with other words in it; the path of its file."""
    return altered_wire(directory, "tap", *replacements)


def in_shell(script: str) -> tuple[str, str]:
    """The replacement that starts the epoll contender by a shell script, its arguments in "$@"."""
    program = 'program = "build/epoll_server"\narguments = ['
    return program, f'program = "sh"\narguments = ["-c", "{script}", "sh", '


def test_a_short_run_ends_with_a_report(tmp_path: Path) -> None:
    done = harness(tmp_path, "bench", "--wire", "tap", *SHORT, "--set", "ROUNDS=2", *REPORTED)
    assert done.returncode == 0, done.stderr
    run = run_directory(tmp_path)
    trials = [json.loads(line) for line in stored(tmp_path)]
    order = [(t["round"], t["point"]["connections"], t["contender"]) for t in trials]
    assert order == [(0, 1, "epoll"), (0, 1, "lwip"), (0, 8, "epoll"), (0, 8, "lwip"),
                     (1, 1, "lwip"), (1, 1, "epoll"), (1, 8, "lwip"), (1, 8, "epoll")]
    assert [t.get("problems", []) for t in trials] == [[]] * 8
    for trial in trials:
        reconcile = trial["reconcile"]
        assert 0 <= reconcile["parsed"] - reconcile["sent"] <= reconcile["in_flight_limit"]
    summary = json.loads((run / "summary.json").read_text())
    assert summary["points"][1]["gains"][0]["ratio"] > 0
    facts = json.loads((run / "facts.json").read_text())
    assert facts["ports"]["lwip"]["driver"] == "net_tap"
    report = tmp_path / "out" / run.name
    expected = {"report.html", "summary.md", "summary.csv", "throughput.png", "gain.svg"}
    assert expected <= set(os.listdir(report))


def test_loads_take_turns_and_each_on_a_tap_has_its_own(tmp_path: Path) -> None:
    done = harness(tmp_path, "bench", "--wire", "tap", *SHORT, "--set", "CONTENDERS=epoll,lwip,lwip#2", "--set", "TURN=50",
                   "--set", "ROUNDS=2")
    assert done.returncode == 0, done.stderr
    trials = records(tmp_path)
    assert len(trials) == 12 and not any(trial.problems for trial in trials)
    for trial in trials:
        assert trial.steady and len(trial.steady.requests_per_sec) >= 8
        # a pause lasts 100 ms at least, and is in no latency; without the pauses the load is short
        assert trial.latency_us["p50"] and trial.latency_us["p50"] < 50_000
        assert 0.9 < trial.duration_seconds < 2
    servers = [path.read_text() for path in (run_directory(tmp_path) / "raw").glob("*/lwip*.stdout")]
    assert len(servers) == 4, "each is started once a round"


def test_clients_in_user_space_take_turns_with_those_of_the_kernel(tmp_path: Path) -> None:
    done = harness(tmp_path, "bench", "--wire", "shm", *SHORT, "--set", "CONTENDERS=epoll,epoll-spin-both,lwip")
    assert done.returncode == 0, done.stderr
    trials = records(tmp_path)
    assert len(trials) == 6 and not any(trial.problems for trial in trials)
    shares = [trial.client_busy_share for trial in trials if trial.contender == "lwip"]
    assert len(shares) == 2 and all(share and 0 < share <= 1 for share in shares)


@pytest.mark.parametrize("wire", ["afpacket", "afxdp"])
def test_the_other_wires_carry_both_contenders(tmp_path: Path, wire: str) -> None:
    done = harness(tmp_path, "bench", "--wire", wire, *SHORT, "--set", "CONNECTIONS=8", "--set", "BODY_SIZE=100K")
    assert done.returncode == 0, done.stderr
    trials = [json.loads(line) for line in stored(tmp_path)]
    assert [(t["contender"], t.get("problems", [])) for t in trials] == [("epoll", []), ("lwip", [])]
    facts = json.loads((run_directory(tmp_path) / "facts.json").read_text())
    assert facts["ports"]["lwip"]["driver"] == {"afpacket": "net_af_packet", "afxdp": "net_af_xdp"}[wire]


def test_a_killed_run_is_restored_and_resumed(tmp_path: Path) -> None:
    before = machine()
    run = started(tmp_path, "bench", "--wire", "tap", *SHORT, trials=2)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    assert Path(PATH).exists()
    restored = harness(tmp_path, "restore")
    assert restored.returncode == 0 and "ip netns del stackduel-client" in restored.stdout
    assert machine() == before
    done = harness(tmp_path, "bench", "--resume", str(run_directory(tmp_path)))
    assert done.returncode == 0, done.stderr
    assert len(stored(tmp_path)) == 4
    assert (tmp_path / "out" / run_directory(tmp_path).name / "report.html").exists()


def test_the_next_run_undoes_what_a_killed_run_left(tmp_path: Path) -> None:
    run = started(tmp_path, "bench", "--wire", "tap", *SHORT, "--set", "CONNECTIONS=8", "--set", "TURN=0", trials=1)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    done = harness(tmp_path, "bench", "--resume", str(run_directory(tmp_path)), "--set", "REPORT=no")
    assert done.returncode == 0, done.stderr
    assert "undone after a killed run" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_kept(tmp_path: Path, number: signal.Signals) -> None:
    run = started(tmp_path, "bench", "--wire", "tap", *SHORT, trials=2)
    run.send_signal(number)
    _, stderr = run.communicate(timeout=30)
    assert run.returncode == 130
    assert f"RESUME={run_directory(tmp_path).name}" in one_line(stderr)
    assert len(stored(tmp_path)) >= 2


def test_without_root(tmp_path: Path) -> None:
    # a clone may lie where only root may read
    for name in ("harness", "topologies"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for directory in (tmp_path, *tmp_path.parents[:3]):
        directory.chmod(0o777)
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    done = subprocess.run([*nobody, *words(tmp_path, "bench", "--wire", "tap", *SHORT)], cwd=tmp_path,
                          capture_output=True, text=True)
    assert done.returncode == 3
    assert "needs root" in one_line(done.stderr)


def test_without_a_tun_device(tmp_path: Path) -> None:
    done = harness(tmp_path, "bench", "--wire", "tap", *SHORT, before="mount -t tmpfs none /dev/net")
    assert done.returncode == 3
    assert "/dev/net/tun" in one_line(done.stderr)


def test_without_wrk(tmp_path: Path) -> None:
    done = harness(tmp_path, "bench", "--wire", "tap", *SHORT,
                   before="mount --bind /dev/null $(command -v wrk)")
    assert done.returncode == 3
    assert "wrk" in one_line(done.stderr)


# the shards' hugepages are free pages that this run would take
@pytest.mark.exclusive
def test_without_hugepages_the_run_goes_on_and_says_so(tmp_path: Path) -> None:
    count = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
    if int(Path(count).with_name("free_hugepages").read_text()) > 0:
        pytest.skip("this machine has free hugepages, which the run would take")
    done = harness(tmp_path, "bench", "--wire", "tap", *SHORT, "--set", "CONNECTIONS=1", *REPORTED,
                   before=f"mount --bind {count} {count}; mount -o remount,bind,ro {count}")
    assert done.returncode == 0, done.stderr
    run = run_directory(tmp_path)
    caveats = json.loads((run / "summary.json").read_text())["caveats"]
    assert "no-hugepages" in [note["code"] for note in caveats]
    assert json.loads((run / "facts.json").read_text())["ports"]["lwip"]["hugepages"] is False


def test_a_contender_that_dies_in_mid_trial(tmp_path: Path) -> None:
    wire = wire_with(tmp_path, in_shell('(sleep 2; kill -KILL $$) & exec build/epoll_server \\"$@\\"'))
    done = harness(tmp_path, "bench", "--wire", wire, *SHORT, "--set", "DURATION=9")
    assert done.returncode == 4
    line = one_line(done.stderr)
    # in its own turn, or in the other's
    assert "contender 'epoll' was killed by SIGKILL" in line and "RESUME=" in line
    assert "under load" in line or "while others had their turns" in line


def test_a_port_in_use(tmp_path: Path) -> None:
    server = 'build/epoll_server \\"$@\\"'
    wire = wire_with(tmp_path, in_shell(f"{server} >/dev/null & sleep 1; exec {server}"))
    done = harness(tmp_path, "bench", "--wire", wire, *SHORT)
    assert done.returncode == 4
    assert "Address already in use" in one_line(done.stderr)


def test_a_full_disk(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    kept = tmp_path / "kept"
    # what the small file system held is copied out before its namespace ends
    bench = shlex.join(words(tmp_path, "bench", "--wire", "tap", *SHORT))
    script = (f"mount -t tmpfs -o size=96k none {runs}; code=0; {bench} || code=$?; "
              f"cp -r {runs} {kept}; exit $code")
    done = subprocess.run(["unshare", "--mount", "sh", "-ec", script], cwd=ROOT, capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 3, done.stderr
    line = one_line(done.stderr)
    assert "No space left" in line or "full" in line
    (run,) = kept.iterdir()
    for text in (run / "trials.jsonl").read_text().splitlines() if (run / "trials.jsonl").exists() else []:
        assert json.loads(text)["requests"] > 0


@pytest.mark.parametrize("setting", [
    "CONNECTIONS=0", "CONNECTIONS=-1", "CONNECTIONS=1000000000", "ROUNDS=0", "DURATION=abc", "BODY_SIZE=65M",
    "PORT=70000", "SERVER_CPUS=99", "FROB=1", "CONTENDERS=apache"])
def test_silly_values(tmp_path: Path, setting: str) -> None:
    done = harness(tmp_path, "bench", "--wire", "tap", "--plan", "quick", "--set", setting)
    assert done.returncode == 2
    key, _, value = setting.partition("=")
    assert (key if key == "FROB" else value) in one_line(done.stderr)
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_dry_run_prints_the_steps_and_does_nothing(tmp_path: Path) -> None:
    done = harness(tmp_path, "bench", "--wire", "tap", *SHORT, "--dry-run")
    assert done.returncode == 0
    assert "ip netns add stackduel-client" in done.stdout and "ip netns del stackduel-client" in done.stdout


def test_a_shell_in_the_wire(tmp_path: Path) -> None:
    script = "curl -sS http://198.18.0.2/ && curl -sS http://198.18.0.3/ && exit 7"
    done = subprocess.run(words(tmp_path, "shell", "--wire", "tap"), cwd=ROOT, input=script, timeout=60,
                          capture_output=True, text=True, env={**os.environ, "SHELL": "/bin/sh"})
    assert (done.returncode, done.stdout) == (0, "00"), done.stderr


def test_doctor_says_that_the_tap_wire_can_run(tmp_path: Path) -> None:
    done = harness(tmp_path, "doctor")
    assert done.returncode == 0
    assert "tap" in done.stdout
