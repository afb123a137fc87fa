"""Taking faults back: each at its time, and all that are left at the trial's end, the last one first.

Used by `director.trial`. `keep` is what faults are given; `keep_time` runs beside the trial; `all_back` is part of the
clean-up, which is finished whatever happens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from breakroom.director.tasks import shielded
from breakroom.faults.base import Undo

__all__ = ["Undos"]


class Undos:
    """The faults of one trial that are, or may be, in force."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._kept: list[Undo] = []
        self._changed = asyncio.Event()
        self.last_back: int | None = None
        """When the last fault so far was taken back."""

    def keep(self, undo: Undo) -> None:
        """Take charge of an undo."""
        self._kept.append(undo)
        self._changed.set()

    def look_again(self) -> None:
        """A kept undo may have been given its time."""
        self._changed.set()

    @property
    def timed_over(self) -> bool:
        """Whether every fault that has its time was taken back."""
        return all(undo.due is None for undo in self._kept)

    async def keep_time(self) -> None:
        """Take each fault back when it is due, for as long as this runs. Ends by cancellation, never in mid-undo."""
        while True:
            due = [(undo.due, number) for number, undo in enumerate(self._kept) if undo.due is not None]
            at, number = min(due, default=(None, 0))
            if at is not None and at <= self._now():
                await shielded(self._back(number))
                continue
            self._changed.clear()
            try:
                async with asyncio.timeout(None if at is None else max(0.0, (at - self._now()) / 1e9)):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def all_back(self) -> None:
        """Take back whatever is left, the last one first."""
        while self._kept:
            await self._back(len(self._kept) - 1)

    async def _back(self, number: int) -> None:
        undo = self._kept[number]
        await undo.take_back()
        self._kept.remove(undo)
        self.last_back = self._now()
