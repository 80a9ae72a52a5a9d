# SPDX-License-Identifier: BSD-3-Clause
"""Cases of how a connection begins."""

from __future__ import annotations

from harness.conformance.case import case
from harness.conformance.peer import Peer


@case(rfc="RFC 6528 3", severity="attack")
def isn_not_constant(peer: Peer) -> None:
    """Connections of an idle server begin with different sequence numbers."""
    found = [peer.connect().irs for _ in range(8)]
    peer.expect(len(set(found)) == len(found), f"initial sequence numbers {found}")
