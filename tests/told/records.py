"""The records that a platform emits while a test looks on: kept, and waited for with a deadline.

Base of the helpers that deploy something for a test, on every platform. It touches nothing but the running event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import ClassVar, TypeVar

from breakroom.journal.records import Record

__all__ = ["Told"]

R = TypeVar("R", bound=Record)


class Told:
    """Everything that was emitted so far, oldest first. Give `emit` to a platform."""

    within: ClassVar[float] = 60.0
    """Seconds that anything may take: many times what it does on an idle machine."""
    looks_every: ClassVar[float | None] = None
    """Look again after so many seconds without a record, too, for conditions on something beside the records."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._news = asyncio.Event()

    def emit(self, record: Record) -> None:
        self.records.append(record)
        self._news.set()

    def of(self, kind: type[R]) -> list[R]:
        return [record for record in self.records if isinstance(record, kind)]

    def last_words(self) -> str:
        """What a failure shows of the records."""
        return f"the last records: {self.records[-12:]}"

    async def until(self, condition: Callable[[], bool], what: str, within: float | None = None) -> None:
        """Wait for records that make the condition true."""
        limit = self.within if within is None else within
        try:
            async with asyncio.timeout(limit):
                while not condition():
                    self._news.clear()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._news.wait(), self.looks_every)
        except TimeoutError:
            raise AssertionError(f"no {what} within {limit:g} s; {self.last_words()}") from None

    async def record(self, kind: type[R], matches: Callable[[R], bool], what: str) -> R:
        """Wait for a record; the first that matches."""
        found: list[R] = []

        def look() -> bool:
            found[:] = [record for record in self.of(kind) if matches(record)]
            return bool(found)

        await self.until(look, what)
        return found[0]
