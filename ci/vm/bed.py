# SPDX-License-Identifier: BSD-3-Clause
"""One job in one virtual machine: from the command to its exit code. Everything of it is gone when this is done, but the
results, and the guest's console in build/vm/console.log.
"""

from __future__ import annotations

import compileall
import selectors
import shutil
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Mapping

from ci.vm import accelerator, devices, initramfs, kernel, share, streams
from ci.vm.errors import GuestDied, LimitStruck, MachineError
from ci.vm.janitor import Janitor, run_directory
from ci.vm.monitor import Control, Monitor
from ci.vm.qemu import Machine, Setup

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "build/vm"


@dataclass(frozen=True)
class Job:
    """`commands`: shell text, one for each boot; the guest comes up again after it asked for a reset."""

    commands: tuple[str, ...]
    model: str = "e1000e"
    extras: tuple[str, ...] = ()
    limit: float = 170.0
    memory: int = 2048
    terminal: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


def say(line: str) -> None:
    print(f"vm: {line}", file=sys.stderr, flush=True)


def _prepare(job: Job, directory: Path, quiet: bool) -> tuple[Setup, tuple[int, int] | None]:
    """The machine to start, and the terminal's size if the command is to have one."""
    cards = devices.devices(job.model, job.extras)
    built = kernel.kernel(CACHE / "kernel", say)
    compileall.compile_dir(ROOT / "harness", quiet=2)  # takes the guest seconds, and each process of it again
    initrd = directory / "initramfs"
    initrd.write_bytes(initramfs.initramfs(built.modules, initramfs.scripts()))
    setup = Setup("tcg", built.vmlinux, initrd, directory / "console.log", memory=job.memory)
    chosen = accelerator.choose(CACHE, setup, (lambda line: None) if quiet else say)
    size = streams.terminal_size() if job.terminal else None
    environment = {"VM_MODEL": job.model, "VM_EXTRAS": " ".join(job.extras), **job.environment}
    share.write_job(directory / "share", ROOT, built.modules, job.commands, environment, size)
    return Setup(chosen, built.vmlinux, initrd, directory / "console.log", directory / "share", cards,
                 job.memory, iommu=devices.NO_IOMMU not in job.extras), size


class _Loop:
    """Serves a machine until it ends or the limit strikes."""

    def __init__(self, machine: Machine, cards: devices.Devices, deadline: float) -> None:
        self._machine = machine
        self._deadline = deadline
        self._selector = selectors.PollSelector()
        self.monitor = Monitor(machine.ports["monitor"])
        self._read(machine.ports["monitor"], self.monitor.readable)
        self._read(machine.ports["control"], Control(machine.ports["control"], self.monitor, cards).readable)
        self._outputs = []
        self._inputs = []
        for name, descriptor in (("terminal", 1), ("stdout", 1), ("stderr", 2)):
            if name in machine.ports:
                self._outputs.append(streams.output(machine.ports[name], descriptor))
                self._read(machine.ports[name], self._outputs[-1])
        for name in ("terminal", "stdin"):
            if name in machine.ports:
                self._inputs.append(streams.Input(self._selector, machine.ports[name]))
        self._selector.register(machine.pidfd, selectors.EVENT_READ, lambda: True)  # so that its end wakes us

    def _read(self, port: object, readable: Callable[[], bool]) -> None:
        self._selector.register(port, selectors.EVENT_READ, readable)  # type: ignore[arg-type]

    def run(self) -> None:
        """LimitStruck when it does."""
        while self._machine.ended() is None:
            if time.monotonic() > self._deadline:
                raise LimitStruck
            for key, _ in self._selector.select(0.5):
                if not key.data() and key.fileobj in self._selector.get_map():
                    self._selector.unregister(key.fileobj)
            self.monitor.tick()

    def drain(self) -> None:
        """What the guest had said and we had not yet heard when the machine ended."""
        for readable in self._outputs:
            while readable():
                pass
        for stream in self._inputs:
            stream.close()


def _verdict(job: Job, machine: Machine, directory: Path) -> int:
    """The exit code of the last command that was to run. GuestDied when it has none."""
    at = share.boots(directory / "share")
    code = share.exit_code(directory / "share", at) if at else None
    if code is None:
        where = f"in boot {at}" if at else "before it was up"
        why = machine.complaint()
        raise GuestDied(f"the guest ended {where} without a result{f' ({why})' if why else ''}: "
                        f"see {CACHE / 'console.log'}")
    if at < len(job.commands) and code == 0:
        raise GuestDied(f"the command of boot {at} ended without `vmctl reset`, so the next one never ran")
    return code


def _serve(job: Job, setup: Setup, directory: Path, raw: bool, began: float) -> int:
    names = ["monitor", "control", *(["terminal"] if raw else ["stdin", "stdout", "stderr"])]
    assert setup.cards is not None
    machine = Machine(setup, names, directory / "qemu.log")
    try:
        with streams.raw_terminal() if raw else nullcontext():
            loop = _Loop(machine, setup.cards, began + job.limit)
            try:
                loop.run()
            finally:
                machine.end()
                loop.drain()
        return _verdict(job, machine, directory)
    except LimitStruck:
        raise LimitStruck(f"the time limit of {job.limit:g} s struck: the machine was ended") from None
    finally:
        machine.close()


def run(job: Job, quiet: bool = False) -> int:
    """The exit code of the job's command. A BedError when there is none."""
    began = time.monotonic()
    if not shutil.which("setpriv"):
        raise MachineError("the virtual machine needs setpriv: run 'ci/deps.sh packages vm'")
    janitor = Janitor(run_directory(CACHE))
    try:
        setup, size = _prepare(job, janitor.directory, quiet)
        return _serve(job, setup, janitor.directory, size is not None, began)
    finally:
        if (janitor.directory / "console.log").exists():
            shutil.copy(janitor.directory / "console.log", CACHE / "console.log")
        came, refused = share.bring_out(janitor.directory / "share", ROOT)
        for line in [*(f"came out: {path.relative_to(ROOT)}" for path in came), *refused]:
            say(line)
        janitor.close()
