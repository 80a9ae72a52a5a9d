# SPDX-License-Identifier: BSD-3-Clause
"""The command conformance: what it refuses before anything is made."""

from __future__ import annotations

import pytest

from harness.cli.main import main
from harness.host import LocalHost


@pytest.mark.parametrize("argv, line", [
    (["tap", "--contenders", "epoll", "--case", "nothing-such"], "no case 'nothing-such'; there are: "),
    (["shm", "--contenders", "lwip"], "wire 'shm' has no kernel at the client's end, so nobody can send raw "
     "segments there; test the same programs on wire 'tap'"),
    (["tap", "--attacks", "--case", "echo"], "no attack 'echo'; there are: syn-flood, "),
    (["tap", "--rounds", "3"], "--rounds is not an option of conformance; ")])
def test_what_makes_no_sense_is_one_line(argv: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", *argv], LocalHost()) == 2
    assert capsys.readouterr().err.startswith(f"stackduel: {line}")
