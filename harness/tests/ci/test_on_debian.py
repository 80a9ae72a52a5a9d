# SPDX-License-Identifier: BSD-3-Clause
"""ci/on-debian.sh, with scripts in the place of what would make or enter a folder."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
STUBS = {"id": "echo 0", "git": "", "debootstrap": 'echo "$3" >> suites; mkdir -p "$4/etc"', "unshare": 'echo "$@"'}


def run(at: Path, *words: str, **stubs: str) -> subprocess.CompletedProcess[str]:
    for name, body in {**STUBS, **stubs}.items():
        (at / name).write_text(f"#!/bin/sh\n{body}\n")
        (at / name).chmod(0o755)
    return subprocess.run([ROOT / "ci/on-debian.sh", *words], cwd=at, capture_output=True, text=True,
                          env={"PATH": f"{at}:{os.environ['PATH']}", "DEBIAN_ROOT": str(at / "folder")})


@pytest.mark.parametrize("release", ["12", "13", "other"])
def test_a_folder_is_made_once(release: str, tmp_path: Path) -> None:
    here = platform.freedesktop_os_release().get("VERSION_CODENAME")
    suite = {"12": "bookworm", "13": "trixie"}.get(release, "bookworm" if here == "trixie" else "trixie")
    for _ in range(2):
        done = run(tmp_path, release, "make", "test")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.endswith(f"sh {tmp_path / 'folder'} make test\n")
    assert (tmp_path / "suites").read_text() == f"{suite}\n"


@pytest.mark.parametrize("words, stubs, code, said", [
    ((), {}, 2, "usage: "), (("11", "true"), {}, 2, "usage: "), (("13",), {}, 2, "which command?"),
    (("13", "true"), {"id": "echo 1000"}, 3, "not root"),
    (("13", "true"), {"debootstrap": "echo 'E: no such mirror'; exit 1"}, 3, "debootstrap failed: E: no such mirror")])
def test_what_it_cannot_do_is_one_line(words: tuple[str, ...], stubs: dict[str, str], code: int, said: str,
                                       tmp_path: Path) -> None:
    done = run(tmp_path, *words, **stubs)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1) and said in done.stderr


def test_a_folder_that_debootstrap_cannot_name_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    at = tmp_path / "a b"
    at.mkdir()
    done = run(at, "13", "true")
    assert (done.returncode, done.stderr) == (
        3, f"on-debian: debootstrap takes no path like {at / 'folder'}: say DEBIAN_ROOT=DIRECTORY\n")
    assert {path.name for path in at.iterdir()} == {*STUBS}
