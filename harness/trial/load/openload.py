# SPDX-License-Identifier: BSD-3-Clause
"""The open-loop client `build/openload`: how it is called, and what it writes.

An open loop sends each request when its time has come, whatever became of those before, and latency
is counted from that time: so a server that stalls delays everything that was meant to be asked
meanwhile (Gil Tene's coordinated omission; Schroeder, Wierman and Harchol-Balter, "Open Versus
Closed", NSDI 2006).
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Sequence

from harness.store import OpenLoop, from_json, rounded
from harness.trial.load.base import Load, LoadResult, LoadTool, account_of, load_result

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = ROOT / "build" / "openload"
ERRORS = ("connect", "reset", "timeout", "content", "status")
# under the preload library a wait has milliseconds only, so it does not sleep at all: its longest
_SPIN_US = 1_000_000


class Openload(LoadTool):
    """The open-loop client of a kernel's sockets, or the library's where it has a launcher.

    Poisson arrivals. With rate 0 it is a closed loop, by which saturation is found with the same
    client. It compares every byte itself, waits for every answer, or counts an error.
    """

    name = "openload"
    programs = {str(PROGRAM.relative_to(ROOT)): ""}
    workloads = ("rps", "bandwidth")
    closed_loop, open_loop = False, True
    # the last answers, and those that do not come
    grace_seconds = 40.0
    same_answers = False

    def command(self, load: Load, report: Path, launcher: Sequence[str]) -> list[str]:
        """Return argv. It asks once on each connection before its schedule begins, and so needs no
        warm-up of its own."""
        return [*launcher, str(PROGRAM), "--address", load.address, "--port", str(load.port),
                "--connections", str(load.connections), "--threads", str(load.threads),
                "--rate", str(load.rate), "--arrivals", "poisson", "--seed", str(load.seed),
                "--warmup", "0", "--duration", str(load.seconds), "--path", load.workload.path,
                "--body-size", str(load.workload.body_size_bytes),
                *(["--spin", str(_SPIN_US)] if launcher else []), "--output", str(report)]

    def parse(self, text: str) -> LoadResult:
        with account_of(self.name):
            data = json.loads(text)
            loop = from_json(OpenLoop, data, "report")
            return replace(load_result(data, ERRORS), open_loop=replace(
                loop, send_lag_us=rounded(loop.send_lag_us or ())))


TOOL = Openload()
