# SPDX-License-Identifier: BSD-3-Clause
"""The one table of options: of the command line, of make's variables and of a plan file's keys.

Parsing, help, checks and the forwarding of make are made from it. A new option is a row. Whatever
makes no sense is a UsageError that names the place it stands in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, Mapping

from harness.errors import UsageError
from harness.plan.load import MOST_BODY, MOST_CONNECTIONS, MOST_RATE, SUFFIXES, SWEPT
from harness.structure import strict

# At a trial, in all. A disturbance that outlasts three in a row is the machine's usual state.
MOST_ATTEMPTS = 3
MOST_ROUNDS = 1000
# percent: a gain known to within half of itself is hardly known
MOST_PRECISION = 50.0
NET_TAP, VHOST_NET = "net_tap", "vhost-net"
TAPS = (NET_TAP, VHOST_NET)
SOFTIRQ_DEFAULT = "default"
SOFTIRQS = ("server", "client")
# of contenders: anew for each trial, or once a round
RESTART_TRIAL, RESTART_ROUND = RESTARTS = ("trial", "round")
# Long against what it takes to change (5 ms), short against what a shared machine changes in
TURN_MS, MOST_TURN_MS = 100, 1000
SECONDS = {"s": 1, "m": 60, "h": 3600}


class Kind(Enum):
    """What the text of an option means."""

    NUMBER = "a whole number"
    NUMBERS = "whole numbers, with commas"
    CPUS = "whole numbers and ranges, with commas"
    PERCENT = "a number of percent"
    NAMES = "names, with commas"
    TEXT = "text"
    CHOICE = "one of a few words"
    YES_NO = "yes or no"
    SWITCH = "given or not"
    REPEATED = "text, several times"


_CONVERTER = strict()
# of a value in a plan file; text of the others
_TYPES: Mapping[Kind, Any] = {
    Kind.NUMBER: int, Kind.NUMBERS: tuple[int, ...], Kind.CPUS: tuple[int, ...],
    Kind.PERCENT: float, Kind.NAMES: tuple[str, ...], Kind.YES_NO: bool}


@dataclass(frozen=True)
class Option:
    """One option.

    variable: of make; on the command line --variable, in small letters with dashes
    help: one line
    commands: those that use it
    key: in a plan file, and of Plan; "" where a plan has none
    unit: what stands for its value in help
    default: in help; "" where none is worth a word
    low, high, suffixes: of a number, and what it may end with
    choices: of CHOICE
    positional: commands that have it without its name
    old: its variable in the releases before
    """

    variable: str
    help: str
    commands: tuple[str, ...]
    kind: Kind = Kind.TEXT
    key: str = ""
    unit: str = ""
    default: str = ""
    low: int = 0
    high: int = 0
    suffixes: tuple[tuple[str, int], ...] = ()
    choices: tuple[str, ...] = ()
    positional: tuple[str, ...] = ()
    old: str = ""

    @property
    def flag(self) -> str:
        return "--" + self.variable.lower().replace("_", "-")

    @property
    def many(self) -> bool:
        return self.kind in (Kind.NUMBERS, Kind.CPUS)

    def parse(self, text: str) -> Any:
        """Return what the text stands for; limits are check()'s."""
        place = f"{self.variable}={text}"
        if self.kind is Kind.NUMBER:
            scale = dict(self.suffixes).get(text[-1:])
            return _whole(text[:-1] if scale else text, place) * (scale or 1)
        if self.many:
            return [number for word in words(text) for number in self._span(word, place)]
        if self.kind is Kind.PERCENT:
            return _percent(text, place)
        if self.kind is Kind.NAMES:
            return words(text)
        if self.kind is Kind.YES_NO:
            if text not in ("yes", "no"):
                raise UsageError(f"{place}: must be yes or no")
            return text == "yes"
        return text

    def _span(self, word: str, place: str) -> list[int]:
        low, dash, high = word.partition("-")
        if self.kind is Kind.NUMBERS or not (dash and low):
            return [_whole(word, place)]
        first, last = _whole(low, place), _whole(high, place)
        if not 0 <= first <= last <= self.high:
            raise UsageError(f"{place}: '{word}' is not a range of CPUs")
        return list(range(first, last + 1))

    def check(self, value: Any, place: str) -> None:
        """Raise UsageError on a value of a wrong type or beyond the limits."""
        try:
            _CONVERTER.structure(value, _TYPES.get(self.kind, str))
        except TypeError as error:
            raise UsageError(f"{place}: {error}") from None
        several = self.many or self.kind is Kind.NAMES
        if several and (not value or "" in value):
            raise UsageError(f"{place}: must be a list of at least one")
        if several and len(set(value)) < len(value):
            twice = next(item for item in value if list(value).count(item) > 1)
            raise UsageError(f"{place}: duplicate value {twice}")
        if self.many or self.kind is Kind.NUMBER:
            for number in value if self.many else [value]:
                if not self.low <= number <= self.high:
                    raise UsageError(f"{place}: must be {self.low} to {self.high}, not {number}")
        if self.kind is Kind.PERCENT and value and not 0.1 <= value <= MOST_PRECISION:
            raise UsageError(
                f"{place}: must be 0 (none) or 0.1 to {MOST_PRECISION:g} percent, not {value:g}")
        if self.choices and value not in self.choices:
            raise UsageError(f"{place}: must be one of {', '.join(self.choices)}")


def words(text: str) -> list[str]:
    """Return the words of a list on the command line."""
    return [word.strip() for word in text.split(",")]


def _whole(word: str, place: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", word):
        raise UsageError(f"{place}: '{word}' is not a whole number")
    return int(word)


def _percent(text: str, place: str) -> float:
    word = text.removesuffix("%").rstrip()
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?", word):
        raise UsageError(f"{place}: '{text}' is not a number of percent")
    return float(word)


_MEASURES = ("bench", "latency", "noise", "reproduce")
_LOADS = (*_MEASURES, "profile")
_STARTS = (*_LOADS, "shell")
_SERVES = (*_STARTS, "conformance")
_ROUNDS = ("bench", "reproduce")
_ON_NIC = ("bench", "latency", "reproduce", "profile", "conformance", "doctor")
_MADE = ("bench", "latency", "report", "compare", "bundle")
RUN_NAME = "an id under results/runs/, 'reference', or a directory"

OPTIONS = (
    Option("PAPER", "paper whose figures the run is compared with, as in results/published/",
           ("reproduce", "bench", "latency"), key="paper", unit="NAME", positional=("reproduce",)),
    Option("WIRE", "a name in topologies/wires/, or a .toml file", (*_SERVES, "trend"),
           unit="WIRE", default="tap; of bench: nic", positional=("bench", "latency", "noise",
                                                                  "profile", "shell",
                                                                  "conformance")),
    Option("PLAN", "quick, default, full, or a .toml file", (*_STARTS, "vm-test"), unit="PLAN",
           default="default"),
    Option("WORKLOAD", "shape of request, response and connection: rps, cps, bandwidth, conns, …",
           _STARTS, key="workload", unit="NAME", default="the wire's usual one"),
    Option("LOAD_TOOL", "load tool, where a workload has several, as wrk or h2load for rps",
           _STARTS, key="load_tool", unit="NAME", default="the workload's usual one"),
    Option("CONTENDERS", "who is measured; the first is the baseline", _SERVES, Kind.NAMES,
           "contenders", "NAME,…", "all of the wire"),
    Option("CASE", "cases, or attacks, by name", ("conformance",), Kind.NAMES, unit="NAME,…",
           default="all"),
    Option("ATTACKS", "instead: what attacks do to honest clients", ("conformance",), Kind.SWITCH),
    Option("CONNECTIONS", "load points: connections open at a time", _LOADS, Kind.NUMBERS,
           "connections", "N,…", "the plan's", 1, MOST_CONNECTIONS),
    Option("SWEEP", f"load points on another axis, as cores=1,2,4; axes: {', '.join(SWEPT)}; "
           "connections are then 64 unless they are given", ("bench", "reproduce"), Kind.REPEATED,
           unit="AXIS=N,…"),
    Option("SWEEP_TO", "end of the sweep of connections: left out beyond, powers of ten up to it",
           ("bench", "noise", "reproduce"), Kind.NUMBER, "reach", "N", "", 1, MOST_CONNECTIONS,
           old="MOST_CONNECTIONS"),
    Option("ROUNDS", "how often each trial is run; with a precision: at least", _MEASURES,
           Kind.NUMBER, "rounds", "N", "the plan's", 1, MOST_ROUNDS),
    Option("DURATION", "load of a trial", _LOADS, Kind.NUMBER, "duration_seconds", "SECONDS",
           "the plan's", 1, 3600),
    Option("WARMUP", "load before it that is not counted", _LOADS, Kind.NUMBER,
           "warmup_seconds", "SECONDS", "the plan's", 0, 600),
    Option("RESTART", "how often a contender is started anew", ("bench", "noise", "reproduce"),
           Kind.CHOICE, "restart", "|".join(RESTARTS), "round, where it can serve on",
           choices=RESTARTS),
    Option("TURN", "milliseconds that a contender's load has before it is the next one's turn; 0: one "
           "whole load after the other", ("bench", "noise", "reproduce"), Kind.NUMBER, "turn_ms",
           "MS", f"{TURN_MS}, where loads can be paused", 0, MOST_TURN_MS),
    Option("PRECISION", "rounds until every gain is known to ±so many percent; 0: exactly ROUNDS",
           _ROUNDS, Kind.PERCENT, "precision_percent", "PERCENT", "the plan's"),
    Option("BUDGET", "time for trials at most, as 90s, 15m or 1h", _ROUNDS, Kind.NUMBER,
           "budget_seconds", "TIME", "the plan's", 0, 7 * 86_400, tuple(SECONDS.items())),
    Option("ATTEMPTS", "how often a trial is run that something else disturbs", _MEASURES,
           Kind.NUMBER, "attempts", "N", str(MOST_ATTEMPTS), 1, MOST_ATTEMPTS),
    Option("CALIBRATE", "look for the client's ceiling first", ("bench", "noise", "reproduce"),
           Kind.YES_NO, "calibrate", "yes|no", "yes"),
    Option("SEED", "seed of the order of the trials", _MEASURES, Kind.NUMBER, "seed", "N", "drawn",
           0, (1 << 32) - 1),
    Option("BODY_SIZE", "body of the response, or value; 64K and 1M are meant as such", _STARTS,
           Kind.NUMBER, "body_size_bytes", "BYTES", "the workload's", 0, MOST_BODY,
           tuple(SUFFIXES.items())),
    Option("CLIENT_CPUS", "CPUs of the load tool", _SERVES, Kind.CPUS, "client_cpus", "N,N-N,…",
           "all but the server's", 0, 4095),
    Option("SERVER_CPUS", "CPUs of the server", _SERVES, Kind.CPUS, "server_cpus", "N,N-N,…",
           "the last", 0, 4095),
    Option("PORT", "TCP port of the server", _SERVES, Kind.NUMBER, "port", "N", "the wire's", 1,
           65_535),
    Option("SERVER_MAX_CONNECTIONS", "connections that a server makes room for", _STARTS,
           Kind.NUMBER, "server_max_connections", "N", "enough for the load", 1, MOST_CONNECTIONS,
           old="MAX_CONNECTIONS"),
    Option("TAP", "driver of lwIP's TAP", _SERVES, Kind.CHOICE, "tap", "|".join(TAPS),
           "vhost-net where it is", choices=TAPS),
    Option("NETEM", "impairment in each direction, as 'delay 5ms jitter 1ms loss 1% duplicate 1% "
           "reorder 1%'", _STARTS, key="netem", unit="TEXT"),
    Option("SOFTIRQ", "whose cores process the packets of kernel contenders", _STARTS, Kind.CHOICE,
           "softirq", "default|server|client", SOFTIRQ_DEFAULT,
           choices=(SOFTIRQ_DEFAULT, *SOFTIRQS)),
    Option("RATES", "requests/s offered", ("latency",), unit="N,…", default="from LOADS"),
    Option("LOADS", "percent of the best contender's saturation", ("latency",), unit="N,N-N,…",
           default="10 to 105"),
    Option("NIC", "PCI address or interface of the server's NIC", (*_ON_NIC, "vm-shell"),
           unit="NIC"),
    Option("CLIENT", "other end of its cable: if:NAME, or ssh:USER@HOST[,if=NAME][;ssh:…]",
           _ON_NIC, unit="CLIENT"),
    Option("TUNE", "how the machine is set for it: none, fair or max",
           ("bench", "latency", "reproduce", "profile", "conformance"), unit="LEVEL",
           default="fair"),
    Option("FORCE", "also a NIC that is in use", _ON_NIC, Kind.SWITCH),
    Option("NOIOMMU", "also without an IOMMU, which is unsafe", _ON_NIC, Kind.SWITCH),
    Option("DRY_RUN", "show what would be done, do nothing", ("bench", "latency", "reproduce"),
           Kind.SWITCH),
    Option("RESUME", "finish an interrupted run", ("bench", "latency"), unit="RUN"),
    Option("REPORT", "no: measure only; `report` makes charts and pages later",
           ("bench", "latency"), Kind.YES_NO, unit="yes|no", default="yes"),
    Option("PUBLISHED", "overlay the figures of results/published/NAME.toml", _MADE,
           Kind.REPEATED, unit="NAME"),
    Option("RUN", RUN_NAME, ("report", "bundle", "export", "reference", "noise",
                           "profile"), unit="RUN",
           default="reference", positional=("report", "bundle", "export", "reference")),
    Option("FORMAT", "csv, github-action-benchmark, bencher or prometheus", ("export",),
           unit="NAME", default="csv"),
    Option("OUTPUT", "file that is written", ("export",), unit="FILE", default="stdout"),
    Option("RUNS", f"{RUN_NAME}; of trend also: last N", ("compare", "trend"), unit="RUN",
           positional=("compare", "trend")),
    Option("BUNDLE", "an archive that `bundle` made", ("verify",), unit="FILE",
           positional=("verify",)),
    Option("BASE", f"run to compare with: {RUN_NAME}; none where HEAD has X and X@base",
           ("gate",), Kind.REPEATED, unit="RUN"),
    Option("HEAD", "the run that is judged", ("gate",), unit="RUN",
           default="the newest of that wire"),
    Option("THRESHOLD", "what is smaller is no fall", ("gate",), unit="PERCENT", default="3"),
    Option("COMPARISONS", "how many at least", ("noise",), unit="N", default="20"),
    Option("METRIC", "gain, requests_per_sec, p99, cycles_per_request, …", ("trend",), unit="NAME",
           default="gain"),
    Option("POINT", "one load point", ("trend",), unit="CONNECTIONS", default="all"),
    Option("CONTENDER", "of which contender", ("trend",), unit="NAME",
           default="all but the baseline"),
    Option("VM", "what else to try there: faults, kernel, ssh, all", ("vm-test",), unit="NAME"),
)
BY_VARIABLE: Mapping[str, Option] = {option.variable: option for option in OPTIONS}
RENAMED: Mapping[str, Option] = {option.old: option for option in OPTIONS if option.old}
# what a plan takes from the command line, by variable; SWEEP has a key for each axis
OVERRIDES = tuple(option.variable for option in OPTIONS if option.key or option.variable == "SWEEP")
BY_KEY: Mapping[str, Option] = {option.key: option for option in OPTIONS if option.key}
# requests/s of an open loop; no plan file has them
OFFERED_RATES = Option("RATES", "", (), Kind.NUMBERS, "offered", low=1, high=MOST_RATE)
