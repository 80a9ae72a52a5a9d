# SPDX-License-Identifier: BSD-3-Clause
"""The harness's command line with results and reports in a directory of a test's own.

Usage: python3 -m harness.tests.system.elsewhere DIRECTORY COMMAND …
"""

import sys
from pathlib import Path

import harness.run.run
from harness.cli.main import main
from harness.run.run import Order
from harness.host import Host, LocalHost

_bench = harness.run.run.bench


def bench_elsewhere(order: Order, host: Host) -> None:
    directory = Path(sys.argv[1])
    _bench(order, host, directory, directory / "out")


if __name__ == "__main__":
    harness.run.run.bench = bench_elsewhere  # type: ignore[assignment]
    sys.exit(main(sys.argv[2:], LocalHost()))
