"""A request to a task at a port of its own that can be reached from here: where nobody has hands inside the container.

Used by the platforms `docker` and `swarm`. The port is the container's, past breakroom's ingress and the mesh, but not
past what spoils the container's link.
"""

from __future__ import annotations

import asyncio

from breakroom.agent.errors import ActError
from breakroom.agent.request import ask
from breakroom.platforms.base import PlatformError

__all__ = ["ask_directly"]


async def ask_directly(host: str, port: int, method: str, path: str) -> tuple[int, str]:
    """The answer's status and body.

    Raises:
        PlatformError: `no-answer`; `unsupported`: no such method or path.
    """
    try:
        return await asyncio.to_thread(ask, host, port, method, path)
    except ActError as error:
        code = "unsupported" if error.code == "bad-act" else error.code
        raise PlatformError(code, str(error)) from error
