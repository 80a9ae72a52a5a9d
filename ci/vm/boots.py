# SPDX-License-Identifier: BSD-3-Clause
"""The plan of `make vm-test`: which machine is booted for what, one row a boot, and how its outcome is told.

A command is shell text, run in the project's directory of the guest; PLAN is in its environment.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Callable, Sequence

from ci.vm import bed
from ci.vm.errors import BedError, LimitStruck, UsageError

TESTS = "exec /usr/bin/python3 -m pytest -q -rs -p no:cacheprovider"


@dataclass(frozen=True)
class Boot:
    """One machine and what is to be run in it."""

    name: str
    model: str
    command: str
    extras: tuple[str, ...] = ()
    after_reboot: tuple[str, ...] = ()


BOOTS = (
    Boot("e1000e", "e1000e", f"{TESTS} harness/tests/vm/test_bed.py"),
    Boot("virtio", "virtio", f"{TESTS} harness/tests/vm/test_bed.py -k driver"),
    Boot("virtio-mq", "virtio-mq", f"{TESTS} harness/tests/vm/test_bed.py -k 'driver or queues'"),
)


def chosen(names: Sequence[str]) -> list[Boot]:
    """The rows of those names, or all. UsageError for a name that is not there."""
    for name in names:
        if name not in [boot.name for boot in BOOTS]:
            raise UsageError(f"no boot '{name}'; there are: {', '.join(boot.name for boot in BOOTS)}")
    return [boot for boot in BOOTS if not names or boot.name in names]


def run_all(boots: Sequence[Boot], limit: float, plan: str, run: Callable[[bed.Job], int] = bed.run) -> int:
    """Runs every row, whatever became of the others, within `limit` seconds in all; the first exit code that is not 0."""
    began = time.monotonic()
    worst = 0
    for boot in boots:
        started = time.monotonic()
        left = limit - (started - began)
        try:
            if left <= 0:
                raise LimitStruck(f"no time is left of {limit:g} s: not started")
            code = run(bed.Job((boot.command, *boot.after_reboot), boot.model, boot.extras, left,
                               environment={"PLAN": plan}))
            said = "passed" if code == 0 else f"FAILED with exit code {code}"
        except BedError as error:
            code, said = error.exit_code, f"FAILED: {error}"
        bed.say(f"{boot.name}: {said}, {time.monotonic() - started:.1f} s")
        worst = worst or code
    return worst
