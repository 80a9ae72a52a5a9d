# SPDX-License-Identifier: BSD-3-Clause
"""ci/deps.sh with package tools that only say what they were asked: nothing is installed here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
DEPS = ROOT / "ci/deps.sh"
USED = ("sh", "sed", "grep", "tr", "dirname", "cat", "rm", "chmod")
KIND_OF = {line.split()[0]: line.split()[1] for line in (ROOT / "ci/packages.txt").read_text().splitlines()
           if line and not line.startswith("#")}
PACKAGES = [package for package, kind in KIND_OF.items() if kind != "vm"]
VM_PACKAGES = [package for package, kind in KIND_OF.items() if kind == "vm"]


def run(tmp_path: Path, *kind: str, **tools: str) -> subprocess.CompletedProcess[str]:
    """deps.sh packages, of that kind, with only USED and `tools` (name=script; underscores are hyphens) on PATH."""
    for name in USED:
        found = shutil.which(name)
        assert found is not None
        (tmp_path / name).symlink_to(found)
    for name, script in tools.items():
        tool = tmp_path / name.replace("_", "-")
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
    return subprocess.run([str(DEPS), "packages", *kind], env={"PATH": str(tmp_path)}, capture_output=True,
                          text=True)


def knows(*missing: str) -> str:
    """A dpkg-query that has all that it is asked for but these."""
    return f'shift 3; for p; do case " {" ".join(missing)} " in *" $p "*) ;; *) echo "installed $p";; esac; done'


def test_nothing_is_done_when_all_is_there(tmp_path: Path) -> None:
    done = run(tmp_path, dpkg_query=knows(), apt_get="exit 9")
    assert (done.returncode, done.stderr) == (0, "")


def test_without_apt_the_list_is_printed_and_it_ends_with_3(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith("deps: no apt-get here")
    assert all(package in done.stderr.split() for package in PACKAGES)


def test_without_root_the_list_is_printed_and_it_ends_with_3(tmp_path: Path) -> None:
    done = run(tmp_path, dpkg_query=knows("wrk"), apt_get="exit 9", id="echo 1000")
    assert done.returncode == 3
    assert done.stderr.splitlines()[0] == "missing packages: wrk "
    assert "sudo apt-get install --no-install-recommends wrk" in done.stderr


def test_as_root_exactly_what_is_missing_is_installed(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    done = run(tmp_path, dpkg_query=knows("wrk", "check"), id="echo 0", apt_get=f'echo "$@" >> {asked}')
    assert done.returncode == 0
    assert asked.read_text().splitlines() == ["update -q", "install -y -q --no-install-recommends wrk check"]


def test_what_apt_cannot_install_ends_with_3(tmp_path: Path) -> None:
    done = run(tmp_path, dpkg_query="", id="echo 0", apt_get='[ "$1" = update ]')
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith("deps: apt-get could not install")


def test_what_the_virtual_machine_needs_is_installed_only_when_asked_for(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    apt = f'echo "$@" >> {asked}'
    assert run(tmp_path, dpkg_query="", id="echo 0", apt_get=apt).returncode == 0
    ordinary = asked.read_text().split()
    assert "wrk" in ordinary and not set(VM_PACKAGES) & set(ordinary)


def test_asked_for_it_is_installed_and_nothing_else(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    done = run(tmp_path, "vm", dpkg_query="", id="echo 0", apt_get=f'echo "$@" >> {asked}')
    assert done.returncode == 0
    assert asked.read_text().splitlines()[1] == f"install -y -q --no-install-recommends {' '.join(VM_PACKAGES)}"
    assert "qemu-system-x86" in VM_PACKAGES


def test_without_root_the_command_to_repeat_is_the_one_that_was_given(tmp_path: Path) -> None:
    done = run(tmp_path, "vm", dpkg_query="", apt_get="exit 9", id="echo 1000")
    assert done.returncode == 3
    assert "run 'sudo ci/deps.sh packages vm'" in done.stderr


def test_every_package_has_a_kind() -> None:
    assert set(KIND_OF.values()) == {"build", "run", "test", "vm"}


@pytest.mark.parametrize("words", [("frob",), ("packages", "frob")])
def test_unknown_words_end_with_2(words: tuple[str, ...]) -> None:
    done = subprocess.run([str(DEPS), *words], capture_output=True, text=True)
    assert done.returncode == 2


@pytest.mark.parametrize("package", ["libdpdk-dev", "libllhttp-dev|node-llhttp", "wrk", "python3-matplotlib"])
def test_the_list_names_what_the_project_stands_on(package: str) -> None:
    assert package in PACKAGES
