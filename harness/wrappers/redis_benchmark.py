# SPDX-License-Identifier: BSD-3-Clause
"""Runs redis-benchmark and writes what it printed, with the CPU times of its load. Knows nothing of
trials.

Usage: wrappers/redis_benchmark.py REPORT WORDS…   Exit code: that of WORDS, or 1 when they printed
no account of a load. redis-benchmark prints when its load begins and when it has ended, and that is
when /proc/stat is read: its own start (and, under a library, DPDK's) is no load, though a polling
server burns a core meanwhile.
"""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
import tty
from pathlib import Path
from typing import Sequence

# progress is printed from the first millisecond on, the account when the last answer has come
ACCOUNT = b"======"


def main(argv: Sequence[str]) -> int:
    # on a terminal each line comes when it is printed
    ours, its = pty.openpty()
    tty.setraw(its)
    stat, at = dict[str, str](), dict[str, float]()
    said = bytearray()
    with subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *argv[1:]], stdin=subprocess.DEVNULL,
                          stdout=its) as child:
        os.close(its)
        while piece := _read(ours):
            said += piece
            if not stat:
                stat["before"], at["before"] = _proc_stat(), time.monotonic()
            if ACCOUNT in said and "after" not in stat:
                stat["after"], at["after"] = _proc_stat(), time.monotonic()
    os.close(ours)
    sys.stdout.buffer.write(said)
    if child.returncode != 0 or "after" not in stat:
        return abs(child.returncode) or 1
    text = said[said.index(ACCOUNT):].decode(errors="replace")
    Path(argv[0]).write_text(json.dumps({
        "text": text, "proc_stat": stat, "steady_seconds": at["after"] - at["before"]}), "utf-8")
    return 0


def _read(terminal: int) -> bytes:
    """b"" at its end: a terminal whose other side is closed gives an error."""
    try:
        return os.read(terminal, 1 << 16)
    except OSError:
        return b""


def _proc_stat() -> str:
    return Path("/proc/stat").read_text("utf-8").partition("intr ")[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
