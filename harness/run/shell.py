# SPDX-License-Identifier: BSD-3-Clause
"""Open a shell in the client's namespace with all contenders up; measure nothing."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Sequence

from harness.host import Host, command
from harness.plan import LOADGEN, Contender, Plan
from harness.provision import DIRECTORY, Action, Provisioned, ResolvedWire, Use, provisioned
from harness.trial import Running, launcher, start

# where the contenders' words go, to vanish with the run
RAW = Path(DIRECTORY) / "shell"


def open_shell(host: Host, wire: ResolvedWire, plan: Plan) -> int:
    """Run $SHELL to its end, then leave the machine as found. Errors as provisioned()."""
    contenders = side_by_side(wire, plan)
    with provisioned(host, wire, plan.contenders, "shell", log=_say,
                     use=Use(plan.client_cpus, plan.server_cpus)) as up:
        _make_raw(host, contenders, up)
        running: list[Running] = []
        try:
            for contender in contenders:
                running.append(start(host, wire, contender, plan, up, RAW))
                running[-1].wait_ready()
                _write_starter(host, wire, contender, plan, up)
            for line in hint(wire, plan):
                _say(line)
            host.interactive([os.environ.get("SHELL", "bash")], netns=wire.client.namespace)
        finally:
            for each in running:
                each.close()
    return 0


def side_by_side(wire: ResolvedWire, plan: Plan) -> list[Contender]:
    """Return those that can be up at once, each with the port of the plan."""
    first: list[Contender] = []
    for contender in (wire.contenders[name] for name in plan.contenders):
        if not any(other.endpoint == contender.endpoint or other.excludes(contender)
                   for other in first):
            first.append(contender)
    return first


def hint(wire: ResolvedWire, plan: Plan) -> list[str]:
    """Return what to try in the shell, a line each."""
    port = "" if plan.port == 80 else f":{plan.port}"
    lines = [f"You are in namespace {wire.client.namespace} of wire {wire.name}; `exit` ends it. "
             "Try:"]
    for contender in side_by_side(wire, plan):
        if contender.client.stack == LOADGEN:
            lines.append(f"  sh {_starter(contender)} --connections 64    # {contender.label}; "
                         "--help for more")
            continue
        before = f"sh {_starter(contender)} " if contender.client.launcher else ""
        lines.append(f"  {before}curl -i http://{contender.endpoint.ip}{port}/    "
                     f"# {contender.label}")
    lines.append(f"  tail {RAW}/*")
    netns = wire.bridge.namespace if wire.bridge else wire.client.namespace
    return [*lines, f"  ip -n {netns} -statistics link"]


def _starter(contender: Contender) -> Path:
    """Return the script that runs its arguments as a client that needs a launcher."""
    return RAW / f"{contender.file_name}-client"


def _write_starter(host: Host, wire: ResolvedWire, contender: Contender, plan: Plan,
                   up: Provisioned) -> None:
    words = launcher(wire, contender, plan, up, _counters(contender))
    if words:
        words = command(words, contender.client.endpoint.namespace, plan.client_cpus)
        host.write(_starter(contender), f'exec {shlex.join(words)} "$@"\n')


def _counters(contender: Contender) -> Path:
    return RAW / f"{contender.file_name}-client.counters"


def _make_raw(host: Host, contenders: Sequence[Contender], up: Provisioned) -> None:
    files = [path for each in contenders for path in (
        *(RAW / f"{each.file_name}.{kind}" for kind in ("stdout", "stderr", "counters")),
        *((_starter(each), _counters(each)) if each.client.launcher else ()))]
    undo: list[Action] = [["unlink", str(path)] for path in files]
    up.journal.record("words of the contenders", [*undo, ["rmdir", str(RAW)]])
    host.make_directory(RAW)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
