# SPDX-License-Identifier: BSD-3-Clause
"""The command line: options in, exit code out. Every way to end is one line on stderr and a code (errors.py).

Commands are imported when they are asked for: doctor and restore must run on a machine that lacks packages.
"""

from __future__ import annotations

import argparse
import signal
import sys
from typing import NoReturn, Sequence

from harness.errors import Interrupted, MachineError, StackduelError, UsageError
from harness.host import Host, LocalHost
from harness.plan.nic_request import WIRE, NicOrder, add_options, nic_order
from harness.plan import OVERRIDES, RENAMED
from harness.store.store import disk_reason

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see `python3 -m harness --help`")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Raises UsageError, with one line."""
    parser = _Parser(prog="stackduel", description="user-space TCP against kernel TCP, measured fairly")
    commands = parser.add_subparsers(dest="command", required=True)
    published = _Parser(add_help=False)
    published.add_argument("--published", action="append", default=[], metavar="NAME",
                           help="overlay the figures of results/published/NAME.toml; may be repeated")
    planned = _Parser(add_help=False)
    planned.add_argument("--wire", default="", help="a name in topologies/, or a .toml file")
    planned.add_argument("--plan", default="", help="quick, default, full, or a .toml file")
    planned.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                         help=f"overrides a key of the plan: {', '.join(OVERRIDES)}")
    on_nic = _Parser(add_help=False)
    add_options(on_nic)
    on_nic.add_argument("--tune", default="", metavar="LEVEL", help="how the machine is set for it: none, fair or max")
    on_nic.add_argument("--dry-run", action="store_true", help="show what would be done, do nothing")
    measured = _Parser(add_help=False, parents=[planned, published, on_nic])
    measured.add_argument("--resume", default="", metavar="RUN", help="finish an interrupted run")
    measured.add_argument("--no-report", action="store_true", help="measure only; `report` makes charts and pages later")
    commands.add_parser("bench", parents=[measured], help="measure a plan on a wire and write its report")
    latency = commands.add_parser("latency", parents=[measured],
                                  help="latency against offered load, in an open loop, up to saturation")
    latency.add_argument("--rates", default="", metavar="N,…", help="requests/s offered, else found from saturation")
    latency.add_argument("--loads", default="", metavar="PERCENT,…", help="percent of the best contender's saturation")
    commands.add_parser("shell", parents=[planned], help="a shell in the client namespace, both servers up")
    run_help = "an id under results/runs/, 'reference', or a directory"
    report = commands.add_parser("report", parents=[published], help="write the report of a run again")
    report.add_argument("run", metavar="RUN", help=run_help)
    compare = commands.add_parser("compare", parents=[published], help="one report over several runs")
    compare.add_argument("runs", nargs="+", metavar="RUN", help=run_help)
    bundle = commands.add_parser("bundle", parents=[published], help="pack a run and its report, with hashes")
    bundle.add_argument("run", metavar="RUN", help=run_help)
    verify = commands.add_parser("verify", help="check a bundle: hashes, and that its report comes out the same")
    verify.add_argument("bundle", metavar="FILE")
    gate = commands.add_parser("gate", help="fail (exit 1) where a run is worse than the runs before it")
    gate.add_argument("--base", action="append", default=[], metavar="RUN", help=f"{run_help}; may be repeated")
    gate.add_argument("--head", default="", metavar="RUN", help="the run that is judged; the newest of that wire if not given")
    gate.add_argument("--threshold", default="", metavar="PERCENT", help="what is smaller is no fall; 3 if not given")
    noise = commands.add_parser("noise", parents=[planned], help="a contender against itself: what this machine can tell apart")
    noise.add_argument("--comparisons", default="", metavar="N", help="how many at least; 20 if not given")
    noise.add_argument("--run", default="", metavar="RUN", help="analyse a noise run again, measure nothing")
    trend = commands.add_parser("trend", help="a figure over many runs, with the runs from which on it is another")
    trend.add_argument("runs", nargs="+", metavar="RUN", help=f"{run_help}; or: last N")
    trend.add_argument("--metric", default="", help="gain, requests_per_sec, p99, cycles_per_request, …; gain if not given")
    trend.add_argument("--point", default="", metavar="CONNECTIONS", help="one load point; all of them if not given")
    trend.add_argument("--contender", default="", help="of which; all but the baseline if not given")
    trend.add_argument("--wire", default="", help="of which `last N` takes runs; that of the newest if not given")
    reproduce = commands.add_parser("reproduce", parents=[planned, on_nic], help="a publication's points, measured here")
    reproduce.add_argument("paper", metavar="PAPER", help="tinyhttpd, iip, fstack, or a name in results/published/")
    commands.add_parser("restore", help="undo what a killed run left")
    add_options(commands.add_parser("doctor", help="what this machine, or a NIC, can run, and what is missing"))
    return parser.parse_args(argv)


def settings(words: Sequence[str]) -> dict[str, str]:
    """KEY=VALUE words as a mapping. Raises UsageError."""
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"--set {word}: must be KEY=VALUE")
        found[RENAMED[key].variable if key in RENAMED else key] = value
    return found


def run(argv: Sequence[str], host: Host) -> int:
    """One command. Raises StackduelError, OSError, ImportError or KeyboardInterrupt."""
    args = parse(argv)
    if args.command in ("bench", "latency", "shell") and not (args.wire or getattr(args, "resume", "")):
        raise UsageError("which wire? give --wire NAME (make: WIRE=NAME)")
    if args.command in ("bench", "latency"):
        from harness.run.run import Order, bench
        from harness.plan.offered_load import parse as parse_loads
        order = nic_order(args)
        _nic_named(args, order, host)
        is_open = args.command == "latency"
        bench(Order(args.wire, args.plan or ("latency" if is_open and not args.resume else ""), settings(args.set),
                    resume=args.resume, dry_run=args.dry_run, published=args.published, nic=order,
                    report=not args.no_report, loads=parse_loads(args.rates, args.loads) if is_open else None), host)
    elif args.command == "report":
        from harness.cli.report import show_run
        from harness.store.store import find_run
        show_run(find_run(args.run), args.published)
    elif args.command == "compare":
        from harness.cli.report import show_comparison
        show_comparison(args.runs, args.published)
    elif args.command == "bundle":
        from harness.cli.report import show_bundle
        from harness.store.store import find_run
        show_bundle(find_run(args.run), args.published)
    elif args.command == "verify":
        from harness.cli.report import show_verified
        show_verified(args.bundle)
    elif args.command == "gate":
        from harness.cli.gate import show_gate
        show_gate(args.base, args.head, args.threshold)
    elif args.command == "noise":
        from harness.cli.noise import run_noise
        run_noise(args.wire, args.plan, settings(args.set), args.comparisons, args.run, host)
    elif args.command == "trend":
        from harness.cli.trend import show_trend
        show_trend(args.runs, args.metric, args.point, args.contender, args.wire)
    elif args.command == "reproduce":
        from harness.run.reproduce import reproduce
        args.wire, args.resume = args.wire or "tap", ""
        order = nic_order(args)
        _nic_named(args, order, host)
        reproduce(args.paper, args.wire, args.plan, settings(args.set), order, args.dry_run, host)
    elif args.command == "restore":
        from harness.provision import restore
        print("\n".join(restore(host) or ["nothing to undo"]))
    elif args.command == "doctor":
        return _doctor(nic_order(args), host)
    else:
        return _shell(args, host)
    return 0


def _doctor(order: NicOrder, host: Host) -> int:
    if order.nic:
        from harness.doctor import nic_doctor
        return nic_doctor(host, order)
    from harness.doctor import doctor
    return doctor(host)


def _nic_named(args: argparse.Namespace, order: NicOrder, host: Host) -> None:
    """A run that is finished knows its NIC. UsageError, or MachineError after a list of what could be named."""
    if args.wire != WIRE and order.nic:
        raise UsageError(f"--nic is for the wire with a NIC: give --wire {WIRE} (make: bench)")
    if args.wire != WIRE or args.resume:
        return
    if not order.nic:
        from harness.doctor import candidates
        print("\n".join(candidates(host)))
        raise MachineError("no NIC was named: give NIC=<PCI address or interface> and CLIENT=<its cable's other end>")
    if not order.client:
        raise UsageError("no client was named: give CLIENT=if:<interface> or CLIENT=ssh:<user>@<host>")


def _shell(args: argparse.Namespace, host: Host) -> int:
    from harness.run.run import DEFAULT_PLAN
    from harness.provision import resolve, with_tap
    from harness.plan import load_plan
    from harness.run.shell import shell
    from harness.plan import load_wire
    wire = load_wire(args.wire)
    plan = load_plan(args.plan or DEFAULT_PLAN, wire, host.cpus(), settings(args.set))
    plan = with_tap(host, wire, plan)
    return shell(host, resolve(host, wire, plan), plan)


def _interrupt(number: int, frame: object) -> NoReturn:
    # the first signal starts the undoing, and no later one may disturb it
    for each in _SIGNALS:
        signal.signal(each, lambda *_: None)
    raise KeyboardInterrupt


def main(argv: Sequence[str], host: Host) -> int:
    """The exit code; one line on stderr for every way to end that is not 0."""
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    try:
        return run(argv, host)
    except StackduelError as error:
        code, line = error.exit_code, str(error)
    except KeyboardInterrupt:
        code, line = Interrupted.exit_code, "interrupted"
    except ModuleNotFoundError as error:
        code, line = MachineError.exit_code, f"Python module '{error.name}' is missing: run `sudo make deps`"
    except OSError as error:
        code, line = MachineError.exit_code, disk_reason(error)
    print(f"stackduel: {line}", file=sys.stderr, flush=True)
    return code


def start() -> NoReturn:
    """Run the command line of this process and end it with the exit code."""
    code = main(sys.argv[1:], LocalHost())
    # Python gives signals back to their default on its way out: a late one would replace the exit code
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    sys.exit(code)
