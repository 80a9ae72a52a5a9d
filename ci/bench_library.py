#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What does the preload library cost? wrk under it against a bare lwIP pinger, both to lwip_server over shared memory.

A benchmark, not a test: it prints medians and paired ratios and judges nothing. Needs root and wrk; raises the number
of hugepages for the run and gives them back, also on Ctrl-C. Every process runs in a network namespace of its own
without links, so that nothing can pass the library by. Must not depend on the harness.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

SERVER, CLIENT = "198.18.9.2", "198.18.9.1"
PAGES = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
NEEDED = 192
ALONE = ["unshare", "--net"]
QUIET = ["--log-level=error", "--no-pci", "--no-telemetry", "--in-memory", "--single-file-segments"]

Rates = dict[tuple[str, int], list[float]]


class Server:
    """lwip_server, stopped at the end of the block; its runtime directory goes with it."""

    def __init__(self, build: Path, socket: Path, cpu: int) -> None:
        self._argv = [*ALONE, "taskset", "-c", str(cpu), str(build / "lwip_server"), *QUIET, f"--lcores=0@{cpu}",
                      "--file-prefix=stackduel-bl-server", f"--vdev=net_vhost0,iface={socket},queues=1", "--",
                      "--address", SERVER, "--mac", "02:53:44:00:09:02"]

    def __enter__(self) -> None:
        self._process = subprocess.Popen(self._argv, stdout=subprocess.PIPE, encoding="utf-8")
        assert self._process.stdout is not None
        if not self._process.stdout.readline().startswith("READY"):
            sys.exit("bench_library: lwip_server did not start")

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate()
        shutil.rmtree("/run/dpdk/stackduel-bl-server", ignore_errors=True)


def run(argv: list[str], cpu: int) -> str:
    done = subprocess.run([*ALONE, "taskset", "-c", str(cpu), *argv], capture_output=True, encoding="utf-8")
    if done.returncode != 0 or "Socket errors" in done.stdout or "Non-2xx" in done.stdout:
        sys.exit(f"bench_library: {' '.join(argv)}: {(done.stderr + done.stdout).strip()}")
    return done.stdout


def pinger(options: argparse.Namespace, socket: Path, connections: int) -> float:
    out = run([str(options.build / "lwip_pinger"), *QUIET, f"--lcores=0@{options.client_cpu}",
               "--file-prefix=stackduel-bl-client",
               f"--vdev=net_virtio_user0,path={socket},queues=1,queue_size=1024,mac=02:53:44:00:09:01", "--",
               f"{CLIENT}/24", SERVER, "80", str(connections), str(options.duration)], options.client_cpu)
    shutil.rmtree("/run/dpdk/stackduel-bl-client", ignore_errors=True)
    result = json.loads(out.splitlines()[-1])
    return float(result["requests"]) / float(result["seconds"])


def wrk(options: argparse.Namespace, socket: Path, connections: int) -> float:
    out = run([str(options.build / "on-lwip"), "--address", CLIENT, "--mac", "02:53:44:00:09:01",
               "--eal", " ".join([*QUIET, "--file-prefix=stackduel-bl-client"]),
               "--eal", f"--vdev=net_virtio_user0,path={socket},queues=1,queue_size=1024,mac=02:53:44:00:09:01", "--",
               "wrk", "-t1", f"-c{connections}", f"-d{options.duration}s", f"http://{SERVER}/"], options.client_cpu)
    found = re.search(r"Requests/sec:\s+([0-9.]+)", out)
    if found is None:
        sys.exit(f"bench_library: wrk printed no rate:\n{out}")
    return float(found[1])


def measure(options: argparse.Namespace, socket: Path) -> Rates:
    clients = {"wrk": wrk, "pinger": pinger}
    rates: Rates = {}
    for number in range(options.rounds):
        for connections in options.connections:
            for name in list(clients) if number % 2 == 0 else list(clients)[::-1]:
                with Server(options.build, socket, options.server_cpu):
                    rate = clients[name](options, socket, connections)
                rates.setdefault((name, connections), []).append(rate)
                print(f"round {number + 1} c={connections} {name}: {rate:.0f}/s", file=sys.stderr, flush=True)
    return rates


def show(rates: Rates) -> None:
    print("requests/s: medians, then the ratio of medians (lowest–highest of the rounds)")
    print(f"{'connections':>11}{'wrk':>12}{'pinger':>12}{'wrk/pinger':>28}")
    for count in sorted({connections for _, connections in rates}):
        ours, bare = (statistics.median(rates[name, count]) for name in ("wrk", "pinger"))
        pairs = [a / b for a, b in zip(rates["wrk", count], rates["pinger", count])]
        print(f"{count:11d}{ours:12.0f}{bare:12.0f}{f'{ours / bare:.3f} ({min(pairs):.3f}–{max(pairs):.3f})':>28}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--build", type=Path, default=Path(__file__).resolve().parent.parent / "build")
    parser.add_argument("--connections", type=lambda text: [int(word) for word in text.split(",")],
                        default=[1, 16, 64, 128])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--duration", type=int, default=3, help="seconds per client, point and round")
    parser.add_argument("--client-cpu", type=int, default=0)
    parser.add_argument("--server-cpu", type=int, default=1)
    return parser.parse_args()


def cannot(why: str) -> int:
    print(f"bench_library: {why}", file=sys.stderr)
    return 3


def main() -> int:
    options = parse()
    if os.geteuid() != 0:
        return cannot("needs root, for hugepages and namespaces")
    if shutil.which("wrk") is None:
        return cannot("wrk is not installed; 'make deps' installs it")
    for program in ("lwip_server", "lwip_pinger", "on-lwip", "libstackduel_preload.so"):
        if not (options.build / program).exists():
            return cannot(f"{options.build / program} is not built")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    before = (PAGES / "nr_hugepages").read_text("utf-8")
    try:
        if int((PAGES / "free_hugepages").read_text("utf-8")) < NEEDED:
            (PAGES / "nr_hugepages").write_text(str(int(before) + NEEDED), "utf-8")
        with tempfile.TemporaryDirectory(prefix="stackduel-bl-") as tmp:
            show(measure(options, Path(tmp) / "wire"))
    except KeyboardInterrupt:
        print("bench_library: interrupted", file=sys.stderr)
        return 130
    finally:
        (PAGES / "nr_hugepages").write_text(before, "utf-8")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception:
        # 1 would say that what is checked failed
        traceback.print_exc()
        sys.exit(os.EX_SOFTWARE)
