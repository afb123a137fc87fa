"""Waits out the managers' elections: meanwhile a Swarm answers nobody, and what was asked is to be asked again.

Used where things are removed and looked at (`service`, `platform`), and where a node comes back (`acts`); an election
comes when a manager that was cut off returns, for one. A request that meets one is held by the daemon for 20 s, and
refused then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from breakroom.platforms.base import PlatformError

__all__ = ["through_elections"]

_ELECTION_SECONDS = 180.0
"""A manager stands for election after 10 to 20 s without a leader (SwarmKit's ten ticks, raft's factor of one to two).
One that was cut off has the higher term and the shorter log: when it stands first, nobody wins, and all wait anew."""
_AGAIN_SECONDS = 0.2
T = TypeVar("T")


async def through_elections(ask: Callable[[], Awaitable[T]]) -> T:
    """What `ask` returns, asked again for at most three minutes while the managers do not answer.

    Raises:
        PlatformError: what `ask` raises, `swarm-no-answer` only after that time.
    """
    deadline = time.monotonic() + _ELECTION_SECONDS
    while True:
        try:
            return await ask()
        except PlatformError as error:
            if error.code != "swarm-no-answer" or time.monotonic() > deadline:
                raise
        await asyncio.sleep(_AGAIN_SECONDS)
