"""A server that fails by a schedule and writes down what it did: `scheduled_server.py PORT SCHEDULE.json LOG`.

The schedule is a list of [state, seconds], begun when the first connection was answered:

    fine       200 at once                       slow     200 after 60 ms
    error      500 at once                       reset    the connection is reset when it was accepted
    hang       accepted, never answered          refuse   nobody listens

Every line of the log has the machine's monotonic clock in ns: `BEFORE AFTER STATE` for each change of state (it came
into force between the two), and `T accepted STATE` for each connection. Afterwards it is fine until it is killed.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import struct
import sys
import time
from pathlib import Path

LINGER_RESET = struct.pack("ii", 1, 0)
SLOW_S = 0.06
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"
ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n"


class Server:
    """One thread, one selector: what happens is in the order of the log."""

    def __init__(self, port: int, schedule: list[tuple[str, float]], log: Path) -> None:
        self.schedule = schedule
        self.state = "fine"
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.selector = selectors.DefaultSelector()
        # Bound and never listening: nobody else gets the port while this server refuses.
        self.holder = self._socket(port)
        self.port = self.holder.getsockname()[1]
        self.listener: socket.socket | None = None
        self.slow: list[tuple[float, socket.socket]] = []
        self.until: float | None = None
        self._listen()

    def run(self) -> None:
        """Serve until killed."""
        while True:
            now = time.monotonic()
            due = [moment for moment, _ in self.slow] + ([self.until] if self.until else [])
            for key, _ in self.selector.select(max(0.0, min(due) - now) if due else None):
                if key.fileobj is self.listener:
                    self._accept()
                else:
                    self._read(key.fileobj)  # type: ignore[arg-type]  # only sockets are registered
            now = time.monotonic()
            while self.slow and self.slow[0][0] <= now:
                self._answer(self.slow.pop(0)[1], OK)
            if self.until is not None and self.until <= now:
                self._next()

    def _socket(self, port: int) -> socket.socket:
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(("127.0.0.1", port))
        return made

    def _listen(self) -> None:
        self.listener = self._socket(self.port)
        self.listener.listen(128)
        self.listener.setblocking(False)
        self.selector.register(self.listener, selectors.EVENT_READ)

    def _write(self, *words: object) -> None:
        os.write(self.log, " ".join(map(str, words)).encode() + b"\n")

    def _next(self) -> None:
        """The schedule's next state."""
        self._accept()
        state, seconds = self.schedule.pop(0) if self.schedule else ("fine", 0.0)
        before = time.monotonic_ns()
        if state == "refuse" and self.listener is not None:
            self.selector.unregister(self.listener)
            self.listener.close()
            self.listener = None
        if state != "refuse" and self.listener is None:
            self._listen()
        self.state = state
        self._write(before, time.monotonic_ns(), state)
        self.until = time.monotonic() + seconds if seconds else None

    def _accept(self) -> None:
        while self.listener is not None:
            try:
                connection, _ = self.listener.accept()
            except BlockingIOError:
                return
            self._write(time.monotonic_ns(), "accepted", self.state)
            if self.until is None and self.schedule:
                self.until = time.monotonic()
            if self.state == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
                connection.close()
                continue
            connection.setblocking(False)
            self.selector.register(connection, selectors.EVENT_READ, self.state)

    def _read(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(4096)
        except OSError:
            data = b""
        state = self.selector.get_key(connection).data
        if not data or state != "hang":
            self.selector.unregister(connection)
        if not data:
            connection.close()
        elif state == "slow":
            self.slow.append((time.monotonic() + SLOW_S, connection))
        elif state != "hang":
            self._answer(connection, ERROR if state == "error" else OK)

    def _answer(self, connection: socket.socket, data: bytes) -> None:
        with connection:
            try:
                connection.sendall(data)
            except OSError:
                return


if __name__ == "__main__":
    server = Server(int(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()), Path(sys.argv[3]))
    print(server.port, flush=True)
    server.run()
