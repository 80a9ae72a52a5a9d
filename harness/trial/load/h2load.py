# SPDX-License-Identifier: BSD-3-Clause
"""The load tool `h2load` (nghttp2 1.52): HTTP/1.1, closed loop, one request in flight a connection.

It logs each request's time in whole microseconds, so all percentiles are exact; they count from
sending and are not corrected for coordinated omission. Requests that are under way when the time is
over are in no figure. Run as a program: h2load.py REPORT LOG SECONDS WORDS…
"""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import tty
from collections import Counter
from pathlib import Path
from typing import Sequence

from harness.trial.load.base import Load, LoadResult, LoadTool, account_of, load_result

ROOT = Path(__file__).resolve().parents[3]
# what it prints when its load begins and when it is over
_BEGUN, _OVER = b"Main benchmark duration is started", b"Main benchmark duration is over"
_SUCCEEDED = re.compile(rb"^requests: .* (\d+) succeeded, (\d+) failed, ", re.M)
_STATUS = re.compile(rb"^status codes: .* (\d+) 4xx, (\d+) 5xx$", re.M)
_TRAFFIC = re.compile(rb"^traffic: \S+ \((\d+)\) total", re.M)


class H2load(LoadTool):
    """How h2load is called, and the report that this file, as a program, makes of its output."""

    name = "h2load"
    programs = {"h2load": "nghttp2-client", "setpriv": "util-linux"}
    workloads = ("rps", "bandwidth", "nginx-get")
    usual = False

    def command(self, load: Load, report: Path, launcher: Sequence[str]) -> list[str]:
        log = report.with_suffix(".log")
        return [sys.executable, __file__, str(report), str(log), str(load.seconds), *launcher,
                "h2load", "--h1", "--clients", str(load.connections), "--threads",
                str(load.threads), "--duration", str(load.seconds), f"--log-file={log}",
                f"http://{load.address}:{load.port}{load.workload.path}"]

    def environment(self, report: Path) -> dict[str, str]:
        return {"PYTHONPATH": str(ROOT)}

    def in_flight(self, load: Load) -> int:
        return load.connections

    def parse(self, text: str) -> LoadResult:
        with account_of(self.name):
            return load_result(json.loads(text), ("status", "failed"))


def main(argv: Sequence[str]) -> int:
    """Run WORDS and write REPORT; return its exit code, or 1 where it told of no load."""
    report, log, seconds = Path(argv[0]), Path(argv[1]), int(argv[2])
    # on a terminal each line comes when it is printed
    ours, its = pty.openpty()
    tty.setraw(its)
    printed, stat = bytearray(), dict[str, str]()
    with subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *argv[3:]], stdin=subprocess.DEVNULL,
                          stdout=its) as child:
        os.close(its)
        while piece := _read(ours):
            printed += piece
            for name, line in (("before", _BEGUN), ("after", _OVER)):
                if name not in stat and line in printed:
                    stat[name] = Path("/proc/stat").read_text("utf-8").partition("intr ")[0]
    os.close(ours)
    sys.stdout.buffer.write(printed)
    requests, status, traffic = (pattern.search(printed.replace(b"\r", b""))
                                 for pattern in (_SUCCEEDED, _STATUS, _TRAFFIC))
    if child.returncode != 0 or len(stat) < 2 or not (requests and status and traffic):
        return abs(child.returncode) or 1
    refused = int(status[1]) + int(status[2])
    rows = [row.split("\t") for row in log.read_text("utf-8").splitlines()]
    times = Counter(int(us) for _, code, us in rows if code != "-1")
    log.unlink()
    report.write_text(json.dumps({
        "requests": int(requests[1]), "bytes": int(traffic[1]), "duration_seconds": seconds,
        "errors": {"status": refused, "failed": max(0, int(requests[2]) - refused)},
        "latency_us": sorted(times.items()), "proc_stat": stat}), "utf-8")
    return 0


def _read(terminal: int) -> bytes:
    """Return b"" at its end: a terminal whose other side is closed gives an error."""
    try:
        return os.read(terminal, 1 << 16)
    except OSError:
        return b""


TOOL = H2load()

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
