# SPDX-License-Identifier: BSD-3-Clause
"""The ablation: its table is the server's own, and what its steps leave out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.plan import ablation
from harness.plan.ablation import OPTIMISATIONS, Optimisation
from harness.plan.topology import load_wire
from harness.plan.wire import PLACEHOLDERS

SERVERS = Path(__file__).resolve().parents[3] / "servers"
TABLE = (Optimisation("a", "first"), Optimisation("b", "second"), Optimisation("c", "third"))
ROW = re.compile(r'\{FEATURE_[A-Z_]+,\s*"([a-z0-9-]+)",\s*"([^"]+)"\}')


def test_the_table_is_the_server_s_own() -> None:
    tables = [rows for file in SERVERS.rglob("*.c") if len(rows := ROW.findall(file.read_text())) > 5
              and rows[0][0] == OPTIMISATIONS[0].name]
    assert tables == [[(each.name, each.what) for each in OPTIMISATIONS]]


def test_steps_add_one_at_a_time_and_leave_out_one_at_a_time() -> None:
    assert [(step.name, step.without) for step in ablation.steps(TABLE)] == [
        ("plain", ("a", "b", "c")), ("+a", ("b", "c")), ("+b", ("c",)), ("+c", ()), ("-a", ("a",)), ("-b", ("b",))]


def test_what_is_compared_differs_in_that_optimisation_alone() -> None:
    without = {step.name: set(step.without) for step in ablation.steps(TABLE)}
    for pairs in (ablation.below(TABLE), ablation.apart(TABLE)):
        assert list(pairs) == ["a", "b", "c"]
        for name, (lacks, has) in pairs.items():
            assert without[lacks] - without[has] == {name} and without[has] <= without[lacks]
    assert all(not without[has] for _, has in ablation.apart(TABLE).values())


def test_the_wire_of_the_ablation_is_one_server_with_many_names() -> None:
    wire, lwip = load_wire("ablate"), load_wire("shm-loadgen").contenders["lwip"]
    names = [step.name for step in ablation.steps(OPTIMISATIONS)]
    assert wire.ablation and list(wire.contenders) == names
    values = dict.fromkeys(PLACEHOLDERS, "7")
    for name, contender in wire.contenders.items():
        words = contender.command(values)
        assert words[:len(lwip.command(values))] == lwip.command(values)
        assert contender.end == lwip.end and contender.name == name
    every = ",".join(each.name for each in OPTIMISATIONS)
    assert wire.contenders["plain"].command(values)[-1] == f"--without={every}"
    assert wire.contenders[names[-1]].command(values)[-1] == f"--without={OPTIMISATIONS[-2].name}"
    last = wire.contenders[ablation.added(OPTIMISATIONS[-1].name)]
    assert not any("--without" in word for word in last.command(values))


def test_an_ablation_of_nobody(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('like = "shm-loadgen"\nablation_of = "uring"\n')
    with pytest.raises(UsageError, match="ablation_of: there is no contender 'uring'"):
        load_wire(str(path))


def test_the_obligations_are_the_server_s_own_and_each_is_waived_in_its_turn() -> None:
    names = [each.name for each in ablation.obligations()]
    # a row of the server's table that the pattern does not fit would be left out
    rows = (SERVERS / "common" / "features.c").read_text().count("{OBLIGATION_")
    assert len(names) == rows >= 1 and names[0] == "isn"
    wire, lwip = load_wire("obligations"), load_wire("shm-loadgen").contenders["lwip"]
    values = dict.fromkeys(PLACEHOLDERS, "7")
    assert wire.contenders["plain"].command(values) == [*lwip.command(values), f"--waive={','.join(names)}"]
    assert wire.contenders["plain"].title == "all obligations left out"
    assert wire.contenders[ablation.added(names[-1])].command(values) == lwip.command(values)


def test_an_ablation_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('like = "obligations"\nablates = "virtues"\n')
    with pytest.raises(UsageError, match="'ablates' must be one of optimisations, obligations"):
        load_wire(str(path))
