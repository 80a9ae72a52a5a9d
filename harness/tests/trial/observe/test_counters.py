# SPDX-License-Identifier: BSD-3-Clause
"""The preload library's counters: read while they are written, and what they say of a client's time."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from harness.trial.observe.counters import (
    Counters, client_busy_share, counters_of, glance, read)


def padded(**counters: int) -> bytes:
    return json.dumps(counters).ljust(4095).encode() + b"\n"


def test_padded_counters_are_read(tmp_path: Path) -> None:
    file = tmp_path / "counters"
    file.write_bytes(padded(connects=3))
    assert glance(file) == read(file) == Counters({"connects": 3})


@pytest.mark.parametrize("text", [b"", b" " * 4096, b'{"connects": ', b"[1]".ljust(4096), b"7", b"\xff" * 100])
def test_what_is_not_whole_is_none(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "counters"
    assert glance(file) is None and read(file, 0.01) is None
    file.write_bytes(text)
    assert glance(file) is None and read(file, 0.01) is None


def test_a_file_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "counters"
    file.write_bytes(b'{"connects": ')
    later = threading.Timer(0.05, lambda: file.write_bytes(padded(connects=9)))
    later.start()
    try:
        assert read(file, 30) == Counters({"connects": 9})
    finally:
        later.join()


def sample(sockets: int, busy: int, away: int, idle: int) -> Counters:
    return Counters({"sockets": sockets, "cycles_busy": busy, "cycles_away": away,
                     "cycles_idle": idle})


@pytest.mark.parametrize("samples, share", [
    ([], None),
    ([sample(8, 10, 10, 10)], None),
    ([sample(8, 10, 10, 10), sample(8, 40, 30, 60)], 0.5),
    # before all are open, and after they are closed, is no load
    ([sample(1, 0, 900, 900), sample(8, 10, 910, 910), sample(8, 40, 930, 960), sample(0, 41, 2000, 960)], 0.5),
    ([sample(8, 0, 0, 0), sample(8, 5, 5, 0)], 1.0),
    ([sample(8, 5, 5, 5), sample(8, 5, 5, 5)], None),
    ([sample(7, 0, 0, 0), sample(7, 5, 5, 5)], None),
    ([Counters({"sockets": 8}), Counters({"sockets": 9})], None),
])
def test_the_busy_share_is_that_of_the_time_under_load(samples: list[Counters], share: float | None) -> None:
    assert client_busy_share([samples], 8) == share == client_busy_share([samples, [], samples, samples[:1]], 8)


def test_what_counts_nothing_is_none_of_the_counts() -> None:
    said = counters_of(json.dumps({
        "server": "lwip", "accepts": 3, "bytes_per_connection": 500, "tsc_hz": 10, "pid": 7,
        "done": True, "port": {"mtu": 1500}, "optimisations": ["a"], "xstats": {"rx_good_packets": 5}}))
    assert said == Counters({"accepts": 3}, tsc_hz=10, optimisations=("a",), port={"mtu": 1500},
                            xstats={"rx_good_packets": 5})
    assert counters_of('{"xstats": null, "bytes_per_connection": {"pcb": 2}}') == Counters(
        bytes_per_connection={"pcb": 2})


def test_counts_grow_from_0() -> None:
    before = Counters({"requests_parsed": 5}, tsc_hz=10)
    after = Counters({"requests_parsed": 25, "new": 3}, tsc_hz=10)
    assert after.since(before) == {"requests_parsed": 20, "new": 3} and after["absent"] == 0
