"""Sockets towards tasks, and the kernel's answers about them. No state.

Used by all that passes bytes on or ends a connection: `flow`, `impaired`, `last_words`, `server`.
"""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
import sys

from breakroom.ingress.rotation import Backend

__all__ = [
    "CHUNK",
    "DONTWAIT",
    "MORE",
    "begin_connecting",
    "connect_to",
    "is_connected",
    "new_socket",
    "reset_on_close",
    "reset_socket",
    "waiting_to_leave",
]

CHUNK = 65536
DONTWAIT = int(socket.MSG_DONTWAIT)
MORE = DONTWAIT | int(getattr(socket, "MSG_MORE", 0))
"""For sending: what comes next, data or end of stream, comes at once, so that both can share a packet."""

_RST_LINGER = struct.pack("ii", 1, 0)
_SIOCOUTQNSD = 0x894B  # linux/sockios.h: bytes in the send queue that were not sent yet
_SO_NWRITE = 0x1024  # Darwin's sys/socket.h: bytes in the send queue
_PLATFORM: str = sys.platform  # typed so that mypy checks the branches of every system
_STREAM = socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0)
_CONNECTING = frozenset({errno.EINPROGRESS, errno.EINTR, errno.EWOULDBLOCK})


def connect_to(backend: Backend) -> socket.SocketType | None:
    """Begin to connect to a task; None if its port refused at once.

    Raises:
        OSError: no socket could be had, or no local port.
    """
    made = new_socket(backend)
    try:
        begun = begin_connecting(made, backend)
    except OSError:
        made.close()
        raise
    if not begun:
        made.close()
        return None
    return made


def new_socket(backend: Backend) -> socket.SocketType:
    """A socket fit to be connected to a task.

    Raises:
        OSError: none could be had.
    """
    made = socket.SocketType(backend.family, _STREAM)
    if _STREAM == socket.SOCK_STREAM:
        made.setblocking(False)
    return made


def begin_connecting(sock: socket.SocketType, backend: Backend) -> bool:
    """Send the SYN; False if it was refused at once.

    Raises:
        OSError: it cannot be sent; most often no local port is free.
    """
    problem = sock.connect_ex(backend.address)
    if problem == errno.ECONNREFUSED:
        return False
    if problem and problem not in _CONNECTING:
        raise OSError(problem, "connect")
    return True


def reset_socket(sock: socket.SocketType) -> None:
    """Close with an RST."""
    reset_on_close(sock)
    sock.close()


def reset_on_close(sock: socket.SocketType) -> None:
    """Let its coming close send an RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_LINGER)


def is_connected(sock: socket.SocketType) -> bool:
    """Whether the other end has answered; also true after a failure, which is for reading to tell."""
    try:
        sock.getpeername()
    except OSError as error:
        return error.errno != errno.ENOTCONN
    return True


def waiting_to_leave(sock: socket.SocketType) -> int:
    """Bytes that the kernel has not sent yet; an RST now would throw them away."""
    try:
        if _PLATFORM == "linux":
            return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), _SIOCOUTQNSD, b"\0\0\0\0"))[0])
        if _PLATFORM == "darwin":
            return sock.getsockopt(socket.SOL_SOCKET, _SO_NWRITE)
    except OSError:
        return 0
    return 0
