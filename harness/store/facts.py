# SPDX-License-Identifier: BSD-3-Clause
"""Define Facts, what facts.json holds (results/README.md), typed as far as code reads it by name.

The rest is shown and compared, and stands in `raw` as it is on disk. None: the machine does not
tell.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Iterator, Mapping

from harness.plan import KERNEL
from harness.store import schema1
from harness.store.codes import NotMeasured, Note
from harness.store.convert import Json, from_json


@dataclass(frozen=True)
class ClientFacts:
    """Whose sockets a contender's client has, what starts it, whether it polls on the kernel's."""

    stack: str = KERNEL
    launcher: str | None = None
    polls: bool = False


@dataclass(frozen=True)
class ContenderFacts:
    """What a contender is, and how it is started; polls: burns its cores whatever it has to do."""

    label: str
    stack: str
    program: str = ""
    arguments: tuple[str, ...] = ()
    link: str = ""
    client: ClientFacts = ClientFacts()
    most_because: str = ""
    polls: bool = False


@dataclass(frozen=True)
class WireFacts:
    """The wire. optimisations, obligations: [name, what it is] of an ablation's."""

    title: str
    caveat: str
    contenders: Mapping[str, ContenderFacts]
    mtu: int | None = None
    emulated: str = ""
    optimisations: tuple[tuple[str, str], ...] = ()
    obligations: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class HugepageFacts:
    """Whether DPDK had hugepages, or why not."""

    used: bool
    why: str = ""


@dataclass(frozen=True)
class MachineFacts:
    """What a machine is known by; tsc_hz: of the counter that cycles are of, `cycle_counter`."""

    cpu_model: str | None = None
    cpus: tuple[int, ...] = ()
    architecture: str | None = None
    virtual: bool | None = None
    cycle_counter: str | None = None
    tsc_hz: int | None = None


@dataclass(frozen=True)
class KernelFacts:
    release: str | None = None


@dataclass(frozen=True)
class GitFacts:
    """The revision that was measured; dirty: files differed from it."""

    revision: str | None = None
    dirty: bool | None = None


@dataclass(frozen=True)
class LoadToolFacts:
    name: str = ""


@dataclass(frozen=True)
class VersionFacts:
    """Versions of what contenders are made of; programs: what those of others say of themselves."""

    dpdk: str | None = None
    lwip: str | None = None
    lwip_patches: tuple[str, ...] = ()
    programs: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class BinaryFacts:
    """A program; sha256: None where it is not there."""

    sha256: str | None = None


@dataclass(frozen=True)
class BinariesFacts:
    """The programs of contenders, clients and load tools."""

    programs: Mapping[str, BinaryFacts] = field(default_factory=dict)


@dataclass(frozen=True)
class CardFacts:
    """A NIC; speed_mbps: None with DPDK, too."""

    speed_mbps: int | None = None


@dataclass(frozen=True)
class NicFacts:
    """Both ends of a wire with a NIC. order: what the command line asked for."""

    server: CardFacts = CardFacts()
    clients: tuple[CardFacts, ...] = ()
    order: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SaturationFacts:
    """What a contender of an open loop did in a closed one before: the median of so many trials.

    client_bound: the client was the limit of one
    """

    requests_per_sec: float
    client_bound: bool
    trials: tuple[float, ...] = ()


@dataclass(frozen=True)
class NoiseFacts:
    """What a noise run was made for: rounds of one comparison, and the plan's precision."""

    rounds: int = 0
    precision_percent: float = 0


@dataclass(frozen=True)
class SessionFacts:
    """The facts of a later session of the run."""

    started_at: str = ""


@dataclass(frozen=True)
class Facts:
    """On what a run was measured. raw: the whole file."""

    run: str
    wire: WireFacts
    hugepages: HugepageFacts
    started_at: str = ""
    machine: MachineFacts = MachineFacts()
    kernel: KernelFacts = KernelFacts()
    load_tool: LoadToolFacts = LoadToolFacts()
    versions: VersionFacts = VersionFacts()
    binaries: BinariesFacts = BinariesFacts()
    git: GitFacts = GitFacts()
    nic: NicFacts = NicFacts()
    noise: NoiseFacts = NoiseFacts()
    not_applicable: Mapping[str, Note[NotMeasured]] = field(default_factory=dict)
    saturation: Mapping[str, SaturationFacts] = field(default_factory=dict)
    ports: Mapping[str, Json] = field(default_factory=dict)
    offloads: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    resumed: tuple[SessionFacts, ...] = ()
    raw: Json = field(default_factory=dict)

    @property
    def sessions(self) -> list[str]:
        """Return when each session of the run began: the first and every one that resumed it."""
        began = [self.started_at, *(session.started_at for session in self.resumed)]
        return list(filter(None, began))

    def entered(self, **changes: Any) -> Facts:
        """Return these facts with some of them new, as JSON."""
        return read({**self.raw, **changes})


def read(data: Json, place: str = "facts.json") -> Facts:
    """Return the facts that `data` holds; UsageError, with `place` and the field, for none."""
    return replace(from_json(Facts, schema1.facts(data), place), raw=data)


def fact(facts: Any, name: str) -> Any:
    """Return the fact at a dotted name; None where there is none."""
    for key in name.split("."):
        facts = facts.get(key) if isinstance(facts, Mapping) else None
    return facts


def differing(name: str, base: Any, head: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield (dotted name, base, head) of each fact, innermost, that two runs have differently."""
    if isinstance(base, Mapping) and isinstance(head, Mapping):
        for key in sorted({*base, *head}):
            yield from differing(f"{name}.{key}", base.get(key), head.get(key))
    elif base != head:
        yield name, base, head
