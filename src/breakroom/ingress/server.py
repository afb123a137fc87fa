"""The ingress itself: obeys control messages, accepts clients, and gives each to a task in rotation.

Made and run by `__main__`; one for each process. Everything happens on one `Loop`, so a control message takes effect
between two connections, never in the middle of one.
"""

from __future__ import annotations

import errno
import os
import resource
import socket
import sys
import time
from collections import deque

import msgspec

from breakroom.ingress.death import DeathWatch
from breakroom.ingress.flow import Half, start_flow
from breakroom.ingress.impaired import Impaired, impair_flow, start_impaired
from breakroom.ingress.link import Link, LinkSpec
from breakroom.ingress.loop import Loop
from breakroom.ingress.messages import (
    MAX_LINE,
    Command,
    Enter,
    Error,
    Event,
    Impair,
    Leave,
    Ping,
    Pong,
    Publish,
    Published,
    Rotation,
    Stats,
    StatsReport,
    TaskTraffic,
    decode_command,
    encode,
)
from breakroom.ingress.poller import IN, OUT
from breakroom.ingress.port import PortError, PublishedPort
from breakroom.ingress.rotation import Backend, Ring
from breakroom.ingress.sockets import reset_socket

__all__ = ["Server"]

_ACCEPTS_AT_ONCE = 64
_REMEMBERED = 256
_PAUSE_NS = 20_000_000
_COMPLAIN_EVERY_NS = 10**9
_SPARE_FDS = 8
_OUT_OF_FDS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Control:
    """The socket to whoever started the process: lines in, lines out, never blocking."""

    def __init__(self, server: Server, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._server = server
        self._sock = sock
        self._inbox = bytearray()
        self._outbox = bytearray()
        self._skipping = False
        server.loop.watch(sock.fileno(), self, IN)

    def on_event(self, events: int) -> None:
        """Read commands, write what waits."""
        if events & OUT:
            self._flush()
        try:
            data = self._sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            # Whoever started us is gone: so are we, at once; the kernel closes what is open.
            os._exit(0)
        self._inbox += data
        while (end := self._inbox.find(b"\n")) >= 0:
            line = bytes(self._inbox[:end])
            del self._inbox[: end + 1]
            if self._skipping:
                self._skipping = False
            elif line.strip():
                self._server.obey(line)
        if len(self._inbox) > MAX_LINE:
            self._inbox.clear()
            if not self._skipping:
                self._skipping = True
                self.tell(Error(code="bad-message", message=f"a line is longer than {MAX_LINE} bytes"))

    def tell(self, event: Event) -> None:
        """Send one event."""
        self._outbox += encode(event)
        self._flush()

    def _flush(self) -> None:
        try:
            while self._outbox:
                del self._outbox[: self._sock.send(self._outbox)]
        except BlockingIOError:
            self._server.loop.poller.modify(self._sock.fileno(), IN | OUT)
            return
        except OSError:
            os._exit(0)
        self._server.loop.poller.modify(self._sock.fileno(), IN)


class Acceptor:
    """A listening socket's handler."""

    __slots__ = ("_family", "_listener", "_server")

    def __init__(self, server: Server, listener: socket.socket) -> None:
        self._server = server
        self._listener = listener
        self._family = listener.family

    def on_event(self, _events: int) -> None:
        """Accept who waits, a bounded number at a time."""
        server = self._server
        accept = self._listener._accept  # type: ignore[attr-defined]  # noqa: SLF001  `accept` without its wrapper
        family = self._family
        for _ in range(_ACCEPTS_AT_ONCE):
            try:
                fd, _address = accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                server.cannot_accept(error)
                return
            client = socket.SocketType(family, socket.SOCK_STREAM, 0, fd)
            backend = server.ring.next()
            try:
                if backend.link is None:
                    start_flow(server.loop, client, fd, backend)
                else:
                    start_impaired(server.loop, client, fd, backend)
            except OSError as error:
                server.cannot_connect(client, backend, error)
            if fd >= server.last_fd:
                server.pause_accepting()
                return


class Server:
    """The ingress of one process. `portable` avoids what only Linux has, for tests."""

    def __init__(self, control: socket.socket, *, portable: bool = False) -> None:
        self.loop = Loop(portable=portable)
        self.ring = Ring()
        self.last_fd = _raise_descriptor_limit() - _SPARE_FDS
        """A client with a descriptor this high may be the last whose task can still be given one."""
        self._portable = portable
        self._started = time.monotonic_ns()
        self._port: PublishedPort | None = None
        self._tasks: dict[str, Backend] = {}
        self._departed: deque[Backend] = deque()
        self._links: dict[str, LinkSpec] = {}
        self._complained: dict[str, int] = {}
        self._paused = False
        self._control = Control(self, control)

    def run(self) -> None:
        """Serve until the control socket ends, which ends the process."""
        self.loop.run()

    # --- commands -----------------------------------------------------------------------------------------------

    def obey(self, line: bytes) -> None:
        """Carry out one control message."""
        try:
            command = decode_command(line)
        except msgspec.DecodeError as error:
            self._complain("bad-message", f"{error}; each line must be one JSON object with a known op")
            return
        except UnicodeDecodeError as error:
            self._complain("bad-message", f"not UTF-8: {error}")
            return
        self._carry_out(command)

    def _carry_out(self, command: Command) -> None:
        match command:
            case Publish():
                self._publish(command)
            case Enter():
                self._enter(command)
            case Leave():
                self._leave(command)
            case Impair():
                self._impair(command)
            case Stats():
                self._control.tell(self._stats())
            case Ping(number=number):
                self._control.tell(Pong(number=number, t=time.monotonic_ns()))

    def _publish(self, command: Publish) -> None:
        if self._port is not None:
            self._complain(
                "already-published", f"port {self._port.port} is published; one process has one port"
            )
            return
        try:
            self._port = PublishedPort.reserve(command.hosts, command.port, portable=self._portable)
            if self.ring.members:
                self._open()
        except PortError as error:
            if self._port is not None:
                self._port.release()
                self._port = None
            self._complain(error.code, str(error))
            return
        self._control.tell(Published(port=self._port.port, hosts=self._port.hosts))

    def _enter(self, command: Enter) -> None:
        old = self._tasks.get(command.task)
        if old is not None and old in self.ring.members:
            self._complain("already-in-rotation", f"task {command.task} is in rotation already")
            return
        family = socket.AF_INET6 if ":" in command.host else socket.AF_INET
        backend = Backend(command.task, family, (command.host, command.port))
        backend.link = self._link_for(command.task)
        self._tasks[command.task] = backend
        self.ring.add(backend)
        if command.pid:
            backend.death = DeathWatch(self.loop, command.pid, lambda: self._died(backend))
        try:
            self._open()
        except PortError as error:
            self._complain(error.code, str(error))
        self._control.tell(Rotation(t=time.monotonic_ns(), task=command.task, in_rotation=True))

    def _leave(self, command: Leave) -> None:
        backend = self._tasks.get(command.task)
        if backend is None:
            self._complain("unknown-task", f"task {command.task} never entered, or left long ago")
            return
        if backend.dead:
            return  # Its death was seen here first, and told.
        if backend in self.ring.members:
            self.ring.remove(backend)
            self._departed.append(backend)
            if not self.ring.members:
                self._close()
        now = time.monotonic_ns()
        moment = Rotation(
            t=now,
            task=command.task,
            in_rotation=False,
            reason=command.how,
            open_connections=backend.open_at_death(now) if command.how == "cut" else backend.open,
            refused_connections=backend.refused,
            total_connections=backend.total,
        )
        if command.how == "cut":
            self._cut(backend)
        self._control.tell(moment)
        self._forget_departed()

    def _died(self, backend: Backend) -> None:
        """The kernel says that the task's process has ended: if it is in rotation, it leaves it now."""
        if backend in self.ring.members:
            self._leave(Leave(task=backend.task, how="cut"))

    def _cut(self, backend: Backend) -> None:
        """The task is dead. What its kernel has not ended yet, it will; what it has half ended is over."""
        backend.dead = True
        if backend.death is not None:
            backend.death.close()
        for handler in list(self.loop.table.values()):
            if isinstance(handler, Half | Impaired) and handler.backend is backend:
                handler.cut()

    def _impair(self, command: Impair) -> None:
        if command.link is None:
            self._links.pop(command.task, None)
        else:
            self._links[command.task] = command.link
        affected = {
            backend
            for backend in (*self._tasks.values(), *self._departed)
            if command.task in {"*", backend.task}
        }
        changed = {backend for backend in affected if self._relink(backend)}
        flows = [
            h for h in self.loop.table.values() if isinstance(h, Half | Impaired) and h.backend in changed
        ]
        for handler in flows:
            if isinstance(handler, Half):
                impair_flow(handler)
            else:
                handler.relink()

    def _link_for(self, task: str) -> Link | None:
        spec = self._links.get(task, self._links.get("*"))
        return None if spec is None else Link(spec, task)

    def _relink(self, backend: Backend) -> bool:
        link = self._link_for(backend.task)
        before = None if backend.link is None else backend.link.spec
        if before == (None if link is None else link.spec):
            return False
        backend.link = link
        return True

    # --- the port -----------------------------------------------------------------------------------------------

    def _open(self) -> None:
        if self._port is None or self._port.is_open:
            return
        self._port.open()
        self._paused = False
        for each in self._port.sockets:
            self.loop.watch(each.fileno(), Acceptor(self, each), IN)

    def _close(self) -> None:
        if self._port is None or not self._port.is_open:
            return
        for each in self._port.sockets:
            self.loop.unwatch(each.fileno())
        self._port.close()

    def cannot_accept(self, error: OSError) -> None:
        """Accepting failed: without descriptors, let clients wait in the kernel's queue for a while."""
        if error.errno not in _OUT_OF_FDS:
            self._complain("connect-failed", f"a client could not be accepted: {error.strerror}")
            return
        self.pause_accepting()

    def cannot_connect(self, client: socket.SocketType, backend: Backend, error: OSError) -> None:
        """No connection to the task could be begun, by our own fault: the client is reset and we say so."""
        reset_socket(client)
        self._complain(
            "connect-failed",
            f"a client of task {backend.task} was reset because no connection could be begun: {error.strerror}",
        )

    def pause_accepting(self) -> None:
        """Stop accepting for a moment, for want of descriptors."""
        self._complain(
            "fd-exhausted",
            f"all {self.last_fd + _SPARE_FDS} file descriptors are in use: new connections wait until others end; "
            "raise the limit (ulimit -n) or use fewer clients",
        )
        if self._paused or self._port is None or not self._port.is_open:
            return
        self._paused = True
        for each in self._port.sockets:
            self.loop.unwatch(each.fileno())
        self.loop.at(time.monotonic_ns() + _PAUSE_NS, self._resume_accepting)

    def _resume_accepting(self) -> None:
        if not self._paused or self._port is None or not self._port.is_open:
            return
        self._paused = False
        for each in self._port.sockets:
            self.loop.watch(each.fileno(), Acceptor(self, each), IN)

    # --- telling ------------------------------------------------------------------------------------------------

    def _complain(self, code: str, message: str) -> None:
        if code in {"fd-exhausted", "connect-failed"}:
            now = time.monotonic_ns()
            if now - self._complained.get(code, -_COMPLAIN_EVERY_NS) < _COMPLAIN_EVERY_NS:
                return
            self._complained[code] = now
        self._control.tell(Error(code=code, message=message))

    def _forget_departed(self) -> None:
        """Keep the last ones' numbers for `stats`, and those that still have connections."""
        while len(self._departed) > _REMEMBERED and not self._departed[0].open:
            gone = self._departed.popleft()
            if gone.death is not None:
                gone.death.close()
            if self._tasks.get(gone.task) is gone:
                del self._tasks[gone.task]
                self._links.pop(gone.task, None)

    def _stats(self) -> StatsReport:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        running_in: dict[Backend, int] = {}
        running_out: dict[Backend, int] = {}
        for handler in self.loop.table.values():
            if isinstance(handler, Half | Impaired):
                side = running_in if handler.client_side else running_out
                side[handler.backend] = side.get(handler.backend, 0) + handler.received
        return StatsReport(
            tasks={
                task: TaskTraffic(
                    open=backend.open,
                    total=backend.total,
                    refused=backend.refused,
                    bytes_in=backend.bytes_in + running_in.get(backend, 0),
                    bytes_out=backend.bytes_out + running_out.get(backend, 0),
                    link=None if backend.link is None else backend.link.spec,
                )
                for task, backend in self._tasks.items()
            },
            link=self._links.get("*"),
            cpu_user_ns=round(usage.ru_utime * 1e9),
            cpu_system_ns=round(usage.ru_stime * 1e9),
            max_rss_bytes=usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
            wall_ns=time.monotonic_ns() - self._started,
        )


def _raise_descriptor_limit() -> int:
    """Use as many descriptors as we may; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard, 10240):  # macOS says "unlimited" and means OPEN_MAX
        if soft != resource.RLIM_INFINITY and (wanted == resource.RLIM_INFINITY or wanted > soft):
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            except (ValueError, OSError):
                continue
            break
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft
