"""Samples every running task's memory and CPU.

Used by `engine.shell.engine`. Twice a second at best; the more tasks there are, the less often, so that
sampling stays below half a percent of a core whatever the number: the pause is 200 times the CPU time that
the last round took.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

__all__ = ["Row", "Sampler"]

Row = tuple[str, int, int | None, int]
"""Task, memory in bytes, its limit or None, CPU time in ns."""

_SHORTEST = 0.5
_PAUSE_PER_WORK = 200


class Sampler:
    """Calls `sample` again and again and hands its rows to `push` with their time."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sample: Callable[[], Iterable[Row]],
        push: Callable[[int, tuple[Row, ...]], None],
    ) -> None:
        self._loop = loop
        self._sample = sample
        self._push = push
        self._timer: asyncio.TimerHandle | None = None
        self.interval = _SHORTEST
        """Seconds between the last two rounds."""

    def start(self) -> None:
        """Begin; the first round comes after the shortest pause."""
        self._timer = self._loop.call_later(_SHORTEST, self._round)

    def stop(self) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _round(self) -> None:
        begun = time.thread_time()
        rows = tuple(self._sample())
        if rows:
            self._push(time.monotonic_ns(), rows)
        self.interval = max(_SHORTEST, _PAUSE_PER_WORK * (time.thread_time() - begun))
        self._timer = self._loop.call_later(self.interval, self._round)
