# SPDX-License-Identifier: BSD-3-Clause
"""Cases of which segments a server takes."""

from __future__ import annotations

from harness.conformance.case import case
from harness.conformance.peer import Peer, request
from harness.conformance.segment import add


@case(rfc="RFC 9293 3.10.7.4", severity="attack")
def ack_never_sent(peer: Peer) -> None:
    """A segment whose ACK was never sent is not taken."""
    connection = peer.connect()
    connection.send("PA", request(peer.server), ack=add(connection.ack, 1 << 30))
    answers = [segment for segment in connection.collect(1) if segment.data]
    peer.expect(not answers, f"its data was answered: {answers[:1]}")


@case(rfc="RFC 9293 3.10.7.4", severity="minor")
def get_is_answered(peer: Peer) -> None:
    """A GET is answered, with right checksums."""
    peer.served()
    peer.expect(not peer.wrong_checksums, f"{peer.wrong_checksums} wrong checksums")
