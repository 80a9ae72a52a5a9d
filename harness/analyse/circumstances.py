# SPDX-License-Identifier: BSD-3-Clause
"""What a summary says of a run's trials beside figures: which were disturbed and repeated, which had settled. Pure.

Of runs of before either was looked at nothing is said.
"""

from __future__ import annotations

import math
from typing import Any, Mapping, Sequence

from harness.store import old_attempts as attempts
from harness.analyse import stats
from harness.report import format as words
from harness.plan import Plan

Record = Mapping[str, Any]


def summarise(plan: Plan, records: Sequence[Record]) -> dict[str, Any]:
    """A summary's `attempts` and `steadiness`; what there is nothing to say of is absent."""
    tried, settled = attempts.account(records), steadiness(plan, records)
    return {**({"attempts": tried} if tried else {}), **({"steadiness": settled} if settled else {})}


def steadiness(plan: Plan, records: Sequence[Record]) -> dict[str, Any]:
    """Of the valid trials that count. `sampled`: those whose throughput was followed, `unsettled` and, of these,
    `never`; `settled_after_seconds` of those that settled; `contenders` of which it could not be followed;
    `warmup_seconds`: what would have been enough for all that settled too late, absent where there is none, or where
    none helps.
    """
    looked = [record for record in attempts.counted(records) if attempts.valid_one(record) and "machine" in record]
    sampled = [record for record in looked if "steady" in record]
    if not looked:
        return {}
    blind = [name for name in plan.contenders if any(record["contender"] == name for record in looked)
             and not any(record["contender"] == name for record in sampled)]
    after = [record["steady"]["settled_after_seconds"] for record in sampled
             if record["steady"]["settled_after_seconds"] is not None]
    late = [record for record in sampled if record.get("unsettled")]
    never = [record for record in late if record["steady"]["settled_after_seconds"] is None]
    enough = math.ceil(max((record["steady"]["settled_after_seconds"] for record in late
                            if record not in never and not record["steady"].get("own_ramp")), default=0.0))
    return {"sampled": len(sampled), "unsettled": len(late), "never": len(never),
            **({"settled_after_seconds": {"median": stats.round_significant(stats.median(after)),
                                          "max": stats.round_significant(max(after))}} if after else {}),
            **({"contenders": blind} if blind else {}),
            **({"warmup_seconds": enough} if enough > plan.warmup_seconds else {}),
            **({"trials": [{"contender": record["contender"], "connections": record["connections"],
                            "round": record["round"], "why": record["unsettled"]} for record in late]} if late else {})}


def caveats(plan: Plan, records: Sequence[Record]) -> list[str]:
    """The sentences; none of a run in which nothing was wrong."""
    return [*_disturbed(attempts.account(records)), *_unsettled(plan, steadiness(plan, records))]


def _disturbed(tried: Mapping[str, Any]) -> list[str]:
    if not tried:
        return []
    kinds = words.listed([each["kind"] for each in tried["reasons"]])
    said = f"{words.counted(tried['disturbed'], 'attempt')} of {tried['attempts']} {_was(tried['disturbed'])} " \
           f"disturbed ({kinds}); {words.counted(tried['repeated'], 'repetition')} {_was(tried['repeated'])} made"
    if not tried["stayed"]:
        return [f"{said}, and every trial that counts was undisturbed."]
    return [f"{said}, and {tried['stayed']} of {tried['trials']} trials that count stayed disturbed: their last "
            "attempt counts all the same."]


def _unsettled(plan: Plan, found: Mapping[str, Any]) -> list[str]:
    said = []
    if found.get("unsettled"):
        advice = (f" WARMUP={found['warmup_seconds']} would have been long enough for those that settled."
                  if "warmup_seconds" in found else "")
        never = f", {found['never']} of them not at all" if found["never"] else ""
        said.append(f"Throughput settled too late for its trial in {found['unsettled']} of {found['sampled']} "
                    f"trials{never}; they count.{advice}")
    if found.get("contenders"):
        said.append(f"Whether throughput had settled could not be seen for {words.listed(found['contenders'])}: "
                    "nothing counts what they carry while a load lasts.")
    return said


def _was(count: int) -> str:
    return "was" if count == 1 else "were"
