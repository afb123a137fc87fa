"""Health probes: one command or one HTTP GET, within a time.

Used by `engine.shell.node` for each `RunProbe`. A command runs in a session of its own, which is killed at
the timeout; a GET needs no process. Output is kept to 4 KiB, as Docker keeps it.

Success, as Docker has it: a command's exit status 0. For GET: a status from 200 to 399.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from breakroom.engine.shell.limits import machine_lacks
from breakroom.engine.shell.processes import Children, Ended, kill_group

__all__ = ["OUTPUT_LIMIT", "ProbeResult", "probe_command", "probe_http"]

OUTPUT_LIMIT = 4096
_HTTP_OK = range(200, 400)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """What a probe found. `t` is when it ended, `duration_ns` how long it took."""

    t: int
    ok: bool
    output: str
    duration_ns: int
    lacked: str = ""
    """What this machine lacked, so that the probe could not be made and says nothing about the task; empty: nothing."""


def _result(begun: int, *, ok: bool, output: str, lacked: str = "") -> ProbeResult:
    now = time.monotonic_ns()
    return ProbeResult(t=now, ok=ok, output=output[:OUTPUT_LIMIT], duration_ns=now - begun, lacked=lacked)


async def probe_command(
    children: Children, argv: Sequence[str], *, env: Mapping[str, str], cwd: str | None, timeout_s: float
) -> ProbeResult:
    """Run a command; it and everything it started in its session are gone when this returns or is cancelled."""
    loop = asyncio.get_running_loop()
    begun = time.monotonic_ns()
    ended: asyncio.Future[int] = loop.create_future()

    def on_exit(end: Ended) -> None:
        if not ended.done():
            ended.set_result(end.returncode)

    try:
        collecting = _Output(loop)
    except OSError as error:
        return _result(
            begun, ok=False, output=f"cannot run {argv[0]}: {error.strerror}", lacked=machine_lacks(error)
        )
    with collecting as output:
        try:
            pid = children.spawn(argv, env=env, cwd=cwd, output=output.writer, on_exit=on_exit)
        except OSError as error:
            return _result(
                begun, ok=False, output=f"cannot run {argv[0]}: {error.strerror}", lacked=machine_lacks(error)
            )
        output.close_writer()
        try:
            async with asyncio.timeout(timeout_s):
                status = await asyncio.shield(ended)
        except TimeoutError:
            return _result(begun, ok=False, output=f"health check exceeded its timeout of {timeout_s:g} s")
        finally:
            if not ended.done():
                kill_group(pid)
                await asyncio.shield(ended)
        output.read()
        return _result(begun, ok=status == 0, output=output.text())


class _Output:
    """Collects the first 4 KiB that a command writes, and swallows the rest so that it does not block."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._kept = bytearray()
        self._reader, self.writer = os.pipe2(os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()

    def __enter__(self) -> Self:
        os.set_blocking(self._reader, False)
        self._loop.add_reader(self._reader, self.read)
        return self

    def __exit__(self, *_: object) -> None:
        self.close_writer()
        self._loop.remove_reader(self._reader)
        os.close(self._reader)

    def close_writer(self) -> None:
        """Only the command keeps the writing end."""
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    def read(self) -> None:
        """Take what is there."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._reader, 1 << 16):
                self._kept += data[: OUTPUT_LIMIT - len(self._kept)]
            self._loop.remove_reader(self._reader)

    def text(self) -> str:
        """What was kept, as text."""
        return self._kept.decode(errors="replace")


async def probe_http(target: str, port: int, *, timeout_s: float) -> ProbeResult:
    """GET a path (or the path of a URL) of the task itself, on its own port."""
    begun = time.monotonic_ns()
    parts = urlsplit(target)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        async with asyncio.timeout(timeout_s):
            head = await _get("127.0.0.1", port, path)
    except TimeoutError:
        return _result(begun, ok=False, output=f"no answer to GET {path} within {timeout_s:g} s")
    except OSError as error:
        text = f"GET {path}: {error.strerror or error}"
        return _result(begun, ok=False, output=text, lacked=machine_lacks(error))
    status_line, _, rest = head.partition(b"\r\n")
    words = status_line.split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return _result(begun, ok=False, output=f"GET {path}: the answer is not HTTP: {status_line[:80]!r}")
    body = rest.partition(b"\r\n\r\n")[2].decode(errors="replace")
    text = f"{status_line.decode(errors='replace')}\n{body}"
    return _result(begun, ok=int(words[1]) in _HTTP_OK, output=text)


async def _get(host: str, port: int, path: str) -> bytes:
    """The answer's head and the first 4 KiB of its body."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        # A server that keeps the connection open must not make a good answer wait for its end.
        while not _complete(answer) and (data := await reader.read(OUTPUT_LIMIT)):
            answer += data
        return answer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _complete(answer: bytes) -> bool:
    """Whether the answer is all there, or as much of it as is kept."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    if not separator:
        return len(answer) >= 4 * OUTPUT_LIMIT
    length = re.search(rb"\r\ncontent-length:\s*(\d+)", head, re.IGNORECASE)
    if length is not None:
        return len(body) >= min(int(length[1]), OUTPUT_LIMIT)
    return len(body) >= OUTPUT_LIMIT or body.endswith(b"0\r\n\r\n")
