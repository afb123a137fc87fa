"""A socket with the request that is on it, and the answer that it most often gets. Used by `load.client` alone."""

from __future__ import annotations

import socket
import struct

from breakroom.load.response import Head, ResponseReader

__all__ = ["NOTHING_USUAL", "REUSED", "STREAM", "Connection", "Usual"]

REUSED = 1
"""In a sample's flags: the connection had a request on it before."""
STREAM = socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Usual:
    """A response known by its head's bytes and its size alone: the next answer on a connection is most often alike."""

    __slots__ = ("ending", "head", "parts", "raw", "size", "turns")

    def __init__(self, raw: bytes, head: Head, ending: bytes, *, turns: bool, parts: bool) -> None:
        self.raw = raw
        """Of the head, with its empty line."""
        self.size = len(raw) + head.length
        """Of the whole response."""
        self.head = head
        self.ending = ending
        """The packed end of its sample, if it is an expected answer: on a reused connection if those are kept."""
        self.turns = turns
        """It is expected, and the connection may go on with the next request."""
        self.parts = parts
        """It is expected, and the server closes, as we asked it to."""


NOTHING_USUAL = Usual(b"", Head(0, 0, False, False, 0, 0, ""), b"", turns=False, parts=False)
"""Matches no response: none has no bytes."""


class Connection(socket.SocketType):
    """A socket and the request that is on it. Times are absolute; 0: not reached."""

    __slots__ = ("connected", "fd", "first", "flags", "intended", "lag", "reader", "unsent", "usual")

    fd: int
    intended: int
    lag: int
    connected: int
    first: int
    flags: int
    reader: ResponseReader | None
    unsent: memoryview | None
    usual: Usual

    def is_own_echo(self) -> bool:
        """Whether the kernel joined the socket to itself."""
        try:
            return bool(self.getsockname() == self.getpeername())
        except OSError:
            return False

    def reset_on_close(self) -> None:
        """Let its coming close send an RST."""
        self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
