"""The waiting line in front of a service: CONCURRENCY requests are in service at once, the others wait their turn.

Used by `server` for the pages that do work. This is what gives a sample app a capacity that is known in advance
(CONCURRENCY / SERVICE_TIME) and does not burn the machine's CPU. It holds no clock: times are handed in, in seconds.
"""

from __future__ import annotations

from collections import deque

TYPE_CHECKING = False  # importing it from `typing` would cost 4 ms a start
if TYPE_CHECKING:
    from collections.abc import Iterator

    from breakroom.apps.connection import Connection
    from breakroom.apps.wire import Request

__all__ = ["Desk", "Job"]

CATCH_UP = 0.002
"""Seconds. A timer wakes up to this much late; the next in line is then counted from when its place became free, so
that late timers do not make the capacity smaller than it was set to be."""


class Job:
    """One request at the desk, and when it came, was begun and will be done."""

    __slots__ = ("arrived", "begun", "connection", "request")

    def __init__(self, connection: Connection, request: Request, arrived: float) -> None:
        self.connection = connection
        self.request = request
        self.arrived = arrived
        self.begun = arrived


class Desk:
    """First come, first served, `places` at a time. Nobody is turned away."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.in_service = 0
        self.most_in_service = 0
        self.longest_line = 0
        self.served = 0
        self._line: deque[Job] = deque()
        self._free_since: deque[float] = deque()

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return len(self._line)

    def arrive(self, job: Job) -> None:
        """Stand in line; `begin` hands the job out when there is a place."""
        self._line.append(job)
        self.longest_line = max(self.longest_line, len(self._line) - (self.places - self.in_service))

    def begin(self, now: float) -> Iterator[Job]:
        """Yield the jobs that have a place now, oldest first. Each must be given back to `done`."""
        while self._line and self.in_service < self.places:
            job = self._line.popleft()
            free_since = self._free_since.popleft() if self._free_since else now
            job.begun = max(job.arrived, free_since, now - CATCH_UP)
            self.in_service += 1
            self.most_in_service = max(self.most_in_service, self.in_service)
            yield job
        self._free_since.clear()

    def done(self, due: float) -> None:
        """A job has had its service; its place is free since `due`."""
        self.in_service -= 1
        self.served += 1
        self._free_since.append(due)
