# SPDX-License-Identifier: BSD-3-Clause
"""The harness's command line with results and reports in a directory of a test's own.

Usage: python3 -m harness.tests.system.elsewhere DIRECTORY COMMAND …
"""

import sys
from pathlib import Path
from typing import Any

import harness.cli.bench
import harness.cli.conformance
from harness.cli.main import main
from harness.run import RunRequest
from harness.host import Host, LocalHost

_bench, _show_conformance = harness.cli.bench.bench, harness.cli.conformance.show_conformance


def bench_elsewhere(request: RunRequest, host: Host, **options: Any) -> None:
    directory = Path(sys.argv[1])
    _bench(request, host, directory, directory / "out", **options)


def show_conformance_elsewhere(request: RunRequest, cases: str, host: Host, **options: Any) -> None:
    _show_conformance(request, cases, host, Path(sys.argv[1]), **options)


if __name__ == "__main__":
    harness.cli.bench.bench = bench_elsewhere  # type: ignore[assignment]
    harness.cli.conformance.show_conformance = show_conformance_elsewhere  # type: ignore[assignment]
    sys.exit(main(sys.argv[2:], LocalHost()))
