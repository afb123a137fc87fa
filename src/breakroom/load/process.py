"""One load worker as the main process sees it: start, handshake, messages, end. Used by `load.stream` alone.

The worker is in a session of its own, so that Ctrl-C at the terminal reaches only the main process, which then stops
it in order. However it ends, `ended` completes: nothing waits for a dead worker.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import msgspec

from breakroom.load.messages import Done, FromWorker, Go, Plan, Progress, Ready, Stop, encode

__all__ = ["WorkerError", "WorkerProcess", "spawn"]

_STARTUP = 20.0
_KEPT_STDERR = 4096
_decoder: msgspec.json.Decoder[FromWorker] = msgspec.json.Decoder(FromWorker)


class WorkerError(Exception):
    """A load worker could not be started; the text says what it said."""


def spawn(coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """Start a named task. The caller keeps it, awaits it, and so sees its errors."""
    return asyncio.get_running_loop().create_task(coroutine, name=name)


class WorkerProcess:
    """A running worker. Made by `start`; `progress` and `done` follow what it says."""

    def __init__(self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader) -> None:
        self._process = process
        self._reader = reader
        self.writer: asyncio.StreamWriter | None = None
        self.progress: Progress | None = None
        self.done: Done | None = None
        self.stderr = ""
        self._ready = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._on_end: Callable[[], None] = lambda: None
        self.ended = asyncio.Event()

    @classmethod
    async def start(cls, plan: Plan, *, name: str, on_end: Callable[[], None]) -> WorkerProcess:
        """Start a worker and give it its plan; returns when it is ready to go.

        Args:
            plan: What it is to do.
            name: For its tasks' names.
            on_end: Called once when it has ended, in whatever way.

        Raises:
            WorkerError: it did not become ready.
        """
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "breakroom.load",
                "--control-fd",
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        try:
            reader, writer = await asyncio.open_connection(sock=ours, limit=1 << 20)
        except BaseException:
            ours.close()
            with suppress(ProcessLookupError):
                process.kill()
            await process.communicate()
            raise
        worker = cls(process, reader)
        worker.writer = writer
        worker._on_end = on_end
        worker._tasks = [
            spawn(worker._follow(), f"{name}: messages"),
            spawn(worker._keep_stderr(), f"{name}: stderr"),
        ]
        try:
            await worker._hand_over(plan)
        except BaseException:
            await worker.kill()
            raise
        return worker

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_text(self) -> str:
        """How the process ended, in words."""
        code = self._process.returncode
        if code is not None and code < 0:
            return f"killed by signal {-code}"
        return f"exit code {code}"

    async def _hand_over(self, plan: Plan) -> None:
        self._send(plan)
        try:
            async with asyncio.timeout(_STARTUP):
                await self._ready.wait()
        except TimeoutError:
            raise WorkerError(
                f"a load worker was not ready after {_STARTUP:.0f} s; is the machine overloaded?"
            ) from None
        if self.ended.is_set():
            raise WorkerError(
                f"a load worker ended while starting: {self.stderr.strip() or 'it said nothing'}"
            )

    def go(self, t0: int) -> None:
        """Let it begin at `t0`."""
        self._send(Go(t0=t0))

    def stop(self, until: int) -> None:
        """Let it begin nothing intended at `until` or later, and end when the outstanding requests have."""
        self._send(Stop(until=until))

    async def kill(self) -> None:
        """End it now, wherever it is, and wait until it is gone."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self.join()

    async def join(self) -> None:
        """Wait until the process is gone and everything it said was read; errors of `on_end` come out here."""
        try:
            await asyncio.gather(*self._tasks)
        finally:
            if self.writer is not None:
                self.writer.close()

    def _send(self, message: Plan | Go | Stop) -> None:
        # Messages are few and short: they fit the socket's buffer, so there is nothing to drain.
        if self.writer is not None and not self.ended.is_set():
            self.writer.write(encode(message))

    async def _follow(self) -> None:
        """Read messages until the worker's end of the socket closes; then wait for the process itself."""
        try:
            while line := await self._reader.readline():
                match _decoder.decode(line):
                    case Ready():
                        self._ready.set()
                    case Progress() as progress:
                        self.progress = progress
                    case Done() as done:
                        self.done = done
                        self.progress = done.progress
        except (ConnectionError, msgspec.DecodeError) as error:
            # A worker killed in the middle of a line, with bytes of ours unread.
            self.stderr += f"{type(error).__name__}: {error}\n"
        await self._process.wait()
        self.ended.set()
        self._ready.set()
        self._on_end()

    async def _keep_stderr(self) -> None:
        """Keep the end of what it writes to standard error: a traceback, if anything."""
        assert self._process.stderr is not None, "it was started with a pipe"
        while data := await self._process.stderr.read(4096):
            self.stderr = (self.stderr + data.decode("utf-8", "replace"))[-_KEPT_STDERR:]
