# SPDX-License-Identifier: BSD-3-Clause
"""Programs of Debian's packages, unmodified, at both ends of the wire: right answers, not only exit codes."""

from __future__ import annotations

import hashlib
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

import pytest

from harness.trial.probe_protocol import expected_body
from harness.host import Host, LocalHost
from harness.plan import load_plan
from harness.provision.provision import Provisioned, provisioned
from harness.tests.system.programs import Ends, Server
from harness.tests.fixtures.wires import bare_wire
from harness.provision import ResolvedWire

MIB = 1 << 20
HTTP, REDIS, MEMCACHED, OWN = 80, 6379, 11211, 7000
SCRIPTS = Path(__file__).parent / "scripts"
BODIES = {"one": 1, "some": 100_000, "many": 10 * MIB}
NGINX = """
daemon off; master_process {master}; worker_processes 1; user root; pid {tmp}/nginx.pid; error_log stderr notice;
events {{ worker_connections 1024; }}
http {{
    log_format short '$request_method $uri $status $body_bytes_sent';
    access_log {tmp}/access.log short; log_not_found off;
    keepalive_requests 1000000000; sendfile {sendfile}; default_type application/octet-stream;
    client_body_temp_path {tmp}; proxy_temp_path {tmp}; fastcgi_temp_path {tmp}; uwsgi_temp_path {tmp};
    scgi_temp_path {tmp};
    server {{
        listen {address}:{port};
        location / {{ root {tmp}/www; }}
        location = /status {{ access_log off; stub_status; }}
    }}
}}
"""
REDIS_SERVER = ["redis-server", "--save", "", "--appendonly", "no", "--protected-mode", "no", "--loglevel", "notice"]


@pytest.fixture(scope="module")
def up() -> Iterator[tuple[Host, ResolvedWire, Provisioned]]:
    host, wire = LocalHost(), bare_wire("shm")
    with provisioned(host, wire, ("epoll", "lwip"), "test", log=print) as provided:
        yield host, wire, provided


@pytest.fixture(params=["epoll", "lwip"], ids=["kernel", "lwip"])
def ends(request: pytest.FixtureRequest, up: tuple[Host, ResolvedWire, Provisioned], tmp_path: Path) -> Ends:
    host, wire, provided = up
    return Ends(host, wire, load_plan("quick", wire, host.cpus(), {}), provided, request.param, tmp_path)


@contextmanager
def nginx(ends: Ends, master: str = "off", sendfile: str = "on") -> Iterator[Server]:
    """nginx with one worker and the files of BODIES; master "off": the worker alone."""
    www = ends.raw / "www"
    www.mkdir()
    for name, size in BODIES.items():
        (www / name).write_bytes(expected_body(size))
    config = ends.raw / "nginx.conf"
    config.write_text(NGINX.format(tmp=ends.raw, master=master, sendfile=sendfile, address=ends.address, port=HTTP))
    with ends.server(["nginx", "-c", str(config), "-e", "stderr"], HTTP) as server:
        yield server
        assert not re.search(r"\[(warn|error|crit|alert|emerg)\]", server.words()), server.words()


@contextmanager
def redis(ends: Ends) -> Iterator[Server]:
    with ends.server([*REDIS_SERVER, "--bind", ends.address, "--port", str(REDIS)], REDIS) as server:
        yield server
        assert "# Error" not in server.words() and "WARNING: Could" not in server.words(), server.words()


def url(ends: Ends, name: str) -> str:
    return f"http://{ends.address}:{HTTP}/{name}"


def cli(ends: Ends, *words: str, stdin: Path | None = None) -> str:
    """What redis-cli prints, without its last newline."""
    said = ends.succeed(["redis-cli", "-h", ends.address, "-p", str(REDIS), *words], stdin=stdin)
    return said.removesuffix("\n")


def calls(ends: Ends) -> dict[str, int]:
    """Calls of each command since redis-server started; none of them may have failed."""
    found = re.findall(r"^cmdstat_([^:]+):calls=(\d+),.*rejected_calls=(\d+),failed_calls=(\d+)",
                       cli(ends, "INFO", "commandstats"), re.M)
    assert found
    assert all((rejected, failed) == ("0", "0") for _, _, rejected, failed in found), found
    return {name: int(count) for name, count, _, _ in found}


def stub_status(ends: Ends) -> tuple[int, int, int]:
    """(connections accepted, connections handled, requests), this one's own counted."""
    counts = re.search(r"^ (\d+) (\d+) (\d+) $", ends.succeed(["curl", "-sS", "--fail", url(ends, "status")]), re.M)
    assert counts
    return int(counts[1]), int(counts[2]), int(counts[3])


@pytest.mark.parametrize("master", ["off", "on"])
@pytest.mark.parametrize("sendfile", ["on", "off"])
def test_curl_gets_every_byte_from_nginx(ends: Ends, master: str, sendfile: str) -> None:
    with nginx(ends, master, sendfile):
        for name, size in BODIES.items():
            ends.succeed(["curl", "-sS", "--fail", "-o", str(ends.raw / "got"), url(ends, name)])
            assert digest((ends.raw / "got").read_bytes()) == digest(expected_body(size)), name
        head = ends.succeed(["curl", "-sS", "--fail", "-I", url(ends, "many")])
        assert f"\r\nContent-Length: {10 * MIB}\r\n".replace("\r", "") in head.replace("\r", "")
        assert ends.run(["curl", "-sS", "--fail", url(ends, "none")]).code == 22
    assert (ends.raw / "access.log").read_text().splitlines() == [
        *(f"GET /{name} 200 {size}" for name, size in BODIES.items()), "HEAD /many 200 0", "GET /none 404 153"]


def test_curl_keeps_one_connection_for_many_requests(ends: Ends) -> None:
    with nginx(ends):
        said = ends.succeed(["curl", "-sS", "--fail", "-w", "%{num_connects}", url(ends, "one") + "?[1-200]"])
        assert said == "0" + "1" + "00" * 199
        assert stub_status(ends)[1:] == (2 + kernels_probe(ends), 201)


def test_curl_takes_several_files_at_once(ends: Ends) -> None:
    with nginx(ends):
        files = [word for number in range(6) for word in ("-o", str(ends.raw / f"got{number}"), url(ends, "many"))]
        # its progress meter cannot be silenced here
        assert ends.run(["curl", "-sS", "--fail", "--parallel", "--parallel-immediate", *files]).code == 0
        assert {digest((ends.raw / f"got{number}").read_bytes()) for number in range(6)} == {
            digest(expected_body(10 * MIB))}


@pytest.mark.parametrize("threads", [1, 2, 3, 4])
def test_wrk_counts_what_nginx_counts(ends: Ends, threads: int) -> None:
    connections = 8 * threads
    with nginx(ends):
        answered = wrk(ends, threads, connections)
        accepts, handled, requests = stub_status(ends)
        # wrk's first connection looks whether there is a server
        assert (accepts, handled) == (handled, connections + 2 + kernels_probe(ends))
        assert answered <= requests - 1 <= answered + connections


def test_wrk_counts_what_nginx_with_a_master_counts(ends: Ends) -> None:
    with nginx(ends, master="on"):
        answered = wrk(ends, 2, 64)
        assert answered <= stub_status(ends)[2] - 1 <= answered + 64


def wrk(ends: Ends, threads: int, connections: int) -> int:
    """Answers to wrk, of which each must have been right as far as wrk looks."""
    said = ends.succeed(["wrk", f"-t{threads}", f"-c{connections}", "-d1s", url(ends, "one")])
    assert "Socket errors" not in said and "Non-2xx" not in said, said
    count = re.search(r"^ +(\d+) requests in ", said, re.M)
    assert count and int(count[1]) > 0, said
    return int(count[1])


def kernels_probe(ends: Ends) -> int:
    """Connections by which the test itself has looked whether the server accepts any."""
    return 0 if ends.on_lwip else 1


def test_redis_keeps_what_it_is_given(ends: Ends) -> None:
    with redis(ends):
        assert cli(ends, "PING") == "PONG"
        assert cli(ends, "SET", "greeting", "a b\tc") == "OK"
        assert cli(ends, "--raw", "GET", "greeting") == "a b\tc"
        assert [cli(ends, "INCRBY", "number", "41"), cli(ends, "INCR", "number")] == ["41", "42"]
        assert cli(ends, "GET", "absent") == ""
        assert cli(ends, "LPUSH", "greeting", "x").startswith("WRONGTYPE")
        big = ends.raw / "big"
        big.write_bytes(expected_body(10 * MIB))
        assert cli(ends, "-x", "SET", "big", stdin=big) == "OK"
        assert cli(ends, "STRLEN", "big") == str(10 * MIB)
        assert digest(cli(ends, "--raw", "GET", "big").encode()) == digest(expected_body(10 * MIB))


def test_redis_takes_many_commands_at_once(ends: Ends) -> None:
    """`redis-cli --pipe` writes as fast as it can and counts the replies."""
    commands = ends.raw / "commands"
    commands.write_text("".join(f"SET key:{number} value:{number}\r\n" for number in range(20_000)))
    with redis(ends):
        said = cli(ends, "--pipe", stdin=commands)
        assert said.splitlines()[-1] == "errors: 0, replies: 20000"
        assert cli(ends, "DBSIZE") == "20000"
        assert cli(ends, "MGET", "key:0", "key:9999", "key:19999").split() == ["value:0", "value:9999", "value:19999"]


# what redis-benchmark's default tests call, as multiples of its -n; some fill a list first
DEFAULT_TESTS = {"ping": 2, "set": 1, "get": 1, "incr": 1, "lpush": 2, "rpush": 1, "lpop": 1, "rpop": 1, "sadd": 1,
                 "hset": 1, "spop": 1, "zadd": 1, "zpopmin": 1, "lrange": 4, "mset": 1}


def test_redis_answers_all_default_tests_of_its_benchmark(ends: Ends) -> None:
    with redis(ends):
        said = benchmark(ends, "-n", "1000")
        counted = calls(ends)
        # redis 8 has one more
        assert len(said) == sum(DEFAULT_TESTS.values()) + counted.get("xadd", 0) // 1000, said
        assert {name: counted.get(name) for name in DEFAULT_TESTS} == {
            name: 1000 * times for name, times in DEFAULT_TESTS.items()}


@pytest.mark.parametrize("options", [["-P", "16"], ["-P", "16", "-d", "4096"], ["-c", "1"], ["-d", "100000"],
                                     ["--threads", "2", "-c", "20"], ["-k", "0"]], ids=" ".join)
def test_redis_answers_its_benchmark(ends: Ends, options: list[str]) -> None:
    size = int(options[-1]) if "-d" in options else 3
    with redis(ends):
        said = benchmark(ends, "-t", "set,get", "-n", "1600", *options)
        assert [line.partition(":")[0] for line in said] == ["SET", "GET"]
        counted = calls(ends)
        assert (counted["set"], counted["get"]) == (1600, 1600)
        value = cli(ends, "--raw", "GET", "key:__rand_int__")
        assert len(value) == size and (size == 3 or len(set(value)) > 1)


def benchmark(ends: Ends, *options: str) -> list[str]:
    """What redis-benchmark says of each of its tests, one line each."""
    done = ends.run(["redis-benchmark", "-h", ends.address, "-p", str(REDIS), "-q", *options])
    assert done.code == 0 and "Error" not in done.stdout and "WARNING" not in done.stdout, done
    assert all("Keepalive disabled" in line for line in done.stderr.splitlines() if line.strip()), done.stderr
    return [line.strip() for line in re.split(r"[\r\n]", done.stdout) if "requests per second" in line]


@pytest.mark.parametrize("threads", [1, 4])
def test_memcached_gives_what_was_set(ends: Ends, threads: int) -> None:
    server = ["memcached", "-u", "root", "-l", ends.address, "-p", str(MEMCACHED), "-U", "0", "-t", str(threads)]
    with ends.server(server, MEMCACHED):
        said = ends.succeed([sys.executable, str(SCRIPTS / "memcached_client.py"), ends.address, str(MEMCACHED)])
        assert said == "right: 404 values, 8 connections\n"


SERVERS = ["threads", "selectors", "asyncio"]


@pytest.mark.parametrize("kind", SERVERS)
def test_python_echoes(ends: Ends, kind: str) -> None:
    """Client and server in Python, blocking, with a selector and with asyncio; half-closed by the client."""
    server = [sys.executable, str(SCRIPTS / "echo_server.py"), kind, ends.address, str(OWN)]
    with ends.server(server, OWN):
        for client in SERVERS:
            said = ends.succeed([sys.executable, str(SCRIPTS / "echo_client.py"), client, ends.address, str(OWN)])
            assert said == "right: 6 connections of 2097153 bytes\n", client


def test_python_sends_datagrams(ends: Ends) -> None:
    server = [sys.executable, str(SCRIPTS / "echo_server.py"), "datagrams", ends.address, str(OWN)]
    with ends.server(server, OWN):
        said = ends.succeed([sys.executable, str(SCRIPTS / "echo_client.py"), "datagrams", ends.address, str(OWN)])
        assert said == "right: 200 datagrams\n"


def test_curl_sends_every_byte_to_python(ends: Ends) -> None:
    upload = ends.raw / "upload"
    upload.write_bytes(expected_body(10 * MIB))
    with ends.server([sys.executable, str(SCRIPTS / "digest_server.py"), ends.address, str(HTTP)], HTTP):
        for expect in ("Expect:", "Expect: 100-continue"):
            said = ends.succeed(["curl", "-sS", "--fail", "-H", expect, "-T", str(upload), url(ends, "upload")])
            assert said == digest(expected_body(10 * MIB))


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
