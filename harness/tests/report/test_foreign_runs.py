# SPDX-License-Identifier: BSD-3-Clause
"""A run that another wrote may mean ill: what is shown of it is text, else it is one line."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.cli.main import main
from harness.errors import StackduelError, UsageError
from harness.plan import from_json
from harness.report import compare, export, index_page, report, terminal_lines
from harness.report.format import command, command_line
from harness.report.report import build, loaded
from harness.store import load_run
from harness.structure import parse_json
from harness.tests.fixtures import runs, synthetic
from harness.tests.fixtures.fake_host import FakeHost

TAG, LINK = "<img src=x onerror=alert(1)>", "[a](javascript:alert(1))"
NASTY: tuple[Any, ...] = (
    TAG, LINK, "\x1b]0;owned\x07", "\x9b31m", "a\nb", "\u202egnp.exe", "../../../../etc/passwd",
    "/etc/passwd.toml", "$(touch /tmp/owned)", "`id`; rm -rf ~ | x & 'y' \"z\"", "a¶b", "a|b",
    "{{ 7 * 7 }}", "{address}", "", "x" * 5000, "\ud800", float("nan"), float("inf"), -1, 0, 1e308,
    1 << 70, True, None, [], {}, [[]], {"code": TAG}, [TAG], {TAG: TAG})
FILES = ("facts.json", "plan.json", "trials.jsonl")
Where = tuple[Any, ...]


def leaves(value: Any, at: Where = ()) -> Iterator[Where]:
    """Yield where each value lies; of many alike the first."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*at, key))
    elif isinstance(value, list) and value:
        yield from leaves(value[0], (*at, 0))
    if at:
        yield at


def written(directory: Path) -> dict[str, list[Any]]:
    """Return the values of each file of a run, one a line of trials.jsonl."""
    synthetic.write(directory, connections=(1, 64), rounds=2)
    texts = {name: (directory / name).read_text() for name in FILES}
    return {name: list(map(json.loads, text.splitlines() if name.endswith("l") else [text]))
            for name, text in texts.items()}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[Any]]]:
    directory = tmp_path_factory.mktemp("foreign")
    return directory, written(directory / "run")


@pytest.fixture(autouse=True)
def undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes seconds: the charts' own texts are tested with one run."""
    for module in (report, compare) if "drawn" not in request.node.name else ():
        monkeypatch.setattr(module, "pictures", lambda _: ({}, {}))


class Tags(HTMLParser):
    """Fails on what a page of ours has not."""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag != "img" or dict(attributes).get("src", "") != "x"
        for name, value in attributes:
            assert not name.startswith("on") and not (value or "").lower().startswith("javascript:")


def assert_harmless(files: dict[str, bytes]) -> None:
    for name, data in files.items():
        text = data.decode(errors="replace")
        assert name.endswith(".png") or not {"\x1b", "\x07", "\x9b", "\u202e"} & {*text}, name
        if name.endswith(".html"):
            Tags().feed(text)
        elif name.endswith((".md", ".svg")):
            assert "<img" not in text and "](javascript" not in text, name


def show_all(run: Path) -> None:
    """Make whatever is shown of a run."""
    found, summary = loaded(run)
    assert_harmless(build(found, summary, []))
    assert_harmless({"terminal": "\n".join(terminal_lines(found, summary)).encode()})
    assert_harmless({"index.html": index_page(run.parent, run.parent)})
    other = replace(found, id="other"), replace(summary, run="other")
    assert_harmless(compare.build([(found, summary), other], []))
    for form in ("csv", "github-action-benchmark", "bencher", "prometheus"):
        assert_harmless({form: export(found, summary, form)})


def store(run: Path, values: dict[str, list[Any]]) -> None:
    for name, lines in values.items():
        (run / name).write_text("".join(json.dumps(line) + "\n" for line in lines))


def changed(values: dict[str, list[Any]], file: str, where: Where, new: Any,
            key: bool) -> dict[str, list[Any]]:
    copy: dict[str, list[Any]] = json.loads(json.dumps(values))
    *to, last = where
    for line in copy[file][:1] if file == "trials.jsonl" else copy[file]:
        table = line
        for step in to:
            table = table[step]
        if key and isinstance(new, str) and isinstance(last, str):
            table[new] = table.pop(last)
        else:
            table[last] = new
    return copy


@settings(max_examples=150, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_a_run_says_is_text_or_one_line(sound: tuple[Path, dict[str, list[Any]]],
                                                 data: st.DataObject) -> None:
    directory, values = sound
    file = data.draw(st.sampled_from(FILES))
    where = data.draw(st.sampled_from(list(leaves(values[file][0]))))
    new = data.draw(st.sampled_from(NASTY))
    store(directory / "run", changed(values, file, where, new, data.draw(st.booleans())))
    try:
        show_all(directory / "run")
    except StackduelError as error:
        assert "\n" not in str(error)[:200]


@pytest.mark.parametrize("nasty", [
    pytest.param(TAG + r"$\no{", id="drawn"), pytest.param(r"$\no{$", id="drawn math"), LINK,
    "\x1b[31mred\x07", "x" * 3000])
def test_every_text_at_once(nasty: str, tmp_path: Path) -> None:
    values = written(tmp_path / "run")
    facts, = values["facts.json"]
    facts["wire"]["title"] = facts["wire"]["caveat"] = facts["started_at"] = nasty
    for contender in facts["wire"]["contenders"].values():
        contender["label"] = contender["program"] = nasty
        contender["arguments"] = [nasty]
    facts["machine"]["cpu_model"] = facts["kernel"]["release"] = nasty
    store(tmp_path / "run", values)
    show_all(tmp_path / "run")


@pytest.mark.parametrize("key, value", [
    ("wire", "../../tmp/evil"), ("wire", "evil.toml"), ("wire", ""), ("wire", "/tmp/evil"),
    ("wire", TAG), ("name", ""), ("name", "$(id)"), ("paper", "../x"),
    ("contenders", ["epoll", "/tmp/evil.toml"]), ("contenders", ["epoll", "a b"]),
    ("contenders", ["epoll", "lwip\n"]), ("clients", {"-oProxyCommand=id": [0]})])
def test_a_name_that_is_more_than_a_name_is_no_plan(key: str, value: object) -> None:
    with pytest.raises(UsageError):
        from_json({**synthetic.plan((1,), 1, ("epoll", "lwip")), key: value})


def test_what_is_measured_again_is_what_was_measured_whatever_the_names_are() -> None:
    names = ("epoll", "x'; touch /tmp/owned; '", "$(id)", "`id`", "a b", "#")
    plan = replace(runs.made().plan, contenders=names, wire="tap; id", paper="$(id) x")
    words = shlex.split(command(plan, {"NIC": "a; b", "X; touch /tmp/owned": "y"}))
    # a dollar twice: make takes one away
    assert words[:3] == ["sudo", "make", "reproduce"]
    assert "CONTENDERS=" + ",".join(names).replace("$", "$$") in words
    assert {"PAPER=$$(id) x", "WIRE=tap; id", "NIC=a; b"} < {*words}
    assert not any("owned" in word.partition("=")[0] for word in words)
    arguments = ("--x={port}", "c&d", "e|f", "$g")
    assert shlex.split(command_line("a b", arguments)) == ["a b", *arguments]
    assert command_line("wrk", ("--x={port}", "-c1")) == "wrk --x={port} -c1"


@pytest.mark.parametrize("text, said", [
    ("[" * 100_000, "deep"), ("9" * 5000, "digits")])
def test_what_is_no_json_of_ours_is_a_value_error(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_json(text)


def test_control_characters_are_made_visible() -> None:
    assert parse_json('{"a\\u001b": ["\\u009b\\n\\t", 1, {"b": "\u202e"}]}') == {
        "a\\x1b": ["\\x9b\n\t", 1, {"b": "\\u202e"}]}


@pytest.mark.parametrize("program", [None, 7, {"a": 1}, "left out"])
def test_a_fact_that_is_missing_or_no_such_thing_is_one_line(program: object,
                                                             tmp_path: Path) -> None:
    values = written(tmp_path / "run")
    contender = values["facts.json"][0]["wire"]["contenders"]["epoll"]
    if program == "left out":
        contender.pop("program")
    else:
        contender["program"] = program
    store(tmp_path / "run", values)
    with pytest.raises(UsageError, match="facts.json"):
        build(*loaded(tmp_path / "run"), [])


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    written(tmp_path / "run")
    with open(tmp_path / "run" / "facts.json", "r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(UsageError, match="more than 16 MiB"):
        load_run(tmp_path / "run")


def test_an_error_shows_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "\x1b]0;owned\x07"], FakeHost()) == 2
    assert "\x1b" not in (said := capsys.readouterr().err) and "\\x1b]0;owned\\x07" in said
