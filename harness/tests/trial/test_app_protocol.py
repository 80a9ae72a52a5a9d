# SPDX-License-Identifier: BSD-3-Clause
"""What a proof asks redis and nginx, and what it makes of every kind of answer."""

from __future__ import annotations

import pytest

from harness.trial.probe_protocol import exchange_for, expected_body
from harness.plan import Workload

SET, GET = Workload("redis-set", "", 10), Workload("redis-get", "", 10)
NGINX = Workload("nginx-get", "/body", 10)
VALUE = expected_body(10)
COUNTS = (b"# Commandstats\r\ncmdstat_get:calls=7,usec=8,usec_per_call=0.21,rejected_calls=0,failed_calls=0\r\n"
          b"cmdstat_set:calls=41,usec=8,usec_per_call=0.21,rejected_calls=0,failed_calls=0\r\n")
FILE = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 10\r\n\r\n" + VALUE
STATUS = b"Active connections: 1 \nserver accepts handled requests\n 4 4 97 \nReading: 0 Writing: 1 Waiting: 0 \n"


def redis(value: bytes = VALUE, counts: bytes = COUNTS, first: bytes = b"+OK\r\n") -> bytes:
    return first + b"".join(b"$%d\r\n%s\r\n" % (len(each), each) for each in (value, counts))


def nginx(file: bytes = FILE, status: bytes = STATUS) -> bytes:
    return file + b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(status) + status


def test_redis_is_asked_in_its_own_protocol() -> None:
    assert exchange_for(SET).request("198.18.0.2", Workload("redis-set", "", 3)) == (
        b"*3\r\n$3\r\nSET\r\n$16\r\nkey:__rand_int__\r\n$3\r\n000\r\n*2\r\n$3\r\nGET\r\n$16\r\nkey:__rand_int__\r\n"
        b"*2\r\n$4\r\nINFO\r\n$12\r\ncommandstats\r\n")


def test_nginx_is_asked_for_the_file_and_for_its_count() -> None:
    assert exchange_for(NGINX).request("a", NGINX).split(b"\r\n\r\n") == [
        b"GET /body HTTP/1.1\r\nHost: a", b"GET /status HTTP/1.1\r\nHost: a", b""]


@pytest.mark.parametrize("workload, answer", [(SET, redis()), (GET, redis()), (NGINX, nginx())],
                         ids=["set", "get", "nginx"])
def test_the_whole_answer_is_waited_for(workload: Workload, answer: bytes) -> None:
    exchange = exchange_for(workload)
    for cut in range(len(answer)):
        size = exchange.size(answer[:cut])
        assert size is None or size == len(answer) or size > cut, cut
    assert exchange.size(answer) == len(answer)


@pytest.mark.parametrize("workload, answer, single, served", [
    (SET, redis(), 5, 41), (GET, redis(), len(b"$10\r\n\r\n") + 10, 7), (NGINX, nginx(), len(FILE), 97)],
    ids=["set", "get", "nginx"])
def test_a_right_answer_says_how_much_was_served(workload: Workload, answer: bytes, single: int, served: int) -> None:
    exchange = exchange_for(workload)
    assert exchange.compare(answer, workload, False) == ""
    assert (exchange.single(answer, workload), exchange.served(answer, workload)) == (single, served)


@pytest.mark.parametrize("workload, answer, words", [
    (SET, redis(value=b"0000000\n0x"), "differs from byte 19"),
    (SET, redis(first=b"-READONLY You can't write\r\n"), "differs from byte 0: b'-READONLY"),
    (GET, redis(value=b""), "differs from byte 6"),
    (SET, redis(counts=COUNTS.replace(b"failed_calls=0", b"failed_calls=3")), "commands failed: cmdstat_get:"),
    (GET, redis(counts=COUNTS.replace(b"rejected_calls=0", b"rejected_calls=12")), "commands failed: cmdstat_get:"),
    (NGINX, nginx(file=FILE[:-1] + b"x"), "differs from byte 9"),
    (NGINX, nginx(file=FILE.replace(b"200 OK", b"404 Not Found")), "not 200 but"),
    (NGINX, nginx(status=b"<html>no</html>"), "nginx did not count"),
])
def test_a_wrong_answer_is_told(workload: Workload, answer: bytes, words: str) -> None:
    assert words in exchange_for(workload).compare(answer, workload, False)


def test_a_server_that_did_not_count_is_not_guessed() -> None:
    assert exchange_for(GET).served(redis(counts=b"# Commandstats\r\n"), GET) is None
    assert exchange_for(NGINX).served(nginx(status=b"none"), NGINX) is None


def test_a_value_that_looks_like_counts_is_not_taken_for_them() -> None:
    value = b"\r\ncmdstat_get:calls=1000000,"
    workload = Workload("redis-get", "", len(value))
    assert exchange_for(workload).served(redis(value=value), workload) == 7


@pytest.mark.parametrize("workload, order", [
    (Workload("rps", "/", 10), (b"GET / HTTP/1.1\r\nHost: a", b"GET /count HTTP/1.1\r\nHost: a")),
    # an answer that closes the connection is the last
    (Workload("cps", "/", 10, connect=True), (b"GET /count HTTP/1.1\r\nHost: a",
                                              b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close"))])
def test_a_server_of_other_make_is_asked_as_ours_and_for_its_count(workload: Workload,
                                                                   order: tuple[bytes, bytes]) -> None:
    exchange = exchange_for(workload, "/count")
    assert exchange.request("a", workload).split(b"\r\n\r\n") == [*order, b""]
    answer = nginx() if not workload.connect else nginx()[len(FILE):] + FILE
    assert exchange.size(answer) == len(answer) and exchange.compare(answer, workload, False) == ""
    assert (exchange.single(answer, workload), exchange.served(answer, workload), exchange.asks) == (len(FILE), 97, 2)
    wrong = answer.replace(VALUE, VALUE[:-1] + b"x")
    assert "differs from byte 9" in exchange.compare(wrong, workload, False)


@pytest.mark.parametrize("change, words", [
    ((b"Content-Length: 10", b"Content-Length: 11"), "Content-Length says 11 instead of 10"),
    ((b"Content-Length: 10\r\n", b""), "Content-Length says nothing instead of 10"),
    ((b"Content-Length: 10", b"content-length:10\r\nContent-Length: 10"), "Content-Length says 10, 10 instead of 10"),
    ((b"Server: nginx", b"X-Count: 3"), "")])
def test_of_a_server_of_other_make_the_length_must_be_right_and_no_other_header(change: tuple[bytes, bytes],
                                                                                words: str) -> None:
    workload = Workload("rps", "/", 10)
    said = exchange_for(workload).compare(FILE.replace(*change), workload, False)
    assert words in said and bool(said) == bool(words)
