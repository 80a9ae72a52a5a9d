# SPDX-License-Identifier: BSD-3-Clause
"""The command line. bench() reads like the way of the data: plan, provision, trial, store, analyse, report.

Every way to end is one line on stderr and an exit code (errors.py). Knows no details of any stage.
"""

from __future__ import annotations

import argparse
import errno
import json
import resource
import signal
import sys
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Iterator, NoReturn, Sequence

from harness import compare, report
from harness.doctor import doctor
from harness.errors import Interrupted, MachineError, StackduelError, UsageError
from harness.facts import gather
from harness.host import Host
from harness.plan import OVERRIDES, Plan, TrialSpec, load_plan, schedule
from harness.progress import Progress, clock, rate
from harness.provision import Provisioned, provisioned, restore
from harness.shell import shell
from harness.store import Store, check_writable, find_run, give_to_user, load_run, run_id
from harness.trial import run_trial
from harness.wire import Wire, load_wire

OUT = Path(__file__).resolve().parent.parent / "reports" / "out"
DEFAULT_PLAN = "default"
# descriptors of a server or of wrk beside its connections
_SPARE_FILES = 256


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see `python3 -m harness --help`")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Raises UsageError, with one line."""
    parser = _Parser(prog="stackduel", description="user-space TCP against kernel TCP, measured fairly")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    for name, words in (("bench", "measure a plan on a wire and write its report"),
                        ("shell", "a shell in the client namespace with both servers up")):
        command = commands.add_parser(name, help=words)
        command.add_argument("--wire", default="", help="a name in topologies/, or a .toml file")
        command.add_argument("--plan", default="", help="quick, default, full, or a .toml file")
        command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                             help=f"overrides a key of the plan: {', '.join(OVERRIDES)}")
        if name == "bench":
            command.add_argument("--resume", default="", metavar="RUN", help="finish an interrupted run")
            command.add_argument("--dry-run", action="store_true", help="print the steps, do nothing")
            command.add_argument("--published", action="append", default=[], metavar="NAME",
                                 help="overlay figures of results/published/")
    for name, words in (("report", "write the report of a run again"),
                        ("compare", "one report over several runs")):
        command = commands.add_parser(name, help=words)
        command.add_argument("runs", nargs=1 if name == "report" else "+", metavar="RUN",
                             help="an id under results/runs/, 'reference', or a directory")
        command.add_argument("--published", action="append", default=[], metavar="NAME")
    commands.add_parser("restore", help="undo what a killed run left")
    commands.add_parser("doctor", help="what this machine can run, and what is missing")
    return parser.parse_args(argv)


def bench(args: argparse.Namespace, host: Host) -> int:
    wire, plan, store = _choose(args, host)
    todo = _remaining(plan, store)
    if args.dry_run:
        return _rehearse(host, wire, plan, len(todo))
    if store is not None and not todo:
        return _report(store.run.path, args.published)
    check_writable()
    _allow_files(plan.max_connections + _SPARE_FILES)
    id_ = store.run.id if store else run_id(datetime.now(timezone.utc), wire.name)
    with provisioned(host, wire, plan.contenders, id_, log=_say) as up:
        facts = gather(host, wire, plan, up)
        store = _enter_facts(store, facts) if store else Store.create(id_, plan, facts)
        with _kept(store):
            _measure(host, wire, plan, todo, up, store)
    return _report(store.run.path, args.published)


def _choose(args: argparse.Namespace, host: Host) -> tuple[Wire, Plan, Store | None]:
    """What to run: a new plan, or the rest of an old run, which the command line must not contradict."""
    settings = _settings(args.set)
    if not args.resume:
        wire = load_wire(_need_wire(args))
        return wire, load_plan(args.plan or DEFAULT_PLAN, wire, host.cpus(), settings), None
    store, dropped = Store.resume(args.resume)
    if dropped:
        _say(dropped)
    run = store.run
    wire = load_wire(args.wire or run.plan.wire)
    if wire.name != run.plan.wire:
        raise UsageError(f"run {run.id} is of wire '{run.plan.wire}', not of '{wire.name}'")
    if args.plan or any(settings.values()):
        if load_plan(args.plan or run.plan.name, wire, host.cpus(), settings) != run.plan:
            raise UsageError(f"run {run.id} has another plan; to finish it give RESUME={run.id} alone")
    absent = {*run.plan.client_cpus, *run.plan.server_cpus} - set(host.cpus())
    if absent:
        raise UsageError(f"run {run.id} used CPU {min(absent)}, which this machine has not")
    for name in run.plan.contenders:
        if name not in wire.contenders:
            raise UsageError(f"run {run.id} has contender '{name}', which wire '{wire.name}' has no more")
    return wire, run.plan, store


def _need_wire(args: argparse.Namespace) -> str:
    if not args.wire:
        raise UsageError("which wire? give --wire NAME (make: WIRE=NAME)")
    return str(args.wire)


def _settings(words: Sequence[str]) -> dict[str, str]:
    settings: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"--set {word}: must be KEY=VALUE")
        settings[key] = value
    return settings


def _remaining(plan: Plan, store: Store | None) -> list[tuple[int, TrialSpec]]:
    """The trials still to run, each with its place in the whole schedule."""
    done = {(t["contender"], t["connections"], t["round"]) for t in store.run.trials} if store else set()
    return [(place, spec) for place, spec in enumerate(schedule(plan))
            if (spec.contender, spec.connections, spec.round) not in done]


def _rehearse(host: Host, wire: Wire, plan: Plan, trials: int) -> int:
    with provisioned(host, wire, plan.contenders, "dry-run", dry_run=True, log=print):
        seconds = trials * (plan.warmup_seconds + plan.duration_seconds)
        print(f"# plan {plan.name}: {trials} trials of {', '.join(plan.contenders)} at "
              f"{', '.join(map(str, plan.connections))} connections, {clock(seconds)} of load")
    return 0


def _allow_files(count: int) -> None:
    """Lets the children open `count` files. MachineError where that needs more rights."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    endless = resource.RLIM_INFINITY
    if soft == endless or soft >= count:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard if hard == endless else max(hard, count)))
    except (ValueError, OSError):
        raise MachineError(f"{count} open files are needed, {hard} allowed: raise `ulimit -n`") from None


def _enter_facts(store: Store, facts: dict[str, Any]) -> Store:
    """A resumed run says of every later machine state that it was measured in."""
    store.run.facts.setdefault("resumed", []).append(facts)
    store.write_facts()
    return store


def _measure(host: Host, wire: Wire, plan: Plan, todo: Sequence[tuple[int, TrialSpec]], up: Provisioned,
             store: Store) -> None:
    ports = store.run.facts.setdefault("ports", {})
    with Progress(plan, len(todo)) as progress:
        for place, spec in todo:
            progress.start(spec)
            raw = store.raw / f"{place:04d}-{spec.contender}-c{spec.connections}-r{spec.round}"
            outcome = run_trial(host, wire, plan, spec, place, up, raw)
            store.append(outcome.record)
            if outcome.port and spec.contender not in ports:
                ports[spec.contender] = outcome.port
                store.write_facts()
            progress.done(spec, outcome.record)


@contextmanager
def _kept(store: Store) -> Iterator[None]:
    """Whatever ends a run early: the line to the user says what is kept and how to go on."""
    def kept() -> str:
        return f"{len(store.run.trials)} trials are kept, finish the run with RESUME={store.run.id}"
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {kept()}") from None
    except StackduelError as error:
        raise type(error)(f"{error}; {kept()}") from error
    except OSError as error:
        raise MachineError(f"{_reason(error)}; {kept()}") from error
    finally:
        give_to_user(store.run.path)


def _report(run_dir: Path, published: Sequence[str]) -> int:
    run = load_run(run_dir)
    if not run.trials:
        raise UsageError(f"run {run.id} has no trial yet; RESUME={run.id} runs them")
    files = report.write(run_dir, OUT / run.id, published)
    give_to_user(OUT / run.id)
    _print_gains(json.loads((OUT / run.id / "summary.json").read_text()))
    _print_files(files)
    return 0


def _print_gains(summary: dict[str, Any]) -> None:
    names = list(summary["contenders"])
    print(f"{'connections':>11}  " + "".join(f"{name:>12}" for name in names) + "  gain [95 % interval]")
    for point in summary["points"]:
        medians = [point["contenders"][name]["requests_per_sec"]["median"] for name in names]
        cells = "".join(f"{'-' if median is None else rate(median):>12}" for median in medians)
        gains = [f"{pair} {_gain(gain)}" for pair, gain in point["gain"].items()]
        print(f"{point['connections']:>11}  {cells}  {', '.join(gains)}")


def _gain(gain: dict[str, Any]) -> str:
    ratio = "-" if gain["ratio"] is None else f"{gain['ratio']:.3g}"
    interval = "[{:.3g}, {:.3g}] ".format(*gain["ci95"]) if gain["ci95"] else ""
    return f"{ratio} {interval}{gain['verdict']}"


def _print_files(files: Sequence[Path]) -> None:
    for file in files:
        if file.suffix in (".html", ".md"):
            print(file)


def _compare(args: argparse.Namespace) -> int:
    runs = [find_run(name) for name in args.runs]
    out = OUT / ("compare-" + "-".join(path.name for path in runs))
    _print_files(compare.write(runs, out, args.published))
    give_to_user(out)
    return 0


def _restore(host: Host) -> int:
    lines = restore(host)
    print("\n".join(lines) if lines else "nothing to undo")
    return 0


def _shell(args: argparse.Namespace, host: Host) -> int:
    wire = load_wire(_need_wire(args))
    return shell(host, wire, load_plan(args.plan or DEFAULT_PLAN, wire, host.cpus(), _settings(args.set)))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _reason(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"{error.filename or 'a file'}: the disk is full: free some space"
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)


def _interrupt(number: int, frame: object) -> NoReturn:
    # the first signal starts the undoing, and no later one may disturb it
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, lambda *_: None)
    raise KeyboardInterrupt


def run(argv: Sequence[str], host: Host) -> int:
    """One command. Raises StackduelError, OSError or KeyboardInterrupt."""
    args = parse(argv)
    if args.command == "bench":
        return bench(args, host)
    if args.command == "report":
        return _report(find_run(args.runs[0]), args.published)
    if args.command == "compare":
        return _compare(args)
    if args.command == "restore":
        return _restore(host)
    if args.command == "doctor":
        return doctor(host)
    return _shell(args, host)


def main(argv: Sequence[str], host: Host) -> int:
    """The exit code; one line on stderr for every way to end that is not 0."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        return run(argv, host)
    except StackduelError as error:
        _say(f"stackduel: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        _say("stackduel: interrupted")
        return Interrupted.exit_code
    except OSError as error:
        _say(f"stackduel: {_reason(error)}")
        return MachineError.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Host()))
