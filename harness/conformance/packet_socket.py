# SPDX-License-Identifier: BSD-3-Clause
"""A socket for whole Ethernet frames of one MAC, as they would be on a cable (packet(7))."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from dataclasses import dataclass
from typing import Iterator, Sequence

_ETH_P_ALL, _ETH_P_ARP = 3, 0x0806
_SOL_PACKET, _PACKET_VNET_HDR, _PACKET_IGNORE_OUTGOING = 263, 15, 23
_SO_ATTACH_FILTER, _SO_TIMESTAMPNS, _SO_RCVBUFFORCE = 26, 35, 33
# struct virtio_net_hdr: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset
_VNET = struct.Struct("=BBHHHH")
_NEEDS_CHECKSUM, _GSO_TCPV4 = 1, 1
_NO_OFFLOAD = _VNET.pack(0, 0, 0, 0, 0, 0)
# struct iovec; struct mmsghdr of one iovec, without a name or control data
_VECTOR, _MESSAGE = struct.Struct("@PN"), struct.Struct("@16xPN16xi4xI4x")
_LIBC = ctypes.CDLL(None, use_errno=True)
_TIMESPEC = struct.Struct("@qq")
_ETHERNET, _BUFFER = 14, 8 << 20
# classic BPF: load a word or half word, jump if equal, return
_LOAD_WORD, _LOAD_HALF, _EQUAL, _RETURN = 0x20, 0x28, 0x15, 0x06


@dataclass(frozen=True)
class Frame:
    """A frame of at most the link's MTU.

    time: when the kernel had it, in seconds of the clock of time.time()
    checked: its TCP checksum is its sender's, for no offload is to fill it in
    """

    time: float
    data: bytes
    checked: bool


def _filter(mac: bytes, address: bytes) -> bytes:
    """Return the program that passes frames to this MAC, and broadcasts of ARP for this address."""
    first, last = struct.unpack("!IH", mac)
    asked, = struct.unpack("!I", address)
    rows = ((_LOAD_WORD, 0, 0, 0),
            (_EQUAL, 0, 2, first), (_LOAD_HALF, 0, 0, 4), (_EQUAL, 6, 5, last),
            (_EQUAL, 0, 4, 0xffffffff), (_LOAD_HALF, 0, 0, 12), (_EQUAL, 0, 2, _ETH_P_ARP),
            (_LOAD_WORD, 0, 0, 38), (_EQUAL, 1, 0, asked),
            (_RETURN, 0, 0, 0), (_RETURN, 0, 0, 0x40000))
    return b"".join(struct.pack("=HBBI", *row) for row in rows)


def split(frame: bytes, size: int) -> Iterator[bytes]:
    """Cut a frame that segmentation offload left whole into those of `size` bytes of data each.

    The checksums are left as they are.
    """
    tcp = _ETHERNET + (frame[_ETHERNET] & 15) * 4
    start = tcp + (frame[tcp + 12] >> 4) * 4
    ip_id, = struct.unpack_from("!H", frame, _ETHERNET + 4)
    sequence, = struct.unpack_from("!I", frame, tcp + 4)
    for number, offset in enumerate(range(start, len(frame), size)):
        piece = bytearray(frame[:start] + frame[offset:offset + size])
        struct.pack_into("!H", piece, _ETHERNET + 2, len(piece) - _ETHERNET)
        struct.pack_into("!H", piece, _ETHERNET + 4, (ip_id + number) & 0xffff)
        struct.pack_into("!I", piece, tcp + 4, (sequence + offset - start) & 0xffffffff)
        if offset + size < len(frame):
            piece[tcp + 13] &= ~0x09  # FIN and PSH are the last one's
        if number:
            piece[tcp + 13] &= ~0x80  # CWR is the first one's
        yield bytes(piece)


def renumbered(frame: bytes, sequence: int) -> bytes:
    """Return a frame with another sequence number, and a checksum as right as it was (RFC 1624)."""
    tcp = _ETHERNET + (frame[_ETHERNET] & 15) * 4
    changed = bytearray(frame)
    struct.pack_into("!I", changed, tcp + 4, sequence)
    total = 0xffff - int.from_bytes(frame[tcp + 16:tcp + 18], "big")
    for start in (tcp + 4, tcp + 6):
        total += 0xffff - int.from_bytes(frame[start:start + 2], "big")
        total += int.from_bytes(changed[start:start + 2], "big")
    total = (total & 0xffff) + (total >> 16)
    total = (total & 0xffff) + (total >> 16)
    struct.pack_into("!H", changed, tcp + 16, 0xffff - total)
    return bytes(changed)


class PacketSocket:
    """Frames of one MAC and address on an interface of this namespace, without promiscuous mode."""

    def __init__(self, interface: str, mac: str, address: str) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        program = _filter(bytes.fromhex(mac.replace(":", "")), socket.inet_aton(address))
        kept = ctypes.create_string_buffer(program)
        code = struct.pack("HL", len(program) // 8, ctypes.addressof(kept))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, code)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        self._socket.bind((interface, _ETH_P_ALL))

    def send(self, frame: bytes) -> None:
        """Send a frame as it is."""
        self._socket.send(_NO_OFFLOAD + frame)

    def send_all(self, frames: Sequence[bytes]) -> None:
        """Send frames, by one call of the kernel where it takes all (sendmmsg(2))."""
        self._socket.settimeout(None)
        whole = [_NO_OFFLOAD + frame for frame in frames]
        data = ctypes.create_string_buffer(b"".join(whole))
        vectors = ctypes.create_string_buffer(_VECTOR.size * len(whole))
        messages = ctypes.create_string_buffer(_MESSAGE.size * len(whole))
        at, vector = ctypes.addressof(data), ctypes.addressof(vectors)
        for number, frame in enumerate(whole):
            _VECTOR.pack_into(vectors, number * _VECTOR.size, at, len(frame))
            _MESSAGE.pack_into(messages, number * _MESSAGE.size,
                               vector + number * _VECTOR.size, 1, 0, 0)
            at += len(frame)
        sent = 0
        while sent < len(whole):
            done = _LIBC.sendmmsg(self._socket.fileno(),
                                  ctypes.byref(messages, sent * _MESSAGE.size),
                                  len(whole) - sent, 0)
            if done < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            sent += done

    def receive(self, seconds: float) -> list[Frame]:
        """Return the next frame, as several if offload left them in one piece; [] if none comes."""
        self._socket.settimeout(max(seconds, 1e-6))
        try:
            data, more, _, _ = self._socket.recvmsg(1 << 17, 64)
        except (TimeoutError, BlockingIOError):
            return []
        seconds_part, nanoseconds = _TIMESPEC.unpack(more[0][2][:_TIMESPEC.size])
        flags, gso_type, _, gso_size, _, _ = _VNET.unpack_from(data)
        frame = data[_VNET.size:]
        pieces = split(frame, gso_size) if gso_type & 0x7f == _GSO_TCPV4 and gso_size else (frame,)
        return [Frame(seconds_part + nanoseconds / 1e9, piece, not flags & _NEEDS_CHECKSUM)
                for piece in pieces]

    def close(self) -> None:
        self._socket.close()
