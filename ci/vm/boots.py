# SPDX-License-Identifier: BSD-3-Clause
"""The plan of `make vm-test`: which machine is booted for what, one row a boot, and how its outcome is told.

A command is shell text, run in the project's directory of the guest; PLAN, SETTINGS for make and OPTIONS for the harness
are in its environment.
"""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Sequence

from ci.vm import bed, checks
from ci.vm.devices import NO_IOMMU
from ci.vm.errors import BedError, LimitStruck, UsageError

PYTHON = "/usr/bin/python3"
TESTS = f"exec {PYTHON} -m pytest -q -rs -p no:cacheprovider"
# make has been seen to work by the first boot, and the usual tuning too: both take time in an emulated machine
BY_MAKE = "exec make bench NIC=$VM_NIC CLIENT=if:$VM_CLIENT PLAN=$PLAN $SETTINGS"
PLAINLY = f"exec {PYTHON} -m harness bench --wire nic --nic $VM_NIC --client if:$VM_CLIENT --tune none --plan $PLAN $OPTIONS"
# of the plan "quick": emulation is slow, and the figures are none of hardware; charts are drawn on the host
QUICK = ("ROUNDS=1", "DURATION=1", "WARMUP=0", "ATTEMPTS=1", "CONTENDERS=epoll,lwip")
BENCH, FAULTS, KERNEL, SSH, ALL = "bench", "faults", "kernel", "ssh", "all"
# seconds that all boots of a group may take together
LIMITS = {BENCH: 300, FAULTS: 900, KERNEL: 660, SSH: 240}
Check = Callable[[Path, Path], list[str]]


@dataclass(frozen=True)
class Boot:
    """One machine and what is to be run in it. `check`: what is wrong with the run that came out, by its directory and
    its report's.
    """

    name: str
    group: str
    model: str
    command: str
    extras: tuple[str, ...] = ()
    after_reboot: tuple[str, ...] = ()
    check: Check | None = None


BOOTS = (
    Boot("e1000e", BENCH, "e1000e", BY_MAKE, check=checks.bench),
    Boot("virtio", BENCH, "virtio", PLAINLY, check=checks.bench),
    # two cores, of which the client has one too, are not compared with one
    Boot("virtio-mq", BENCH, "virtio-mq",
         f"{PLAINLY} --set CONTENDERS=lwip --set SERVER_CPUS=0,1 --set CLIENT_CPUS=0", check=checks.queues),
    Boot("faults", FAULTS, "e1000e", f"{TESTS} harness/tests/vm/test_faults.py", extras=("spare",)),
    Boot("shared", FAULTS, "e1000e", f"{TESTS} harness/tests/vm/test_faults.py -k shared", extras=("shared",)),
    Boot("reboot", FAULTS, "e1000e", f"exec {PYTHON} -m harness.tests.vm.reboot begin",
         after_reboot=(f"exec {PYTHON} -m harness.tests.vm.reboot end",)),
    Boot("no-iommu", KERNEL, "e1000e", f"{PLAINLY} --noiommu", extras=(NO_IOMMU,), check=checks.without_iommu),
    Boot("bed", KERNEL, "e1000e", f"{TESTS} harness/tests/vm/test_bed.py", extras=("spare",)),
    Boot("bed-virtio", KERNEL, "virtio", f"{TESTS} harness/tests/vm/test_bed.py -k 'driver or cable'"),
    Boot("bed-mq", KERNEL, "virtio-mq", f"{TESTS} harness/tests/vm/test_bed.py -k 'driver or queues'"),
    Boot("tuning", KERNEL, "e1000e", f"{TESTS} harness/tests/vm/test_tuning.py"),
    Boot("tuning-mq", KERNEL, "virtio-mq", f"{TESTS} harness/tests/vm/test_tuning.py"),
    Boot("kernel", KERNEL, "e1000e", f"{TESTS} harness/tests/vm/test_kernel.py"),
    Boot("ssh", SSH, "e1000e", f"{TESTS} harness/tests/vm/test_ssh.py"),
)


def chosen(names: Sequence[str]) -> list[Boot]:
    """The rows of those names or groups; those of "bench" when none is given. UsageError for a name that is not there."""
    known = list(dict.fromkeys([ALL, *(boot.group for boot in BOOTS), *(boot.name for boot in BOOTS)]))
    for name in names:
        if name not in known:
            raise UsageError(f"no boot '{name}'; there are: {', '.join(known)}")
    wanted = set(names or [BENCH])
    return [boot for boot in BOOTS if wanted & {ALL, boot.group, boot.name}]


def limit_of(boots: Sequence[Boot]) -> float:
    """Seconds for all of them together."""
    return float(sum(LIMITS[group] for group in {boot.group for boot in boots}))


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
            there = _runs()
            code = run(bed.Job((boot.command, *boot.after_reboot), boot.model, boot.extras, left,
                               environment=_environment(plan)))
            problems = _problems(boot, _runs() - there) if code == 0 else []
            said = "passed" if code == 0 else f"FAILED with exit code {code}"
            if problems:
                code, said = 1, f"FAILED: {'; '.join(problems)}"
        except BedError as error:
            code, said = error.exit_code, f"FAILED: {error}"
        bed.say(f"{boot.name}: {said}, {time.monotonic() - started:.1f} s")
        worst = worst or code
    return worst


def _environment(plan: str) -> dict[str, str]:
    if plan != "quick":
        return {"PLAN": plan, "SETTINGS": "", "OPTIONS": ""}
    return {"PLAN": plan, "SETTINGS": " ".join([*QUICK, "CONNECTIONS=1,16", "REPORT=no"]),
            "OPTIONS": " ".join([*(f"--set {each}" for each in QUICK), "--set CONNECTIONS=16", "--no-report"])}


def _runs() -> set[str]:
    runs = bed.ROOT / "results/runs"
    return {path.name for path in runs.iterdir()} if runs.is_dir() else set()


def _problems(boot: Boot, came: set[str]) -> list[str]:
    """What is wrong with the run that came out of the machine."""
    if boot.check is None:
        return []
    if len(came) != 1:
        return [f"{len(came)} runs came out, not 1"]
    id_ = came.pop()
    run, report = bed.ROOT / "results/runs" / id_, bed.ROOT / "reports/out" / id_
    if not report.is_dir() and subprocess.run([PYTHON, "-m", "harness", "report", id_], cwd=bed.ROOT).returncode:
        return [f"no report could be made of {run}"]
    return boot.check(run, report)
