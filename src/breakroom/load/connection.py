"""A socket with the request that is on it. Used by `load.client` and `load.resting`."""

from __future__ import annotations

import socket
import struct

from breakroom.load.response import ResponseReader
from breakroom.load.usual import Usual

__all__ = ["STREAM", "Connection"]

STREAM = socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


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
