# SPDX-License-Identifier: BSD-3-Clause
"""How nginx is configured: with a shell script in nginx's place, which says what it was given."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.trial.probe_protocol import Order, ask, expected_body
from harness.plan import WORKLOADS
from harness.tests.fixtures.odd_tree import NAME

ROOT = Path(__file__).resolve().parents[3]
SYSTEM = "/usr/sbin:/usr/bin:/sbin:/bin"


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_it_becomes_the_program_with_a_configuration_and_a_body(tmp_path: Path, size: int) -> None:
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\necho "$@"\ncat "$(sed -n "s/.*alias \\([^;]*\\);.*/\\1/p" "$5")"\n')
    program.chmod(0o755)
    done = subprocess.run([str(ROOT / "harness/wrappers/nginx.py"), str(tmp_path), "198.18.0.2", "8080", str(size), "1024", "--",
                           str(program), "--"], capture_output=True, check=True)
    config = tmp_path / "nginx.conf"
    words, _, body = done.stdout.partition(b"\n")
    assert words.decode().split() == ["--", "-e", "stderr", "-c", str(config)]
    assert body == expected_body(size)
    text = config.read_text()
    assert "listen 198.18.0.2:8080 " in text and "worker_connections 1040;" in text
    assert text.count("{") == text.count("}") and "{{" not in text
    assert "master_process off; worker_processes 1;" in text and "reuseport" not in text
    assert ("return 200" in text) == (size < 4000)
    assert ("location = / { rewrite ^ /body last; }" in text) == (size > 4000)


@pytest.mark.parametrize("cpus, words", [
    ("1", "worker_processes 1; worker_cpu_affinity 10;"),
    ("0,2,3", "worker_processes 3; worker_cpu_affinity 0001 0100 1000;")])
def test_a_worker_for_each_cpu(tmp_path: Path, cpus: str, words: str) -> None:
    subprocess.run([str(ROOT / "harness/wrappers/nginx.py"), str(tmp_path), "a", "80", "1", "9", cpus, "--", "true"], check=True)
    text = (tmp_path / "nginx.conf").read_text()
    assert words in text and "master_process" not in text and "listen a:80 backlog=4096 reuseport;" in text


@pytest.mark.skipif(shutil.which("nginx", path=SYSTEM) is None, reason="nginx is not installed")
@pytest.mark.parametrize("size", [0, 1, 3700, 100_000])
@pytest.mark.parametrize("name", ["rps", "cps"])
@pytest.mark.parametrize("cpus", [(), (str(min(os.sched_getaffinity(0))),)], ids=["one", "each"])
def test_nginx_itself_answers_as_it_must_and_counts(tmp_path: Path, size: int, name: str,
                                                    cpus: tuple[str, ...]) -> None:
    workload = replace(WORKLOADS[name], body_size_bytes=size)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    directory = tmp_path / NAME / "a\\b"
    directory.mkdir(parents=True)
    with subprocess.Popen([str(ROOT / "harness/wrappers/nginx.py"), directory, "127.0.0.1", str(port), str(size), "64",
                           *cpus, "--", "nginx"], env={**os.environ, "PATH": SYSTEM}) as server:
        try:
            answers = []
            for _ in range(2):
                with connected(port) as connection:
                    answers.append(ask(connection, Order("127.0.0.1", 0, workload, False, "/status")))
        finally:
            server.terminate()
    assert [answer.wrong for answer in answers] == ["", ""]
    served = [answer.served or 0 for answer in answers]
    assert served[1] - served[0] == 2 and answers[0].single > size


def connected(port: int) -> socket.socket:
    for _ in range(6000):
        try:
            return socket.create_connection(("127.0.0.1", port), 5)
        except ConnectionRefusedError:
            time.sleep(0.01)
    raise TimeoutError("nginx does not listen")


def test_nothing_but_the_record_and_a_pid_is_written_there(tmp_path: Path) -> None:
    subprocess.run([str(ROOT / "harness/wrappers/nginx.py"), str(tmp_path), "a", "80", "1", "9", "--", "true"], check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["nginx.conf"]
    paths = re.findall(r'_temp_path "([^"]+)";', (tmp_path / "nginx.conf").read_text())
    assert len(paths) == 5 and set(paths) == {str(tmp_path)}
