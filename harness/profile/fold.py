# SPDX-License-Identifier: BSD-3-Clause
"""Make the profile of a contender from its samples."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath
from typing import Iterable, Iterator, Mapping, Sequence

from harness.profile.layers import CALLER, Layer, Rules
from harness.profile.perf_script import UNKNOWN, Call, Inlined, Sample
from harness.store import BESIDE, ContenderProfile, Frame, Load, Stack

# functions without a layer that are named
_NAMED = 10


def fold(contender: str, label: str, load: Load, samples: Sequence[Sample], inlined: Inlined,
         ours: frozenset[int], rules: Rules) -> ContenderProfile:
    """Return the profile of one contender.

    ours: pids of its processes and of the kernel's; whatever else ran on its cores is "other"
    """
    stacks: Counter[tuple[Frame, ...]] = Counter()
    layers: Counter[str] = Counter()
    polled = Counter[str]()
    unknown: Counter[str] = Counter()
    for sample in samples:
        if sample.pid not in ours:
            layers[Layer.OTHER.value] += 1
            continue
        frames, polls = _frames(sample, inlined, rules)
        layer = frames[-1].layer if len(frames) > 1 else Layer.UNKNOWN.value
        layers[layer] += 1
        polled[layer] += polls
        if layer == Layer.UNKNOWN.value:
            unknown[" ".join(filter(None, (frames[-1].symbol, frames[-1].dso)))] += 1
        if layer != Layer.IDLE.value:
            stacks[frames] += 1
    each = load.cycles / max(1, len(samples)) / max(1, load.requests)
    moved, hidden = _polling(load, layers, polled)
    places = {frame: at for at, frame in enumerate(dict.fromkeys(
        frame for frames in stacks for frame in frames))}
    return ContenderProfile(
        contender, label, load, len(samples),
        {layer.value: round(moved[layer.value] * each, 1) for layer in Layer
         if moved.get(layer.value)},
        tuple(places), tuple(Stack(tuple(places[frame] for frame in frames), count)
                             for frames, count in sorted(stacks.items(), key=_order)),
        hidden, dict(unknown.most_common(_NAMED)))


def _order(item: tuple[tuple[Frame, ...], int]) -> list[tuple[str, str]]:
    return [(frame.symbol, frame.dso) for frame in item[0]]


def _polling(load: Load, layers: Mapping[str, int],
             polled: Mapping[str, int]) -> tuple[dict[str, float], bool]:
    """Return the samples by layer with those of empty polls apart.

    A sample does not tell whether anything came. So as many as the contender's own counters say
    are taken, in equal parts, from what also runs when nothing comes.
    """
    moved: dict[str, float] = dict(layers)
    if not load.polls or load.idle_share is None:
        return moved, load.polls
    own = sum(count for layer, count in layers.items()
              if layer not in BESIDE)
    could = sum(polled.values())
    empty = min(load.idle_share * own, could)
    for layer, count in polled.items():
        moved[layer] -= empty * count / max(1, could)
    moved[Layer.POLLING.value] = empty
    return moved, empty < load.idle_share * own - 0.01 * own


def _frames(sample: Sample, inlined: Inlined, rules: Rules) -> tuple[tuple[Frame, ...], bool]:
    """Return the stack from the program inwards, and whether its end also runs without work."""
    frames, polls = [Frame(sample.program, "", "")], False
    for call in reversed(list(_calls(sample.stack, inlined))):
        rule = rules.of(call)
        layer = rule.layer if rule else Layer.UNKNOWN.value
        if layer == CALLER:
            layer = frames[-1].layer or Layer.UNKNOWN.value
        else:
            polls = bool(rule and rule.polls)
        name = PurePosixPath(call.dso).name if call.dso.startswith("/") else call.dso
        symbol = f"[{name}]" if call.symbol == UNKNOWN else call.symbol
        frames.append(Frame(symbol, name, layer))
    return tuple(frames), polls


def _calls(stack: Iterable[Call], inlined: Inlined) -> Iterator[Call]:
    for call in stack:
        if call.dso == UNKNOWN and call.symbol == UNKNOWN:
            continue
        yield from inlined.get((call.dso, call.address), (call,))
