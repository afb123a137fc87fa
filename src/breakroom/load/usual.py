"""Answers that are known whole, by their bytes: the fast way of `load.client`, and used by it alone.

A server's answers are alike. One whose head was parsed before and that came in one piece need not be parsed again; one
like the last on its connection (on a new one: like the last that was looked up) need not even be looked up.
"""

from __future__ import annotations

from breakroom.journal.samples import Outcome, pack_end
from breakroom.load.response import Head, HeadCache

__all__ = ["NOTHING_USUAL", "REUSED", "Usual", "Usuals"]

REUSED = 1
"""In a sample's flags: the connection had a request on it before."""
_MOST = 256


class Usual:
    """A response known by its head's bytes and its size alone: the next answer on a connection is most often alike."""

    __slots__ = ("ending", "head", "parts", "raw", "size", "turns")

    def __init__(self, raw: bytes, head: Head, ending: bytes, *, turns: bool, parts: bool) -> None:
        self.raw = raw
        """Of the head, with its empty line."""
        self.size = len(raw) + head.length
        """Of the whole response."""
        self.head = head
        self.ending = ending
        """The packed end of its sample, if it is an expected answer: on a reused connection if those are kept."""
        self.turns = turns
        """It is expected, and the connection may go on with the next request."""
        self.parts = parts
        """It is expected, and the server closes, as we asked it to."""


NOTHING_USUAL = Usual(b"", Head(0, 0, False, False, 0, 0, ""), b"", turns=False, parts=False)
"""Matches no response: none has no bytes."""


class Usuals:
    """The usual answers of one worker. `status` is the expected one; `keep_alive`: connections are to be kept."""

    def __init__(self, heads: HeadCache, *, status: int, keep_alive: bool) -> None:
        self.latest = NOTHING_USUAL
        self._heads = heads
        self._status = status
        self._keep_alive = keep_alive
        self._found: dict[bytes, Usual] = {}

    def find(self, data: bytes) -> Usual | None:
        """What `data` is, if it is one whole response with a head that was seen before; the `latest` from now on."""
        end = data.find(b"\r\n\r\n") + 4
        raw = data[:end]
        head = self._heads.known.get(raw)
        if head is None or head.length != len(data) - end or head.interim:
            return None
        usual = self._found.get(raw)
        if usual is None:
            if len(self._found) >= _MOST:
                self._found.clear()
            usual = self._found[raw] = self._make(raw, head)
        self.latest = usual
        return usual

    def _make(self, raw: bytes, head: Head) -> Usual:
        expected = head.status == self._status
        flags = REUSED if self._keep_alive else 0
        return Usual(
            raw,
            head,
            pack_end(head.status, head.task, head.version, Outcome.OK, flags),
            turns=expected and self._keep_alive and head.keep_alive,
            parts=expected and not self._keep_alive and not head.keep_alive,
        )
