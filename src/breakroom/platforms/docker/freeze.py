"""`docker pause`, asked again where the kernel's freezer was not done in time.

Used by the platforms `docker` and `swarm`. runc gives the freezer of version 1 control groups a short time, then
lets everything go on and refuses ("unable to freeze"); on a busy machine the next try may do.
"""

from __future__ import annotations

import asyncio

from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker.connect import Daemon

__all__ = ["freeze"]

_TRIES = 5
_PAUSE_SECONDS = 0.1
_TOO_SLOW = "unable to freeze"


async def freeze(daemon: Daemon, container: str, doing: str) -> None:
    """Pause the container; `doing` ends a sentence that begins with "cannot".

    Raises:
        PlatformError: the daemon refuses, or is gone.
    """
    for attempt in range(1, _TRIES + 1):
        try:
            with daemon.asking(doing):
                await daemon.docker.containers.container(container).pause()
        except PlatformError as error:
            if _TOO_SLOW not in str(error) or attempt == _TRIES:
                raise
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            return
