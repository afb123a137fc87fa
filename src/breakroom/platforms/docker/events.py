"""Docker's stream of events, from the moment of subscribing until the daemon hangs up.

Used by `deployment` and by the platform `swarm`. The end of the stream is how the daemon's death is noticed.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from breakroom.platforms.docker.connect import Daemon
from breakroom.platforms.docker.errors import translate

__all__ = ["DaemonEvent", "listening"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonEvent:
    """One event. `id` is the actor's: a container's, a network's, and so on."""

    type: str
    action: str
    """`start`, `die`, `oom`, `health_status: healthy`, …"""
    id: str
    attributes: Mapping[str, str]
    unix_ns: int
    """The daemon's own time."""


@asynccontextmanager
async def listening(
    daemon: Daemon, filters: Mapping[str, Sequence[str]]
) -> AsyncIterator[AsyncIterator[DaemonEvent]]:
    """The events from now on, for the length of a block: what happens after this has begun is in the stream.

    The stream ends when the daemon hangs up.

    Args:
        daemon: whom to listen to.
        filters: as the API has them: `{"type": ["container"]}`.

    Raises:
        PlatformError: the daemon cannot be asked.
    """
    # aiodocker's own stream does not tell when it stands, and an event missed before that is a task never seen.
    docker = daemon.docker
    url = f"{docker.docker_host}/v{daemon.version['ApiVersion']}/events"
    forever = aiohttp.ClientTimeout(total=None, sock_connect=15)
    try:
        response = await docker.session.get(url, params={"filters": json.dumps(filters)}, timeout=forever)
        response.raise_for_status()
    except (aiohttp.ClientError, OSError) as error:
        raise translate(error, doing="listen to Docker's events", host=daemon.host) from error
    try:
        yield _events(response)
    finally:
        response.close()


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[DaemonEvent]:
    rest = b""
    try:
        # Not by lines: aiohttp refuses long ones, and labels can make them long.
        async for chunk in response.content.iter_any():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if line.strip():
                    yield _event(line)
    except (aiohttp.ClientError, OSError):
        return


def _event(line: bytes) -> DaemonEvent:
    data = json.loads(line)
    actor = data.get("Actor") or {}
    return DaemonEvent(
        type=data.get("Type", ""),
        action=data.get("Action", ""),
        id=actor.get("ID", ""),
        attributes=actor.get("Attributes") or {},
        unix_ns=int(data.get("timeNano") or data.get("time", 0) * 1_000_000_000),
    )
