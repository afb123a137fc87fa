"""Whether one of breakroom's own processes stands still: asked ten times a second, and added up when it did.

Used by the engine for its ingress, by the main process for the engine (`platforms.local`) and for an ingress of its
own (`platforms.docker.front`), and by the director for itself. A part that stands still makes users wait, or a
replacement late, and none of that is the service's doing; the analysis makes such a trial *unknown*.

A late answer's time is taken by the part that answers, on the one clock of the machine: so that the asker was late to
read it does not count against the other. `Ledger` is free of clocks; `Pulse` has the timer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["BEAT_SECONDS", "Ledger", "Pulse", "Stretch"]

BEAT_SECONDS = 0.1
_NORMAL_NS = 5_000_000
"""So late any answer may be: a batch of connections, an operating system's scheduler."""
_STRETCH_NS = 1_000_000_000
_TELL_SHARE = 0.2
_TELL_NS = 500_000_000


@dataclass(frozen=True, slots=True)
class Stretch:
    """From `since` to `t`, in which a part stood still for `still_ns`, at the longest for `longest_ns` at a time."""

    since: int
    t: int
    still_ns: int
    longest_ns: int


class Ledger:
    """Adds up how late a part was, and tells of each second in which it was late for a fifth of it or half a second."""

    def __init__(self, tell: Callable[[Stretch], None]) -> None:
        self._tell = tell
        self._since = 0
        self._still = 0
        self._longest = 0

    def late(self, wanted: int, came: int) -> None:
        """What was wanted at one moment came at another; both of the monotonic clock, in ns."""
        if not self._since:
            self._since = wanted
        late = came - wanted
        if late > _NORMAL_NS:
            self._still += late
            self._longest = max(self._longest, late)
        if came - self._since >= _STRETCH_NS or self._longest > _TELL_NS:
            self._close(came)

    def flush(self, now: int) -> None:
        """Tell of what there is, if it is worth it; called at the end."""
        if self._since:
            self._close(now)

    def _close(self, now: int) -> None:
        if self._still > _TELL_SHARE * max(now - self._since, _STRETCH_NS) or self._longest > _TELL_NS:
            self._tell(Stretch(self._since, now, self._still, self._longest))
        self._since, self._still, self._longest = now, 0, 0


class Pulse:
    """Asks one part again and again. Its owner hands every answer to `answered`, and ends it with `stop`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        ask: Callable[[int], None],
        tell: Callable[[Stretch], None],
        now: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._loop = loop
        self._ask = ask
        self._ledger = Ledger(tell)
        self._now = now
        self._number = 0
        self._asked: int | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to ask."""
        self._beat()

    def stop(self) -> None:
        """End; what was not answered by now was late until now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            now = self._now()
            if self._asked is not None:
                self._ledger.late(self._asked, now)
                self._asked = None
            self._ledger.flush(now)

    def answered(self, number: int, t: int) -> None:
        """The part answered the question of that number at `t` of its own."""
        if number == self._number and self._asked is not None:
            self._ledger.late(self._asked, t)
            self._asked = None

    def _beat(self) -> None:
        # One question at a time: a part that stands still would otherwise find a heap of them.
        if self._asked is None:
            self._number += 1
            self._asked = self._now()
            self._ask(self._number)
        self._timer = self._loop.call_later(BEAT_SECONDS, self._beat)
