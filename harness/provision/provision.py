# SPDX-License-Identifier: BSD-3-Clause
"""Make a wire, and leave the machine as it was found: the order of steps, the lock, the undoing.

What each step does is in steps.py, what undoes it in journal.py. Knows no plan, trial or result.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Callable, Iterator, Mapping, Sequence

from harness.errors import MachineError
from harness.host import DryRun, Host, Log, SshHost, clear
from harness.plan import Contender, Reason, Wire
from harness.provision import journal as journals
from harness.provision.journal import Journal, describe
from harness.provision.kernel_modules import Module
from harness.provision.links import Impairment
from harness.provision.needs import (
    Drivers, Privileges, confined_to_ours, may_make_namespaces)
from harness.provision.nic.link_check import CableNote
from harness.provision.nic.steps import Ends, Port, ServerPort, Use
from harness.provision.resolved_wire import ResolvedWire, resolved
from harness.provision.step import Step
from harness.provision.steps import Hugepages, Requirements, namespaces, steps
from harness.provision.tuning import SOFTIRQ, Softirq, Tuned, results

# steps whose needs show without a NIC
_SHOWS_BEFORE = (Requirements, Privileges, Drivers, Hugepages, Module)
# one for the whole machine: every network namespace has the same
LOCK = "/run"
NEEDS_ROOT = "making namespaces and links needs root: run it with sudo"


@dataclass
class Provisioned:
    """A wire that is up.

    hugepages: False: servers run with --no-huge, and `why` says for what reason
    sites: the machines that its clients are on; () when that is this one
    port: the one of a NIC that the contenders have in turn
    """

    wire: ResolvedWire
    hugepages: bool
    why: str
    journal: Journal
    sites: tuple[SshHost, ...] = ()
    port: ServerPort | None = None
    steps: Sequence[Step] = ()

    def tuned(self) -> list[Tuned]:
        """Return what was asked of the machine, what it gave, and why not more."""
        return [*results(self.steps), *(replace(result, port=port.end.interface)
                                        for port in self._ports() for result in port.tuned)]

    def softirq(self) -> dict[str, Tuned]:
        """Return where packets are processed, by namespace/interface; {} without SOFTIRQ."""
        placed = {name: result for step in self.steps if isinstance(step, Softirq)
                  for name, result in step.placed.items()}
        return placed | {f"{port.end.namespace}/{port.end.interface}": result
                         for port in self._ports() for result in port.tuned
                         if result.what == SOFTIRQ}

    def noted(self) -> list[CableNote]:
        """Return what was seen of the ends of a cable that a reader must know."""
        return [note for item in self.steps if isinstance(item, Ends) for note in item.notes]

    def turn_to(self, host: Host, contender: Contender) -> None:
        """Give the contender the port that others have in their turn. MachineError if it cannot."""
        if self.port:
            self.port.turn_to(host, contender)

    def impair(self, host: Host, impairment: str) -> None:
        """Have netem do this to packets from now on, "" for nothing; undone with the wire.

        MachineError when the kernel refuses, or on a wire that was not resolved for any.
        """
        step = next((item for item in self.steps if isinstance(item, Impairment)), None)
        if step:
            step.change(host, impairment)
        elif impairment:
            raise MachineError(f"wire {self.wire.name} is up without netem: no {impairment!r}")

    def namespaces(self, contenders: Sequence[Contender]) -> list[str]:
        """Return those of this machine that a packet of these contenders may pass."""
        elsewhere = {item.client.endpoint.namespace for item in contenders if self.sites}
        return [name for name in namespaces(self.wire, contenders) if name not in elsewhere]

    def _ports(self) -> list[Port]:
        return [step for step in self.steps if isinstance(step, Port)]


# called with a wire that is up; returns the contenders that it cannot carry fairly, and why
Inspect = Callable[[Provisioned], Mapping[str, Reason]]


@contextmanager
def provisioned(host: Host, wire: ResolvedWire, contenders: Sequence[str], run_id: str, *,
                dry_run: bool = False, log: Log, programs: Mapping[str, str] = {},
                use: Use = Use(), inspect: Inspect = lambda up: {}) -> Iterator[Provisioned]:
    """Yield the wire, up for the body of the `with`; undone in reverse afterwards, however it ends.

    programs: what the run needs on PATH beside what the wire does, with its Debian package
    use: what it will do with a wire that has a NIC
    inspect: tries the wire that is up, and finds what becomes its `not_applicable`

    First undoes what a killed run left. MachineError when the machine lacks something (nothing is
    changed then), a step fails, another run is at work, or something could not be undone. `dry_run`
    only prints.
    """
    wanted = steps(wire, contenders, programs, use)
    if dry_run:
        yield _rehearse(DryRun(host, log), wire, contenders, wanted, use, run_id, log)
        return
    with host.lock(LOCK):
        if not host.is_root():
            raise MachineError(NEEDS_ROOT)
        for line in _restore(host):
            log(f"undone after a killed run: {line}")
        if problems := _problems(host, wanted):
            raise MachineError(f"this machine cannot run wire {wire.name}: {'; '.join(problems)}")
        journal = Journal(host, run_id)
        failed: list[str] = []
        try:
            for step in wanted:
                journal.record(step.name, step.undo(host))
                step.up(host)
            up = _ready(wire, wanted, journal, use)
            found = {**wire.not_applicable, **inspect(up)}
            yield replace(up, wire=replace(wire, not_applicable=found))
        finally:
            failed += _undo(journal, log)
        if failed:
            raise MachineError(f"not undone: {'; '.join(failed)}; mend that, then "
                               "`sudo make restore`")


def restore(host: Host) -> list[str]:
    """Undo what a killed run left. Return the commands that did it, [] when nothing was left.

    MachineError when another run is at work, without root, or when something could not be undone;
    the journal then stays.
    """
    if not journals.left_behind(host):
        return []
    with host.lock(LOCK):
        if not host.is_root():
            raise MachineError("undoing what a killed run left needs root: `sudo make restore`")
        return _restore(host)


def _restore(host: Host) -> list[str]:
    if not journals.left_behind(host):
        return []
    done, failed = journals.restore(host)
    done += [f"rm -r {directory}" for directory in clear(host)]
    if failed:
        raise MachineError(f"what a killed run left could not all be undone: {'; '.join(failed)};"
                           " mend that, then `sudo make restore`")
    return done or [f"rmdir {journals.DIRECTORY}"]


def problems(host: Host, wire: Wire, contenders: Sequence[str] = ()) -> list[str]:
    """Return what this machine lacks for contenders of a wire (none named: all), as far as it shows
    before a run."""
    chosen = list(contenders) or list(wire.contenders)
    if not may_make_namespaces(host):
        wire = confined_to_ours(wire, chosen)
    return _problems(host, [step for step in steps(resolved(wire), chosen)
                            if isinstance(step, _SHOWS_BEFORE)])


def _problems(host: Host, wanted: Sequence[Step]) -> list[str]:
    return [problem for step in wanted if (problem := step.check(host))]


def _ready(wire: ResolvedWire, wanted: Sequence[Step], journal: Journal, use: Use) -> Provisioned:
    pages = next(step for step in wanted if isinstance(step, Hugepages))
    port = next((step for step in wanted if isinstance(step, ServerPort)), None)
    return Provisioned(wire, pages.granted, pages.why, journal, use.sites, port, wanted)


def _undo(journal: Journal, log: Log) -> list[str]:
    """Undo, deaf to signals, also when one strikes just before they are ignored."""
    before: dict[signal.Signals, Any] = {}
    failed: list[str] = []
    try:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                before[number] = signal.signal(number, signal.SIG_IGN)
    finally:
        failed = journal.undo()
        for line in failed:
            log(f"could not be undone: {line}")
        for caught, handler in before.items():
            signal.signal(caught, handler)
    return failed


def _rehearse(dry: DryRun, wire: ResolvedWire, contenders: Sequence[str], wanted: Sequence[Step],
              use: Use, run_id: str, log: Log) -> Provisioned:
    if journals.left_behind(dry):
        log("# a real run would first undo what a killed run left")
    for problem in _problems(dry, wanted):
        log(f"# in the way of a real run: {problem}")
    undo = [action for step in reversed(wanted) for action in step.undo(dry)]
    for step in wanted:
        log(f"# {step.name}")
        try:
            # a look at both ends would see what is not there yet
            if not isinstance(step, Ends):
                step.up(dry)
        except MachineError as error:
            log(f"# a real run would end here: {error}")
    up = _ready(wire, wanted, Journal(dry, run_id), use)
    for name in contenders if up.port else ():
        log(f"# when {name} has its turn")
        up.turn_to(dry, wire.contenders[name])
    log("# afterwards")
    for action in undo:
        log(describe(action))
    return up
