"""Whether the routing mesh carries connections here, found out by trying.

Used by `platform`, once a run. A service that is published in ingress mode converges also where the kernel has no IPVS,
and then its port answers nobody; nothing that Docker can be asked tells the two apart. So one task is published both
ways, through the mesh and on a port of its own; if it answers on its own port and not through the mesh, the
mesh does not work, and breakroom's ingress stands in front of every contender instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker.connect import Daemon
from breakroom.platforms.docker.names import OWNER, labels, object_name
from breakroom.platforms.docker.translate import environment, words
from breakroom.platforms.swarm.nodes import NodeList
from breakroom.platforms.swarm.tasks import TERMINAL
from breakroom.spec.service import ServiceSpec

__all__ = ["MeshFinding", "answers", "try_mesh"]

_KIND = "probe"
_TASK_SECONDS = 60.0
_OWN_SECONDS = 10.0
_MESH_SECONDS = 2.0
"""How long the mesh may take after the task answers on its own port: IPVS is set up before the task runs."""
_IPVS_SECONDS = 15.0
"""The same where this machine's kernel shows IPVS: then it is likely to answer, and a slow machine is given time."""
_IPVS_TABLE = Path("/proc/net/ip_vs")
_LOOK_SECONDS = 0.05
_ANSWER_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshFinding:
    """What came out of it. `reason` says in a sentence by what it is known."""

    works: bool
    reason: str
    took_ns: int = 0


async def try_mesh(daemon: Daemon, nodes: NodeList, spec: ServiceSpec, *, run: str) -> MeshFinding:
    """Publish one task of the service's image through the mesh and on its own port, and ask it on both.

    Raises:
        PlatformError: Swarm cannot be asked, or refuses the service.
    """
    began = time.monotonic_ns()
    async with _service(daemon, _body(spec, run, nodes.here)) as service:
        own = await _own_port(daemon, service, spec.target_port)
        if not own:
            return MeshFinding(works=False, reason="not tried: the service's task did not start", took_ns=0)
        published = await _mesh_port(daemon, service)
        host = daemon.node_address
        if not await _within(_OWN_SECONDS, host, own):
            return MeshFinding(works=False, reason="not tried: the service's task did not answer", took_ns=0)
        ipvs = daemon.local and await asyncio.to_thread(_IPVS_TABLE.exists)
        patience = _IPVS_SECONDS if ipvs else _MESH_SECONDS
        works = await _within(patience, host, published)
    took = time.monotonic_ns() - began
    if works:
        return MeshFinding(works=True, reason="a task answered through the routing mesh", took_ns=took)
    reason = (
        "a task answered on its own port and not through the routing mesh: the kernel has no working IPVS"
    )
    return MeshFinding(works=False, reason=reason, took_ns=took)


async def answers(host: str, port: int) -> bool:
    """Whether something there answers an HTTP request, with whatever it may be."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                # An accepted connection is no answer: Docker itself listens on a published port.
                writer.write(b"GET / HTTP/1.0\r\nHost: breakroom\r\n\r\n")
                return bool(await reader.read(1))
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


def _body(spec: ServiceSpec, run: str, node: str) -> dict[str, Any]:
    marks = labels(_KIND, run)
    container: dict[str, Any] = {
        "Image": spec.image,
        "Env": [f"{key}={value}" for key, value in environment(spec).items()],
        "Labels": {**marks, OWNER: _KIND},
        "Healthcheck": {"Test": ["NONE"]},
        "StopGracePeriod": 0,
        "StopSignal": "SIGKILL",
    }
    if spec.entrypoint:
        container["Command"] = words(spec, spec.entrypoint)
    if spec.command:
        container["Args"] = words(spec, spec.command)
    port = {"Protocol": "tcp", "TargetPort": spec.target_port}
    return {
        "Name": object_name(run, "mesh-probe"),
        "Labels": marks,
        "TaskTemplate": {
            "ContainerSpec": container,
            "RestartPolicy": {"Condition": "none"},
            # Here, so that its own port is on the address that the mesh is asked on.
            "Placement": {"Constraints": [f"node.id=={node}"]},
        },
        "Mode": {"Replicated": {"Replicas": 1}},
        "EndpointSpec": {"Ports": [{**port, "PublishMode": "ingress"}, {**port, "PublishMode": "host"}]},
    }


@asynccontextmanager
async def _service(daemon: Daemon, body: Mapping[str, Any]) -> AsyncIterator[str]:
    with daemon.asking("try the routing mesh"):
        made = await daemon.docker._query_json("services/create", method="POST", data=body)  # noqa: SLF001  # its create() drops what is empty or 0
    try:
        yield str(made["ID"])
    finally:
        # If this fails, the service's labels tell the run's end of it.
        with contextlib.suppress(PlatformError), daemon.asking("remove the mesh's probe"):
            await daemon.docker.services.delete(str(made["ID"]))


async def _own_port(daemon: Daemon, service: str, target: int) -> int:
    """The task's port in host mode, once it runs; 0 if it ended or did not start in time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_TASK_SECONDS):
            while True:
                with daemon.asking("watch the mesh's probe"):
                    tasks = await daemon.docker.tasks.list(filters={"service": service})
                for task in tasks:
                    status = task["Status"]
                    if status["State"] in TERMINAL:
                        return 0
                    for port in (status.get("PortStatus") or {}).get("Ports") or ():
                        if status["State"] == "running" and port["TargetPort"] == target:
                            return int(port["PublishedPort"])
                await asyncio.sleep(_LOOK_SECONDS)
    return 0


async def _mesh_port(daemon: Daemon, service: str) -> int:
    with daemon.asking("watch the mesh's probe"):
        shown = await daemon.docker.services.inspect(service)
    ports = (shown.get("Endpoint") or {}).get("Ports") or ()
    return next((int(port["PublishedPort"]) for port in ports if port.get("PublishMode") == "ingress"), 0)


async def _within(seconds: float, host: str, port: int) -> bool:
    deadline = asyncio.get_running_loop().time() + seconds
    while not await answers(host, port):
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(_LOOK_SECONDS)
    return True
