"""The main process's end of one engine: starts it, asks it, hears it, and notices its death.

Used by `platforms.local` alone. Replies are matched to requests by id; everything else goes to `on_pushed`.
If the engine ends before it was told to, every waiting request fails with `engine-died`, `on_death` is
called, and what the engine could no longer kill is killed from here.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from breakroom.engine.shell import protocol
from breakroom.engine.shell.cgroups import sweep_leftovers
from breakroom.engine.shell.channel import LineChannel
from breakroom.engine.shell.command import MARKER
from breakroom.engine.shell.procfs import kill_marked, marked_processes
from breakroom.engine.shell.pulse import Pulse, Stretch
from breakroom.platforms.base import PlatformError

__all__ = ["EngineClient"]

_ANSWER_SECONDS = 30.0
_END_SECONDS = 3.0
_TAIL = 2000
_SWEEPS = 60
_SWEEP_PAUSE_SECONDS = 0.05


class EngineClient:
    """One engine process and the requests to it. Made by `start`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        sock: socket.socket,
        errors: Path,
        *,
        on_pushed: Callable[[protocol.Pushed], None],
        on_death: Callable[[str], None],
        on_still: Callable[[Stretch], None],
    ) -> None:
        self.process = process
        self.marker = f"{os.getpid()}-{secrets.token_hex(8)}"
        self._errors = errors
        self._on_pushed = on_pushed
        self._on_death = on_death
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[protocol.Reply]] = {}
        self._dead = ""
        self._closing = False
        loop = asyncio.get_running_loop()
        self._channel = LineChannel(loop, sock, self._received, self._lost)
        self._pulse = Pulse(
            loop, ask=lambda n: self._channel.send(protocol.encode(protocol.Ping(id=n))), tell=on_still
        )

    @classmethod
    async def start(
        cls,
        directory: Path,
        *,
        on_pushed: Callable[[protocol.Pushed], None],
        on_death: Callable[[str], None],
        on_still: Callable[[Stretch], None],
    ) -> EngineClient:
        """Start an engine whose complaints go to `directory/engine.log`.

        Raises:
            PlatformError: `engine-failed`: the process cannot be started.
        """
        ours, theirs = socket.socketpair()
        errors = directory / "engine.log"
        command = [sys.executable, "-P", "-m", "breakroom.engine", "--control-fd", str(theirs.fileno())]
        try:
            with theirs, errors.open("ab") as log:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(theirs.fileno(),),
                    # Ctrl-C at the terminal is the director's to handle, not the engine's.
                    start_new_session=True,
                )
        except OSError as error:
            ours.close()
            raise PlatformError("engine-failed", f"the engine cannot be started: {error}") from error
        return cls(process, ours, errors, on_pushed=on_pushed, on_death=on_death, on_still=on_still)

    def watch(self) -> None:
        """From now on ask whether the engine still turns; `on_still` hears of it when it did not."""
        self._pulse.start()

    async def ask(self, make: Callable[[int], protocol.Request], *, within: float = _ANSWER_SECONDS) -> Any:
        """Send the request that `make` builds from its id, and return the reply's result.

        Raises:
            PlatformError: the engine refused (its code), died (`engine-died`) or is silent (`engine-silent`).
        """
        if self._dead:
            raise PlatformError("engine-died", self._dead)
        number = next(self._ids)
        waiting: asyncio.Future[protocol.Reply] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        try:
            self._channel.send(protocol.encode(make(number)))
            async with asyncio.timeout(within):
                reply = await waiting
        except TimeoutError:
            raise PlatformError("engine-silent", f"the engine did not answer within {within:g} s") from None
        finally:
            self._waiting.pop(number, None)
        if reply.code:
            raise PlatformError(reply.code, reply.message, reply.hint)
        return reply.result

    async def close(self) -> list[str]:
        """End the engine, which kills whatever it still runs, and sweep behind it. Returns what is still there."""
        self._closing = True
        self._pulse.stop()
        self._dead = self._dead or "the engine was ended"
        self._channel.close()
        try:
            async with asyncio.timeout(_END_SECONDS):
                await self.process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
        return await asyncio.to_thread(_sweep, self.marker)

    def _received(self, line: bytes) -> None:
        message = protocol.decode_pushed(line)
        if isinstance(message, protocol.Pong):
            self._pulse.answered(message.id, message.t)
            return
        if not isinstance(message, protocol.Reply):
            self._on_pushed(message)
            return
        waiting = self._waiting.get(message.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(message)

    def _lost(self) -> None:
        """The engine's end of the socket closed although nobody asked for it."""
        if self._closing:
            return
        self._pulse.stop()
        # Once and at once: this is on the loop, and `close` looks again.
        _sweep(self.marker, tries=1)
        self._dead = f"the engine (pid {self.process.pid}) ended unexpectedly{self._last_words()}"
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(PlatformError("engine-died", self._dead, f"see {self._errors.name}"))
        self._on_death(self._dead)

    def _last_words(self) -> str:
        try:
            text = self._errors.read_text(encoding="utf-8", errors="replace")[-_TAIL:].strip()
        except OSError:
            return ""
        return f"; it said: {text}" if text else ""


def _sweep(marker: str, *, tries: int = _SWEEPS) -> list[str]:
    """Kill what an engine of that mark left, and remove the control groups of dead engines.

    What was killed a moment ago may still be dying, and its control group cannot be removed before; so what is left is
    looked at again for a while (3 s or so in all) before it is reported. Blocks.
    """
    while True:
        kill_marked(MARKER, marker)
        left = [f"process {pid}" for pid in marked_processes(MARKER, marker)] + sweep_leftovers()
        tries -= 1
        if not left or tries <= 0:
            return left
        time.sleep(_SWEEP_PAUSE_SECONDS)
