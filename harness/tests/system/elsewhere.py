# SPDX-License-Identifier: BSD-3-Clause
"""The harness's command line with results and reports in a directory of a test's own.

Usage: python3 -m harness.tests.system.elsewhere DIRECTORY COMMAND …
"""

import sys
from pathlib import Path
from typing import Any

import harness.cli.bench
from harness.cli.main import main
from harness.run import RunRequest
from harness.host import Host, LocalHost

_bench = harness.cli.bench.bench


def bench_elsewhere(request: RunRequest, host: Host, **options: Any) -> None:
    directory = Path(sys.argv[1])
    _bench(request, host, directory, directory / "out", **options)


if __name__ == "__main__":
    harness.cli.bench.bench = bench_elsewhere  # type: ignore[assignment]
    sys.exit(main(sys.argv[2:], LocalHost()))
