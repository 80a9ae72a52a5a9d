# SPDX-License-Identifier: BSD-3-Clause
"""Define every code that a record or a summary can hold. English for them is made in report/ alone.

A `Note` is a code with its numbers; in JSON {"code": "stolen-cpu", "share": 0.031}. The comment
behind a code names its values; `share` is 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, Mapping, TypeVar

Value = float | int | str | tuple[str, ...] | tuple[int, ...]
Code = TypeVar("Code", bound=StrEnum)


@dataclass(frozen=True)
class Note(Generic[Code]):
    """A code and its numbers by name."""

    code: Code
    values: Mapping[str, Value] = field(default_factory=dict)


class Interference(StrEnum):
    """Why a trial was disturbed."""

    STOLEN = "stolen-cpu"               # share
    OTHERS = "other-programs"           # share, most (a program's name, or absent)
    CLOCK = "lower-clock"               # mhz, before_mhz
    THROTTLING = "throttling"           # events
    OTHER = "other"                     # text; of runs of schema 1 alone


class Problem(StrEnum):
    """Why a trial is invalid."""

    WRONG_ANSWER = "wrong-answer"               # when (before, after), what
    LOAD_ERRORS = "load-errors"                 # phase, kind, count
    NOTHING_ANSWERED = "nothing-answered"       # machine: the client that had none (absent: all)
    # seconds: of the load; connections; turn_seconds: for one answer on each at the pace seen
    LOAD_TOO_SHORT = "load-too-short"
    WRONG_BYTES = "wrong-bytes"                 # requests, size, bytes
    COUNTS_DIFFER = "counts-differ"             # counter (parsed, answered), sent, count, limit
    ENDS_DIFFER = "ends-differ"                 # what (a key of `ends`), sent, received, limit
    CONNECTIONS_MISSING = "connections-missing"  # arrived, expected
    REFUSED = "connections-refused"             # count
    HTTP_ERRORS = "http-errors"                 # count
    OPTIMISATIONS_UNKNOWN = "optimisations-unknown"
    OPTIMISATIONS_IN_FORCE = "optimisations-in-force"   # names
    OBLIGATIONS_IN_FORCE = "obligations-in-force"       # names
    NOT_POLLING = "not-polling"                 # end (client, server), share: of its busiest core
    LOAD_TOOL = "load-tool-failed"              # what
    OVERDUE = "load-tool-overdue"               # phase, what
    LATE_CLIENT = "late-client"                 # machine, seconds, of_seconds
    # phase, told_seconds: by the load tool's clock, seconds: by a steady one, machine: of several
    CLOCK_JUMPED = "clock-jumped"
    OTHER = "other"                             # text; of runs of schema 1 alone


class Unsettled(StrEnum):
    """Why the throughput of a trial is no steady state."""

    # seconds of the measured interval before it settled; shift of its mean by them
    LATE = "late"                       # seconds, shift
    NEVER = "never"                     # change: of its second half against the first
    OWN_RAMP = "own-ramp"               # seconds, shift; the warm-up had settled
    OTHER = "other"                     # text; of runs of schema 1 alone


class Verdict(StrEnum):
    """What a gain's interval says."""

    FASTER = "faster"
    SLOWER = "slower"
    INCONCLUSIVE = "inconclusive"


class Bound(StrEnum):
    """What a client at its limit makes of a ratio for the servers."""

    LOWER = "lower"
    UPPER = "upper"
    BOTH = "both"


class LimitedBy(StrEnum):
    """What set the throughput of a contender at a load point."""

    CLIENT_CPU = "client cpu"
    SERVER_CPU = "server cpu"
    WIRE = "wire"
    CONNECTIONS = "connections"
    UNKNOWN = "unknown"


class Evidence(StrEnum):
    """What a limit was judged by."""

    NOT_MEASURED = "not-measured"       # see the cell's not_measured
    NO_VALID_TRIAL = "no-valid-trial"
    NO_CPU_TIMES = "no-cpu-times"
    SHARED_CORE = "shared-core"         # share
    CLIENT_CORE = "client-core"         # share: of the client's busiest core
    CLIENT_WORK = "client-work"         # share: a polling client had work
    CLIENT_UNCOUNTED = "client-uncounted"
    SERVER_CORE = "server-core"         # share
    SERVER_WORK = "server-work"         # share
    SERVER_UNCOUNTED = "server-uncounted"
    CLIENT_BOUND = "client-bound"       # the load generator says so itself
    NEAR_CEILING = "near-ceiling"       # share: of the client's ceiling
    # connections, and if known in_flight, requests_per_sec, latency_us, by_median (0: mean, 1)
    ROUND_TRIP = "round-trip"
    CORE = "core"                       # role, cpu, share, user, system, interrupts
    CORES_LEFT_OUT = "cores-left-out"   # role, count
    NIC_LOST = "nic-lost"               # share
    QUEUE_LOST = "queue-lost"           # share
    PLACE_LOST = "place-lost"           # place, packets
    PLACES_LEFT_OUT = "places-left-out"  # count
    LINE_FULL = "line-full"             # share
    LINE_SHARE = "line-share"           # share, speed_mbps
    TAP_CALLS = "tap-calls"             # packets_per_request, each by a call
    # end, counter, count, kind: missed, no-buffer, overrun, stalled (times), dropped, errors
    NIC_COUNTER = "nic-counter"
    NIC_COUNTERS_LEFT_OUT = "nic-counters-left-out"  # end, count
    CEILING = "ceiling"                 # requests_per_sec
    CEILING_AT_LEAST = "ceiling-at-least"   # requests_per_sec
    # requests_per_sec, contender; measured: requests/s of the answerer
    CEILING_RAISED = "ceiling-raised"


class StoppedBy(StrEnum):
    """What ended the rounds of a run; each with its values or, in a summary, alone.

    rounds, most_rounds, precision_percent; widest (share), contender and connections, of the widest
    interval (absent if there is none); more_rounds: that would be needed (absent if not known).
    """

    ROUNDS = "rounds"
    PRECISION = "precision"
    BUDGET = "budget"
    FUTILITY = "futility"
    INTERRUPTED = "interrupted"


class NotMeasured(StrEnum):
    """Why a contender has no trial at a load point, or in a whole run."""

    # connections, because (a NotMeasured of the contender, or its own text)
    BEYOND = "beyond-most-connections"
    BEYOND_RATE = "beyond-offered-rate"     # requests_per_sec
    ONE_CORE = "same-as-on-one-core"        # as (contender)
    NOT_ALL_CORES = "does-not-use-all-cores"
    NO_BUSY_POLL = "no-busy-polling"        # interface (absent if none)
    CLIENT_ELSEWHERE = "client-elsewhere"   # its client is to poll, and is on another machine
    NO_IO_URING = "no-io-uring"             # why (of the kernel)
    WORKLOAD = "other-workload"             # workload
    BODY_SIZE = "other-body-size"           # body_size_bytes
    LARGER_BODY = "larger-body"             # body_size_bytes (the largest it has)
    OPEN_LOOP = "closed-loop-only"
    OTHER = "other"                         # text; of runs of schema 1 alone


class NotCalibrated(StrEnum):
    """Why the client's ceiling was not measured."""

    OFF = "switched-off"                    # by CALIBRATE=no
    COUNTS_ITSELF = "load-tool-tells"       # loadgen says itself whether it may be the limit
    EMULATED = "emulated-nic"
    WORKLOAD = "other-workload"             # workload
    CLOSES = "closes-connections"
    NO_PATH = "no-kernel-path"
    OTHER = "other"                         # text; of runs of schema 1 alone


class CableNote(StrEnum):
    """What was seen of the ends of a NIC's cable beforehand."""

    # server, server_mbps, client, client_mbps (server, client: names)
    SLOWER = "slower-end"
    CLOCK = "other-clock"           # machine, ahead_seconds
    WRK = "other-wrk"               # machine, version, here
    OTHER = "other"                 # text; of runs of before alone


class Caveat(StrEnum):
    """What a reader must know before believing the figures of a run."""

    # contenders: they poll, and no kernel baseline polls at the same ends
    POLLING_IN_GAIN = "polling-in-gain"
    WIRE = "wire"                           # text: the wire's own, from its file
    EMULATED = "emulated-nic"               # what
    NO_HUGEPAGES = "no-hugepages"           # why
    TIMER_TICKS = "timer-ticks"             # hz (absent: unknown): of the generic timer
    SHARED_CPUS = "shared-cpus"             # cpus
    NOT_APPLICABLE = "not-applicable"       # contenders (reasons: contenders.<name>.not_measured)
    INCOMPLETE = "incomplete"               # done, planned, at_least (0, 1)
    INVALID = "invalid-trials"              # invalid, trials
    STOLEN = "stolen-cpu"                   # trials, of, share
    ELSEWHERE = "elsewhere"                 # trials, of, share
    # points: places in Summary.points, from 0; compared: the client is part of what is (0, 1)
    CLIENT_LIMIT = "client-limit"           # contenders, points, compared
    WIRE_LIMIT = "wire-limit"               # contenders, points
    DISTURBED = "disturbed"                 # see attempts
    UNSETTLED = "unsettled"                 # see steadiness
    UNSEEN = "steadiness-unseen"            # contenders
    # stopped_by, precision_percent, widest_percent (absent if none)
    IMPRECISE = "imprecise"


class LatencyMeaning(StrEnum):
    """From when a load tool counts a latency."""

    # from sending; the time in which the tool would have sent more is added (wrk)
    CORRECTED = "corrected"
    FROM_SENDING = "from-sending"           # of every request, not corrected
    # the same, but only percentiles are known: between them the next higher one counts
    SOME_PERCENTILES = "some-percentiles"
    FROM_SCHEDULE = "from-schedule"         # open loop: from when it was meant to be sent
