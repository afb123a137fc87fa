"""Which task gets the next connection: round-robin over the tasks in rotation, as IPVS's `rr` does it.

Used by `server`. Pure bookkeeping; no socket, no clock.
"""

from __future__ import annotations

from breakroom.ingress.link import Link

__all__ = ["Backend", "Ring"]


class Backend:
    """A task's place in rotation, from its entering on: where it listens, and what went over it.

    A task that enters again gets a new one; connections of before stay with the old.
    """

    __slots__ = (
        "address", "bytes_in", "bytes_out", "dead", "family", "link", "open", "refused", "task", "total",
    )  # fmt: skip

    def __init__(self, task: str, family: int, address: tuple[str, int]) -> None:
        self.task = task
        self.family = family
        self.address = address
        self.link: Link | None = None
        """None: unimpaired, the fast path."""
        self.dead = False
        """Cut: when the task's side of a connection ends, the whole connection is over."""
        self.open = 0
        self.total = 0
        self.refused = 0
        self.bytes_in = 0
        self.bytes_out = 0


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
