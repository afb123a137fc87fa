"""A real ingress process and real listening sockets, driven step by step by one thread: nothing here runs by itself."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

from breakroom.ingress import messages as m
from breakroom.ingress.link import LinkSpec

T = TypeVar("T")
PATIENCE = 20.0
"""Seconds after which a test that waits for something has failed."""


class Ingress:
    """One ingress process and the other end of its control socket."""

    def __init__(self, *, portable: bool = False, shell_prefix: str = "") -> None:
        self.control, theirs = socket.socketpair()
        self.control.settimeout(PATIENCE)
        command = [sys.executable, "-m", "breakroom.ingress", "--control-fd", str(theirs.fileno())]
        if portable:
            command.append("--portable")
        if shell_prefix:
            command = ["sh", "-c", f'{shell_prefix}; exec "$@"', "sh", *command]
        with theirs:
            self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        self._lines = b""
        self.port = 0

    def say(self, *commands: m.Command) -> None:
        self.control.sendall(b"".join(m.encode(each) for each in commands))

    def say_raw(self, line: bytes) -> None:
        self.control.sendall(line)

    def hear(self, kind: type[T]) -> T:
        """The next event, which must be of this kind."""
        while b"\n" not in self._lines:
            data = self.control.recv(65536)
            assert data, "the ingress closed its control socket"
            self._lines += data
        line, _, self._lines = self._lines.partition(b"\n")
        event = m.decode_event(line)
        assert isinstance(event, kind), event
        return event

    def publish(self, *, port: int = 0, hosts: tuple[str, ...] = ("127.0.0.1",)) -> m.Published:
        self.say(m.Publish(hosts=hosts, port=port))
        published = self.hear(m.Published)
        self.port = published.port
        return published

    def enter(self, *tasks: Task) -> None:
        for task in tasks:
            self.say(m.Enter(task=task.name, host="127.0.0.1", port=task.port))
            assert self.hear(m.Rotation).in_rotation

    def drain(self, name: str) -> m.Rotation:
        self.say(m.Leave(task=name, how="drain"))
        return self.hear(m.Rotation)

    def cut(self, name: str) -> m.Rotation:
        self.say(m.Leave(task=name, how="cut"))
        return self.hear(m.Rotation)

    def impair(self, task: str, **link: object) -> None:
        spec = msgspec.convert(link, LinkSpec) if link else None
        self.say(m.Impair(task=task, link=spec))
        self.stats()  # Answered in order: the link is set when this is back.

    def stats(self) -> m.StatsReport:
        self.say(m.Stats())
        return self.hear(m.StatsReport)

    def connect(self, host: str = "127.0.0.1") -> socket.socket:
        client = socket.create_connection((host, self.port), timeout=PATIENCE)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def resets(self, request: bytes = b"") -> bool:
        """Whether a new connection, which may send something, ends in an RST; that may come while it connects."""
        try:
            with self.connect() as client:
                if request:
                    client.sendall(request)
                return was_reset(client)
        except (ConnectionResetError, BrokenPipeError):
            return True

    def end(self) -> None:
        self.control.close()
        if self.process.wait(PATIENCE) != 0:
            raise AssertionError(f"the ingress ended with {self.process.returncode}")


class Task:
    """What a replica is to the ingress: a listening socket."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.listener.settimeout(PATIENCE)
        self.port: int = self.listener.getsockname()[1]

    def accept(self) -> socket.socket:
        accepted, _ = self.listener.accept()
        accepted.settimeout(PATIENCE)
        return accepted

    def has_visitor(self) -> bool:
        """Whether a connection waits now."""
        self.listener.setblocking(False)
        try:
            accepted, _ = self.listener.accept()
        except BlockingIOError:
            return False
        finally:
            self.listener.settimeout(PATIENCE)
        accepted.close()
        return True


def reset(sock: socket.socket) -> None:
    """Close with an RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def read_exactly(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        assert chunk, f"the stream ended after {len(data)} of {size} bytes"
        data += chunk
    return bytes(data)


def read_to_end(sock: socket.socket) -> bytes:
    data = bytearray()
    while chunk := sock.recv(65536):
        data += chunk
    return bytes(data)


def was_reset(sock: socket.socket) -> bool:
    """Wait for the end of the stream; whether it was an RST."""
    try:
        while sock.recv(65536):
            pass
    except ConnectionResetError:
        return True
    return False


def until(holds: Callable[[], bool]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.002)
