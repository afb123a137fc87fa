"""The process's heart: waits for sockets and timers, and calls whoever is responsible.

Used by `server`, `flow` and `impaired`. Written by hand because the data path of a proxy is little else than this loop:
with raw sockets and a table of handlers it costs fewer system calls and objects for a connection than asyncio's
transports do, also uvloop's (docs/ingress.md has the figures).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Protocol

from breakroom.ingress.poller import make_poller

__all__ = ["Handler", "Loop"]

_MAX_EVENTS = 512


class Handler(Protocol):
    """Whoever is responsible for a descriptor."""

    def on_event(self, events: int) -> None:
        """The descriptor is ready. May be called once more for an event that is no longer true."""


class Loop:
    """A level-triggered event loop with timers."""

    __slots__ = ("_running", "_sequence", "_timers", "forget", "poller", "table")

    def __init__(self, *, portable: bool = False) -> None:
        self.poller, by_hand = make_poller(portable=portable)
        self.table: dict[int, Handler] = {}
        self.forget: Callable[[int], None] | None = self._unregister if by_hand else None
        """To be called before a watched descriptor is closed; None where the kernel does that itself."""
        self._timers: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = 0
        self._running = False

    def watch(self, fd: int, handler: Handler, events: int) -> None:
        """Call `handler` when any of `events` happens to `fd`."""
        self.table[fd] = handler
        self.poller.register(fd, events)

    def unwatch(self, fd: int) -> None:
        """Stop calling."""
        if self.table.pop(fd, None) is not None:
            self._unregister(fd)

    def at(self, when: int, call: Callable[[], None]) -> None:
        """Call once `when` (monotonic ns) has come. Timers cannot be taken back: callees look for themselves."""
        self._sequence += 1
        heappush(self._timers, (when, self._sequence, call))

    def stop(self) -> None:
        """Return from `run` after the events at hand."""
        self._running = False

    def run(self) -> None:
        """Serve until `stop`."""
        self._running = True
        table = self.table
        poll = self.poller.poll
        timers = self._timers
        while self._running:
            for fd, events in poll(self._patience() if timers else -1, _MAX_EVENTS):
                handler = table.get(fd)
                if handler is not None:
                    handler.on_event(events)
            if timers:
                self._fire()

    def _patience(self) -> float:
        return max(0.0, (self._timers[0][0] - time.monotonic_ns()) / 1e9)

    def _fire(self) -> None:
        now = time.monotonic_ns()
        while self._timers and self._timers[0][0] <= now:
            heappop(self._timers)[2]()

    def _unregister(self, fd: int) -> None:
        try:
            self.poller.unregister(fd)
        except (KeyError, FileNotFoundError):
            return  # It was parked: not watched at this moment.
