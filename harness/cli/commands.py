# SPDX-License-Identifier: BSD-3-Clause
"""The commands: what each does with its options. A new command is a row of COMMANDS.

Every function takes the options by variable; it may return an exit code. What it needs is imported
when it is called.
"""

from __future__ import annotations

import argparse
from typing import Callable, Mapping

from harness.errors import MachineError, UsageError
from harness.host import Host
from harness.plan import (
    BY_VARIABLE, OPTIONS, OVERRIDES, RENAMED, WIRE, NicRequest, load_wire, wire_names)

Arguments = argparse.Namespace


def settings(args: Arguments) -> dict[str, str]:
    """Return what a plan takes of the options, by variable; "" for what is not given."""
    given = {name: getattr(args, name, "") for name in OVERRIDES}
    return {name: " ".join(value) if isinstance(value, list) else value
            for name, value in given.items()}


def nic_request(args: Arguments) -> NicRequest:
    """Return what is asked of the NIC. UsageError on options that have no NIC to be about."""
    request = NicRequest(args.NIC, args.CLIENT, args.FORCE, args.NOIOMMU,
                     getattr(args, "TUNE", "") or NicRequest.tune)
    if not request.nic and request != NicRequest(tune=request.tune):
        raise UsageError("--client, --force and --noiommu are about a NIC: give --nic too "
                         "(make: NIC=…)")
    return request


def _named_nic(args: Arguments, wire: str, host: Host, resume: str = "") -> NicRequest:
    """Return what is asked of the NIC, which a run that is finished knows.

    UsageError, or MachineError after a list of what could be named.
    """
    request = nic_request(args)
    if wire != WIRE and request.nic:
        raise UsageError(f"--nic is for the wire with a NIC, not for '{wire}': give WIRE={WIRE}")
    if wire != WIRE or resume:
        return request
    if not request.nic:
        from harness.doctor import candidates
        print("\n".join(candidates(host)))
        raise MachineError("no NIC was named: give NIC=<PCI address or interface> and "
                           "CLIENT=<its cable's other end>, or another wire, as "
                           "./stackduel bench tap")
    if not request.client:
        raise UsageError("no client was named: give CLIENT=if:<interface> or "
                         "CLIENT=ssh:<user>@<host>")
    return request


def _bench(args: Arguments, host: Host) -> None:
    _measure(args, host, args.WIRE or ("" if args.RESUME else WIRE), args.PLAN)


def _latency(args: Arguments, host: Host) -> None:
    usual = ("", "") if args.RESUME else ("tap", "latency")
    _measure(args, host, args.WIRE or usual[0], args.PLAN or usual[1], open_loop=True)


def _measure(args: Arguments, host: Host, wire: str, plan: str, open_loop: bool = False) -> None:
    from harness.cli.bench import bench
    from harness.run import RunRequest, parse_loads
    loads = parse_loads(args.RATES, args.LOADS) if open_loop else None
    nic = _named_nic(args, wire, host, args.RESUME)
    bench(RunRequest(wire, plan, settings(args), args.RESUME, args.DRY_RUN, nic, loads),
          host, published=args.PUBLISHED, report=args.REPORT != "no")


def _reproduce(args: Arguments, host: Host) -> None:
    from harness.cli.reproduce import reproduce
    wire = args.WIRE or "tap"
    given = {**settings(args), "PAPER": ""}
    reproduce(args.PAPER, wire, args.PLAN, given, _named_nic(args, wire, host), args.DRY_RUN, host)


def _shell(args: Arguments, host: Host) -> int:
    from harness.run import RunRequest, open_shell, planned
    return open_shell(host, *planned(RunRequest(args.WIRE or "tap", args.PLAN, settings(args)), host))


def _profile(args: Arguments, host: Host) -> None:
    from harness.cli.profile import show_profile
    from harness.run import RunRequest
    wire = args.WIRE or "tap"
    nic = nic_request(args) if args.RUN else _named_nic(args, wire, host)
    show_profile(RunRequest(wire, args.PLAN, settings(args), nic=nic), args.RUN, host)


def _conformance(args: Arguments, host: Host) -> None:
    from harness.cli.conformance import show_conformance
    from harness.run import RunRequest
    wire = args.WIRE or "tap"
    show_conformance(RunRequest(wire, "", settings(args), nic=_named_nic(args, wire, host)),
                     args.CASE, host, attacks=args.ATTACKS)


def _report(args: Arguments, host: Host) -> None:
    from harness.cli.report import show_run
    from harness.store import find_run
    show_run(find_run(args.RUN or "reference"), args.PUBLISHED)


def _compare(args: Arguments, host: Host) -> None:
    from harness.cli.report import show_comparison
    show_comparison(args.RUNS, args.PUBLISHED)


def _bundle(args: Arguments, host: Host) -> None:
    from harness.cli.report import show_bundle
    from harness.store import find_run
    show_bundle(find_run(args.RUN or "reference"), args.PUBLISHED)


def _export(args: Arguments, host: Host) -> None:
    from harness.cli.report import show_export
    from harness.store import find_run
    show_export(find_run(args.RUN or "reference"), args.FORMAT or "csv", args.OUTPUT)


def _verify(args: Arguments, host: Host) -> None:
    from harness.cli.report import show_verified
    show_verified(args.BUNDLE)


def _reference(args: Arguments, host: Host) -> None:
    from harness.cli.reference import make_reference
    make_reference(args.RUN)


def _gate(args: Arguments, host: Host) -> None:
    from harness.cli.gate import show_gate
    show_gate(args.BASE, args.HEAD, args.THRESHOLD)


def _noise(args: Arguments, host: Host) -> None:
    from harness.cli.noise import run_noise
    run_noise(args.WIRE or "tap", args.PLAN, settings(args), args.COMPARISONS, args.RUN, host)


def _trend(args: Arguments, host: Host) -> None:
    from harness.cli.trend import show_trend
    show_trend(args.RUNS, args.METRIC, args.POINT, args.CONTENDER, args.WIRE)


def _restore(args: Arguments, host: Host) -> None:
    from harness.provision import restore
    print("\n".join(restore(host) or ["nothing to undo"]))


def _doctor(args: Arguments, host: Host) -> int:
    from harness.doctor import doctor, nic_doctor
    request = nic_request(args)
    return nic_doctor(host, request) if request.nic else doctor(host)


def _help_targets(args: Arguments, host: Host) -> None:
    """Print the targets of make that forward to a command, a line each."""
    print("Targets:")
    lines = {name: line for name, (line, _) in COMMANDS.items() if name not in OF_MAKE}
    wires = {f"bench-{name}": f"{load_wire(name).title} (root)" for name in wire_names()}
    lines |= {**wires, "bench-app": "APP=redis|nginx, unmodified: bench on the wire of that name",
              "ablate": "bench-ablate, then bench-obligations: what optimisations save, what obligations cost"}
    for name, line in lines.items():
        print(f"  {name:<17} {line}")


def _variables(args: Arguments, host: Host) -> None:
    """Print make's variables, a line each, with who takes them."""
    for option in OPTIONS:
        value = f"{option.variable}={option.unit or '1'}"
        print(f"  {value:<34} {option.help} [{' '.join(option.commands)}]")


def _unused(args: Arguments, host: Host) -> None:
    """Name the targets that use a variable which this one of make does not."""
    option = BY_VARIABLE.get(args.VARIABLES[0]) or RENAMED.get(args.VARIABLES[0])
    if option is None:
        raise UsageError(f"unknown setting '{args.VARIABLES[0]}'; there are: "
                         f"{', '.join(BY_VARIABLE)}")
    raise UsageError(f"{args.VARIABLES[0]} is not a setting of {args.TARGET}; "
                     f"{', '.join(option.commands)} take it")


COMMANDS: Mapping[str, tuple[str, Callable[[Arguments, Host], int | None]]] = {
    "bench": ("measure a plan on a wire, to a finished report; NIC=… CLIENT=…: on a NIC bound to "
              "DPDK; without either: which NICs there are (root)", _bench),
    "latency": ("latency against offered load, in an open loop, up to saturation (root)", _latency),
    "reproduce": ("a publication's points measured here, ours beside theirs; DRY_RUN=1: plan and "
                  "differences (root)", _reproduce),
    "noise": ("contenders against themselves: what this machine can tell apart (root); "
              "RUN=<id>: of a run that there is", _noise),
    "shell": ("a shell in the client's namespace of a wire, its servers up (root)", _shell),
    "profile": ("where each contender's cycles go at one load point, by layer of stack and kernel, "
                "with flame graphs (root); RUN=<id>: of a profile that there is", _profile),
    "conformance": ("raw segments at each contender: which obligations of TCP and IP it keeps "
                    "(root)", _conformance),
    "report": ("charts and pages of a run again, from its files alone", _report),
    "compare": ("one report over several runs: RUNS=\"a b\"", _compare),
    "export": ("figures of a run for other tools, to stdout or OUTPUT=FILE: "
               "FORMAT=csv|github-action-benchmark|bencher|prometheus; github-action-benchmark "
               "for its tool customBiggerIsBetter: throughput and gains", _export),
    "bundle": ("a run with its report and the hash of every file, as one archive", _bundle),
    "verify": ("check a bundle: hashes, and that its report comes out the same", _verify),
    "reference": ("make a run the committed reference, with the charts that README shows",
                  _reference),
    "gate": ("exit 1 where HEAD is worse than BASE=\"<run> …\" by more than noise and a threshold, "
             "2 where they do not compare; make turns both into 2", _gate),
    "trend": ("a figure over RUNS=\"a b c\"|\"last N\", with the runs from which on it is another",
              _trend),
    "doctor": ("what this machine, or NIC=…, can run, and what is missing", _doctor),
    "restore": ("undo what a killed run left on this machine (root)", _restore),
    "help-targets": ("make's targets that forward to a command", _help_targets),
    "variables": ("make's variables, and which commands take them", _variables),
    "unused": ("why make refuses a variable", _unused),
}
# commands that only the Makefile calls
OF_MAKE = ("help-targets", "variables", "unused")
