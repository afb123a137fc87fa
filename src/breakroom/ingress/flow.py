"""One proxied connection on an unimpaired link: what is read on one side is written to the other.

Used by `server` for new connections; `impaired` builds on its halves. Nothing is buffered beyond the one chunk that
the other side did not take; until it is gone, nothing more is read. Ends are passed on as they come: end of stream as
end of stream (each direction by itself), reset as reset.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from breakroom.ingress.last_words import LastWords
from breakroom.ingress.loop import Loop
from breakroom.ingress.poller import EDGE, ERR, HUP, IN, OUT, PRI, RDHUP, READ
from breakroom.ingress.rotation import Backend
from breakroom.ingress.sockets import (
    CHUNK,
    DONTWAIT,
    MORE,
    connect_to,
    is_connected,
    reset_on_close,
    reset_socket,
    waiting_to_leave,
)

__all__ = ["Half", "start_flow"]

_PARKED = -1


class Half:
    """One socket of a connection. Its handler reads from it and writes to the `peer`'s."""

    __slots__ = (
        "answered", "backend", "client_side", "connected", "eof", "failed", "fd", "fin", "loop", "lost", "mask", "peer",
        "reading", "received", "recv", "send", "sock", "unsent",
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
        self.peer: Half = _NOBODY
        """The other one, as long as the connection lives. (Nothing then points back here: no cycle is left behind.)"""
        self.mask = _PARKED
        self.reading = EDGE
        """How to watch for something to read: `READ` once it sends more than is taken at a time."""
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

    @property
    def closed(self) -> bool:
        """Whether the connection is over."""
        return self.peer is _NOBODY

    def on_event(self, events: int) -> None:
        """Pass on what there is."""
        if events == IN:
            # The plain case first, for it is all that most of a kept-alive connection's life consists of.
            peer = self.peer
            if peer is not _NOBODY and peer.connected and peer.unsent is None and not self.eof:
                try:
                    data = self.recv(CHUNK, DONTWAIT)
                except OSError as error:
                    if not isinstance(error, BlockingIOError):
                        self._broken(error)
                    return
                if not data:
                    self._ended()
                elif self._hand_over(data, DONTWAIT) and len(data) == CHUNK:
                    self.reading = READ
                    self.update()
                return
        self.pass_on(events)

    def pass_on(self, events: int) -> None:  # noqa: C901, PLR0912  the data path, too
        """As `on_event`, whatever the events and the states of both sides are."""
        if events & OUT:
            self._writable()
        peer = self.peer
        if peer is _NOBODY:
            return
        if self.eof or peer.unsent is not None:
            self._unwanted(events)
            return
        flags = DONTWAIT
        while True:
            try:
                data = self.recv(CHUNK, DONTWAIT)
            except OSError as error:
                if flags != DONTWAIT:
                    peer.proceed()  # Nothing came to share the packet: it must not wait any longer.
                if not isinstance(error, BlockingIOError):
                    self._broken(error)
                return
            if not data:
                self._ended()
                return
            if not peer.connected and self.received:
                peer.proceed()
            if events & RDHUP and not self.failed and not self.backend.dead:
                flags = MORE
            if not self._hand_over(data, flags):
                return
            size = len(data)
            if not events & RDHUP:
                if size == CHUNK or events & PRI:
                    # There may be more, which an edge would not report again.
                    self.reading = READ
                    self.update()
                return
            # The end comes right behind: taking it now saves a turn of the loop, and a packet.
            if flags != DONTWAIT and size < CHUNK and self.reading == EDGE and not events & PRI:
                # All that came before it was taken, so reading again would only say so.
                self._ended()
                return

    def _hand_over(self, data: bytes, flags: int) -> bool:
        """Write what was read to the other side. Returns whether it took all.

        What it did not take waits, and nothing more is read until it has left.
        """
        peer = self.peer
        self.received += len(data)
        if self.client_side:
            peer.answered = False
        else:
            self.answered = True
        try:
            sent = peer.send(data, flags)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            peer._send_failed(error)  # noqa: SLF001  the other half of the same connection
            return False
        if sent == len(data):
            return True
        peer.unsent = memoryview(data)[sent:]
        peer.update()
        self.update()
        return False

    def update(self) -> None:
        """Watch the socket for what is of interest now."""
        mask = 0 if self.eof or self.peer.unsent is not None else self.reading
        if self.unsent is not None:
            mask = mask & READ | OUT
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
        if self.unsent is None and not waiting_to_leave(self.sock):
            self.close(reset=True)
            return
        for half in (self, other):
            half.park()
            half.loop.table.pop(half.fd, None)
        LastWords(self).try_again()

    def close(self, *, reset: bool = False) -> None:
        """End the connection: both sockets, once. `reset`: this one's side gets an RST."""
        peer = self.peer
        if peer is _NOBODY:
            return
        loop = self.loop
        if reset:
            reset_on_close(self.sock)
        forget = loop.forget
        for half in (self, peer):
            half.peer = _NOBODY
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
        if not self.closed:
            reset_on_close(self.peer.sock)
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
        if not self.closed:
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
            # Where the poller is level-triggered, the end is reported again; most often the other end has come by
            # then, so the system call that would stop the reports is left to `_unwanted`.
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
            self.pass_on(RDHUP)
        elif self.eof:
            self.peer.abort()


_NOBODY: Half = Half.__new__(Half)
"""The peer of a closed half; has no attributes."""


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
    near.mask = far.mask = EDGE
    register = loop.poller.register
    register(client_fd, EDGE)
    register(server_fd, EDGE)
    # The request is often there already, and on loopback the connection stands at once.
    near.pass_on(0)
