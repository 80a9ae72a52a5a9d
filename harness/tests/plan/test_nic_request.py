# SPDX-License-Identifier: BSD-3-Clause
"""The options about a NIC, on the command line and from make."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from harness.cli.main import main, parse
from harness.cli.commands import nic_request
from harness.plan.nic_request import NicRequest
from harness.tests.fixtures.recorded import RecordedHost

ROOT = Path(__file__).resolve().parents[3]


def make(*words: str) -> list[str]:
    """The commands that make would run."""
    done = subprocess.run(["make", "-n", "--no-print-directory", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.replace("\\\n", "").splitlines()


def test_all_of_them() -> None:
    args = parse(["bench", "--wire", "nic", "--nic", "eth1", "--client", "ssh:a@b,if=c;ssh:d@e", "--force", "--noiommu",
                  "--tune", "max"])
    assert nic_request(args) == NicRequest("eth1", "ssh:a@b,if=c;ssh:d@e", True, True, "max")
    assert nic_request(parse(["bench", "--wire", "tap"])) == NicRequest(tune="fair")
    assert nic_request(parse(["doctor", "--nic", "02:00.0"])) == NicRequest("02:00.0")


@pytest.mark.parametrize("argv, complaint", [
    (["bench", "--wire", "nic", "--client", "if:eth1"], "--client, --force and --noiommu are about a NIC"),
    (["doctor", "--force"], "--client, --force and --noiommu are about a NIC"),
    (["bench", "--wire", "nic", "--nic", "eth1"], "no client was named: give CLIENT=if:"),
    (["bench", "--wire", "tap", "--nic", "eth1"], "--nic is for the wire with a NIC, not for"),
    (["doctor", "--tune", "max"], "--tune is not an option of doctor; bench, latency, reproduce, profile, "
     "conformance take it")])
def test_options_that_make_no_sense(argv: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv, RecordedHost("x710")) == 2
    assert capsys.readouterr().err.startswith(f"stackduel: {complaint}")


def test_make_passes_them_on() -> None:
    last = make("bench", "NIC=81:00.1", "CLIENT=ssh:a@b,if=c;ssh:d@e", "FORCE=1", "TUNE=max", "PLAN=quick", "DRY_RUN=1")
    assert len(last) == 1
    args = parse(shlex.split(last[0])[3:])
    assert nic_request(args) == NicRequest("81:00.1", "ssh:a@b,if=c;ssh:d@e", True, False, "max")
    assert (args.command, args.PLAN, args.DRY_RUN) == ("bench", "quick", True)
    doctor = parse(shlex.split(make("doctor", "NIC=eth1", "NOIOMMU=1", "FORCE=0")[-1])[3:])
    assert nic_request(doctor) == NicRequest("eth1", "", False, True)


def test_without_a_nic_make_installs_and_builds_nothing() -> None:
    lines = make("bench")
    assert len(lines) == 1 and shlex.split(lines[0])[1:] == ["-m", "harness", "bench"]
