#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Is the kernel baseline honest? epoll_server against a minimal epoll loop and nginx with one worker.

A benchmark, not a test: it prints medians and paired ratios and judges nothing. Above some 16 connections
wrk itself is the limit of the rate; the server's own CPU time per request still tells the servers apart.
Needs root, wrk and nginx; makes two namespaces joined by a veth and removes them, also on Ctrl-C. Must not
depend on the harness.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLIENT, SERVER = "stackduel-bb-client", "stackduel-bb-server"
ADDRESS, CLIENT_ADDRESS, PORT = "198.18.9.2", "198.18.9.1", 80
NGINX_CONFIG = """
daemon off; worker_processes 1; pid {tmp}/nginx.pid; error_log {tmp}/error.log crit;
events {{ worker_connections 4096; }}
http {{
    access_log off; server_tokens off; keepalive_requests 1000000000; keepalive_timeout 600s; tcp_nodelay on;
    client_body_temp_path {tmp}/b; proxy_temp_path {tmp}/p; fastcgi_temp_path {tmp}/f;
    uwsgi_temp_path {tmp}/u; scgi_temp_path {tmp}/s;
    server {{ listen {address}:{port} backlog=4096; location / {{ default_type ""; return 200 "0"; }} }}
}}
"""


def run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode != 0:
        reason = (done.stderr or done.stdout).strip() or done.returncode
        sys.exit(f"bench_baseline: {' '.join(argv)}: {reason}")
    return done.stdout


def inside(namespace: str, cpu: int) -> list[str]:
    return ["ip", "netns", "exec", namespace, "taskset", "-c", str(cpu)]


def make_wire(made: list[str]) -> None:
    """Adds to `made` the namespaces it makes, so that another run's are not removed."""
    for name in (CLIENT, SERVER):
        run("ip", "netns", "add", name)
        made.append(name)
        run("ip", "-n", name, "link", "set", "lo", "up")
    run("ip", "-n", CLIENT, "link", "add", "bb0", "type", "veth", "peer", "name", "bb1", "netns", SERVER)
    for name, link, address in ((CLIENT, "bb0", CLIENT_ADDRESS), (SERVER, "bb1", ADDRESS)):
        run("ip", "-n", name, "address", "add", f"{address}/24", "dev", link)
        run("ip", "-n", name, "link", "set", link, "up")


def remove_wire(made: list[str]) -> None:
    for name in made:
        subprocess.run(["ip", "netns", "delete", name], stderr=subprocess.DEVNULL)


def response_size(cpu: int) -> int:
    """Bytes of one response, headers included, as the client sees them; waits until the server answers."""
    probe = ("import socket,sys; s=socket.create_connection((sys.argv[1],80),2);"
             "s.sendall(b'GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'); print(len(s.recv(65536)))")
    for _ in range(50):
        done = subprocess.run([*inside(CLIENT, cpu), sys.executable, "-c", probe, ADDRESS],
                              capture_output=True, text=True)
        if done.returncode == 0 and done.stdout.strip() not in ("", "0"):
            return int(done.stdout)
        time.sleep(0.1)
    sys.exit("bench_baseline: the server does not answer")


class Server:
    """One server process, stopped at the end of the block."""

    def __init__(self, argv: list[str], cpu: int) -> None:
        self._argv = [*inside(SERVER, cpu), *argv]

    def __enter__(self) -> "Server":
        self._process = subprocess.Popen(self._argv, stdout=subprocess.DEVNULL, start_new_session=True)
        return self

    def cpu_seconds(self) -> float:
        """User and system time so far of all its processes (nginx has a worker beside its master)."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == self._process.pid:
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def wrk(connections: int, seconds: int, cpu: int) -> float:
    out = run(*inside(CLIENT, cpu), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", f"http://{ADDRESS}/")
    if "Socket errors" in out or "Non-2xx" in out:
        sys.exit(f"bench_baseline: wrk saw errors:\n{out}")
    found = re.search(r"Requests/sec:\s+([0-9.]+)", out)
    if found is None:
        sys.exit(f"bench_baseline: wrk printed no rate:\n{out}")
    return float(found[1])


Samples = dict[tuple[str, int], list[float]]


def measure(servers: dict[str, list[str]], options: argparse.Namespace) -> tuple[Samples, Samples]:
    """Requests/s and the server's CPU µs per request, by server and connections, one value a round."""
    rates: Samples = {}
    costs: Samples = {}
    sizes: dict[str, int] = {}
    names = list(servers)
    for number in range(options.rounds):
        for connections in options.connections:
            for name in names if number % 2 == 0 else names[::-1]:
                with Server(servers[name], options.server_cpu) as server:
                    sizes[name] = response_size(options.client_cpu)
                    wrk(connections, 1, options.client_cpu)
                    before = server.cpu_seconds()
                    rate = wrk(connections, options.duration, options.client_cpu)
                    cost = (server.cpu_seconds() - before) / (rate * options.duration) * 1e6
                rates.setdefault((name, connections), []).append(rate)
                costs.setdefault((name, connections), []).append(cost)
                print(f"round {number + 1} c={connections} {name}: {rate:.0f}/s, {cost:.2f} µs CPU a request",
                      file=sys.stderr, flush=True)
    print("bytes of a response: " + ", ".join(f"{name} {size}" for name, size in sizes.items()))
    return rates, costs


def show(title: str, samples: Samples, names: list[str], digits: int) -> None:
    ours = names[0]
    print(f"\n{title}: medians, then ratios of medians (lowest–highest of the rounds)")
    print("connections" + "".join(f"{name:>15}" for name in names)
          + "".join(f"{ours + '/' + name:>30}" for name in names[1:]))
    for count in sorted({connections for _, connections in samples}):
        middles = [statistics.median(samples[name, count]) for name in names]
        line = f"{count:11d}" + "".join(f"{middle:15.{digits}f}" for middle in middles)
        for name, middle in zip(names[1:], middles[1:]):
            medians = middles[0] / middle
            pairs = [a / b for a, b in zip(samples[ours, count], samples[name, count])]
            line += f"{f'{medians:.3f} ({min(pairs):.3f}–{max(pairs):.3f})':>30}"
        print(line)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--build", type=Path, default=Path(__file__).resolve().parent.parent / "build",
                        help="directory with epoll_server and minimal_epoll")
    parser.add_argument("--connections", type=lambda text: [int(word) for word in text.split(",")],
                        default=[1, 16, 64, 128])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--duration", type=int, default=3, help="seconds per server, point and round")
    parser.add_argument("--client-cpu", type=int, default=0)
    parser.add_argument("--server-cpu", type=int, default=1)
    return parser.parse_args()


def main() -> int:
    options = parse()
    if os.geteuid() != 0:
        sys.exit("bench_baseline: needs root, for network namespaces")
    for program in ("wrk", "nginx", "ip", "taskset"):
        if shutil.which(program) is None:
            sys.exit(f"bench_baseline: {program} is not installed; 'make deps' installs it")
    for program in ("epoll_server", "minimal_epoll"):
        if not (options.build / program).exists():
            sys.exit(f"bench_baseline: {options.build / program} is not built")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="stackduel-bb-") as tmp:
        config = Path(tmp) / "nginx.conf"
        config.write_text(NGINX_CONFIG.format(tmp=tmp, address=ADDRESS, port=PORT))
        servers = {
            "epoll_server": [str(options.build / "epoll_server"), "--address", ADDRESS, "--port", str(PORT)],
            "minimal_epoll": [str(options.build / "minimal_epoll"), ADDRESS, str(PORT)],
            "nginx": ["nginx", "-c", str(config), "-p", tmp],
        }
        made: list[str] = []
        try:
            make_wire(made)
            rates, costs = measure(servers, options)
            show("requests/s", rates, list(servers), 0)
            show("CPU µs of the server's processes per request", costs, list(servers), 3)
        except KeyboardInterrupt:
            print("bench_baseline: interrupted", file=sys.stderr)
            return 130
        finally:
            remove_wire(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
