# SPDX-License-Identifier: BSD-3-Clause
"""`conformance`: send raw segments at contenders, and print which obligations each keeps."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from harness.conformance import run_conformance
from harness.errors import UsageError
from harness.host import Host
from harness.plan import SshClients, parse_client
from harness.report import conformance_lines
from harness.run import RunRequest, planned
from harness.store import RESULTS

CONTENDERS = "epoll,uring,nginx,lwip"


def show_conformance(request: RunRequest, cases: str, host: Host, results: Path = RESULTS,
                     attacks: bool = False) -> None:
    """Test, store and print. Errors as run_conformance(); UsageError with a client by ssh."""
    if request.nic.client and isinstance(parse_client(request.nic.client), SshClients):
        raise UsageError("conformance: a client by ssh cannot send raw segments yet: give "
                         "CLIENT=if:<interface>, or another wire")
    given = {key: text for key, text in request.settings.items() if text}
    request = replace(request, settings={
        # else an attack by many connections would show the limit of them alone
        **({"SERVER_MAX_CONNECTIONS": "10000"} if attacks else {}),
        "CONTENDERS": CONTENDERS, **given, "WORKLOAD": "rps", "ROUNDS": "1"})
    found = run_conformance(host, *planned(request, host),
                            [word.strip() for word in cases.split(",") if word.strip()], _say,
                            results, attacks)
    print("\n".join(conformance_lines(found)))
    print(results / "conformance" / found.id)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
