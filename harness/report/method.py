# SPDX-License-Identifier: BSD-3-Clause
"""How a run was measured and judged, in sentences: order, rounds, intervals, verdicts, what a percentile is. Pure.

What is said follows from the run alone. Knows the summary and the records, no files and no page.
"""

from __future__ import annotations

import math
from typing import Any, Mapping, NamedTuple, Sequence

from harness.analyse import stopping_rule as stopping
from harness.report import format as words
from harness.plan import Plan
from harness.analyse.stats import LEAST_TO_RESAMPLE

Summary = Mapping[str, Any]
_ENDED = {
    stopping.PRECISION: "It ended so",
    stopping.BUDGET: "Its budget ended it before that",
    stopping.ROUNDS: "It ended without a gain to look at, or at the most rounds there may be",
    stopping.INTERRUPTED: "It was interrupted before that",
}
# how each load tool comes by a latency, and what the figures are therefore not
_LATENCY = {
    "wrk": "wrk is a closed loop: a connection has one request in flight and sends the next when it has the whole "
           "response. Its latency is from the write of the request to the last byte of the response, in whole "
           "microseconds. Before anyone sees them, and without saying so in its output, wrk corrects its latencies "
           "for coordinated omission: with I = duration × connections / requests, the mean time between two requests "
           "of a connection, it adds to each response that took L, more than twice I, made-up ones of L − I, L − 2 I "
           "and so on as long as they exceed I, as if requests had gone on being sent at that pace (stats_correct in "
           "wrk 4.1). The percentiles here are of the distribution with these: higher than those of the responses "
           "that there were, and yet no latency at a given rate of arrival, as the pace itself is what the server "
           "allowed.",
    "redis-benchmark": "redis-benchmark is a closed loop, one request in flight a connection, and its latencies are "
                       "from the sending of a request to its reply, not corrected for coordinated omission: while the "
                       "server stalls nothing is sent, so what would have waited is missing, and high percentiles "
                       "look better than an independent client would find them. It prints p50, p95, p99, the maximum "
                       "and halvings (75 %, 87.5 %, …): any other percentile here is the next higher of these.",
    "loadgen": "Our load generator is a closed loop, one request in flight a connection, and its latencies are from "
               "the sending of a request to the last byte of its response, not corrected for coordinated omission: "
               "while the server stalls nothing is sent, so what would have waited is missing, and high percentiles "
               "look better than an independent client would find them.",
}


class Said(NamedTuple):
    """A subject and what there is to say of it."""

    subject: str
    text: str


def sections(plan: Plan, facts: Mapping[str, Any], trials: Sequence[Mapping[str, Any]], summary: Summary) -> list[Said]:
    """Everything on order, intervals, verdicts and percentiles; `trials` are the lines of trials.jsonl."""
    return [
        Said("Order", order(plan)),
        Said("Rounds", rounds(plan, summary)),
        Said("Throughput", "The median of the valid trials. Its interval is Student's t interval of the mean "
             "logarithm, taken back to requests/s: of the geometric mean, and of the median as far as throughput is "
             "log-normal."),
        *_judged(summary),
        Said("Not covered", "What lasts for the whole run is in no interval: which pages and cores a program got, "
             "what else ran on the host that day, how the machine was started. Two runs of the same plan may differ "
             "by more than either interval says; measure on another day before relying on a small gain."),
        Said("Latency", latency(facts, trials)),
    ]


def _judged(summary: Summary) -> list[Said]:
    """Of the measures of a ladder, or of gains, where there are any."""
    one = Said("Intervals", "Every interval is a 95 % interval for its own point: of twenty, one is expected to miss.")
    if "ablation" in summary:
        return [Said("Saved", "The mean over rounds of the difference within the same round, with Student's t "
                     "interval; it assumes that the differences of the rounds are independent and normal, and with "
                     "fewer than two rounds "
                     "there is none."), one]
    if not summary["statistics"]["family"]:
        return [one]
    return [Said("Gain", gain(summary)), Said("Verdicts", f"{one.text} {together(summary)}")]


def brief(plan: Plan, summary: Summary) -> str:
    """The same for a summary of one page."""
    told = summary["statistics"]
    if "open_loop" in summary:
        how = f"Order drawn by seed {plan.seed}" if plan.seed else "Contenders in turns"
        return (f"{how}; intervals over rounds: Student's t on the logarithm, of a knee the bootstrap over rounds; each "
                "for its own point, and what lasts for a whole run is in no interval.")
    how = f"order drawn by seed {plan.seed}" if plan.seed else "contenders in turns"
    ended = f" ({stopping.aim(plan)}). {_ended(summary)}. Intervals" if plan.precision_percent else "; intervals"
    ladder = "ablation" in summary
    judged = "" if ladder or not told["family"] else (
        f"; {words.counted(told['family'], 'gain')} judged together (Holm, 5 %)")
    return (f"Paired by round, {how}{ended}: Student's t on the {'difference' if ladder else 'log ratio'}, each "
            f"for its own point{judged}; what lasts for a whole run is in no interval.")


def order(plan: Plan) -> str:
    if not plan.seed:
        how = "the order of contenders reversed from round to round"
    elif plan.by_contender:
        how = f"in an order of its own, drawn by SEED={plan.seed}: contenders are shuffled, and the load points of each"
    else:
        how = (f"in an order of its own, drawn by SEED={plan.seed}: load points are shuffled, and the contenders "
               "within each, so that those who are compared follow one another")
    port = "" if not plan.by_contender else (
        " All load points of one contender come before the next one's, as they have one port in turn, so the two of a "
        "pair are further apart in time, and drift within a round is in the intervals.")
    return (f"Trials are interleaved: a round has every contender at every load point once, {how}. What drifts "
            f"therefore hits all alike.{port} A trial is {words.counted(plan.duration_seconds, 'second')} of load "
            f"after a warm-up of {words.counted(plan.warmup_seconds, 'second')}.")


def rounds(plan: Plan, summary: Summary) -> str:
    told = summary["statistics"]
    done = words.counted(told["rounds_done"], "complete round")
    if not plan.precision_percent:
        return f"{done}, of {plan.rounds} that were fixed beforehand. Few rounds make wide intervals."
    end = (f", or until the next would not end within {_minutes(plan.budget_seconds)} of trials"
           if plan.budget_seconds else "")
    return (f"{done}. The rule, looked at after each: at least {plan.rounds}, and until the 95 % interval of every "
            f"gain over {summary['baseline']} is, and {stopping.HELD} rounds or more before was, within "
            f"±{plan.precision_percent:g} % of its ratio{end}. {_ended(summary)}. Rounds that end when intervals look "
            "narrow end too often where the scatter happens to look small: by simulation with normal logarithms these "
            "95 % intervals cover 93 to 95 %, and would cover as little as 92 % if the first narrow look ended the "
            "run.")


def gain(summary: Summary) -> str:
    """Pairing, interval and its assumptions, and what the bootstrap says."""
    disputed = [f"{words.pair(*_names(key))} at {point['connections']}" for point in summary["points"]
                for key, entry in point["gain"].items() if entry.get("disputed_by")]
    enough = any(entry["rounds"] >= LEAST_TO_RESAMPLE for point in summary["points"]
                 for entry in point["gain"].values())
    if disputed:
        check = (f"The BCa bootstrap, which assumes no distribution, does not bear out t's interval for "
                 f"{words.listed(disputed)}: look at these rounds one by one.")
    elif enough:
        check = ("The BCa bootstrap, which assumes no distribution but is too narrow with few rounds, disputes no "
                 "interval that excludes 1.")
    else:
        check = f"With fewer than {LEAST_TO_RESAMPLE} rounds there is no bootstrap to check it by."
    return (f"The geometric mean over rounds of the ratio to {words.label(summary, summary['baseline'])} within the "
            "same round: pairing takes out what drifts from round to round. The interval is Student's t interval of "
            "the mean log ratio; it assumes that the log ratios of the rounds are independent and normal, and with "
            f"fewer than two rounds there is none. {check}")


def together(summary: Summary) -> str:
    """What keeps many gains from multiplying false alarms."""
    family = words.counted(summary["statistics"]["family"], "gain")
    return (f"“Faster” and “slower” are words for the whole run: its {family} are judged together, by Holm's "
            "adjustment of the p-values of the paired t tests, so that the chance of even one false such word among "
            "all is 5 % at most as far as their assumptions hold, however the gains depend on one another and "
            "whichever is picked afterwards. So a gain may be inconclusive though its own interval excludes 1.")


def latency(facts: Mapping[str, Any], trials: Sequence[Mapping[str, Any]]) -> str:
    tool = facts["load_tool"]
    said = _LATENCY.get(tool["name"], f"{tool['name']}'s, {tool['latency']}.")
    added = made_up(trials) if tool["name"] == "wrk" else None
    share = "" if added is None else (f" In this run {added:.2g} % of all samples are made up so." if added > 0 else
                                      " In this run it added none.")
    return (f"{said}{share} Percentiles are nearest-rank, over the merged histograms of all valid trials of a "
            "contender at a load point, so every response weighs the same and a bad round shows; values from 1000 µs "
            "on have three significant digits.")


def made_up(trials: Sequence[Mapping[str, Any]]) -> float | None:
    """How many percent of the samples of latency no response stands behind; None without a sample."""
    valid = [trial for trial in trials if trial["valid"]]
    samples = sum(count for trial in valid for _, count in trial["latency_histogram_us"])
    return 100 * max(0, samples - sum(trial["requests"] for trial in valid)) / samples if samples else None


def reservations(plan: Plan, summary: Summary) -> list[str]:
    """What the end of a run with a rule leaves to be desired; sentences for the caveats."""
    told = summary["statistics"]
    if not plan.precision_percent or told["stopped_by"] not in (stopping.BUDGET, stopping.INTERRUPTED):
        return []
    widest = told["widest_percent"]
    what = "not every gain has an interval" if widest is None else f"the widest interval is ±{widest:g} %"
    why = "The time budget ended" if told["stopped_by"] == stopping.BUDGET else "The run was interrupted"
    return [f"{why} before every gain was known to ±{plan.precision_percent:g} %: {what}."]


def _ended(summary: Summary) -> str:
    told = summary["statistics"]
    widest = told.get("widest_percent")
    return _ENDED[told["stopped_by"]] + ("" if widest is None else f": the widest interval is ±{widest:g} %")


def _names(key: str) -> tuple[str, str]:
    """The two of a gain's key. Where contenders' names have a slash it has three, and the middle one parts them."""
    parts = key.split("/")
    half = math.ceil(len(parts) / 2)
    return "/".join(parts[:half]), "/".join(parts[half:])


def _minutes(seconds: int) -> str:
    return words.counted(seconds // 60, "minute") if seconds % 60 == 0 else words.counted(seconds, "second")
