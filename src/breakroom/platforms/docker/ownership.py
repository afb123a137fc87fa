"""What of breakroom's is on a Docker daemon and in its Swarm, found by its labels alone.

Used by the platforms after each trial and each run (`leftovers`: what is still there), and by `safety`, which removes
what a killed run left. Asks the daemon; changes nothing. An object without our label is never returned, whatever its
name is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import aiodocker

from breakroom.platforms.docker.errors import asking
from breakroom.platforms.docker.names import DRAINED_BY, OWNER, RUN, TRIAL, WAS_AVAILABILITY, owned

__all__ = ["SWARM_TASK", "Asked", "Kind", "Owned", "is_manager", "leftovers", "owned_objects"]

Kind = Literal["service", "container", "secret", "config", "network", "volume", "node"]
SWARM_TASK = "com.docker.swarm.task.id"
"""Docker's own label on a container that is a Swarm task's."""
_GOING_SECONDS = 10.0
_LOOK_SECONDS = 0.1


class Asked(Protocol):
    """A daemon that can be asked: what `connect.Daemon` has of it."""

    @property
    def docker(self) -> aiodocker.Docker:
        """The client."""
        ...

    @property
    def host(self) -> str:
        """Its address."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """One thing of breakroom's. A `node` is the user's; what is ours is the availability that a run has changed."""

    kind: Kind
    id: str
    name: str
    run: str
    trial: str = ""
    role: str = ""
    """The value of our label: `container`, `service`, `helper`, `agent`, …"""
    state: str = ""
    """A container's (`running`, `paused`, `exited`, …); a node's availability now."""
    was: str = ""
    """A node's availability before, which is to be restored."""
    task: str = ""
    """The Swarm task that the container is of; empty: a container of its own."""

    def __str__(self) -> str:
        """As it is told to people: `container breakroom-ab12-web (paused)`."""
        if self.kind == "node":
            return f"node {self.name} ({self.state}, was {self.was or 'active'})"
        return f"{self.kind} {self.name}" + (f" ({self.state})" if self.state else "")


async def owned_objects(daemon: Asked, *, run: str = "", trial: str = "") -> list[Owned]:
    """Everything with our labels, in the order in which it is to be removed; of one run or trial, if one is named.

    Services, secrets, configs and nodes are the Swarm's and seen from a manager only.

    Raises:
        PlatformError: the daemon cannot be asked.
    """
    with asking("list what breakroom made", daemon.host):
        found = await _objects(daemon.docker, swarm=await is_manager(daemon.docker))
    return [thing for thing in found if (not run or thing.run == run) and (not trial or thing.trial == trial)]


async def leftovers(
    daemon: Asked, run: str, *, trial: str = "", patience: float = _GOING_SECONDS
) -> tuple[str, ...]:
    """What of a run (or of one of its trials) is still there; to be asked when everything has been removed.

    What the daemon has been told to remove may take a moment to go (a service's containers, an overlay network), so
    it is looked at again for at most `patience` seconds.

    Raises:
        PlatformError: the daemon cannot be asked.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    while True:
        left = await owned_objects(daemon, run=run, trial=trial)
        if not left or loop.time() > deadline:
            return tuple(str(thing) for thing in left)
        await asyncio.sleep(_LOOK_SECONDS)


async def is_manager(docker: aiodocker.Docker) -> bool:
    """Whether the daemon is a Swarm's manager and can be asked about it.

    Raises:
        aiodocker.DockerError: it cannot be asked at all.
    """
    swarm = (await docker.system.info()).get("Swarm") or {}
    return bool(swarm.get("LocalNodeState") == "active" and swarm.get("ControlAvailable"))


async def _objects(docker: aiodocker.Docker, *, swarm: bool) -> list[Owned]:
    label = {"label": [OWNER]}
    found: list[Owned] = []
    if swarm:
        found += _of_specs("service", await docker.services.list(filters=label))
    found += await _containers(docker)
    if swarm:
        found += _of_specs("secret", await docker.secrets.list(filters=label))
        found += _of_specs("config", await docker.configs.list(filters=label))
    for network in await docker.networks.list(filters=label):
        found += _one("network", network["Id"], network["Name"], network.get("Labels"))
    volumes = await docker.volumes.list(filters=label)  # type: ignore[no-untyped-call]  # aiodocker's own
    for volume in volumes.get("Volumes") or ():
        found += _one("volume", volume["Name"], volume["Name"], volume.get("Labels"))
    if swarm:
        found += _nodes(await docker.nodes.list())
    return found


async def _containers(docker: aiodocker.Docker) -> list[Owned]:
    filters = f'{{"label": ["{OWNER}"]}}'
    found: list[Owned] = []
    for container in await docker.containers.list(all=1, filters=filters):
        # A container that goes while the list is made can have no name.
        name = next(iter(container["Names"] or ()), f"/{container.id[:12]}").lstrip("/")
        marks = container["Labels"]
        found += _one(
            "container",
            container.id,
            name,
            marks,
            state=str(container["State"]),
            task=str((marks or {}).get(SWARM_TASK, "")),
        )
    return found


def _of_specs(kind: Kind, rows: Iterable[Mapping[str, Any]]) -> list[Owned]:
    found: list[Owned] = []
    for row in rows:
        found += _one(kind, row["ID"], row["Spec"]["Name"], row["Spec"].get("Labels"))
    return found


def _nodes(rows: Iterable[Mapping[str, Any]]) -> list[Owned]:
    found: list[Owned] = []
    for row in rows:
        spec = row["Spec"]
        marks = spec.get("Labels") or {}
        if DRAINED_BY in marks:
            found.append(
                Owned(
                    kind="node",
                    id=row["ID"],
                    name=row.get("Description", {}).get("Hostname", row["ID"]),
                    run=marks[DRAINED_BY],
                    role="node",
                    state=spec.get("Availability", ""),
                    was=marks.get(WAS_AVAILABILITY, ""),
                )
            )
    return found


def _one(
    kind: Kind, identity: str, name: str, marks: Mapping[str, str] | None, *, state: str = "", task: str = ""
) -> list[Owned]:
    # The daemon has filtered already; a daemon that did not must not cost anybody their things.
    if not owned(marks):
        return []
    assert marks is not None, "owned said so"
    return [
        Owned(
            kind=kind,
            id=identity,
            name=name,
            run=marks.get(RUN, ""),
            trial=marks.get(TRIAL, ""),
            role=marks[OWNER],
            state=state,
            task=task,
        )
    ]
