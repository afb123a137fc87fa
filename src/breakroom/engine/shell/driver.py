"""Drives the core: one event at a time, each with its time, its instructions carried out in order before the next.

Used by `engine.shell.engine`. Time never goes backwards for the core: an event that was seen earlier than the
last one was handled is given the later time. After a few milliseconds of work the loop gets a turn, so that
ends and requests are heard while a hundred tasks are being started.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from breakroom.engine.core.errors import IllegalEvent
from breakroom.engine.core.events import Event, Tick
from breakroom.engine.core.instructions import Instruction

__all__ = ["Core", "Done", "Driver"]

_TURN_NS = 5_000_000

Done = Callable[[IllegalEvent | None], None]
"""Told when an event was handled and its instructions carried out, or why the core refused it."""


class Core(Protocol):
    """What the driver needs of `engine.core.orchestrator.Orchestrator`."""

    def handle(self, event: Event, now: int) -> list[Instruction]:
        """Decide."""
        ...

    def next_deadline(self) -> int | None:
        """When the next `Tick` is due."""
        ...


class Driver:
    """The queue between what happens and the core. `carry_out` gets each instruction with its event's time."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        core: Core,
        *,
        carry_out: Callable[[Instruction, int], None],
        refused: Callable[[IllegalEvent], None],
    ) -> None:
        self._loop = loop
        self._core = core
        self._carry_out = carry_out
        self._refused = refused
        self._queue: deque[tuple[Event, int | None, Done | None]] = deque()
        self._working = False
        self._now = 0
        self._timer: asyncio.TimerHandle | None = None

    def feed(self, event: Event, t: int | None = None, done: Done | None = None) -> None:
        """Let `event` be handled, after those that came before it. `t`: when it happened; None: when it is handled."""
        self._queue.append((event, t, done))
        if not self._working:
            self._work()

    def stop(self) -> None:
        """Handle nothing any more."""
        self._working = True
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _work(self) -> None:
        self._working = True
        until = time.monotonic_ns() + _TURN_NS
        while self._queue:
            self._handle(*self._queue.popleft())
            if self._queue and time.monotonic_ns() > until:
                self._loop.call_soon(self._work)
                return
        self._working = False
        self._arm()

    def _handle(self, event: Event, t: int | None, done: Done | None) -> None:
        self._now = max(self._now, t if t is not None else time.monotonic_ns())
        try:
            instructions = self._core.handle(event, self._now)
        except IllegalEvent as error:
            (done or self._report)(error)
            return
        for instruction in instructions:
            self._carry_out(instruction, self._now)
        if done is not None:
            done(None)

    def _report(self, error: IllegalEvent | None) -> None:
        if error is not None:
            self._refused(error)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._core.next_deadline()
        if deadline is not None:
            seconds = max(0.0, (deadline - time.monotonic_ns()) / 1e9)
            self._timer = self._loop.call_later(seconds, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.feed(Tick())
