"""Whether the director itself stands still: its own wake-ups, ten times a second, against when they were due.

Used by `director.trial` while users are watched. A director that stands still plays the timeline late, and its operator
model acts late; what became of the service then is not the drill that was planned.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from breakroom.director.tasks import background
from breakroom.engine.shell.pulse import BEAT_SECONDS, Ledger, Stretch
from breakroom.journal.records import Record
from breakroom.platforms.stalled import part_stalled

__all__ = ["turning"]


@asynccontextmanager
async def turning(trial: str, emit: Callable[[Record], None], now: Callable[[], int]) -> AsyncIterator[None]:
    """Write down for the block when this process stood still."""

    def tell(stretch: Stretch) -> None:
        emit(part_stalled(trial, "main", stretch))

    ledger = Ledger(tell)

    async def turn() -> None:
        while True:
            wanted = now() + round(BEAT_SECONDS * 1e9)
            await asyncio.sleep(BEAT_SECONDS)
            ledger.late(wanted, now())

    try:
        async with background(turn(), f"turning of {trial}"):
            yield
    finally:
        ledger.flush(now())
