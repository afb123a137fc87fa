"""The data path of connections over an impaired link: bytes wait until `link` says that they have arrived.

Used by `server` instead of `flow` for tasks whose link is impaired, and for existing connections from the moment when
it becomes so; when the link is restored and nothing is on the way any more, a connection goes back to the fast path.
Delivery is late by up to the millisecond to which the poller's timeout is rounded up.

A proxy's client is connected by its own kernel before the proxy knows of it, so neither a slow nor a lost SYN shows in
the client's connect time: the missing handshake delays its first byte instead, by the same amount.
"""

from __future__ import annotations

import socket
import time
from collections import deque

from breakroom.ingress.flow import Half
from breakroom.ingress.link import CLEAR, CLOSE, RESET, Handshake, Lane, Link
from breakroom.ingress.loop import Loop
from breakroom.ingress.poller import ERR, HUP, OUT, READ
from breakroom.ingress.rotation import Backend
from breakroom.ingress.sockets import (
    CHUNK,
    DONTWAIT,
    begin_connecting,
    is_connected,
    new_socket,
    reset_socket,
)

__all__ = ["WINDOW", "Impaired", "impair_flow", "start_impaired"]

WINDOW = 512 * 1024
"""Bytes on the way in one direction of a connection; then its sender has to wait, as TCP's window would make it."""


class Impaired:
    """One side of a connection: what is read from `half` goes over `lane` to the `other` side."""

    __slots__ = ("_chunks", "done", "ending", "flow", "half", "lane", "other")

    def __init__(self, flow: _Flow, half: Half, lane: Lane) -> None:
        self.flow = flow
        self.half = half
        self.lane = lane
        self.other: Impaired = self
        self._chunks: deque[bytes] = deque()
        self.ending = ""
        """How the stream ends: came over the lane, and is still to be passed on."""
        self.done = half.eof
        """The end of stream was passed on."""

    @property
    def backend(self) -> Backend:
        """Whose connection it is."""
        return self.half.backend

    @property
    def client_side(self) -> bool:
        """Which side it is."""
        return self.half.client_side

    @property
    def received(self) -> int:
        """Bytes read from it."""
        return self.half.received

    def on_event(self, events: int) -> None:
        """Read into the lane; go on writing."""
        half = self.half
        if events & OUT and self._push():
            self.flow.deliver()
            if self.flow.over:
                return
        if not self._wants_more():
            if events & (ERR | HUP) and half.unsent is None:
                half.park()
            else:
                self.update()
            return
        try:
            data = half.recv(CHUNK, DONTWAIT)
        except BlockingIOError:
            return
        except OSError as error:
            self._broken(error)
            return
        if data:
            half.received += len(data)
            if half.client_side:
                self.other.half.answered = False
            else:
                half.answered = True
            self._chunks.append(data)
            self.lane.send(time.monotonic_ns(), len(data))
        elif self.flow.hangs:
            half.close()  # It gave up before it was connected; nobody else knows of it.
            return
        else:
            self.end(RESET if half.failed else CLOSE)
        self.update()
        self.flow.schedule()

    def update(self) -> None:
        """Watch the socket for what is of interest now."""
        half = self.half
        mask = READ if self._wants_more() else 0
        if half.unsent is not None:
            mask |= OUT
        if half.mask >= 0 or mask:
            half.watch(mask)

    def end(self, how: str) -> None:
        """Nothing more comes from this side."""
        half = self.half
        if not half.client_side and not self.other.half.eof and (how == RESET or not half.answered):
            half.lost = True
        half.eof = True
        self.lane.send(time.monotonic_ns(), 0, how)

    def deliver(self, now: int) -> None:
        """Write to the other side what has arrived."""
        to = self.other.half
        while to.unsent is None and not self.ending:
            size, self.ending = self.lane.take(now)
            if size:
                self.other._write(self._take(size))  # noqa: SLF001  the other side of the same connection
            elif not self.ending:
                break
        if self.ending and to.unsent is None:
            self._pass_on_end()
        if not self.flow.over and self.flow.connected:
            self.update()

    def cut(self) -> None:
        """The task died: a connection that its side has ended already is over."""
        if self.done and not self.client_side:
            self.half.close()

    def relink(self) -> None:
        """The link changed."""
        self.flow.relink()

    def _wants_more(self) -> bool:
        return not self.half.eof and self.lane.queued < WINDOW

    def _broken(self, error: OSError) -> None:
        if isinstance(error, ConnectionRefusedError) and not self.client_side:
            self.backend.refused += 1
        if not self.flow.connected:
            self.half.close()  # The client gave up before it was connected; nobody else knows of it.
            return
        self.end(RESET)
        self.half.park()
        self.flow.schedule()

    def _take(self, size: int) -> bytes:
        parts = []
        while size:
            chunk = self._chunks.popleft()
            if len(chunk) > size:
                self._chunks.appendleft(chunk[size:])
                chunk = chunk[:size]
            parts.append(chunk)
            size -= len(chunk)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _write(self, data: bytes) -> None:
        if not self.half.failed:
            self.half.unsent = memoryview(data)
            if not self._push():
                self.update()

    def _push(self) -> bool:
        """Write what waits; returns whether nothing waits any more."""
        half = self.half
        waiting = half.unsent
        if waiting is None:
            return True
        try:
            if not waiting and (error := half.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
                raise OSError(error, "connect")
            sent = half.send(waiting, DONTWAIT) if waiting else 0
        except BlockingIOError:
            return False
        except OSError as error:
            half.unsent = None
            half.failed = True
            if isinstance(error, ConnectionRefusedError):
                self._broken(error)
            return True
        half.unsent = waiting[sent:] if sent < len(waiting) else None
        return half.unsent is None

    def _pass_on_end(self) -> None:
        how, self.ending = self.ending, ""
        other = self.other
        to = other.half
        if how == RESET:
            self.flow.over = True
            to.abort()
        elif other.done or (self.backend.dead and not self.client_side):
            self.flow.over = True
            to.close()
        elif not to.connected and not is_connected(to.sock):
            self.ending = how
            to.unsent = memoryview(b"")
            other.update()
        else:
            self.done = True
            to.connected = True
            to.shut()


class _Flow:
    """Both sides of a connection over an impaired link, and when something is next to be done for it."""

    __slots__ = (
        "_armed",
        "_link",
        "_number",
        "_setup",
        "backend",
        "began",
        "connected",
        "far",
        "loop",
        "near",
        "over",
    )

    def __init__(self, loop: Loop, near: Half, far: Half, *, connected: bool) -> None:
        link = near.backend.link
        assert link is not None, "an unimpaired connection takes the fast path"
        self.loop = loop
        self.backend = near.backend
        self.connected = connected
        """The SYN has reached the task."""
        self.over = False
        self._link = link
        self._number = link.connection()
        self._armed: int | None = None
        self.began = time.monotonic_ns()
        self._setup = Handshake(None, None)
        up, down = link.lanes(self._number, self.began if connected else None)
        self.near = Impaired(self, near, up)
        self.far = Impaired(self, far, down)
        self.near.other = self.far
        self.far.other = self.near
        loop.table[near.fd] = self.near
        loop.table[far.fd] = self.far

    @property
    def hangs(self) -> bool:
        """Not connected, and nothing says that it ever will be."""
        return not self.connected and self._link.spec.cut

    def shake_hands(self, usable: int) -> None:
        """Plan the connection's setup over a link that has been usable since then; do nothing while it is cut."""
        random = self._link.random(self._number, "setup")
        self._setup = self._link.handshake(self.began, usable, random)
        if self._setup.established is not None:
            self.near.lane.established(self._setup.established)
        self.schedule()

    def schedule(self) -> None:
        """See to it that `fire` is called when something is due."""
        if self.over:
            return
        times = [
            side.lane.next_due()
            for side in (self.near, self.far)
            if side.other.half.unsent is None and not side.ending
        ]
        if not self.connected:
            times = [self._setup.arrives, self._setup.gives_up]
        due = min((t for t in times if t is not None), default=None)
        if due is not None and (self._armed is None or due < self._armed):
            self._armed = due
            self.loop.at(due, self.fire)

    def fire(self) -> None:
        """A time has come."""
        self._armed = None
        if self.near.half.closed:
            self.over = True
        if self.over:
            return
        if self.connected:
            self.deliver()
        else:
            self._set_up(time.monotonic_ns())
            self.schedule()

    def deliver(self) -> None:
        """Pass on what has arrived, in both directions."""
        now = time.monotonic_ns()
        for side in (self.near, self.far):
            if not self.over:
                side.deliver(now)
        if self.over:
            return
        self.schedule()
        if self.backend.link is None and self._idle():
            self._back_to_fast_path()

    def relink(self) -> None:
        """The backend's link changed."""
        link = self.backend.link or Link(CLEAR, self.backend.task)
        if self.over or link is self._link:
            return
        now = time.monotonic_ns()
        was_cut = self._link.spec.cut
        self._link = link
        if link.spec.reset:
            self.reset()
            return
        self.near.lane.relink(link.spec, link.up, now)
        self.far.lane.relink(link.spec, link.down, now)
        if not self.connected and link.spec.cut:
            self._setup = Handshake(None, None)
        elif not self.connected and was_cut:
            self.shake_hands(now)
        if self.connected:
            self.deliver()

    def reset(self) -> None:
        """Reset both sides at once."""
        self.over = True
        self.near.half.reset_both()

    def _set_up(self, now: int) -> None:
        if self._setup.gives_up is not None and now >= self._setup.gives_up:
            self.over = True
            self.near.half.close(reset=True)
            return
        arrives = self._setup.arrives
        if arrives is None or now < arrives:
            return
        self.connected = True
        far = self.far
        far.lane.established(arrives)
        try:
            begun = begin_connecting(far.half.sock, self.backend)
        except OSError:
            self.reset()
            return
        if begun:
            far.update()
        else:
            self.backend.refused += 1
            far.end(RESET)

    def _idle(self) -> bool:
        sides = (self.near, self.far)
        return all(side.lane.empty and not side.ending for side in sides)

    def _back_to_fast_path(self) -> None:
        self.over = True
        for side in (self.near, self.far):
            self.loop.table[side.half.fd] = side.half
        for side in (self.near, self.far):
            side.half.update()


def start_impaired(loop: Loop, client: socket.SocketType, client_fd: int, backend: Backend) -> None:
    """Connect an accepted client to a task over its impaired link.

    Raises:
        OSError: no socket could be had. The client is as it was.
    """
    assert backend.link is not None, "an unimpaired connection takes the fast path"
    if backend.link.spec.reset:
        backend.total += 1
        reset_socket(client)
        return
    server = new_socket(backend)
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    backend.total += 1
    backend.open += 1
    near = Half(loop, client, client_fd, backend, True)
    far = Half(loop, server, server.fileno(), backend, False)
    near.peer = far
    far.peer = near
    flow = _Flow(loop, near, far, connected=False)
    flow.near.update()
    flow.shake_hands(flow.began)


def impair_flow(half: Half) -> None:
    """Take an existing connection off the fast path; either of its halves will do."""
    if half.loop.table.get(half.fd) is not half:
        return  # Done already, by the other half, or closed.
    near, far = (half, half.peer) if half.client_side else (half.peer, half)
    if not far.connected and not far.fin and is_connected(far.sock):
        far.proceed()
    flow = _Flow(half.loop, near, far, connected=True)
    if flow.backend.link is not None and flow.backend.link.spec.reset:
        flow.reset()
        return
    if far.fin:
        far.fin = False
        flow.near.done = False
        flow.near.ending = CLOSE
    flow.near.update()
    flow.far.update()
