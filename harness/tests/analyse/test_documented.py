# SPDX-License-Identifier: BSD-3-Clause
"""results/README.md has the fields of what other programs read, and no field that is gone."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Iterator, get_args, get_type_hints

import pytest

from harness.analyse import Gain, Summary
from harness.plan import LoadPoint
from harness.regression import GateResult, NoiseResult, Trend
from harness.regression.noise_profile import Profile
from harness.store import MachineFacts, Note

README = (Path(__file__).resolve().parents[3] / "results" / "README.md").read_text()
SUMMARY = README[README.index("## summary.json"):README.index("### Metrics")]
REGRESSION = README[README.index("## Noise, gate and trend"):README.index("## Tables beside")]
PROFILE, NOISE, GATE, TREND = (
    REGRESSION[REGRESSION.index(first):REGRESSION.index(last)] for first, last in (
        ("`noise/<wire>", "`reports/out/noise-"), ("`reports/out/noise-", "`reports/out/gate-"),
        ("`reports/out/gate-", "`reports/out/trend-"), ("`reports/out/trend-", "| schema 1")))


def words(text: str) -> set[str]:
    """Return the words that stand as code."""
    return {word for span in re.findall(r"`([^`]+)`", text) for word in re.findall(r"\w+", span)}


def classes(kind: Any, *told: type) -> Iterator[type]:
    """Yield every class that values of a type hold, but those that are told elsewhere."""
    if is_dataclass(kind) and isinstance(kind, type) and kind not in told:
        yield kind
        for of in get_type_hints(kind).values():
            yield from classes(of, *told)
    for of in get_args(kind):
        yield from classes(of, *told)


def names(kind: type) -> set[str]:
    """Return the names of all fields; notes, points, gains and machines are told at one place."""
    told = (Note, LoadPoint, MachineFacts, *(() if kind is Summary else (Gain,)))
    return {field.name for of in classes(kind, *told) for field in fields(of)}


@pytest.mark.parametrize("kind, text", [
    (Summary, SUMMARY), (Profile, PROFILE), (NoiseResult, NOISE), (GateResult, GATE),
    (Trend, TREND)], ids=["summary", "profile", "noise", "gate", "trend"])
def test_every_field_is_told(kind: type, text: str) -> None:
    assert names(kind) - words(text) == set()


def test_the_table_of_summary_json_has_its_top_level_keys() -> None:
    cells = re.findall(r"^\| (`.*?) \|", SUMMARY, re.MULTILINE)
    keys = {key for cell in cells for key in re.findall(r"`(\w+)", cell)}
    assert keys == {field.name for field in fields(Summary)}


@pytest.mark.parametrize("kind, text", [(NoiseResult, NOISE), (GateResult, GATE)],
                         ids=["noise", "gate"])
def test_the_tables_of_noise_and_gate_have_no_key_that_is_gone(kind: type, text: str) -> None:
    cells = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    assert {key for cell in cells for key in re.findall(r"(?<=`)\w+", cell)} <= names(kind)
