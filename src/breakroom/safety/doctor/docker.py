"""Checks of the Docker daemon: what `--platform docker` needs, and what containers' faults need.

Called by `examine` with the daemon that the user's `docker` would talk to. A container of an image that is there
already is really run, with a memory limit, and removed. Nothing is pulled; nothing is left.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
from typing import Any

from aiodocker.exceptions import DockerError

from breakroom.i18n.terms import N_
from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker.connect import Daemon, is_container_process
from breakroom.platforms.docker.endpoint import Endpoint
from breakroom.platforms.docker.names import labels, object_name
from breakroom.safety.deeds import said
from breakroom.safety.doctor.rows import Row, Status

__all__ = [
    "BASE_IMAGE",
    "COURSE_IMAGES",
    "check_api",
    "check_base_image",
    "check_cgroup",
    "check_client",
    "check_images",
    "check_rights",
    "check_run_container",
    "check_same_machine",
    "daemon_missing",
    "has_image",
]

COURSE_IMAGES = ("memory-leak-app:latest", "improved-app:latest", "improved-app:v2", "health-app:latest")
BASE_IMAGE = "python:3.12-slim"
_RUN_SECONDS = 10.0
_MEMORY = 32 << 20
_OTHERS = 3
_NO_PROGRAM = re.compile(r"executable file not found|no such file or directory", re.IGNORECASE)


async def check_client(endpoint: Endpoint) -> Row:
    """Which daemon the user's `docker` command talks to, and what says so."""
    found = said(N_("{host} (by {source})"), host=endpoint.host, source=endpoint.source)
    return Row(area="docker", check="client", status="ok", found=found)


def daemon_missing(error: PlatformError) -> Row:
    """The daemon, or the way to it, that is not there."""
    check = "client" if error.code in {"docker-config", "docker-host"} else "daemon"
    return Row(
        area="docker",
        check=check,
        status="missing",
        needed=True,
        found=said(N_("{trouble}"), trouble=str(error)),
        means=said(N_("drills run on the platform local only")),
        way=said(N_("{trouble}"), trouble=error.hint),
    )


async def check_api(daemon: Daemon) -> Row:
    """The versions; one that is too old is refused on connecting."""
    found = said(
        N_("Docker {version}, API {api}"),
        version=daemon.version.get("Version", "?"),
        api=daemon.version.get("ApiVersion", "?"),
    )
    return Row(area="docker", check="api", status="ok", found=found)


async def check_same_machine(daemon: Daemon) -> Row:
    """Whether containers are processes of this machine."""
    if daemon.local:
        return Row(area="docker", check="same-machine", status="ok", found=said(N_("on this very machine")))
    return Row(
        area="docker",
        check="same-machine",
        status="degraded",
        found=said(N_("on another machine, or in a virtual one: {host}"), host=daemon.host),
        means=said(
            N_(
                "deaths are seen by Docker's events, some milliseconds later; acts on processes and links are done by "
                "a helper container there"
            )
        ),
        way=said(N_("run breakroom on the Docker host itself, on Linux")),
    )


async def check_rights(daemon: Daemon, agent_image: str | None) -> Row:
    """By whom a container's processes and links are acted on: this process as root, or a helper container."""
    if daemon.local and os.geteuid() == 0:
        return Row(area="docker", check="rights", status="ok", found=said(N_("as root, from this process")))
    found = said(N_("not as root here"))
    if agent_image:
        found = said(N_("by a helper container of {image}"), image=agent_image)
        return Row(area="docker", check="rights", status="ok", found=found)
    return Row(
        area="docker",
        check="rights",
        status="missing",
        found=found,
        means=said(
            N_("a crash, a network fault or memory pressure cannot be injected from outside the container")
        ),
        way=said(N_("`breakroom images` builds the helper's image; or run as root on the Docker host")),
    )


async def check_cgroup(daemon: Daemon) -> Row:
    """The daemon's own word on control groups, and its warnings about them."""
    info = daemon.info
    found = said(
        N_("version {version}, driver {driver}"),
        version=info.get("CgroupVersion", "1"),
        driver=info.get("CgroupDriver", "?"),
    )
    missing = [name for name, key in (("memory", "MemoryLimit"), ("swap", "SwapLimit")) if not info.get(key)]
    if not missing:
        return Row(area="docker", check="cgroup", status="ok", found=found)
    return Row(
        area="docker",
        check="cgroup",
        status="degraded",
        found=said(N_("{found}; the kernel does not limit {what}"), found=found, what=", ".join(missing)),
        means=said(N_("a container that leaks memory may swap, or take the machine's, before it is killed")),
        way=said(
            N_("start the kernel with cgroup_enable=memory swapaccount=1, or use control groups version 2")
        ),
    )


async def check_images(daemon: Daemon) -> Row:
    """Whether the course's images are there."""
    absent = [name for name in COURSE_IMAGES if not await has_image(daemon, name)]
    if not absent:
        return Row(area="docker", check="images", status="ok", found=said(N_("all of them")))
    status: Status = "missing"
    return Row(
        area="docker",
        check="images",
        status=status,
        found=said(N_("not there: {images}"), images=", ".join(absent)),
        means=said(N_("the built-in drills need them; your own service's image is not concerned")),
        way=said(N_("breakroom images")),
    )


async def check_base_image(daemon: Daemon, *, images: Row) -> Row:
    """What the course's images are built from; of interest only while they are not built."""
    if await has_image(daemon, BASE_IMAGE):
        return Row(
            area="docker", check="base-image", status="ok", found=said(N_("{image}"), image=BASE_IMAGE)
        )
    found = said(N_("not there: {images}"), images=BASE_IMAGE)
    if images.status == "ok":
        return Row(
            area="docker", check="base-image", status="ok", found=said(N_("{found}; not needed"), found=found)
        )
    return Row(
        area="docker",
        check="base-image",
        status="degraded",
        found=found,
        means=said(N_("`breakroom images` has to pull it, which needs the network")),
        way=said(
            N_("docker pull {image}; without a network: breakroom images --base IMAGE"), image=BASE_IMAGE
        ),
    )


async def check_run_container(daemon: Daemon, own: tuple[str, ...]) -> Row:
    """Run a container with a memory limit, look at its process, and remove it.

    Of one of our `own` images, or of any that is there and has a `sleep`: nothing of the user's runs in it.
    """
    refused = ""
    for image in [*await _present(daemon, own), *await _some_others(daemon)]:
        try:
            async with asyncio.timeout(_RUN_SECONDS):
                same = await _run_one(daemon, image)
        except PlatformError as error:
            if _NO_PROGRAM.search(str(error)):
                continue
            refused = str(error)
        except TimeoutError:
            refused = f"no end within {_RUN_SECONDS:g} s"
        else:
            where = (
                said(N_("its process seen on this machine")) if same else said(N_("its process is elsewhere"))
            )
            found = said(N_("of {image}, with a memory limit; {where}"), image=image, where=where)
            return Row(area="docker", check="run-container", status="ok", needed=True, found=found)
        return Row(
            area="docker",
            check="run-container",
            status="missing",
            needed=True,
            found=said(N_("{trouble}"), trouble=refused),
            means=said(N_("drills do not run on Docker here")),
            way=said(N_("try it by hand: docker run --rm --memory 32m {image} true"), image=image),
        )
    return Row(
        area="docker",
        check="run-container",
        status="degraded",
        found=said(N_("there is no image to try it with")),
        means=said(N_("whether containers can be run here is not known")),
        way=said(N_("breakroom images")),
    )


async def _present(daemon: Daemon, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if await has_image(daemon, name)][:1]


async def _some_others(daemon: Daemon) -> list[str]:
    with daemon.asking("list the images"):
        rows = await daemon.docker.images.list()
    names = [next(iter(row.get("RepoTags") or ()), "") for row in rows]
    return [name for name in names if name and "<none>" not in name][:_OTHERS]


async def _run_one(daemon: Daemon, image: str) -> bool:
    """Run it until its process was looked at; returns whether that is a process of this machine."""
    run = f"doctor-{secrets.token_hex(2)}"
    config: dict[str, Any] = {
        "Image": image,
        "Entrypoint": ["sleep", "30"],
        "Cmd": [],
        "Labels": labels("doctor", run),
        "NetworkDisabled": True,
        "HostConfig": {"Memory": _MEMORY, "MemorySwap": _MEMORY, "NetworkMode": "none"},
    }
    with daemon.asking("run a container"):
        container = await daemon.docker.containers.create(config, name=object_name(run, "try"))
        try:
            await container.start()
            shown = await container.show()
            return is_container_process(container.id, int(shown["State"]["Pid"]))
        finally:
            await asyncio.shield(container.delete(force=True, v=True))


async def has_image(daemon: Daemon, name: str) -> bool:
    """Whether the daemon has an image of that name.

    Raises:
        PlatformError: the daemon does not answer.
    """
    with daemon.asking(f"look for image {name}"):
        try:
            await daemon.docker.images.inspect(name)
        except DockerError as error:
            if error.status == 404:
                return False
            raise
    return True
