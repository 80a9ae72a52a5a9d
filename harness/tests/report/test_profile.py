# SPDX-License-Identifier: BSD-3-Clause
"""The page of a profile: bars and flame graphs whose widths are the cycles, and sentences on what to mind."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.errors import UsageError
from harness.plan import LoadPoint
from harness.report import profile_lines, profile_page
from harness.report.profile.flame import boxes
from harness.report.profile.page import COLOURS
from harness.profile import Layer
from harness.store import (
    BESIDE, ContenderProfile, Frame, Load, Note, Problem, Profile, Stack, create_profile, load_profile, write_profile)

FACTS = {"wire": {"title": "a wire"}, "machine": {"cpu_model": "a processor"}, "kernel": {"release": "6.1"}}
FRAMES = (Frame("server", "", ""), Frame("main", "server", "application"), Frame("tcp_<x>", "kernel", "tcp"))
ONE = ContenderProfile(
    "epoll", "kernel TCP (epoll)", Load(1000, 500.0, 1e6, "cpu-clock"), 500, {"application": 250.0, "tcp": 750.0, "idle": 90.0},
    FRAMES, (Stack((0, 1), 100), Stack((0, 1, 2), 300)))
TWO = replace(ONE, contender="a/b", label="other", cycles_per_request={"tcp": 400.0, "polling": 100.0})
PROFILE = Profile("20261130-000000-tap", "tap", LoadPoint(64, 0, 1, 1, ""), (1,), (ONE, TWO))


def notes(item: ContenderProfile) -> str:
    return "\n".join(profile_lines(replace(PROFILE, contenders=(item,))))


def test_every_layer_of_a_bar_has_a_colour_and_a_name() -> None:
    assert list(COLOURS) == [layer.value for layer in Layer if layer.value not in BESIDE]
    assert len(set(COLOURS.values())) == len(COLOURS)
    whole = replace(ONE, cycles_per_request={layer.value: 10.0 for layer in Layer})
    assert len(profile_lines(replace(PROFILE, contenders=(whole,)))) >= len(Layer) + 3


def test_bars_are_as_long_as_cycles() -> None:
    root = ElementTree.fromstring(profile_page(PROFILE, FACTS)["profile.svg"])
    parts = [(part[0].text or "", float(part.get("width", ""))) for part in root.findall(".//{*}rect") if len(part)]
    assert [width for _, width in parts] == [155.0, 465.0, 248.0, 62.0]
    assert parts[1][0] == "TCP: 750 cycles a request, 75 %"


def test_a_call_is_as_wide_as_its_samples_and_lies_in_its_caller() -> None:
    found = {box.frame.symbol: box for box in boxes(ONE)}
    assert {name: box.width for name, box in found.items()} == {
        "kernel TCP (epoll)": 1000, "server": 1000, "main": 1000, "tcp_<x>": 750}
    assert found["tcp_<x>"].cycles == 750 and found["tcp_<x>"].depth == 3


def test_pages_are_whole_and_ask_no_network() -> None:
    files = profile_page(PROFILE, FACTS)
    assert sorted(files) == ["flame-a-b.svg", "flame-epoll.svg", "profile.html", "profile.md", "profile.svg"]
    for name, data in files.items():
        text = data.decode()
        assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text), name
        assert "tcp_<x>" not in text, name
        if name.endswith(".svg"):
            ElementTree.fromstring(data)
    assert "| TCP | 750 | 400 |" in files["profile.md"].decode()


def test_a_terminal_shows_layers_in_columns() -> None:
    lines = profile_lines(PROFILE)
    assert lines[0] == "Where the cycles go: tap, 64 connections"
    assert lines[1].split() == ["epoll", "a/b", "cycles", "a", "request"]
    assert "  750  400  TCP" in lines and "1,000  500  all of it" in lines


@pytest.mark.parametrize("item, what", [
    (replace(ONE, samples=20), "only 20 samples"),
    (replace(ONE, cycles_per_request={"tcp": 90.0, "unknown": 10.0}, unknown={"odd kernel": 3}),
     "10 % of its cycles have no layer; most often odd kernel"),
    (replace(ONE, polling_hidden=True), "polls and does not count its empty polls"),
    (replace(ONE, polling_hidden=True, load=replace(ONE.load, idle_share=0.7)), "70 % of its cycles found nothing to do"),
    (replace(ONE, load=replace(ONE.load, problems=(Note(Problem.NOTHING_ANSWERED),))), "failed its checks"),
    (ONE, "what the kernel does with interrupts off")])
def test_what_to_mind_is_said(item: ContenderProfile, what: str) -> None:
    assert what in notes(item)


def test_nothing_is_said_of_a_good_profile_by_cycles() -> None:
    assert notes(replace(ONE, load=replace(ONE.load, event="cycles"))).splitlines()[-1].endswith("beside it: idle")


def test_a_profile_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_profile(create_profile(PROFILE.id, tmp_path), PROFILE, FACTS)
    found, facts = load_profile(PROFILE.id, tmp_path)
    assert found == PROFILE and facts["wire"] == FACTS["wire"]
    with pytest.raises(UsageError, match="is there already"):
        create_profile(PROFILE.id, tmp_path)


@pytest.mark.parametrize("text, what", [("{}", "not a profile of schema 1"), ("{", "not JSON"),
                                        ('{"schema": 1, "id": "../x"}', "profile.json: ")])
def test_what_is_no_profile_is_refused(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "profile.json").write_text(text)
    with pytest.raises(UsageError, match=what):
        load_profile(str(tmp_path))


def test_a_profile_that_there_is_not_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no profile 'x'"):
        load_profile("x", tmp_path)
