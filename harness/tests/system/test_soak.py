# SPDX-License-Identifier: BSD-3-Clause
"""A short `make soak`: the release server loses nothing, and the soak itself leaves nothing behind."""

from __future__ import annotations

import sys

import pytest

from harness.host import LocalHost
from harness.tests.system.conftest import ROOT

pytestmark = pytest.mark.long


def test_clients_that_come_and_go_leave_nothing_behind() -> None:
    host = LocalHost()
    done = host.run([sys.executable, str(ROOT / "ci/soak.py"), "--seconds", "8", "--clients", "200"], timeout=120,
                    check=False)
    assert (done.code, done.stderr) == (0, ""), done.stdout
    assert "nothing lost" in done.stdout.splitlines()[-1]
    assert "stackduel-soak" not in host.run(["ip", "netns", "list"]).stdout
