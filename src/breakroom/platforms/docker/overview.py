"""What a person would look at: `docker ps -a`, for one container; and who holds a port.

Used by `deployment` and by the platform `swarm`. Asks the daemon; changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time

import aiohttp
import psutil
from aiodocker.exceptions import DockerError

from breakroom.engine.views import ContainerRow, as_table, human_duration
from breakroom.platforms.docker.connect import Daemon

__all__ = ["docker_ps", "who_has"]

_COMMAND = 20


async def docker_ps(daemon: Daemon, *containers: str) -> str:
    """The containers as `docker ps -a` shows them.

    Raises:
        PlatformError: the daemon cannot be asked.
    """
    with daemon.asking("list containers"):
        found = await daemon.docker.containers.list(all=1, filters=json.dumps({"id": list(containers)}))
    rows = []
    for container in found:
        command = str(container["Command"])
        shown = command if len(command) <= _COMMAND else command[: _COMMAND - 1] + "…"
        rows.append(
            ContainerRow(
                id=container.id[:12],
                image=str(container["Image"]),
                command=f'"{shown}"',
                created=f"{human_duration(time.time_ns() - int(container['Created']) * 1_000_000_000)} ago",
                status=str(container["Status"]),
                ports=", ".join(_port(port) for port in container["Ports"] or ()),
                name=", ".join(name.lstrip("/") for name in container["Names"] or ()),
            )
        )
    return as_table(rows, ContainerRow)


async def who_has(daemon: Daemon, port: int) -> str:
    """Who holds a port: `container web`, `service web`, `nginx (process 812)`; empty if that cannot be found out."""
    with contextlib.suppress(DockerError, aiohttp.ClientError, OSError, TimeoutError):
        for container in await daemon.docker.containers.list():
            if any(row.get("PublicPort") == port for row in container["Ports"] or ()):
                return f"container {str((container['Names'] or ['?'])[0]).lstrip('/')}"
    with contextlib.suppress(DockerError, aiohttp.ClientError, OSError, TimeoutError):
        for service in await daemon.docker.services.list():
            # Where Swarm's mesh publishes a port, the daemon itself may listen on it.
            if any(
                row.get("PublishedPort") == port for row in service.get("Endpoint", {}).get("Ports") or ()
            ):
                return f"service {service['Spec']['Name']}"
    return await asyncio.to_thread(_process_on, port) if daemon.local else ""


def _process_on(port: int) -> str:
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections(kind="tcp"):
            at = connection.laddr
            if connection.status == psutil.CONN_LISTEN and at and at.port == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    return ""


def _port(port: dict[str, object]) -> str:
    inside = f"{port['PrivatePort']}/{port['Type']}"
    if "PublicPort" not in port:
        return inside
    address = str(port.get("IP", ""))
    shown = f"[{address}]" if ":" in address else address
    return f"{shown}:{port['PublicPort']}->{inside}"
