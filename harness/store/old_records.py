# SPDX-License-Identifier: BSD-3-Clause
"""A TrialRecord as the dict of schema 1; goes as soon as nobody reads these."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from harness.store.codes import Interference, Note, Problem, Unsettled
from harness.store.convert import to_json
from harness.store.trial_record import TrialRecord


def to_dict(record: TrialRecord) -> dict[str, Any]:
    line = asdict(record)
    for key in ("point", "problems", "disturbed", "unsettled", "load_tool"):
        del line[key]
    for key in ("attempt", "emulated", "client_bound", "connections_per_sec", "memory", "bytes_per_connection",
                "clients", "machine", "steady", "open_loop", "xstats"):
        if not line[key]:
            del line[key]
    if line.get("steady") and not line["steady"]["own_ramp"]:
        del line["steady"]["own_ramp"]
    if line.get("machine") and line["machine"]["others_most"] is None:
        del line["machine"]["others_most"]
    if line.get("open_loop"):
        line["open_loop"] = {key: value for key, value in line["open_loop"].items() if value is not None}
        if "send_lag_us" in line["open_loop"]:
            line["open_loop"]["send_lag_us"] = [list(pair) for pair in line["open_loop"]["send_lag_us"]]
    line["latency_histogram_us"] = [list(pair) for pair in line["latency_histogram_us"]]
    if line.get("steady"):
        line["steady"]["requests_per_sec"] = list(line["steady"]["requests_per_sec"])
    line = {"schema": 1, **line, "connections": record.point.connections, "valid": not record.problems,
            "problems": [sentence(note) for note in record.problems]}
    if record.point.offered_per_sec:
        line["offered"] = record.point.offered_per_sec
    if record.disturbed:
        line["disturbed"] = [sentence(note) for note in record.disturbed]
    if record.unsettled:
        line["unsettled"] = sentence(record.unsettled)
    return line


def sentence(note: Note[Any]) -> str:
    code, v = note.code, note.values
    if code == "other":
        return str(v["text"])
    if code is Interference.OTHERS:
        most = f", '{v['most']}' the most" if "most" in v else ""
        return f"other programs took {100 * float(v['share']):.1f} % of the CPU time{most}"  # type: ignore
    if code is Problem.NOTHING_ANSWERED:
        return f"{v['machine']} had not one answer" if "machine" in v else "not one request was answered"
    if code is Unsettled.NEVER:
        change = float(v["change"])  # type: ignore
        return (f"throughput was still {'rising' if change > 0 else 'falling'} when it ended, from one half of the "
                f"measured interval to the other by {100 * abs(change):.0f} %")
    if code in (Unsettled.LATE, Unsettled.OWN_RAMP) and isinstance(code, Unsettled):
        late = (f"throughput settled {v['seconds']:.1f} s after the measured interval had begun, and moved its mean "
                f"by {100 * float(v['shift']):+.0f} %")  # type: ignore
        return f"{late}, though the warm-up had settled" if code is Unsettled.OWN_RAMP else late
    if code is Interference.STOLEN:
        return f"the hypervisor took {100 * float(v['share']):.1f} % of the CPU time"  # type: ignore
    if code is Problem.OPTIMISATIONS_IN_FORCE:
        return f"the server had {', '.join(v['names'])} in force, which 'it' is without"  # type: ignore
    if code is Problem.ENDS_DIFFER:
        v = {**v, "what": str(v["what"]).replace("_", " ")}
    return _PLAIN[code].format(**v)


_PLAIN = {
    Interference.CLOCK: "the clock was at most {mhz:.0f} MHz, and {before_mhz:.0f} MHz in a trial before",
    Interference.THROTTLING: "the processor throttled {events} times for its heat",
    Problem.WRONG_ANSWER: "{when} the load: {what}",
    Problem.LOAD_ERRORS: "{phase}: {count} {kind} errors",
    Problem.WRONG_BYTES: "{requests} responses of {size} bytes came as {bytes} bytes",
    Problem.COUNTS_DIFFER: "the clients had {sent} answers but the server {counter} {count} requests; "
                           "at most {limit} more can have been in flight",
    Problem.ENDS_DIFFER: "{what}: one end counted {sent}, the other {received}: at most {limit} fewer, for what was "
                         "under way when a client ended",
    Problem.CONNECTIONS_MISSING: "only {arrived} of {expected} connections arrived",
    Problem.REFUSED: "{count} connections were refused",
    Problem.HTTP_ERRORS: "{count} answers were errors",
    Problem.OPTIMISATIONS_UNKNOWN: "the server did not say which measures it had in force",
    Problem.LOAD_TOOL: "{what}",
    Problem.LATE_CLIENT: "{machine} began {seconds:g} s after the first client, in a load of {of_seconds:.1f} s",
}
