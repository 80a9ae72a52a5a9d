# SPDX-License-Identifier: BSD-3-Clause
"""A shell in the client's namespace with all contenders up, to look around in a wire. Measures nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from harness.contender import Running, start
from harness.host import Host
from harness.journal import DIRECTORY, Action
from harness.plan import Plan
from harness.provision import Provisioned, provisioned
from harness.wire import Wire

# where the contenders' words go, to vanish with the run
RAW = Path(DIRECTORY) / "shell"


def shell(host: Host, wire: Wire, plan: Plan) -> int:
    """Runs $SHELL to its end, then leaves the machine as found. Errors: of provisioned() and of Running."""
    with provisioned(host, wire, plan.contenders, "shell", log=_say) as up:
        _make_raw(host, plan, up)
        running: list[Running] = []
        try:
            for name in plan.contenders:
                running.append(start(host, wire, wire.contenders[name], plan, up, RAW))
                running[-1].wait_ready()
            for line in hint(wire, plan):
                _say(line)
            host.interactive([os.environ.get("SHELL", "bash")], netns=wire.client.namespace)
        finally:
            for contender in running:
                contender.close()
    return 0


def hint(wire: Wire, plan: Plan) -> list[str]:
    """What to try in the shell, a line each."""
    port = "" if plan.port == 80 else f":{plan.port}"
    lines = [f"You are in namespace {wire.client.namespace} of wire {wire.name}; `exit` ends it. Try:"]
    for name in plan.contenders:
        contender = wire.contenders[name]
        lines.append(f"  curl -i http://{contender.endpoint.ip}{port}/    # {contender.label}")
    lines.append(f"  tail {RAW}/*")
    return [*lines, f"  ip -n {wire.bridge_namespace} -statistics link"]


def _make_raw(host: Host, plan: Plan, up: Provisioned) -> None:
    files: list[Action] = [["unlink", str(RAW / f"{name}.{kind}")]
                           for name in plan.contenders for kind in ("stdout", "stderr")]
    up.journal.record("words of the contenders", [*files, ["rmdir", str(RAW)]])
    host.make_directory(RAW)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
