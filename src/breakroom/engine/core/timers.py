"""Deadlines of the core, each with a name; the earliest one is what the shell sleeps until.

Used by every module of the core through the store. A heap with lazy removal: setting, moving and cancelling a timer
cost O(log n), whatever the number of tasks.
"""

from __future__ import annotations

import heapq

__all__ = ["TimerKey", "Timers"]

TimerKey = tuple[str, ...]
"""A timer's name: its kind, then what it is for, e.g. `("drain", task_id)`."""

_SLACK = 64


class Timers:
    """Named deadlines in nanoseconds. Setting a name again moves it."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, TimerKey]] = []
        self._live: dict[TimerKey, tuple[int, int]] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._live)

    def set(self, key: TimerKey, at: int) -> None:
        """Let `key` fall due at `at`; timers of the same moment fall due in the order in which they were set."""
        self._count += 1
        self._live[key] = (at, self._count)
        heapq.heappush(self._heap, (at, self._count, key))
        if len(self._heap) > 2 * len(self._live) + _SLACK:
            self._heap = [(t, number, name) for name, (t, number) in self._live.items()]
            heapq.heapify(self._heap)

    def cancel(self, key: TimerKey) -> None:
        """Forget `key`; harmless if it is not set."""
        self._live.pop(key, None)

    def when(self, key: TimerKey) -> int | None:
        """When `key` falls due, or None if it is not set."""
        entry = self._live.get(key)
        return None if entry is None else entry[0]

    def next(self) -> int | None:
        """The earliest deadline, or None if nothing is waited for."""
        while self._heap:
            at, number, key = self._heap[0]
            if self._live.get(key) == (at, number):
                return at
            heapq.heappop(self._heap)
        return None

    def pop_due(self, now: int) -> TimerKey | None:
        """Take the earliest timer that is due at `now`, or None."""
        at = self.next()
        if at is None or at > now:
            return None
        key = heapq.heappop(self._heap)[2]
        del self._live[key]
        return key
