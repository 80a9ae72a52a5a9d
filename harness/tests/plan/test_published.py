# SPDX-License-Identifier: BSD-3-Clause
"""Other people's figures: every committed file loads, and a bad file says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.plan.published import PUBLISHED, load_published

GOOD = """
title = "t"
short = "s"
source = "who"
hardware = "h"
load = "l"
baseline = "a"
caveats = []
connections = [1, 2]
[series.a]
label = "A"
requests_per_sec = [10.0, 20]
[series.b]
label = "B"
requests_per_sec = [15.0, 10.0]
"""


@pytest.mark.parametrize("path", sorted(PUBLISHED.glob("*.toml")), ids=lambda path: str(path.stem))
def test_every_committed_publication_loads(path: Path) -> None:
    assert load_published(path.stem).name == path.stem


def test_the_seeds_table() -> None:
    table = load_published("tinyhttpd-lwip-dpdk")
    assert table.connections == (1, 2, 4, 8, 16, 32, 64, 128)
    assert table.series["lwip"].requests_per_sec[6] == 1107349.60
    gains = [round(gain or 0, 2) for gain in table.gains()["lwip"]]
    assert gains == [1.52, 1.64, 3.27, 3.40, 3.71, 4.24, 5.84, 4.59]


def test_gains_are_over_the_baseline(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(GOOD)
    assert load_published("x", tmp_path).gains() == {"b": (1.5, 0.5)}


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no published figures 'nope'; there are: .*tinyhttpd-lwip-dpdk"):
        load_published("nope")
    with pytest.raises(UsageError, match="no published figures '../published/tinyhttpd-lwip-dpdk'"):
        load_published("../published/tinyhttpd-lwip-dpdk")


@pytest.mark.parametrize("old, new, words", [
    ("[10.0, 20]", "[10.0]", r"\[series.a\] has 1 figures for 2 load points"),
    ("[10.0, 20]", "[10.0, 0]", "must be positive"),
    ("[10.0, 20]", "[10.0, nan]", "must be a number, not nan"),
    ("[10.0, 20]", '["x", 2]', r"\[series.a.requests_per_sec\] '0' must be a number, not 'x'"),
    ("[1, 2]", "[2, 1]", "ascending"),
    ("[1, 2]", "[0, 1]", "positive"),
    ('baseline = "a"', 'baseline = "c"', "'baseline' must be one of the series: a, b"),
    ('title = "t"', "", "'title' is missing"),
    ('title = "t"', 'title = "t"\ncolour = "red"', "unknown key 'colour'"),
    ('label = "A"', 'label = "A"\nnote = 1', r"\[series.a\] unknown key 'note'"),
    ("caveats = []", "caveats = [1]", "'caveats' must be a list of text"),
    ("[series.b]", "[series.b", "not TOML"),
])
def test_a_bad_file_says_what_is_wrong(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in GOOD
    (tmp_path / "x.toml").write_text(GOOD.replace(old, new, 1))
    with pytest.raises(UsageError, match=words) as caught:
        load_published("x", tmp_path)
    assert "\n" not in str(caught.value)


MORE = GOOD.replace("[series.a]", """
paper = "p"
server_cores = [1, 8]
[method]
cpu = "one"
[again]
body_size_bytes = 1
[[claims]]
label = "A"
metric = "connections/s"
figure = 1000
said = "a thousand"
[series.a]""").replace("requests_per_sec = [15.0, 10.0]", "connections = [2]\nrequests_per_sec = [40]")


def test_a_series_may_lack_load_points_and_a_claim_has_none(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(MORE)
    table = load_published("x", tmp_path)
    assert table.series["b"].requests_per_sec == (None, 40.0) and table.gains() == {"b": (None, 2.0)}
    assert (table.paper, table.server_cores, table.method, table.again) == (
        "p", (1, 8), {"cpu": "one"}, {"body_size_bytes": 1})
    assert [(claim.metric, claim.figure) for claim in table.claims] == [("connections/s", 1000.0)]


def test_claims_alone_are_a_publication(tmp_path: Path) -> None:
    start, claims = GOOD[:GOOD.index("connections")].replace('baseline = "a"', ""), MORE[MORE.index("[[claims]]"):]
    (tmp_path / "x.toml").write_text(start + claims[:claims.index("[series.a]")])
    table = load_published("x", tmp_path)
    assert (table.connections, table.series, table.baseline, table.gains()) == ((), {}, "", {})


@pytest.mark.parametrize("old, new, words", [
    ("server_cores = [1, 8]", "server_cores = [1]", "one for each load point"),
    ("server_cores = [1, 8]", "server_cores = [1, 0]", "must be positive"),
    ('cpu = "one"', 'colour = "red"', r"\[method\] may hold: cpu, nic, client"),
    ('cpu = "one"', "cpu = 1", "'cpu' must be text, not 1"),
    ("body_size_bytes = 1", "rounds = 1", r"\[again\] may hold: body_size_bytes, duration_seconds"),
    ("body_size_bytes = 1", 'body_size_bytes = "x"', "must be a whole number"),
    ('metric = "connections/s"', 'metric = "joy"', "no metric 'joy'; there are: requests/s, connections/s, con"),
    ("figure = 1000", "figure = 0", "'figure' must be positive"),
    ('said = "a thousand"', "", r"\[claims.0\] 'said' is missing"),
    ("[[claims]]", "[claims]", "'claims' must be a list"),
    ("connections = [2]", "connections = [3]", "must be among those of the table"),
    ("connections = [2]", "connections = [1, 2]", r"\[series.b\] has 1 figures for 2 load points"),
])
def test_a_bad_addition_says_what_is_wrong(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in MORE
    (tmp_path / "x.toml").write_text(MORE.replace(old, new, 1))
    with pytest.raises(UsageError, match=words) as caught:
        load_published("x", tmp_path)
    assert "\n" not in str(caught.value)


def test_the_table_of_bench_iip() -> None:
    table = load_published("bench-iip")
    assert table.connections == (32, 256, 1024) and table.server_cores == (1, 8, 32)
    # its own figures: rate times latency at the 99th percentile is a little above the connections
    assert 32 < 2330425 * 14.188e-6 < 1.2 * 32
    gains = table.gains()
    assert [round(gain or 0, 1) for gain in gains["iip"]] == [11.3, 11.6, 14.8] and gains["lwip"][1:] == (None, None)
