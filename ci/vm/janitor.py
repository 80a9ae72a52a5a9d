# SPDX-License-Identifier: BSD-3-Clause
"""What is left to do when we are gone, however we went: a small process that waits for our end of a pipe to close, which
SIGKILL too does, then removes the run's directory and gives the terminal its settings back.

QEMU needs no help: it is killed by the kernel when its parent ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# $1 directory, $2 the terminal's settings or nothing; standard input is the pipe, descriptor 2 the terminal.
# A QEMU that is being killed may still write for a moment.
SCRIPT = """
trap '' HUP INT TERM QUIT
read -r _
[ -z "$2" ] || stty "$2" <&2
tries=0
until rm -rf "$1" && [ ! -e "$1" ]; do
    tries=$((tries + 1)); [ $tries -lt 50 ] || exit 1
    sleep 0.1
done 2>/dev/null
"""


class Janitor:
    """Owns `directory`, which it makes, and the settings of the terminal on standard input, if it is one."""

    def __init__(self, directory: Path) -> None:
        settings = ""
        terminal = sys.stdin is not None and sys.stdin.isatty()
        if terminal:
            settings = subprocess.run(["stty", "-g"], stdout=subprocess.PIPE, encoding="utf-8").stdout.strip()
        self._process = subprocess.Popen(
            ["sh", "-c", SCRIPT, "janitor", str(directory), settings], stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=0 if terminal else subprocess.DEVNULL, start_new_session=True)
        self.directory = directory
        directory.mkdir(parents=True)

    def close(self) -> None:
        """Has all of it done now."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def run_directory(cache: Path) -> Path:
    """A name for a run's directory, not yet made."""
    return cache / "runs" / f"{os.getpid()}-{os.urandom(3).hex()}"
