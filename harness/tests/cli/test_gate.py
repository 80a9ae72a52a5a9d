# SPDX-License-Identifier: BSD-3-Clause
"""The command gate: files, exit codes and bad usage."""

from __future__ import annotations
import json
from pathlib import Path
import pytest
from harness.regression import gate
from harness.cli.main import main
from harness.errors import CheckFailed, UsageError
from harness.cli.gate import newest, show_gate
from harness.store.store import load_run
from harness.tests.fixtures import synthetic
from harness.tests.fixtures.fake_host import FakeHost


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for number, seed in enumerate((1, 2), 1):
        id_ = f"2026010{number}-000000-tap"
        synthetic.write(tmp_path / "runs" / id_, run=id_, seed=seed, rounds=5)
    return tmp_path


def test_the_gate_writes_prints_and_goes_into_the_job_summary(results: Path, tmp_path: Path,
                                                            capsys: pytest.CaptureFixture[str],
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    summary = tmp_path / "summary"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    show_gate(["20260101-000000-tap"], "", "", results, tmp_path / "out")
    place = tmp_path / "out" / "gate-20260101-000000-tap-20260102-000000-tap"
    text = (place / "gate.md").read_text()
    assert text.startswith("## Gate passed: tap, rps\n") and "| requests/s | lwip | epoll | 1, 8, 64, 128 |" in text
    assert capsys.readouterr().out == text and summary.read_text() == f"before\n{text}"
    found = json.loads((place / "gate.json").read_text())
    assert found["passed"] and found["head"] == "20260102-000000-tap" and found["between_runs"]["base_runs"] == 1


def slow(run: Path, contender: str, factor: float) -> None:
    records = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    for record in records:
        if record["contender"] == contender:
            record["requests_per_sec"] *= factor
    (run / "trials.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def test_a_slower_contender_fails_the_gate(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow(results / "runs" / "20260102-000000-tap", "lwip", 0.7)
    with pytest.raises(CheckFailed, match=r"rate of lwip/epoll fell (2|3)\d\.\d %: .*gate\.md") as error:
        show_gate(["20260101-000000-tap"], "20260102-000000-tap", "5", results, tmp_path / "out")
    assert error.value.exit_code == 1
    assert "- **Worse:** rate of lwip/epoll fell" in capsys.readouterr().out


def test_head_is_the_newest_of_that_wire_and_no_noise_run(results: Path) -> None:
    synthetic.write(results / "runs" / "20260103-000000-tap", run="20260103-000000-tap", connections=(1,))
    plan_file = results / "runs" / "20260103-000000-tap" / "plan.json"
    plan_file.write_text(plan_file.read_text().replace('"tap"', '"afxdp"'))
    base = load_run(results / "runs" / "20260101-000000-tap")
    assert newest([base], results).id == "20260102-000000-tap"
    with pytest.raises(UsageError, match="no other run of wire 'tap'"):
        newest([base, load_run(results / "runs" / "20260102-000000-tap")], results)


@pytest.mark.parametrize("arguments, words", [
    (["--head", "reference"], "against which run"), (["--base", "reference", "--threshold", "x"], "THRESHOLD=x"),
    (["--base", "reference", "--head", "reference"], "none of its BASE runs"),
    (["--base", "nowhere"], "no run 'nowhere'"),
])
def test_bad_usage_is_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gate", *arguments], FakeHost()) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and (words in error or "no other run" in error)
