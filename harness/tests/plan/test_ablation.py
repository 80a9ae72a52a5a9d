# SPDX-License-Identifier: BSD-3-Clause
"""The ladder of measures: read from the server's own table, and what its steps leave out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.plan import ablation as ladder
from harness.errors import UsageError
from harness.plan.ablation import Measure
from harness.plan.wire import load_wire

TABLE = (Measure("a", "first"), Measure("b", "second"), Measure("c", "third"))
HEADER = ladder.TABLE.with_suffix(".h")


def test_no_measure_of_the_servers_table_is_missed() -> None:
    bits = re.findall(r"^\s+MEASURE_[A-Z_]+ = 1", HEADER.read_text(), re.M)
    found = ladder.measures()
    assert len(found) == len(bits) and all(measure.what for measure in found)


def test_steps_add_one_at_a_time_and_leave_out_one_at_a_time() -> None:
    assert [(step.name, step.without) for step in ladder.steps(TABLE)] == [
        ("plain", ("a", "b", "c")), ("+a", ("b", "c")), ("+b", ("c",)), ("+c", ()), ("-a", ("a",)), ("-b", ("b",))]


def test_what_is_compared_differs_in_that_measure_alone() -> None:
    without = {step.name: set(step.without) for step in ladder.steps(TABLE)}
    for pairs in (ladder.below(TABLE), ladder.apart(TABLE)):
        assert list(pairs) == ["a", "b", "c"]
        for name, (lacks, has) in pairs.items():
            assert without[lacks] - without[has] == {name} and without[has] <= without[lacks]
    assert all(not without[has] for _, has in ladder.apart(TABLE).values())


@pytest.mark.parametrize("text", ["", "{MEASURE_A, \"a\", \"x\"}, {MEASURE_B, \"a\", \"y\"}"])
def test_what_is_no_table(tmp_path: Path, text: str) -> None:
    (tmp_path / "measures.c").write_text(text)
    with pytest.raises(UsageError, match="has no table of measures"):
        ladder.measures(tmp_path / "measures.c")
    with pytest.raises(UsageError, match="cannot read: No such file"):
        ladder.measures(tmp_path / "other.c")


def test_the_wire_of_the_ladder_is_one_server_with_many_names() -> None:
    wire, lwip = load_wire("ablate"), load_wire("shm-loadgen").contenders["lwip"]
    names = [step.name for step in ladder.steps(ladder.measures())]
    assert wire.ladder and list(wire.contenders) == names
    values = dict.fromkeys(lwip.placeholders, "7")
    for name, contender in wire.contenders.items():
        words = contender.command(values)
        assert words[:len(lwip.command(values))] == lwip.command(values)
        assert contender.client == lwip.client and contender.endpoint == lwip.endpoint and contender.name == name
    every = ",".join(measure.name for measure in ladder.measures())
    assert wire.contenders["plain"].command(values)[-1] == f"--without={every}"
    assert wire.contenders[names[-1]].command(values)[-1] == f"--without={ladder.measures()[-2].name}"
    assert not any("--without" in word for word in wire.contenders[ladder.added(ladder.measures()[-1].name)].command(
        values))


def test_a_ladder_of_nobody(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('base = "shm-loadgen"\nladder_of = "uring"\n')
    with pytest.raises(UsageError, match="ladder_of: there is no contender 'uring'"):
        load_wire(str(path))
