"""Making a Swarm for a run, and leaving it so that the daemon is as it was found.

Used by `platform` (open, close) and by `breakroom cleanup`, through `leave_ours`. What it is going to do is written
into the registry of runs before, and a mark on the Swarm itself. A Swarm that others have begun to use meanwhile
(services, nodes, secrets, configs or overlay networks that are not ours) is left standing, and said to be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiodocker.exceptions import DockerError

from breakroom.journal import registry
from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker.connect import Daemon
from breakroom.platforms.docker.names import RUN, labels, owned
from breakroom.platforms.swarm.cluster import LISTEN

__all__ = ["GATEWAY", "init_swarm", "leave_ours", "swarm_mark"]

GATEWAY = "docker_gwbridge"
"""The bridge that Docker makes on each node of a Swarm, and does not remove when the node leaves."""
_KIND = "swarm"
_READY_SECONDS = 60.0
_GONE_SECONDS = 15.0
_LOOK_SECONDS = 0.1


async def init_swarm(daemon: Daemon, run: str) -> str:
    """Make the daemon a Swarm of one node that nobody else can join; returns the Swarm's id.

    Raises:
        PlatformError: it cannot be made (`port-taken`, …). The daemon is as before.
    """
    with daemon.asking("look at the daemon's networks"):
        had_gateway = await _gateway(daemon) is not None
    registry.note(run, docker_host=daemon.host, swarm_initialised=True, docker_gwbridge_was_there=had_gateway)
    body = {
        "ListenAddr": LISTEN,
        "AdvertiseAddr": LISTEN.partition(":")[0],
        "Spec": {"Name": "default", "Labels": {**labels(_KIND, run), _HAD_GATEWAY: str(had_gateway).lower()}},
    }
    try:
        with daemon.asking("initialise a Swarm"):
            await daemon.docker._query_json("swarm/init", method="POST", data=body)  # noqa: SLF001  # its init() has no Spec without defaults
        return await _when_ready(daemon)
    except BaseException:
        # The request may have been carried out although its answer did not come.
        await _undo(daemon, run)
        raise


async def leave_ours(daemon: Daemon, run: str = "") -> tuple[str, ...]:
    """Leave a Swarm that a run of breakroom made (that run, if one is named), unless others use it by now.

    Returns:
        What stays, and why; empty if the daemon is as it was before. A Swarm that is not ours is none of our business.

    Raises:
        PlatformError: the daemon does not answer.
    """
    with daemon.asking("leave the Swarm"):
        info = await daemon.docker.system.info()
        mark = swarm_mark(info)
        if not owned(mark, run):
            return ()
        others = await _others(daemon, str(mark.get(RUN, "")))
        if others:
            return (f"the Swarm, which others use by now: {', '.join(others)}",)
        await daemon.docker.swarm.leave(force=True)
        if mark.get(_HAD_GATEWAY) == "true":
            return ()
        return await _remove_gateway(daemon)


def swarm_mark(info: Mapping[str, Any]) -> Mapping[str, str]:
    """The labels of the Swarm that a daemon manages, by its answer to /info; empty if there is none."""
    swarm = info.get("Swarm") or {}
    spec = (swarm.get("Cluster") or {}).get("Spec") or {}
    return spec.get("Labels") or {}


_HAD_GATEWAY = "breakroom.docker-gwbridge-was-there"


async def _when_ready(daemon: Daemon) -> str:
    """Wait until the new Swarm has its node and its ingress network; returns its id."""
    try:
        async with asyncio.timeout(_READY_SECONDS):
            while True:
                with daemon.asking("look at the new Swarm"):
                    info = await daemon.docker.system.info()
                    names = {str(network["Name"]) for network in await daemon.docker.networks.list()}
                swarm = info["Swarm"]
                if swarm["LocalNodeState"] == "active" and {"ingress", GATEWAY} <= names:
                    return str(swarm["Cluster"]["ID"])
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        raise PlatformError(
            "swarm-not-ready",
            f"the new Swarm of {daemon.info.get('Name')} was not ready within {_READY_SECONDS:g} s",
            "the daemon's log says why",
        ) from None


async def _undo(daemon: Daemon, run: str) -> None:
    try:
        await leave_ours(daemon, run)
    except PlatformError:
        # What was raised before says more; the registry knows the run, and `breakroom cleanup` tries again.
        return


async def _others(daemon: Daemon, run: str) -> list[str]:
    """What is in the Swarm that is not breakroom's, or is another run's."""
    docker = daemon.docker
    found: list[str] = []
    for kind, rows in (
        ("service", await docker.services.list()),
        ("secret", await docker.secrets.list()),
        ("config", await docker.configs.list()),
    ):
        found += [
            f"{kind} {row['Spec']['Name']}" for row in rows if not owned(row["Spec"].get("Labels"), run)
        ]
    found += [
        f"network {row['Name']}"
        for row in await docker.networks.list()
        if row.get("Scope") == "swarm" and not row.get("Ingress") and not owned(row.get("Labels"), run)
    ]
    nodes = await docker.nodes.list()
    if len(nodes) > 1:
        found += [f"node {row['Description'].get('Hostname', row['ID'])}" for row in nodes]
    return found


async def _gateway(daemon: Daemon) -> str | None:
    for network in await daemon.docker.networks.list():
        if network["Name"] == GATEWAY:
            return str(network["Id"])
    return None


async def _remove_gateway(daemon: Daemon) -> tuple[str, ...]:
    """Remove the bridge that our Swarm brought; the ingress's end of it may take a moment to go."""
    refused = ""
    deadline = asyncio.get_running_loop().time() + _GONE_SECONDS
    while (network := await _gateway(daemon)) is not None:
        try:
            await (await daemon.docker.networks.get(network)).delete()
        except DockerError as error:
            refused = str(error.message)
        if asyncio.get_running_loop().time() > deadline:
            return (f"network {GATEWAY}: {refused}",)
        await asyncio.sleep(_LOOK_SECONDS)
    return ()
