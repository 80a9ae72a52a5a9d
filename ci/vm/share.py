# SPDX-License-Identifier: BSD-3-Clause
"""The writable share of a run: the job goes in, exit codes and results come out. Knows nothing of QEMU.

What each file means is guest/start's opening comment.
"""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path
from typing import Mapping, Sequence

from ci.vm.devices import CLIENT, MAC, SERVER

# in the share: in the project
RESULTS = {"runs": "results/runs", "reports": "reports/out"}


def write_job(share: Path, project: Path, modules: Path, commands: Sequence[str], environment: Mapping[str, str],
              terminal: tuple[int, int] | None) -> None:
    """`commands`: one a boot, as shell text. `terminal`: rows and columns when the command is to have one."""
    share.mkdir(parents=True)
    (share / "project").write_bytes(os.fsencode(project) + b"\n")
    (share / "modules").write_bytes(os.fsencode(modules) + b"\n")
    (share / "macs").write_text(f"CLIENT_MAC={MAC[CLIENT]}\nSERVER_MAC={MAC[SERVER]}\n", "utf-8")
    (share / "environment").write_bytes(os.fsencode("".join(
        f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())))
    for number, command in enumerate(commands, 1):
        (share / f"command-{number}").write_bytes(os.fsencode(f"{command}\n"))
    if terminal:
        (share / "terminal").write_text("{} {}\n".format(*terminal), "utf-8")


def exit_code(share: Path, boot: int) -> int | None:
    """What the command of that boot ended with; None when it did not end."""
    try:
        return int((share / f"exit-{boot}").read_text("utf-8"))
    except FileNotFoundError:
        return None


def boots(share: Path) -> int:
    """How often the guest has come up."""
    try:
        return int((share / "boots").read_text("utf-8"))
    except FileNotFoundError:
        return 0


def bring_out(share: Path, project: Path) -> tuple[list[Path], list[str]]:
    """Moves results into the project: (what came, one line for each that was there already and stays as it was)."""
    came, refused = [], []
    for inside, outside in RESULTS.items():
        for source in sorted((share / inside).glob("*")):
            target = project / outside / source.name
            if os.path.lexists(target):
                refused.append(f"{target} is there already: the guest's is lost")
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(source, target)
            came.append(target)
    return came, refused
