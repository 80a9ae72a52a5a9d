# SPDX-License-Identifier: BSD-3-Clause
"""The commands in any directory and any locale: they work, come to the same verdict, and change nothing tracked."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
from pathlib import Path
from typing import Mapping

import pytest

from harness.tests.cli.test_gate import slow
from harness.tests.fixtures import synthetic
from harness.tests.fixtures.odd_tree import ROOT, git, odd_tree

REFERENCE = next(path.name for path in (ROOT / "results" / "reference").iterdir() if path.is_dir())
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return odd_tree(tmp_path_factory.mktemp("any"))


def in_tree(tree: Path, *words: str, code: int = 0, environment: Mapping[str, str] = {}) -> str:
    """Return what it prints; its exit code must be `code`."""
    done = subprocess.run(words, cwd=tree, env={**PLAIN, **environment}, capture_output=True, timeout=300)
    assert done.returncode == code, done.stderr.decode(errors="replace")
    return done.stdout.decode(errors="replace")


def test_what_reads_a_run_works_in_any_directory_and_changes_nothing_tracked(tree: Path) -> None:
    odd = tree.parent / "runs of 'mine', 50 %" / "a run"
    shutil.copytree(tree / "results" / "reference" / REFERENCE, odd)
    out = tree / "reports" / "out" / REFERENCE
    committed = tree / "results" / "reference" / REFERENCE / "summary.json"
    committed.write_text("as another version has it")
    git(tree, "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qam", "another")
    assert str(out / "report.html") in in_tree(tree, "make", "report")
    in_tree(tree, "make", "bundle", f"RUN={odd}")
    assert "byte for byte" in in_tree(tree, "make", "verify", f"BUNDLE={out}.tar.gz")
    in_tree(tree, "make", "help")
    assert "build/epoll_server" in in_tree(tree, "make", "bench-tap", "DRY_RUN=1")
    assert git(tree, "status", "--porcelain") == ""


@pytest.fixture(scope="module")
def runs(tree: Path) -> list[str]:
    """Return the ids of a run, of one that is as good, and of one that is worse."""
    ids = [f"2026010{number}-000000-tap" for number in (1, 2, 3)]
    for number, id_ in enumerate(ids):
        synthetic.write(tree / "results" / "runs" / id_, run=id_, seed=number, rounds=5)
    slow(tree / "results" / "runs" / ids[2], "lwip", 0.7)
    return ids


@pytest.fixture(scope="module")
def latin1(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what makes a locale of ISO-8859-1 known to a program."""
    directory = tmp_path_factory.mktemp("locales")
    subprocess.run(["localedef", "-i", "de_DE", "-f", "ISO-8859-1", directory / "de_DE.ISO-8859-1"], check=True)
    return {"LOCPATH": str(directory)}


@pytest.mark.parametrize("environment", [
    {}, {"LC_ALL": "C.UTF-8"}, {"LC_ALL": "C"}, {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "C", "PYTHONIOENCODING": "ascii:strict"}, {"LC_ALL": "de_DE.ISO-8859-1"}],
    ids=lambda given: ",".join(given.values()) or "none")
def test_the_gate_has_the_same_verdict_and_page_in_every_locale(
        tree: Path, runs: list[str], latin1: dict[str, str], environment: dict[str, str]) -> None:
    for head, code, verdict in ((runs[1], 0, "Gate passed"), (runs[2], 1, "- **Worse:** rate of lwip/epoll fell")):
        told = in_tree(tree, "./stackduel", "gate", "--base", runs[0], "--head", head, code=code,
                       environment={**latin1, **environment})
        page = (tree / "reports" / "out" / "-".join(["gate", runs[0], head]) / "gate.md").read_text("utf-8")
        assert verdict in told and verdict in page
    assert not page.isascii()


def test_nothing_is_read_or_written_in_the_locale_s_encoding() -> None:
    found = []
    for file in [ROOT / "stackduel", *(ROOT / "ci").rglob("*.py"), *(ROOT / "harness").rglob("*.py")]:
        if "tests" in file.parts:
            continue
        for call in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(call, ast.Call) and _depends_on_the_locale(call):
                found.append(f"{file.relative_to(ROOT)}:{call.lineno}: {ast.unparse(call)}")
    assert found == []


def _depends_on_the_locale(call: ast.Call) -> bool:
    given = {word.arg: word.value for word in call.keywords}
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name in ("run", "Popen", "check_output") and {"text", "universal_newlines"} & given.keys():
        return "encoding" not in given
    if name == "open" and isinstance(call.func, ast.Name):
        mode = call.args[1] if len(call.args) > 1 else given.get("mode")
        return "encoding" not in given and "b" not in (mode.value if isinstance(mode, ast.Constant) else "")
    least = {"read_text": 1, "write_text": 2}.get(name, 0)
    return len(call.args) < least and "encoding" not in given


@pytest.mark.parametrize("tool", ["ci/soak.py", "ci/bench_library.py", "ci/vm/vm.py"])
def test_no_tool_ends_with_a_code_that_means_something_when_nobody_foresaw_it(tool: str) -> None:
    broken = ("import argparse, runpy; argparse.ArgumentParser.parse_args = lambda *_: 1 / 0; "
              f"runpy.run_path('{tool}', run_name='__main__')")
    done = subprocess.run(["/usr/bin/python3", "-c", broken], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 70 and "ZeroDivisionError" in done.stderr
