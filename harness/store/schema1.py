# SPDX-License-Identifier: BSD-3-Clause
"""Read runs of before: old facts, trials with sentences for codes and the axes that were swept.

The only place that knows those sentences. A text that is none of them becomes the code `other`.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, Mapping

from harness.errors import UsageError
from harness.plan import DPDK, KERNEL, PRELOAD, Plan
from harness.store.codes import Interference, Problem, Unsettled
from harness.store.convert import Json, from_json
from harness.store.trial_record import TrialRecord

SCHEMA = 1
# what the two schemas do not have in common
_OWN = ("schema", "connections", "offered", "valid", "problems", "disturbed", "unsettled")

# groups that are no numbers
_TEXTS = ("most", "when", "what", "counter", "kind", "phase", "machine", "way")
# A group's name is the value's; `_percent` becomes a share of 1, `_list` a tuple.
_SENTENCES: Mapping[StrEnum, str] = {
    Interference.STOLEN: r"the hypervisor took (?P<share_percent>\S+) % of the CPU time",
    Interference.OTHERS:
        r"other programs took (?P<share_percent>\S+) % of the CPU time"
        r"(?:, '(?P<most>.*)' the most)?",
    Interference.CLOCK:
        r"the clock was at most (?P<mhz>\d+) MHz, and (?P<before_mhz>\d+) MHz in a trial before",
    Interference.THROTTLING: r"the processor throttled (?P<events>\d+) times for its heat",
    Problem.LOAD_ERRORS:
        r"(?P<phase>load|warm-up|calibration): (?P<count>\d+) (?P<kind>\S+) errors",
    Problem.WRONG_ANSWER: r"(?P<when>before|after) the load: (?P<what>.*)",
    Problem.NOTHING_ANSWERED:
        r"not one request was answered|(?P<machine>\S+) had not one answer",
    Problem.WRONG_BYTES:
        r"(?P<requests>\d+) responses of (?P<size>\d+) bytes came as (?P<bytes>\d+) bytes",
    Problem.COUNTS_DIFFER:
        r"the clients had (?P<sent>\d+) answers but the server (?P<counter>\w+) "
        r"(?P<count>\d+) requests; at most (?P<limit>\d+) more can have been in flight",
    Problem.ENDS_DIFFER:
        r"(?P<pair>connections|(?:bytes|packets) to (?:server|client)): one end counted "
        r"(?P<sent>\d+), the other (?P<received>\d+): at most (?P<limit>\d+) fewer, for what was "
        r"under way when a client ended",
    Problem.CONNECTIONS_MISSING:
        r"only (?P<arrived>-?\d+) of (?P<expected>\d+) connections arrived",
    Problem.REFUSED: r"(?P<count>\d+) connections were refused",
    Problem.HTTP_ERRORS: r"(?P<count>\d+) answers were errors",
    Problem.OPTIMISATIONS_UNKNOWN: r"the server did not say which measures it had in force",
    Problem.OPTIMISATIONS_IN_FORCE:
        r"the server had (?P<names_list>.*) in force, which '.*' is without",
    Problem.LATE_CLIENT:
        r"(?P<machine>\S+) began (?P<seconds>\S+) s after the first client, "
        r"in a load of (?P<of_seconds>\S+) s",
    Problem.LOAD_TOOL: r"(?P<what>\S+ failed \(exit .*)",
    Unsettled.NEVER:
        r"throughput was still (?P<way>rising|falling) when it ended, from one half of the "
        r"measured interval to the other by (?P<change_percent>-?\d+) %",
    Unsettled.OWN_RAMP:
        r"throughput settled (?P<seconds>\S+) s after the measured interval had begun, and moved "
        r"its mean by (?P<shift_percent>\S+) %, though the warm-up had settled",
    Unsettled.LATE:
        r"throughput settled (?P<seconds>\S+) s after the measured interval had begun, and moved "
        r"its mean by (?P<shift_percent>\S+) %",
}


def read(line: Json, plan: Plan, place: str) -> TrialRecord:
    """Return the trial of a line of schema 1; UsageError, with `place`, where it is none."""
    point = {"connections": line.get("connections"), "offered_per_sec": line.get("offered", 0),
             "server_cores": len(plan.server_cpus), "impairment": plan.netem,
             "body_size_bytes": plan.workload.body_size_bytes}
    problems = [_note(Problem, text) for text in _texts(line, "problems", place)]
    if line.get("valid") is not True and not problems:
        problems = [_note(Problem, "no reason given")]
    unsettled = line.get("unsettled")
    return from_json(TrialRecord, {
        **{key: value for key, value in line.items() if key not in _OWN and value is not None},
        "point": point, "problems": problems,
        "disturbed": [_note(Interference, text) for text in _texts(line, "disturbed", place)],
        "unsettled": _note(Unsettled, str(unsettled)) if unsettled else None}, place)


def facts(data: Json) -> Json:
    """Return facts.json with what runs of before had otherwise as it is now.

    All contenders polled but the kernel's; `lwip` was the stack of lwip_server and of what the
    library was preloaded into; only our own programs had a hash, among the versions. One
    client's NIC is no list, and the optimisations of an ablation were its `measures`.
    """
    found = {key: value for key, value in data.items() if value is not None}
    wire, nic, versions = (found.get(key) for key in ("wire", "nic", "versions"))
    if isinstance(wire, Mapping) and isinstance(wire.get("contenders"), Mapping):
        found["wire"] = {**wire, "contenders": {
            name: _contender(entry) for name, entry in wire["contenders"].items()}}
        if "measures" in wire:
            found["wire"]["optimisations"] = found["wire"].pop("measures")
    if isinstance(nic, Mapping):
        clients = nic.get("client") or []
        found["nic"] = {**nic, "clients": clients if isinstance(clients, list) else [clients]}
    hashes = versions.get("sha256") if isinstance(versions, Mapping) else None
    if isinstance(hashes, Mapping):
        found["binaries"] = {"programs": {name: {"sha256": sha} for name, sha in hashes.items()}}
    return found


def _contender(entry: Any) -> Any:
    if not isinstance(entry, Mapping):
        return entry
    found, client = {"polls": entry.get("stack") != KERNEL, **entry}, entry.get("client") or {}
    if found.get("stack") == "lwip":
        made = str(found.get("program")).endswith("lwip_server")
        found["stack"] = DPDK if made else PRELOAD
    if isinstance(client, Mapping):
        found["client"] = {**client, "stack": PRELOAD} if client.get("stack") == "lwip" else client
    return found


def _texts(line: Json, key: str, place: str) -> list[str]:
    texts = line.get(key, [])
    if not isinstance(texts, list):
        raise UsageError(f"{place}: '{key}' is missing or of a wrong type")
    return [str(text) for text in texts]


def _note(kind: type[StrEnum], text: str) -> Json:
    """Return a sentence as the JSON of a Note."""
    for code, pattern in _SENTENCES.items():
        match = re.fullmatch(pattern, text) if isinstance(code, kind) else None
        if match:
            values = dict(_value(*pair) for pair in match.groupdict().items() if pair[1])
            if values.pop("way", "") == "falling":
                values["change"] *= -1
            return {"code": code, **values}
    return {"code": "other", "text": text}


def _value(name: str, text: str) -> tuple[str, Any]:
    if name.endswith("_percent"):
        return name.removesuffix("_percent"), round(float(text) / 100, 6)
    if name.endswith("_list"):
        return name.removesuffix("_list"), text.split(", ")
    if name == "pair":
        return "what", text.replace(" ", "_")
    if name in _TEXTS:
        return name, text
    return name, float(text) if "." in text else int(text)
