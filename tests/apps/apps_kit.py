"""Real sample apps for the tests: started as a platform starts them, spoken to over real sockets."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import breakroom.apps

__all__ = [
    "APPS",
    "PATIENCE",
    "Answer",
    "Running",
    "app_command",
    "free_port",
    "read_to_end",
    "running",
    "until",
]

APPS = Path(breakroom.apps.__file__).parent
PATIENCE = 20.0
"""Seconds until a test gives up on something that takes milliseconds on an idle machine."""


def app_command(name: str) -> list[str]:
    """How a platform starts an app. While coverage is measured, with `site`, whose hook measures the child."""
    flags = [] if "COVERAGE_PROCESS_CONFIG" in os.environ else ["-I", "-S"]
    return [sys.executable, *flags, str(APPS / f"{name.replace('-', '_')}.py")]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds; fail the test if it never does."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"waited {PATIENCE:g} s for: {what}"
        time.sleep(0.005)


class Answer:
    """One response."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.raw = response.read()
        self.headers = response.headers
        self.body: dict[str, Any] = json.loads(self.raw) if self.raw else {}


class Running:
    """An app's process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self.host, self.port = "", 0

    def wait_listening(self) -> None:
        line = self.read_log("listening on")
        match = re.search(r"http://\[?([0-9a-f.:]+?)\]?:(\d+)/", line)
        assert match is not None
        self.host, self.port = match[1], int(match[2])

    def read_log(self, text: str) -> str:
        """Read the log up to the line that contains `text`."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"{text!r} is not in the log: {self.lines}")

    def rest_of_log(self) -> str:
        assert self.process.stdout is not None
        self.lines += self.process.stdout.readlines()
        return "".join(self.lines)

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=PATIENCE)

    def keep_alive(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)

    def ask(self, path: str = "/", method: str = "GET", headers: dict[str, str] | None = None) -> Answer:
        """One request on a connection of its own."""
        client = self.keep_alive()
        try:
            client.request(method, path, headers={"Connection": "close", **(headers or {})})
            return Answer(client.getresponse())
        finally:
            client.close()

    def say(self, sent: bytes) -> bytes:
        """Send raw bytes and read until the app closes."""
        with self.connect() as client:
            client.sendall(sent)
            return read_to_end(client)

    def stats(self) -> dict[str, Any]:
        return self.ask("/stats").body

    def tell(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def exit_code(self) -> int:
        return self.process.wait(PATIENCE)


def read_to_end(client: socket.socket) -> bytes:
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


@contextlib.contextmanager
def running(name: str = "improved-app", *, listens: bool = True, **environ: str) -> Iterator[Running]:
    """An app with these settings on a free port; killed at the end if it still lives."""
    kept = {key: value for key, value in os.environ.items() if key.startswith("COVERAGE_PROCESS")}
    settings = {"PORT": "0", "BREAKROOM_TASK_ID": "task-1", **kept, **environ}
    process = subprocess.Popen(app_command(name), env=settings, text=True, stdout=subprocess.PIPE, bufsize=1)
    try:
        app = Running(process)
        if listens:
            app.wait_listening()
        yield app
    finally:
        end(process, politely=bool(kept))
        process.wait(PATIENCE)
        if process.stdout is not None:
            process.stdout.close()


def end(process: subprocess.Popen[str], *, politely: bool) -> None:
    """Kill it. While coverage is measured, first ask it to end at once, so that it can write down what it noted."""
    if politely:
        for number in (signal.SIGTERM, signal.SIGINT):
            process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2)
    if process.poll() is None:
        process.kill()
