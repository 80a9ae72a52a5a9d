# SPDX-License-Identifier: BSD-3-Clause
"""Parse what the command line asks for on the wire with a NIC: the NIC, the client, the tuning.

Knows no machine, so not whether it can be done.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Mapping

from harness.errors import UsageError

# of the topology that needs these options
WIRE = "nic"


@dataclass(frozen=True)
class NicRequest:
    """`nic`: PCI address or interface; `client`: "if:NAME" or "ssh:USER@HOST…"; `tune`: a level of tuning.py."""

    nic: str = ""
    client: str = ""
    force: bool = False
    noiommu: bool = False
    tune: str = "fair"


def to_settings(request: NicRequest) -> dict[str, str]:
    """As make takes them, for facts.json and the command that runs it again."""
    switches = {"FORCE": request.force, "NOIOMMU": request.noiommu}
    return {"NIC": request.nic, "CLIENT": request.client, "TUNE": request.tune,
            **{name: "1" for name, given in switches.items() if given}}


def known_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """Return what of it to_settings() could have made, of a facts.json that another may have written."""
    every = to_settings(NicRequest(force=True, noiommu=True))
    return {name: settings[name] for name in every if name in settings}


def from_settings(settings: Mapping[str, str]) -> NicRequest:
    """What to_settings() made. UsageError when it is something else."""
    try:
        return NicRequest(settings["NIC"], settings["CLIENT"], "FORCE" in settings, "NOIOMMU" in settings,
                        settings["TUNE"])
    except (KeyError, TypeError):
        raise UsageError("facts.json: 'nic' does not say how the run was ordered: give NIC= and CLIENT=") from None


# --- the client --------------------------------------------------------------------------------

_HOW = "CLIENT=if:<interface> or CLIENT=ssh:user@host[,if=<interface>], several of the latter joined by ';'"


@dataclass(frozen=True)
class IfClient:
    """A second port of this machine."""

    interface: str


@dataclass(frozen=True)
class SshTarget:
    """`destination` as `ssh` takes it, `interface` on that machine; "": whichever leads to the server."""

    destination: str
    interface: str = ""


@dataclass(frozen=True)
class SshClients:
    targets: tuple[SshTarget, ...]


def parse_client(text: str) -> IfClient | SshClients:
    """What CLIENT= names. Raises UsageError."""
    words = [word.strip() for word in text.split(";") if word.strip()]
    if not words:
        raise UsageError(f"CLIENT names no client: give {_HOW}")
    if len(words) == 1 and words[0].startswith("if:"):
        return IfClient(_interface(words[0].removeprefix("if:"), words[0]))
    targets = tuple(_target(word) for word in words)
    twice = next((one.destination for place, one in enumerate(targets)
                  if one.destination in [other.destination for other in targets[:place]]), None)
    if twice:
        raise UsageError(f"CLIENT={text}: {twice} stands there twice")
    return SshClients(targets)


def _target(word: str) -> SshTarget:
    if word.startswith("if:"):
        raise UsageError(f"CLIENT: '{word}' must be the only client: give {_HOW}")
    if not word.startswith("ssh:"):
        raise UsageError(f"CLIENT: '{word}' is no client: give {_HOW}")
    destination, *options = word.removeprefix("ssh:").split(",")
    user, at, host = destination.rpartition("@")
    destination = user + at + (host[1:-1] if host.startswith("[") and host.endswith("]") else host)
    # what begins with a dash would be an option of ssh
    if not re.fullmatch(r"(?:[^\s@:/'\"-][^\s@:/'\"]*@)?[A-Za-z0-9_.:][A-Za-z0-9_.:%-]*", destination):
        raise UsageError(f"CLIENT: '{word}': '{destination}' is not user@host; a port belongs in ~/.ssh/config")
    interface = ""
    for option in options:
        key, _, value = option.partition("=")
        if key != "if" or interface:
            raise UsageError(f"CLIENT: '{word}': '{option}' is no option of it: give {_HOW}")
        interface = _interface(value, word)
    return SshTarget(destination, interface)


def _interface(name: str, word: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,15}", name):
        raise UsageError(f"CLIENT: '{word}': '{name}' cannot name an interface (1 to 15 letters, digits, . _ -)")
    return name
