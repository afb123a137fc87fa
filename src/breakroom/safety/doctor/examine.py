"""Runs every check in order, each with a time limit, and tells each row as it comes.

Called by `cli.doctor`. A check that raises or does not end is a row of its own, `missing`, with what it said: the
examination itself never fails.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from breakroom.i18n.terms import N_
from breakroom.platforms.base import Capabilities, PlatformError
from breakroom.platforms.docker.connect import Daemon, connect
from breakroom.platforms.docker.endpoint import find_endpoint
from breakroom.platforms.docker.hands import hands_for
from breakroom.platforms.docker.hands_image import AGENT_IMAGE
from breakroom.platforms.local import LocalPlatform
from breakroom.safety.deeds import said
from breakroom.safety.doctor import docker, local, swarm
from breakroom.safety.doctor.rows import Area, Row

__all__ = ["Examination", "examine"]

_CHECK_SECONDS = 12.0
"""The longest check (a container run on a busy machine) takes a second or two; a daemon that hangs takes this once."""
_CONNECT_SECONDS = 6.0

Begin = Callable[[str], None]
Tell = Callable[[Row], None]


class Examination:
    """The rows so far. `begin` hears the key of each check as it starts, `tell` each row."""

    def __init__(self, begin: Begin, tell: Tell) -> None:
        self.rows: list[Row] = []
        self.begin = begin
        self._tell = tell

    async def check(self, area: Area, name: str, work: Awaitable[Row], *, needed: bool = False) -> Row:
        """Await one check, and keep its row."""
        self.begin(name)
        began = time.monotonic()
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                row = await work
        except (PlatformError, OSError, TimeoutError) as error:
            trouble = str(error) or f"no end within {_CHECK_SECONDS:g} s"
            row = Row(
                area=area,
                check=name,
                status="missing",
                needed=needed,
                found=said(N_("{trouble}"), trouble=trouble),
                means=said(N_("it could not be found out")),
                way=said(N_("{trouble}"), trouble=getattr(error, "hint", "")),
            )
        return self.add(row, took=time.monotonic() - began)

    def add(self, row: Row, *, took: float = 0.0) -> Row:
        """Keep a row and tell it."""
        row = replace(row, took_s=took)
        self.rows.append(row)
        self._tell(row)
        return row


async def examine(
    out: Path, begin: Begin, tell: Tell, environment: Mapping[str, str] | None = None
) -> list[Row]:
    """Try everything; returns all rows in the order in which they were told."""
    environment = os.environ if environment is None else environment
    examination = Examination(begin, tell)
    await _examine_local(examination, out)
    begin("daemon")
    try:
        endpoint = find_endpoint(environment)
        await examination.check("docker", "client", docker.check_client(endpoint))
        async with asyncio.timeout(_CONNECT_SECONDS):
            daemon = await connect(environment)
    except PlatformError as error:
        examination.add(docker.daemon_missing(error))
        return examination.rows
    except TimeoutError:
        silent = PlatformError(
            "daemon-missing",
            f"the Docker daemon at {endpoint.host} took the connection and does not answer",
            "see whether `docker info` answers; restart the daemon",
        )
        examination.add(docker.daemon_missing(silent))
        return examination.rows
    try:
        await _examine_docker(examination, daemon)
    finally:
        await daemon.close()
    return examination.rows


async def _examine_local(examination: Examination, out: Path) -> None:
    await examination.check("local", "python", local.check_python(), needed=True)
    await examination.check("local", "deploy", local.check_deploy(), needed=True)
    capabilities = await _local_capabilities()
    await examination.check("local", "memory-limit", local.check_memory_limit(capabilities))
    await examination.check("local", "pause", local.check_pause(capabilities))
    await examination.check("local", "open-files", local.check_open_files())
    await examination.check("local", "ports", local.check_ports())
    await examination.check("local", "disk", local.check_disk(out), needed=True)
    await examination.check("local", "cores", local.check_cores())


async def _local_capabilities() -> Capabilities:
    try:
        return await LocalPlatform().capabilities()
    except (PlatformError, OSError):
        return Capabilities(runs_as=frozenset(), how={})


async def _examine_docker(examination: Examination, daemon: Daemon) -> None:
    check = examination.check
    agent = AGENT_IMAGE
    await check("docker", "api", docker.check_api(daemon))
    await check("docker", "same-machine", docker.check_same_machine(daemon))
    images = await check("docker", "images", docker.check_images(daemon))
    await check("docker", "base-image", docker.check_base_image(daemon, images=images))
    nodes = int((daemon.info.get("Swarm") or {}).get("Nodes") or 0)
    image = await check("docker", "agent-image", swarm.check_agent_image(daemon, nodes=nodes))
    await check("docker", "rights", docker.check_rights(daemon, agent if image.status == "ok" else None))
    await check("docker", "cgroup", docker.check_cgroup(daemon))
    own = (*docker.COURSE_IMAGES, agent, docker.BASE_IMAGE)
    await check("docker", "run-container", docker.check_run_container(daemon, own), needed=True)
    examination.begin("netem")
    kernel = await _kernel_rows(daemon)
    for row in kernel:
        if row.area == "docker":
            examination.add(row)
    state = await check("swarm", "swarm", swarm.check_swarm(daemon), needed=True)
    if (daemon.info.get("Swarm") or {}).get("ControlAvailable") and state.status != "missing":
        await check("swarm", "nodes", swarm.check_nodes(daemon))
        await check("swarm", "overlay", swarm.check_overlay(daemon), needed=True)
    for row in kernel:
        if row.area == "swarm":
            examination.add(row)


async def _kernel_rows(daemon: Daemon) -> list[Row]:
    """What the node's kernel can; one row that says so if nobody here can find out."""
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            answer = await _probe(daemon)
    except (PlatformError, OSError, TimeoutError) as error:
        row = Row(
            area="docker",
            check="netem",
            status="degraded",
            found=said(N_("{trouble}"), trouble=str(error) or "no answer"),
            means=said(N_("what the kernel can do to links is not known")),
            way=said(N_("`breakroom images` builds the helper's image; or run as root on the Docker host")),
        )
        return [row]
    return swarm.check_kernel(answer)


async def _probe(daemon: Daemon) -> dict[str, Any]:
    hands = await hands_for(daemon, f"doctor-{secrets.token_hex(2)}")
    try:
        return await hands.act({"act": "probe"})
    finally:
        await hands.close()
