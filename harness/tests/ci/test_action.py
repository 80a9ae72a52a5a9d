# SPDX-License-Identifier: BSD-3-Clause
"""What a CI runs: action.yml, the workflows, ci/bench.sh and ci/gate.sh.

The project that they find here only notes what it is asked. No runner for workflows is at hand: the
shell that GitHub gives its steps runs them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
WORKFLOWS = [yaml.safe_load(path.read_text())
             for path in (ROOT / ".github/workflows").glob("*.yml")]
MEASURE, UPLOAD = ACTION["runs"]["steps"]
FILES = ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")


def steps() -> list[dict[str, Any]]:
    return [*ACTION["runs"]["steps"],
            *(step for flow in WORKFLOWS for job in flow["jobs"].values() for step in job["steps"])]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the two scripts; what they call appends its words to `asked`."""
    top = tmp_path / "the project"
    (top / "ci").mkdir(parents=True)
    for name in ("bench.sh", "gate.sh"):
        shutil.copy(ROOT / "ci" / name, top / "ci" / name)
    say = f'#!/bin/sh\necho "$(basename "$0")" "$@" >> "{tmp_path}/asked"\n'
    report = "reports/out/20260101-000000-tap"
    for path, more in {
            "ci/deps.sh": "", "../bin/make": 'exit "${NO_BUILD:-0}"',
            "../bin/sudo": 'shift; exec "$@"',
            "stackduel": f'case $1 in gate) exit "${{WORSE:-0}}";; esac; exec 2>&1\n'
                         f'[ -z "$FAILS" ] || exit "$FAILS"\n'
                         f'mkdir -p {report}; echo "# Report" > {report}/summary.md'}.items():
        stub = top / path
        stub.parent.mkdir(exist_ok=True)
        stub.write_text(say + more + "\n")
        stub.chmod(0o755)
    return top


def run_step(project: Path, inputs: dict[str, str], **more: str) -> tuple[int, list[str]]:
    """Run the step that measures, with these inputs. Return its exit code and what it called."""
    given = {name: item["default"] for name, item in ACTION["inputs"].items()} | inputs
    values = {name: re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda match: given[match[1]], text)
              for name, text in MEASURE["env"].items()}
    at = project.parent
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", MEASURE["run"]], cwd=at,
        env={"PATH": f"{at}/bin:/usr/bin:/bin", "GITHUB_ACTION_PATH": str(project),
             **{name: str(at / name) for name in FILES}, **values, **more})
    asked = (at / "asked").read_text().splitlines()
    return done.returncode, [line for line in asked if not line.startswith("sudo ")]


def test_without_a_base_it_measures_and_says_where_the_report_lies(project: Path) -> None:
    code, asked = run_step(project, {"wire": "tap"})
    assert code == 0
    assert asked == ["deps.sh packages", "make ready", "stackduel bench tap PLAN=quick"]
    at, run = project.parent, "20260101-000000-tap"
    assert (at / "GITHUB_STEP_SUMMARY").read_text() == "# Report\n"
    assert (at / "GITHUB_OUTPUT").read_text().splitlines() == [
        f"here={project}", f"run={project}/results/runs/{run}",
        f"report={project}/reports/out/{run}"]


@pytest.mark.parametrize("worse", ["0", "1", "2"])
def test_with_a_base_the_exit_code_is_the_gate_s(project: Path, worse: str) -> None:
    (project.parent / "a run").mkdir()
    (project.parent / "my.toml").touch()
    inputs = {"plan": "my.toml", "base": "a run\n\nreference\n", "threshold": "5"}
    code, asked = run_step(project, inputs, WORSE=worse)
    at = project.parent
    assert (code, asked[-2:]) == (int(worse), [
        f"stackduel bench tap PLAN={at}/my.toml",
        f"stackduel gate --base {at}/a run --base reference --threshold 5"])


@pytest.mark.parametrize("failure, code, last", [
    ({"FAILS": "4"}, 4, "stackduel bench tap PLAN=quick"),
    ({"FAILS": "1"}, 4, "stackduel bench tap PLAN=quick"),  # 1 would say that the change is worse
    ({"NO_BUILD": "2"}, 3, "make ready")])
def test_what_cannot_be_measured_has_its_own_exit_code_and_is_not_judged(
        project: Path, failure: dict[str, str], code: int, last: str) -> None:
    found, asked = run_step(project, {"base": "reference"}, **failure)
    assert (found, asked[-1]) == (code, last)


def test_what_is_no_root_asks_sudo_which_keeps_what_the_scripts_read(project: Path) -> None:
    identity = project.parent / "bin/id"
    identity.write_text("#!/bin/sh\necho 1000\n")
    identity.chmod(0o755)
    assert run_step(project, {})[0] == 0
    first = (project.parent / "asked").read_text().splitlines()[0]
    kept = re.match(r"sudo --preserve-env=(\S+) ", first)
    assert kept and {*kept[1].split(",")} == {*FILES, "PLAN", "THRESHOLD"}


def test_the_gate_wants_a_wire_and_a_base(project: Path) -> None:
    done = subprocess.run([str(project / "ci/gate.sh"), "tap"], capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "against which run?" in done.stderr


def test_what_the_action_and_the_workflows_name_is_there() -> None:
    text = "\n".join(step.get("run", "") for step in steps())
    called = text + "".join((ROOT / "ci" / name).read_text() for name in ("bench.sh", "gate.sh"))
    scripts = set(re.findall(r"\bci/[\w-]+\.sh", called))
    assert {"ci/bench.sh", "ci/gate.sh"} <= scripts
    assert all(os.access(ROOT / script, os.X_OK) for script in scripts)
    targets = set(re.findall(r"\bmake ([a-z-]+)", re.sub(r"apt-get.*", "", text)))
    assert "test" in targets
    for target in targets:
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True)
        assert done.returncode == 0, target


def test_every_input_is_used_and_every_output_made() -> None:
    body = yaml.safe_dump(ACTION["runs"])
    assert {*re.findall(r"inputs\.(\w+)", body)} == {*ACTION["inputs"]}
    scripts = "".join((ROOT / "ci" / name).read_text() for name in ("bench.sh", "gate.sh"))
    for name in MEASURE["env"]:
        assert re.search(rf"\${{?{name}\b", MEASURE["run"] + scripts), name
    made = set(re.findall(r"\b(\w+)=\$", MEASURE["run"] + scripts))
    assert {*re.findall(r"outputs\.(\w+)", body + yaml.safe_dump(ACTION["outputs"]))} <= made
    ours = [step for step in steps() if step.get("uses") == "./"]
    assert ours and all({*step["with"]} <= {*ACTION["inputs"]} for step in ours)
    assert UPLOAD["if"] == "always()"


def test_shellcheck_finds_nothing() -> None:
    shells = [(ROOT / "ci" / name).read_text() for name in ("bench.sh", "gate.sh")]
    shells += ["#!/bin/bash\n" + re.sub(r"\$\{\{.*?\}\}", "value", step.get("run", ""))
               for step in steps()]
    for shell in shells:
        found = subprocess.run(["shellcheck", "-"], input=shell, capture_output=True, text=True)
        assert (found.returncode, found.stdout) == (0, "")
