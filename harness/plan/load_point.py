# SPDX-License-Identifier: BSD-3-Clause
"""Define a load point: one value on each axis that a plan can sweep. Knows no plan."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class LoadPoint:
    """One value on each axis; complete, whichever axes a plan sweeps.

    connections: open at a time
    offered_per_sec: requests/s of an open loop; 0 for a closed one
    server_cores: how many cores of the plan's the server may use
    body_size_bytes: of the response's body, or of the value
    impairment: netem's words, as `delay 5ms loss 1%`; "" for none
    """

    connections: int
    offered_per_sec: int = 0
    server_cores: int = 1
    body_size_bytes: int = 1
    impairment: str = ""
