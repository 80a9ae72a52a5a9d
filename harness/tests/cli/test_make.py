# SPDX-License-Identifier: BSD-3-Clause
"""make's names: those of the releases before keep working, and one that a target does not use is an error."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.cli.commands import COMMANDS, OF_MAKE
from harness.plan import BY_VARIABLE, RENAMED, wire_names

ROOT = Path(__file__).resolve().parents[3]
# as README and Makefile had them when `./stackduel` took the commands over
TARGETS = """all help bench-tap bench-afpacket bench-afxdp bench-shm bench-veth bench-shm-loadgen bench-scale bench-ablate
ablate latency bench bench-app report bundle verify reproduce compare gate noise trend restore doctor shell bench-library
reference vm-deps vm-test vm-shell deps ready slow soak fuzz test check test-c test-threads test-lwip test-harness
test-system lint check-globals clean distclean""".split()
VARIABLES = """PLAN RESUME DRY_RUN REPORT PUBLISHED WIRE RUN RUNS PAPER BUNDLE BASE HEAD THRESHOLD COMPARISONS METRIC POINT
CONTENDER RATES LOADS NIC CLIENT FORCE NOIOMMU TUNE VM WORKLOAD CONNECTIONS ROUNDS DURATION WARMUP BODY_SIZE CONTENDERS
CLIENT_CPUS SERVER_CPUS PORT MAX_CONNECTIONS MOST_CONNECTIONS TAP NETEM SOFTIRQ SEED PRECISION BUDGET ATTEMPTS
CALIBRATE""".split()
OF_THE_BUILD = "LWIP_SRC BUILD PYTHON CC CLANG CFLAGS CPPFLAGS LDFLAGS FUZZ_SECONDS SOAK_SECONDS SLOW_CYCLES APP".split()


def make(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", "-n", "--no-print-directory", *words], cwd=ROOT, capture_output=True, text=True)


def test_every_target_of_before_is_there() -> None:
    database = subprocess.run(["make", "-pq"], cwd=ROOT, capture_output=True, text=True).stdout
    assert {*TARGETS} - set(re.findall(r"^([a-z-]+):", database, re.M)) == set()


@pytest.mark.parametrize("variable", VARIABLES)
def test_every_variable_of_before_is_in_the_table(variable: str) -> None:
    assert (BY_VARIABLE.get(variable) or RENAMED[variable]).commands


def test_variables_of_the_build_stay_with_make() -> None:
    text = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"\b{name}\b", text) for name in OF_THE_BUILD)


@pytest.mark.parametrize("words, complaint", [
    (["all", "ROUNDS=5"], "ROUNDS is not a setting of all; bench, latency, noise, reproduce take it"),
    (["test-c", "NIC=eth1"], "NIC is not a setting of test-c; "),
    (["all", "COLOUR=red"], "unknown setting 'COLOUR'")])
def test_a_variable_that_a_target_does_not_use_is_an_error(words: list[str], complaint: str) -> None:
    done = make(*words)
    assert done.returncode == 2 and complaint in done.stderr


@pytest.mark.parametrize("value", [
    "a=b", "two words", "CC=x", "it's", 'say "yes"', r"a\b", "a;b", "`x`", "*", "%", "#", "ü", "{}", "a,b", "x)", "(x",
    "$HOME", "$$", "$(shell false)", "blank "])
def test_a_command_is_given_each_value_as_it_was_said(tmp_path: Path, value: str) -> None:
    words = tmp_path / "words"
    words.write_text("#!/usr/bin/python3\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    words.chmod(0o755)
    done = subprocess.run(["make", "report", f"PYTHON={words}", f"RUN={value}", "COMPARISONS=1"], cwd=ROOT,
                          capture_output=True, text=True)
    given = json.loads(done.stdout)
    assert given[:3] == ["-m", "harness", "report"]
    assert sorted(given[3:]) == ["COMPARISONS=1", f"RUN={value}"]


@pytest.mark.parametrize("name, value", [
    ("CC", "gcc -DX=1"), ("CC", "gcc -DX='a b'"), ("CC", "clang"), ("CFLAGS", '-DX="a b" -O3'), ("LDFLAGS", "-Wl,-z,now"),
    ("CPPFLAGS", "-DX=$$HOME")])
def test_the_build_is_given_each_value_as_it_was_said(name: str, value: str) -> None:
    below = shlex.split(make("ready", f"{name}={value}").stdout.splitlines()[-1])
    assert below[0] == "make" and below[-1] == "all"
    for words in (["all", f"{name}={value}"], below[1:]):
        whole = make(*words).stdout.replace("\\\n", " ")
        line = next(line for line in whole.splitlines() if "ci/variant.sh" in line)
        assert f"{name}={value.replace('$$', '$')}" in shlex.split(line)


def test_flags_of_the_environment_are_not_meant() -> None:
    done = subprocess.run(["make", "-n", "all"], cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, "CFLAGS": "-DX", "LDFLAGS": "-Wl,-z,now"})
    assert "CFLAGS='' " in done.stdout and "LDFLAGS='' " in done.stdout


def test_bench_measures_the_wire_that_is_named() -> None:
    words = make("bench", "WIRE=tap", "DRY_RUN=1").stdout.split()[2:]
    assert sorted(words) == ["'DRY_RUN=1'", "'WIRE=tap'", "bench", "harness"]


def test_help_shows_each_line_whole() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True)
    lines = re.findall(r"^[a-z-]+:.*## (.*)$", (ROOT / "Makefile").read_text(), re.M)
    lines += [line for name, (line, _) in COMMANDS.items() if name not in OF_MAKE]
    assert lines and all(line in done.stdout for line in lines)
    assert all(f"  bench-{wire} " in done.stdout for wire in wire_names())


# --- what messages and pages tell a person to type ------------------------------------------------

TEXTS = (".py", ".md", ".j2", ".sh", ".toml", ".c", ".h", ".yml", ".txt")
# a command: in backticks or single quotes, after sudo, or on a line of its own in a page
_TYPED = re.compile(r"(?:[`']|sudo |^    |^\$ )(?:sudo )?(make|\./stackduel) ([a-z][a-z-]*)\b(?![-{])([^`'\"\n]*)", re.M)


def typed() -> list[tuple[str, ...]]:
    """Return (file, program, its first word, the rest) of every command of ours that a file shows."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    names = [name for name in listed if name.endswith(TEXTS) or name == "Makefile"]
    names = [name for name in names if "/tests/" not in name and name != "CHANGELOG.md" and (ROOT / name).exists()]
    return [(name, *match.groups()) for name in names for match in _TYPED.finditer((ROOT / name).read_text())]


def test_every_command_that_a_message_or_a_page_shows_is_there() -> None:
    shown = typed()
    database = subprocess.run(["make", "-pq"], cwd=ROOT, capture_output=True, text=True).stdout
    known = {"make": set(re.findall(r"^([a-z-]+):", database, re.M)), "./stackduel": {*COMMANDS} - {*OF_MAKE}}
    assert len(shown) > 60 and {program for _, program, _, _ in shown} == {*known}
    assert not [words for words in shown if words[2] not in known[words[1]]]


def test_every_setting_that_a_shown_command_has_is_there() -> None:
    variables = {*BY_VARIABLE, *RENAMED, *OF_THE_BUILD, "LWIP"}
    options = {f"--{name.lower().replace('_', '-')}" for name in BY_VARIABLE} | {"--help"}
    shown = typed()
    given = [(name, word) for name, program, _, rest in shown if program == "make"
             for word in re.findall(r"\b([A-Z][A-Z_]+)=", rest)]
    assert len(given) > 30 and not [item for item in given if item[1] not in variables]
    given = [(name, word) for name, program, _, rest in shown if program != "make"
             for word in re.findall(r"(?<![\w-])(--[a-z-]+)", rest.split(" #")[0])]
    assert given and not [item for item in given if item[1] not in options]


@pytest.mark.parametrize("name, fine", [
    ("stäck'duel \"%d\" {0} $HOME #1,2&`x`(*)", True), ("a;b", True), ("a@b", True), ("a b;c", False), ("a:b", False),
    ("a\\b", False), ("a\nb", False), ("@OUTPUT@", False), (os.fsdecode(b"\xe4"), False)])
def test_a_directory_that_cannot_be_built_in_is_refused_before_anything_is_done(tmp_path: Path, name: str,
                                                                                fine: bool) -> None:
    tree = tmp_path / name
    tree.mkdir()
    shutil.copy(ROOT / "Makefile", tree)
    for words in (["path"], ["all"], ["deps"]) if not fine else (["path"],):
        done = subprocess.run(["make", *words], cwd=tree, capture_output=True, text=True, errors="replace")
        assert (done.returncode == 0) == fine
        assert fine or done.stderr.splitlines()[0].startswith("a path with a colon, a backslash,")
    assert [path.name for path in tree.iterdir()] == ["Makefile"]


def test_a_blank_in_the_name_of_a_build_directory_is_refused() -> None:
    done = make("all", "BUILD=my build")
    assert done.returncode == 2 and "BUILD=my build: make has no target with a blank in its name" in done.stderr


def test_meson_takes_a_path_s_bytes_as_they_are_in_every_locale(tmp_path: Path) -> None:
    meson = tmp_path / "meson"
    meson.write_text('#!/bin/sh\necho "$PYTHONUTF8"\n')
    meson.chmod(0o755)
    subprocess.run([ROOT / "ci" / "variant.sh", tmp_path / "b"], check=True, env={
        "PATH": f"{tmp_path}:/usr/bin:/bin", "LC_ALL": "POSIX", "CC": "gcc", "LWIP_SRC": "/", "SLOW_CYCLES": "1"})
    assert (tmp_path / "b" / "set-up.log").read_text() == "1\n"
