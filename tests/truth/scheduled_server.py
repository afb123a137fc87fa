"""Services that fail by schedules and write down what they did: the ground truth of `truth.play`, which starts this.

`scheduled_server.py` is spoken to in lines of JSON: in, a list of schedules, each a list of [state, ns, detail]; out,
their ports. In, [number, T] for each: its first state ends that many ns after the moment T of the monotonic clock. In,
the end of the file; out, every service's log. Nothing of breakroom's is imported. The states:

    fine      200 at once, the load after 8 ms     error    the status `detail`
    slow      200 after `detail` ns                late     the same, later than anybody waits
    wrong     200 with another body                garbage  something that is not HTTP
    hang      accepted, never answered             backlog  not even accepted until the state is over; never answered
    reset     reset when it was accepted           cut      closed after the request was read
    half      closed within the response           refuse   nobody listens, and kept connections are closed

A request meets the state in which its connection was accepted; a later one on a kept connection that in which it was
read. Before each change all connections that wait are accepted. `127.0.0.1` is the probe's address, another the load's.
"""

from __future__ import annotations

import ctypes
import gc
import heapq
import itertools
import json
import select
import socket
import struct
import sys
from collections.abc import Callable
from functools import partial
from time import monotonic_ns
from typing import Any

RESET = struct.pack("ii", 1, 0)
MS = 1_000_000
LOAD_WORK = 8 * MS
SILENT = frozenset({"hang", "backlog"})
READ = select.EPOLLIN


class Loop:
    """Readiness and timers, to some µs."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.timers: list[tuple[int, int, Callable[[], None]]] = []
        self.handlers: dict[int, Callable[[], None]] = {}
        self.open = True
        self._numbers = itertools.count()

    def watch(self, fd: int, handler: Callable[[], None]) -> None:
        self.handlers[fd] = handler
        self.epoll.register(fd, READ)

    def forget(self, fd: int) -> None:
        if self.handlers.pop(fd, None) is not None:
            self.epoll.unregister(fd)

    def at(self, moment: int, do: Callable[[], None]) -> None:
        heapq.heappush(self.timers, (moment, next(self._numbers), do))

    def run(self) -> None:
        while self.open:
            for fd, _ in self._wait():
                handler = self.handlers.get(fd)
                if handler is not None:
                    handler()
                self._due()
            self._due()

    def _due(self) -> None:
        while self.timers and self.timers[0][0] <= monotonic_ns():
            heapq.heappop(self.timers)[2]()

    def _wait(self) -> list[tuple[int, int]]:
        left = self.timers[0][0] - monotonic_ns() if self.timers else 1_000 * MS
        if left <= 0:
            return self.epoll.poll(0)
        if left > 2 * MS:
            return self.epoll.poll((left // MS - 1) / 1000)
        ready, _, _ = select.select([self.epoll.fileno()], (), (), left / 1e9)
        return self.epoll.poll(0) if ready else []


class Connection:
    """An accepted connection. `state`: in which it was accepted."""

    def __init__(self, service: Service, found: socket.socket, state: str, detail: int) -> None:
        self.socket = found
        self.service = service
        self.stream = "probe" if found.getsockname()[0] == "127.0.0.1" else "load"
        self.accepted = monotonic_ns()
        self.state, self.detail = state, detail
        self.fresh = True
        self.waiting = False
        """Whether its client waits for an answer, be it in vain."""

    def readable(self) -> None:
        service = self.service
        try:
            data = self.socket.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        if self.fresh:
            state, detail = self.state, self.detail
        else:
            state, detail = service.state, service.detail
            state = "reset" if state == "refuse" else state
        entry = service.note(self, monotonic_ns(), state)
        self.fresh = False
        keep = b"Connection: close" not in data
        if state in {"reset", "cut"}:
            self.close(reset=state == "reset")
        elif state == "half":
            self._send(entry, b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\nthis is")
            self.close()
        elif state == "garbage" or (state == "wrong" and self.stream == "load"):
            self._send(entry, b"what is this?\r\n\r\n")
            self.close()
        elif state in SILENT:
            self.waiting = True
        else:
            self._answer(entry, state, detail, keep=keep)

    def _answer(self, entry: list[Any], state: str, detail: int, *, keep: bool) -> None:
        status = detail if state == "error" else 200
        body = b"nothing" if state == "wrong" else b"served\n"
        name = entry[0] if self.service.numbered else f"state-{self.service.number}"
        head = f"HTTP/1.1 {status} So\r\nX-Task-Id: {name}\r\nContent-Length: {len(body)}\r\n"
        data = head.encode() + (b"\r\n" if keep else b"Connection: close\r\n\r\n") + body
        delay = detail if state in {"slow", "late"} else LOAD_WORK if self.stream == "load" else 0

        def answer() -> None:
            self.waiting = False
            self._send(entry, data)
            if not keep:
                self.close()

        if delay:
            self.waiting = True
            self.service.loop.at(monotonic_ns() + delay, answer)
        else:
            answer()

    def _send(self, entry: list[Any], data: bytes) -> None:
        entry[5] = monotonic_ns()
        try:
            self.socket.send(data)
        except OSError:
            entry[5] = 0

    def close(self, *, reset: bool = False) -> None:
        if self.socket.fileno() < 0:
            return
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.service.loop.forget(self.socket.fileno())
        self.service.connections.discard(self)
        self.socket.close()


class Service:
    """One schedule, one port."""

    def __init__(self, loop: Loop, states: list[tuple[str, int, int]], *, numbered: bool) -> None:
        self.loop = loop
        self.states = states
        self.numbered = numbered
        self.number = 0
        self.state, _, self.detail = states[0]
        self.connections: set[Connection] = set()
        self.changes: list[tuple[int, int, str]] = []
        """(before, after, state): it came into force between the two moments."""
        self.requests: list[list[Any]] = []
        """[number, stream, met, taken, state, answered or 0], in the order in which they were taken. `met`: when the
        connection was accepted; on a kept one, when the request was read."""
        # Bound and never listening: nobody else gets the port while this service refuses.
        self.holder = self._socket(0)
        self.port: int = self.holder.getsockname()[1]
        self.listener: socket.socket | None = None
        self._listen()

    def _socket(self, port: int) -> socket.socket:
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(("0.0.0.0", port))
        return made

    def start(self, moment: int) -> None:
        for number, (_, length, _) in enumerate(self.states[:-1], start=1):
            moment += length
            self.loop.at(moment, partial(self._enter, number))

    def note(self, connection: Connection, taken: int, state: str) -> list[Any]:
        met = connection.accepted if connection.fresh else taken
        entry = [len(self.requests), connection.stream, met, taken, state, 0]
        self.requests.append(entry)
        return entry

    def _listen(self) -> None:
        self.listener = self._socket(self.port)
        self.listener.listen(4096)
        self.listener.setblocking(False)
        self.loop.watch(self.listener.fileno(), self._accept)

    def _enter(self, number: int) -> None:
        """The schedule's state of that number."""
        state, _, detail = self.states[number]
        self._accept()
        before = monotonic_ns()
        if state == "refuse" and self.listener is not None:
            self.loop.forget(self.listener.fileno())
            self.listener.close()
            self.listener = None
            for connection in list(self.connections):
                self._leave(connection)
        if state != "refuse" and self.listener is None:
            self._listen()
        if self.listener is not None:
            if state == "backlog":
                self.loop.forget(self.listener.fileno())
            elif self.listener.fileno() not in self.loop.handlers:
                self.loop.watch(self.listener.fileno(), self._accept)
        self.state, self.detail, self.number = state, detail, number
        self.changes.append((before, monotonic_ns(), state))

    def _leave(self, connection: Connection) -> None:
        """Nobody listens from now on: a kept connection is closed unless its client waits."""
        connection.readable()
        if connection.socket.fileno() >= 0 and not (connection.fresh or connection.waiting):
            connection.close()

    def _accept(self) -> None:
        while self.listener is not None:
            try:
                found, _ = self.listener.accept()
            except BlockingIOError:
                return
            connection = Connection(self, found, self.state, self.detail)
            if self.state == "reset":
                self.note(connection, connection.accepted, "reset")
                connection.close(reset=True)
                continue
            found.setblocking(False)
            self.connections.add(connection)
            self.loop.watch(found.fileno(), connection.readable)


def main() -> None:
    """Serve until the input ends, then print the logs."""
    libc = ctypes.CDLL(None)
    libc.prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG: die with the test
    libc.prctl(29, 1, 0, 0, 0)  # PR_SET_TIMERSLACK: timers to the nanosecond, not 50 µs late
    loop = Loop()
    services = [
        Service(loop, one["states"], numbered=one["numbered"]) for one in json.loads(sys.stdin.readline())
    ]
    print(json.dumps([service.port for service in services]), flush=True)
    gc.disable()

    requests: Any = sys.stdin.buffer.raw  # type: ignore[union-attr]  # unbuffered: one line an event

    def command() -> None:
        line = requests.readline()
        if line:
            number, moment = json.loads(line)
            services[number].start(moment)
        else:
            loop.open = False

    loop.watch(sys.stdin.fileno(), command)
    loop.run()
    print(json.dumps([{"changes": one.changes, "requests": one.requests} for one in services]), flush=True)


if __name__ == "__main__":
    main()
