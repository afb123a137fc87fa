"""One HTTP request to one task, as `curl` sends it: how an app is told to fall ill.

Used by the adapters whose tasks can be reached at an address of their own. Not for measuring: that is `load`'s.
"""

from __future__ import annotations

import asyncio
import http.client

from breakroom.platforms.base import PlatformError

__all__ = ["ask_once"]

_WITHIN_SECONDS = 2.0
_MOST_BYTES = 1 << 20


async def ask_once(host: str, port: int, method: str, path: str) -> tuple[int, str]:
    """Send the request on a connection of its own; returns the answer's status and body.

    Raises:
        PlatformError: `no-answer`: none came, or not the whole of it, within 2 s; or it is no HTTP.
    """
    try:
        async with asyncio.timeout(_WITHIN_SECONDS):
            return await asyncio.to_thread(_ask, host, port, method, path)
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = str(error) or type(error).__name__
        raise PlatformError(
            "no-answer", f"{method} {path} at {host} port {port} was not answered: {why}"
        ) from error


def _ask(host: str, port: int, method: str, path: str) -> tuple[int, str]:
    # Its own timeout is for each step, so that the thread ends soon after the caller has given up.
    connection = http.client.HTTPConnection(host, port, timeout=_WITHIN_SECONDS)
    try:
        connection.request(method, path, headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read(_MOST_BYTES)
        if response.length and len(body) < _MOST_BYTES:
            raise http.client.IncompleteRead(body, response.length)
        return response.status, body.decode(errors="replace")
    finally:
        connection.close()
