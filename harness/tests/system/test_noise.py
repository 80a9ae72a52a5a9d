# SPDX-License-Identifier: BSD-3-Clause
"""A contender against itself in real namespaces: both names are measured, and the machine's profile grows."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.regression import noise_profile
from harness.errors import CheckFailed
from harness.host import LocalHost
from harness.cli.noise import noise_run, show_noise
from harness.tests.system.test_wire_root import snapshot as machine

pytestmark = pytest.mark.long


def test_a_short_noise_run(tmp_path: Path) -> None:
    before = machine()
    settings = {"CONTENDERS": "lwip", "CONNECTIONS": "8", "ROUNDS": "2", "DURATION": "1", "WARMUP": "0"}
    run = noise_run("tap", "quick", settings, 1, LocalHost(), tmp_path)
    assert machine() == before
    assert all(trial.valid for trial in run.trials) and len({trial.key for trial in run.trials}) == 4
    assert {trial.contender for trial in run.trials} == {"lwip", "lwip#2"} and run.id.endswith("-tap-noise")
    try:
        show_noise(run, "", tmp_path, tmp_path / "out")
    except CheckFailed:
        # one comparison of two rounds says nothing of a machine that does other things besides
        pass
    (file,) = (tmp_path / "noise").iterdir()
    profile = noise_profile.load(file)
    assert profile and profile.sessions[0].pairs.keys() == {"lwip#2/lwip"}
