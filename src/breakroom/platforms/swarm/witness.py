"""Sees from this side when a node falls silent: whoever is cut off cannot tell, and the one who cuts may be slow to.

Used by `acts` while a node is cut off. It asks the port that every node of a Swarm has open, again and again, from
before the act until the silence is proved; so the moment does not depend on how long the act's own answer takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Self

__all__ = ["Witness"]

_GOSSIP_PORT = 7946
"""Every node of a Swarm listens there (TCP) for the others."""
_CONNECT_SECONDS = 0.3
_EVERY_SECONDS = 0.05
_IN_A_ROW = 2
"""So many questions without an answer are silence: one alone may be this machine's own slowness."""
_LOOK_SECONDS = 0.02


class Witness:
    """Watches one address; an asynchronous context manager."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._answered = 0
        self._unanswered = 0
        self._since = 0
        self._asking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to ask, unless nobody answers there in the first place."""
        if await self._answers():
            self._answered = 1
            self._asking = asyncio.get_running_loop().create_task(
                self._ask(), name=f"witness of {self._address}"
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop asking."""
        if self._asking is not None:
            self._asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._asking

    @property
    def hears(self) -> bool:
        """Whether the node answered at all: otherwise its silence would say nothing."""
        return bool(self._answered)

    async def silence(self, within_s: float) -> int | None:
        """When the first of the questions was asked that got no answer any more; None if it goes on answering.

        Args:
            within_s: how long to wait for it. The time is of `time.monotonic_ns`, late by at most the 50 ms between two
                questions and the time that an answered one took.
        """
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if self._unanswered >= _IN_A_ROW:
                return self._since
            await asyncio.sleep(_LOOK_SECONDS)
        return None

    async def _ask(self) -> None:
        while True:
            asked = time.monotonic_ns()
            if await self._answers():
                self._unanswered = 0
                await asyncio.sleep(_EVERY_SECONDS)
            else:
                self._since = asked if self._unanswered == 0 else self._since
                self._unanswered += 1

    async def _answers(self) -> bool:
        """Whether it answers; to refuse a connection is an answer, too."""
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, writer = await asyncio.open_connection(self._address, _GOSSIP_PORT)
        except ConnectionRefusedError:
            return True
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True
