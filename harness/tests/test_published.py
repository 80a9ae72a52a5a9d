# SPDX-License-Identifier: BSD-3-Clause
"""Other people's figures: every committed file loads, and a bad file says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.published import PUBLISHED, load

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
    assert load(path.stem).name == path.stem


def test_the_seeds_table() -> None:
    table = load("tinyhttpd-lwip-dpdk")
    assert table.connections == (1, 2, 4, 8, 16, 32, 64, 128)
    assert table.series["lwip"].requests_per_sec[6] == 1107349.60
    gains = [round(gain, 2) for gain in table.gains()["lwip"]]
    assert gains == [1.52, 1.64, 3.27, 3.40, 3.71, 4.24, 5.84, 4.59]


def test_gains_are_over_the_baseline(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(GOOD)
    assert load("x", tmp_path).gains() == {"b": (1.5, 0.5)}


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no published figures 'nope'; there are: .*tinyhttpd-lwip-dpdk"):
        load("nope")
    with pytest.raises(UsageError, match="no published figures '../published/tinyhttpd-lwip-dpdk'"):
        load("../published/tinyhttpd-lwip-dpdk")


@pytest.mark.parametrize("old, new, words", [
    ("[10.0, 20]", "[10.0]", r"\[series.a\] has 1 figures for 2 load points"),
    ("[10.0, 20]", "[10.0, 0]", "must be positive"),
    ("[10.0, 20]", "[10.0, nan]", "must be positive"),
    ("[10.0, 20]", '["x", 2]', "'requests_per_sec' is missing or not a list"),
    ("[1, 2]", "[2, 1]", "ascending"),
    ("[1, 2]", "[0, 1]", "positive"),
    ('baseline = "a"', 'baseline = "c"', "'baseline' must be one of the series: a, b"),
    ('title = "t"', "", "'title' is missing"),
    ('title = "t"', 'title = "t"\ncolour = "red"', "unknown key 'colour'"),
    ('label = "A"', 'label = "A"\nnote = 1', r"\[series.a\] must hold"),
    ("caveats = []", "caveats = [1]", "'caveats' is missing or not a list"),
    ("[series.b]", "[series.b", "cannot be read as TOML"),
])
def test_a_bad_file_says_what_is_wrong(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in GOOD
    (tmp_path / "x.toml").write_text(GOOD.replace(old, new, 1))
    with pytest.raises(UsageError, match=words) as caught:
        load("x", tmp_path)
    assert "\n" not in str(caught.value)
