"""Docker's wall-clock times as times of the journal's clock, and back.

Used by whatever reads events and inspections. The journal's clock is this machine's CLOCK_MONOTONIC. Docker tells the
time of day, from the same machine's clock if the daemon is local; then the two differ by an offset, which is measured
here and corrected when the clock is set. A daemon elsewhere has a clock of its own: its times are kept beside ours and
not converted, and the time of receipt stands in the journal.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

__all__ = ["Clock", "parse_time"]

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
_NEVER = "0001-01-01"
_TRIES = 5


def parse_time(text: str) -> int | None:
    """Unix nanoseconds of a time as Docker writes it (RFC 3339 with up to nine decimals).

    None for Go's zero time, by which Docker says "never", and for anything that is no time.
    """
    found = _TIME.fullmatch(text or "")
    if found is None or text.startswith(_NEVER):
        return None
    zone = "+00:00" if found[3] == "Z" else found[3]
    seconds = int(datetime.fromisoformat(found[1] + zone).astimezone(UTC).timestamp())
    return seconds * 1_000_000_000 + int((found[2] or "0").ljust(9, "0"))


class Clock:
    """Turns a daemon's times into the journal's. `local`: the daemon reads this machine's clock."""

    def __init__(self, *, local: bool) -> None:
        self.local = local
        self._offset = _offset()
        self._measured = time.monotonic_ns()

    def monotonic(self, unix_ns: int | None) -> int:
        """The journal's time of what the daemon says happened at `unix_ns`; never later than now.

        Of a daemon elsewhere, or without a time, it is now.
        """
        now = time.monotonic_ns()
        if not self.local or unix_ns is None:
            return now
        if now - self._measured > 1_000_000_000:
            # The clock of the day may be set or slewed in a long run, so that an offset grows old.
            self._offset, self._measured = _offset(), now
        return min(now, unix_ns - self._offset)


def _offset() -> int:
    """Wall clock minus monotonic clock, from the tightest of a few readings."""
    best: tuple[int, int] | None = None
    for _ in range(_TRIES):
        before = time.monotonic_ns()
        wall = time.time_ns()
        after = time.monotonic_ns()
        if best is None or after - before < best[0]:
            best = (after - before, wall - (before + after) // 2)
    assert best is not None
    return best[1]
