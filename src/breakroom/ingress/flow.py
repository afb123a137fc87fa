"""One proxied connection on an unimpaired link: what is read on one side is written to the other.

Used by `server` for new connections; `impaired` builds on its halves. Nothing is buffered beyond the one chunk that
the other side did not take; until it is gone, nothing more is read. Ends are passed on as they come: end of stream as
end of stream (each direction by itself), reset as reset.
"""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
import sys
import time
from collections.abc import Callable

from breakroom.ingress.loop import Loop
from breakroom.ingress.poller import ERR, HUP, OUT, RDHUP, READ
from breakroom.ingress.rotation import Backend

__all__ = [
    "CHUNK",
    "DONTWAIT",
    "Half",
    "begin_connecting",
    "connect_to",
    "is_connected",
    "new_socket",
    "reset_socket",
    "start_flow",
]

CHUNK = 65536
DONTWAIT = socket.MSG_DONTWAIT
_RST_LINGER = struct.pack("ii", 1, 0)
_SIOCOUTQNSD = 0x894B  # linux/sockios.h: bytes in the send queue that were not sent yet
_SO_NWRITE = 0x1024  # Darwin's sys/socket.h: bytes in the send queue
_LAST_WORDS_NS = 5 * 10**9
_LAST_WORDS_STEP_NS = 5_000_000
_PARKED = -1
_PLATFORM: str = sys.platform  # typed so that mypy checks the branches of every system
_STREAM = socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0)
_CONNECTING = frozenset({errno.EINPROGRESS, errno.EINTR, errno.EWOULDBLOCK})


class Half:
    """One socket of a connection. Its handler reads from it and writes to the `peer`'s."""

    __slots__ = (
        "answered", "backend", "client_side", "connected", "eof", "failed", "fd", "fin", "loop", "lost", "mask", "peer",
        "received", "recv", "send", "sock", "unsent",
    )  # fmt: skip

    def __init__(
        self, loop: Loop, sock: socket.SocketType, fd: int, backend: Backend, client_side: bool
    ) -> None:
        self.loop = loop
        self.sock = sock
        self.fd = fd
        self.recv: Callable[[int, int], bytes] = sock.recv
        self.send: Callable[[bytes | memoryview, int], int] = sock.send
        """Both must be called with `DONTWAIT`: accepted sockets are left in blocking mode, to save a system call."""
        self.backend = backend
        self.client_side = client_side
        self.connected = client_side
        """Known to be, for more than one chunk went to it, or its readiness said so."""
        self.peer: Half = self
        """Itself once the connection is closed."""
        self.mask = _PARKED
        self.eof = False
        """Its end of stream was read."""
        self.failed = False
        """Writing to it failed: it was reset, though something may still be read."""
        self.fin = False
        """It is to be shut for writing as soon as it is connected."""
        self.unsent: memoryview | None = None
        """What waits to be written to it."""
        self.received = 0
        self.answered = False
        """Of a task's side: the last chunk of the connection came from it, so that it owes its client no answer."""
        self.lost = False
        """Of a task's side: it ended the connection while it owed an answer, or reset it."""

    def on_event(self, events: int) -> None:  # noqa: C901, PLR0912  the data path: a call less for every chunk
        """Pass on what there is."""
        if events & OUT:
            self._writable()
            if self.peer is self:
                return
        peer = self.peer
        if self.eof or peer.unsent is not None:
            self._unwanted(events)
            return
        while True:
            try:
                data = self.recv(CHUNK, DONTWAIT)
            except BlockingIOError:
                return
            except OSError as error:
                self._broken(error)
                return
            if not data:
                self._ended()
                return
            size = len(data)
            self.received += size
            if self.client_side:
                peer.answered = False
            else:
                self.answered = True
            if not peer.connected and self.received != size:
                peer.proceed()
            try:
                sent = peer.send(data, DONTWAIT)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                peer._send_failed(error)  # noqa: SLF001  the other half of the same connection
                return
            if sent != size:
                peer.unsent = memoryview(data)[sent:]
                peer.update()
                self.update()
                return
            if not events & RDHUP:
                return
            # The end comes right behind: taking it now saves a turn of the loop.

    def update(self) -> None:
        """Watch the socket for what is of interest now."""
        mask = 0 if self.eof or self.peer.unsent is not None else READ
        if self.unsent is not None:
            mask |= OUT
        self.watch(mask)

    def watch(self, mask: int) -> None:
        """Watch the socket for `mask`."""
        if mask == self.mask:
            return
        if self.mask == _PARKED:
            self.loop.poller.register(self.fd, mask)
        else:
            self.loop.poller.modify(self.fd, mask)
        self.mask = mask

    def park(self) -> None:
        """Do not watch at all: an error that cannot be served yet would otherwise be reported without end."""
        if self.mask != _PARKED:
            self.loop.poller.unregister(self.fd)
            self.mask = _PARKED

    def push(self) -> bool:
        """Write what waits. Returns whether nothing waits any more; on failure the connection may be closed."""
        waiting = self.unsent
        if waiting is None:
            return True
        try:
            if not waiting:
                error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    raise OSError(error, "connect")
            sent = self.send(waiting, DONTWAIT) if waiting else 0
        except BlockingIOError:
            return False
        except OSError as error:
            self._send_failed(error)
            return False
        if sent < len(waiting):
            self.unsent = waiting[sent:]
            return False
        self.unsent = None
        return True

    def proceed(self) -> None:
        """The second chunk goes to a task: only now can Nagle's algorithm hold anything back, so turn it off now."""
        try:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            return  # It was reset; reading from it will say so.
        self.connected = True

    def shut(self) -> None:
        """Pass on the end of stream to this socket."""
        if not self.connected and not is_connected(self.sock):
            # Shutting a connecting socket would end the attempt: wait until it can be written.
            self.fin = True
            self.unsent = memoryview(b"")
            self.update()
            return
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.failed = True  # It was reset; reading from it will say so.

    def abort(self) -> None:
        """Reset this socket, after what was written to it has left; the other one is over."""
        other = self.peer
        if self.unsent is None and not _waiting_to_leave(self.sock):
            self.close(reset=True)
            return
        for half in (self, other):
            half.park()
            half.loop.table.pop(half.fd, None)
        _LastWords(self).try_again()

    def close(self, *, reset: bool = False) -> None:
        """End the connection: both sockets, once. `reset`: this one's side gets an RST."""
        peer = self.peer
        if peer is self:
            return
        loop = self.loop
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_LINGER)
        forget = loop.forget
        for half in (self, peer):
            half.peer = half
            loop.table.pop(half.fd, None)
            if forget is not None:
                forget(half.fd)
            half.sock.close()
        backend = self.backend
        backend.open -= 1
        inward, outward = (self, peer) if self.client_side else (peer, self)
        backend.bytes_in += inward.received
        backend.bytes_out += outward.received
        if outward.lost:
            backend.lost.append(time.monotonic_ns())

    def reset_both(self) -> None:
        """End the connection with an RST to both sides, whatever is on its way."""
        if self.peer is not self:
            self.peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_LINGER)
            self.close(reset=True)

    def cut(self) -> None:
        """The task died: a connection that its side has ended already is over."""
        if self.eof and not self.client_side:
            self.close()

    def _writable(self) -> None:
        if not self.push():
            return
        if self.fin:
            self.fin = False
            self.connected = True
            self.shut()
        if self.peer is not self:
            self.update()
            self.peer.update()

    def _unwanted(self, events: int) -> None:
        if events & ERR and self.eof and self.peer.unsent is None:
            self.peer.abort()
        elif events & (ERR | HUP):
            self.park()
        else:
            self.update()

    def _ended(self) -> None:
        peer = self.peer
        if not self.client_side and not peer.eof and (self.failed or not self.answered):
            self.lost = True
        if self.failed:
            peer.abort()
            return
        self.eof = True
        if peer.eof or (self.backend.dead and not self.client_side):
            self.close()
        else:
            # Level-triggered, the end is reported again; most often the other end has come by then, so the
            # system call that would stop the reports is left to `_unwanted`.
            peer.shut()

    def _broken(self, error: OSError) -> None:
        if not self.client_side:
            if isinstance(error, ConnectionRefusedError):
                self.backend.refused += 1
            elif not self.peer.eof:
                self.lost = True
        self.peer.abort()

    def _send_failed(self, error: OSError) -> None:
        if isinstance(error, ConnectionRefusedError):
            self._broken(error)
            return
        # What it sent before it was reset is still to be delivered: read on, until its end.
        self.failed = True
        self.unsent = None
        if self.peer.unsent is None and not self.eof:
            self.on_event(RDHUP)
        elif self.eof:
            self.peer.abort()


class _LastWords:
    """A connection of which one side was reset while the other has not taken all that was sent before."""

    __slots__ = ("deadline", "half")

    def __init__(self, half: Half) -> None:
        self.half = half
        self.deadline = time.monotonic_ns() + _LAST_WORDS_NS

    def try_again(self) -> None:
        """Write what can be written; reset when all has left, or nobody took it for too long."""
        half = self.half
        now = time.monotonic_ns()
        if half.unsent is not None:
            try:
                sent = half.send(half.unsent, DONTWAIT)
                half.unsent = half.unsent[sent:] if sent < len(half.unsent) else None
                self.deadline = now + _LAST_WORDS_NS
            except BlockingIOError:
                pass
            except OSError:
                half.close()
                return
        if now >= self.deadline or (half.unsent is None and not _waiting_to_leave(half.sock)):
            half.close(reset=True)
        else:
            half.loop.at(now + _LAST_WORDS_STEP_NS, self.try_again)


def start_flow(loop: Loop, client: socket.SocketType, client_fd: int, backend: Backend) -> None:
    """Connect an accepted client to a task.

    Raises:
        OSError: no socket could be had or the connection not be begun. The client is as it was.
    """
    server = connect_to(backend)
    backend.total += 1
    backend.open += 1
    if server is None:
        backend.open -= 1
        backend.refused += 1
        reset_socket(client)
        return
    server_fd = server.fileno()
    near = Half(loop, client, client_fd, backend, True)
    far = Half(loop, server, server_fd, backend, False)
    near.peer = far
    far.peer = near
    loop.table[client_fd] = near
    loop.table[server_fd] = far
    near.mask = far.mask = READ
    register = loop.poller.register
    register(client_fd, READ)
    register(server_fd, READ)
    # The request is often there already, and on loopback the connection stands at once.
    near.on_event(0)


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
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_LINGER)
    sock.close()


def is_connected(sock: socket.SocketType) -> bool:
    """Whether the other end has answered; also true after a failure, which is for reading to tell."""
    try:
        sock.getpeername()
    except OSError as error:
        return error.errno != errno.ENOTCONN
    return True


def _waiting_to_leave(sock: socket.SocketType) -> int:
    """Bytes that the kernel has not sent yet; an RST now would throw them away."""
    try:
        if _PLATFORM == "linux":
            return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), _SIOCOUTQNSD, b"\0\0\0\0"))[0])
        if _PLATFORM == "darwin":
            return sock.getsockopt(socket.SOL_SOCKET, _SO_NWRITE)
    except OSError:
        return 0
    return 0
