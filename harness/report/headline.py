# SPDX-License-Identifier: BSD-3-Clause
"""The result of a run in plain words: one sentence, then one for each verdict, each reservation and each kernel rung.

Knows the summary, no files. Where a run has several kernel servers the sentence is against the best of them at each
load point, and never against one that the reader would have to know to be the weak one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Mapping, Sequence

from harness.report import format as words

Summary = Mapping[str, Any]
Entry = Mapping[str, Any]
TOO_FEW, SPANS_ONE = "too few rounds for an interval", "the interval spans 1"
CLIENT_LIMIT = "the client was the limit"
ADJUSTED = "the interval excludes 1, but that may be chance among so many gains"
# every line of a headline's verdicts: the word and why it is not another
VERDICTS = (("faster", ""), ("slower", ""), ("inconclusive", TOO_FEW), ("inconclusive", SPANS_ONE),
            ("inconclusive", CLIENT_LIMIT), ("inconclusive", ADJUSTED))
BOUNDS = {
    "lower": "a lower bound",
    "upper": "an upper bound",
    "both": "no measure of the servers: the client was the limit of both",
}


@dataclass(frozen=True)
class Headline:
    """A result in plain words: one sentence, then one for each verdict and each reservation."""

    sentence: str
    details: tuple[str, ...]


def headline(summary: Summary) -> list[Headline]:
    """One for each contender against the best kernel rung, or the baseline; of one contender alone, its throughput."""
    warning = f"{words.banner([summary])}. " if words.banner([summary]) else ""
    return [replace(each, sentence=f"{warning}{each.sentence}") for each in _headlines(summary)]


def title(summary: Summary) -> str:
    """All contenders, the baseline last; of several kernel rungs the names alone."""
    baseline, names, ladder = summary["baseline"], words.names(summary), measured_rungs(summary)
    others = [words.label(summary, name) for name in names if name not in (ladder or (baseline,))]
    if len(ladder) > 1:
        kernel = f"kernel TCP: {', '.join(ladder)}"
        return f"{words.listed(others)} against {kernel}" if others else kernel
    return f"{words.listed(others)} against {words.label(summary, baseline)}" if others else words.label(
        summary, baseline)


def rungs(summary: Summary) -> list[str]:
    """The kernel ladder by name, in the summary's order; [] where the baseline is not one of the kernel's servers."""
    def kernel(name: str) -> bool:
        return bool(summary["contenders"][name].get("stack") == "kernel")
    return [name for name in summary["contenders"] if kernel(name)] if kernel(summary["baseline"]) else []


def measured_rungs(summary: Summary) -> list[str]:
    """Those of the kernel ladder that are measured somewhere."""
    return [name for name in rungs(summary) if name in words.names(summary)]


def best_at(summary: Summary) -> dict[str, str]:
    """For each rung that is the best somewhere, in the order of the load points: where, as `1 to 8 and 64`."""
    points = [(point["connections"], point["best_kernel"]) for point in summary["points"] if "best_kernel" in point]
    return {name: _stretches([(count, best == name) for count, best in points])
            for name in dict.fromkeys(best for _, best in points if best is not None)}


def span(entries: Sequence[Entry]) -> str:
    """From the smallest ratio to the largest, without intervals; entries with a ratio, at least one."""
    ratios = [float(entry["ratio"]) for entry in entries]
    return words.ratio(ratios[0]) if len(ratios) == 1 else f"{words.ratio(min(ratios))} to {words.ratio(max(ratios))}"


def _stretches(points: Sequence[tuple[int, bool]]) -> str:
    """The load points that are marked, those that follow one another drawn together; "" for none."""
    found: list[list[int]] = []
    before = False
    for count, marked in points:
        if marked and before:
            found[-1].append(count)
        elif marked:
            found.append([count])
        before = marked
    ends = [[words.thousands(each[0]), *([words.thousands(each[-1])] if len(each) > 1 else [])] for each in found]
    return words.listed([" to ".join(each) for each in ends]) if ends else ""


def _headlines(summary: Summary) -> list[Headline]:
    if "ablation" in summary:
        return [_ablation_headline(each) for each in summary["ablation"]]
    baseline, names, ladder = summary["baseline"], words.names(summary), measured_rungs(summary)
    others = [name for name in names if name not in (ladder or (baseline,))]
    if others and ladder not in ([], [baseline]):
        return [_over_the_best(summary, name, ladder) for name in others]
    if len(ladder) > 2:
        return [_ladder_alone(summary, ladder)]
    others = [name for name in names if name != baseline]
    return [_over_one(summary, name, baseline) for name in others] or [_lone_headline(summary, baseline)]


def _ablation_headline(point: Mapping[str, Any]) -> Headline:
    where, plain, all_ = words.connections([point["connections"]]), point["plain"], point["all"]
    if plain is None or all_ is None:
        return Headline(f"At {where}: no valid trial of the plain design or of all measures.", ())
    largest = sorted((row for row in point["measures"] if row["saved"]["mean"] is not None),
                     key=lambda row: -float(row["saved"]["mean"]))[:3]
    return Headline(f"At {where} a request costs the plain design {words.number(plain)} cycles and the server with all "
                    f"measures {words.number(all_)}: {words.ratio(all_ / plain)} as many.",
                    tuple(f"{row['name']} ({row['what']}) saves {words.saved(row['saved'])} cycles a request."
                          for row in largest))


def _lone_headline(summary: Summary, name: str) -> Headline:
    rates = [(point["contenders"][name]["requests_per_sec"]["median"], point["connections"])
             for point in summary["points"] if point["contenders"][name]["trials"]]
    if not rates:
        return Headline(f"{words.label(summary, name)} has no valid trial.", ())
    best, count = max(rates)
    rate = f"{words.number(best)} requests/s, at {words.connections([count])}"
    return Headline(f"{words.label(summary, name)} answers up to {rate}.",
                    ("One contender only: there is no gain.",))


def _over_one(summary: Summary, name: str, baseline: str) -> Headline:
    entries = [(point["connections"], point["gain"][f"{name}/{baseline}"]) for point in summary["points"]]
    against = _against(summary, name, baseline, words.label(summary, baseline))
    return _gain_headline(against, entries, "no round has a valid trial of both")


def _over_the_best(summary: Summary, name: str, ladder: Sequence[str]) -> Headline:
    """Against the best rung of each point; a line for each rung follows."""
    nothing = {"ratio": None, "ci95": None, "verdict": "inconclusive", "rounds": 0, "bound": None}
    entries = [(point["connections"], point["headline"].get(name, nothing)) for point in summary["points"]]
    best = best_at(summary)
    if len(best) == 1:
        which = f"the best kernel server at every point ({', '.join(best)})"
    else:
        where = connections(", ".join(f"{rung} at {counts}" for rung, counts in best.items()))
        which = f"the best kernel server at each point{f' ({where})' if best else ''}"
    found = _gain_headline(_against(summary, name, summary["baseline"], which), entries,
                           "no round has a valid trial of it and of a kernel server")
    return replace(found, details=(*found.details, *(_rung_line(summary, name, rung) for rung in ladder)))


def _ladder_alone(summary: Summary, ladder: Sequence[str]) -> Headline:
    """Of kernel servers only: which is the best where, and each over the baseline."""
    best = best_at(summary)
    if not best:
        return Headline("No kernel server has a valid trial.", ())
    where = connections(", ".join(f"{rung} at {counts}" for rung, counts in best.items()))
    return Headline(f"The best kernel server: {where}.",
                    tuple(_rung_line(summary, rung, summary["baseline"]) for rung in ladder
                          if rung != summary["baseline"]))


def _rung_line(summary: Summary, name: str, below: str) -> str:
    """One pair over all load points in one line: the ratios, and where which verdict stands."""
    entries = [(point["connections"], point["gain"][f"{name}/{below}"]) for point in summary["points"]]
    known = [(count, entry) for count, entry in entries if entry["ratio"] is not None]
    pair = words.pair(name, below)
    if not known:
        reasons = [absent for each in (below, name) if (absent := words.absent(summary, each))]
        return f"{pair}: {'; '.join(reasons) or 'no round has a valid trial of both'}."
    said = [f"{word} at {where}" for word in ("faster", "slower", "inconclusive")
            if (where := _stretches([(count, entry["verdict"] == word) for count, entry in known]))]
    held = _stretches([(count, bool(entry["bound"])) for count, entry in known])
    bound = f"; client-bound at {connections(held)}" if held else ""
    return f"{pair}: {span([entry for _, entry in known])}; {connections(', '.join(said))}{bound}."


def connections(places: str) -> str:
    """Of places among the load points, in the singular where the last is 1 alone."""
    return f"{places} connection{'' if places.split()[-1:] == ['1'] and not places.endswith('to 1') else 's'}"


def _against(summary: Summary, name: str, baseline: str, what: str) -> str:
    pair = f"{words.label(summary, name)} against {what}"
    return f"Both ends differ, not only the server: {pair}" if words.differ(summary, name, baseline) else pair


def _gain_headline(pair: str, entries: Sequence[tuple[int, Entry]], nothing: str) -> Headline:
    known = [(count, entry) for count, entry in entries if entry["ratio"] is not None]
    if not known:
        return Headline(f"{pair}: {nothing}.", ())
    details = [_verdict_line(word, why, group) for word, why in VERDICTS
               if (group := [item for item in known
                             if (item[1]["verdict"], _reason(item[1])) == (word, why)])]
    for bound, meaning in BOUNDS.items():
        held = [count for count, entry in known if entry["bound"] == bound]
        if held:
            details.append(f"Client-bound at {words.connections(held)}: the gain there is {meaning}.")
    missing = [count for count, entry in entries if entry["ratio"] is None]
    if missing:
        details.append(f"Without a gain at {words.connections(missing)}: {nothing}.")
    counts = [count for count, _ in known]
    where = (words.connections(counts) if len(counts) < 3
             else f"{words.thousands(min(counts))} to {words.thousands(max(counts))} connections")
    ratios = span([entry for _, entry in known])
    return Headline(f"{pair}: {ratios} the requests per second at {where}.", tuple(details))


def _reason(entry: Entry) -> str:
    """Why a gain is inconclusive, as VERDICTS; "" where it is not."""
    if entry["verdict"] != "inconclusive":
        return ""
    if entry["ci95"] is None:
        return TOO_FEW
    low, high = entry["ci95"]
    if low <= 1 <= high:
        return SPANS_ONE
    # a bound on the right side of 1 is no reason
    against = {"both": True, "lower": high < 1, "upper": low > 1}.get(entry["bound"] or "", False)
    return CLIENT_LIMIT if against else ADJUSTED


def _verdict_line(word: str, why: str, group: Sequence[tuple[int, Entry]]) -> str:
    where = words.connections([count for count, _ in group])
    ordered = sorted(group, key=lambda item: float(item[1]["ratio"]))
    shown = [words.gain(entry) + (f" (at {count})" if len(group) > 1 else "") for count, entry in
             (ordered if len(ordered) < 3 else (ordered[0], ordered[-1]))]
    return f"{word.capitalize()} at {where}: {' to '.join(shown)}{f'; {why}' if why else ''}."
