"""Which task gets the next connection: round-robin over the tasks in rotation, as IPVS's `rr` does it.

Used by `server`. Pure bookkeeping; no socket, no clock.
"""

from __future__ import annotations

from collections import deque

from breakroom.ingress.death import DeathWatch
from breakroom.ingress.link import Link

__all__ = ["LOST_WITHIN_NS", "Backend", "Ring"]

LOST_WITHIN_NS = 10**9
"""How long before its leaving a task may have ended a connection that still counts as open on it when it died."""


class Backend:
    """A task's place in rotation, from its entering on: where it listens, and what went over it.

    A task that enters again gets a new one; connections of before stay with the old.
    """

    __slots__ = (
        "address", "bytes_in", "bytes_out", "dead", "death", "family", "link", "lost",
        "open", "refused", "task", "total",
    )  # fmt: skip

    def __init__(self, task: str, family: int, address: tuple[str, int]) -> None:
        self.task = task
        self.family = family
        self.address = address
        self.link: Link | None = None
        """None: unimpaired, the fast path."""
        self.death: DeathWatch | None = None
        """Who tells its process's end; None: only a message does."""
        self.dead = False
        """Cut: when the task's side of a connection ends, the whole connection is over."""
        self.open = 0
        self.lost: deque[int] = deque(maxlen=65536)
        """When it ended connections that it owed an answer, monotonic ns: the last ones."""
        self.total = 0
        self.refused = 0
        self.bytes_in = 0
        self.bytes_out = 0

    def open_at_death(self, now: int) -> int:
        """Connections that its death ends, or has just ended.

        The kernel ends a dead process's connections before anybody can be told of the death, so some are over when the
        task leaves: those that it ended in the last second while it owed their clients an answer belong to them.
        """
        return self.open + sum(1 for t in self.lost if t >= now - LOST_WITHIN_NS)


class Ring:
    """The tasks in rotation, in the order of their entering, and whose turn it is."""

    __slots__ = ("_turn", "members")

    def __init__(self) -> None:
        self.members: list[Backend] = []
        self._turn = 0

    def add(self, backend: Backend) -> None:
        """Put it last."""
        self.members.append(backend)

    def remove(self, backend: Backend) -> None:
        """Take it out; the turn of the others does not change."""
        place = self.members.index(backend)
        del self.members[place]
        if place < self._turn:
            self._turn -= 1

    def next(self) -> Backend:
        """Whose turn it is. The ring must not be empty."""
        turn = self._turn
        members = self.members
        if turn >= len(members):
            turn = 0
        self._turn = turn + 1
        return members[turn]
