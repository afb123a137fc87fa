"""The connection to a Docker daemon: found, opened, tried, and asked who it is.

Used by the platforms `docker` and `swarm`, by `doctor` and by `cleanup`. The only place that makes an aiodocker
client. Every request goes through `Daemon.asking`, which turns the libraries' errors into `PlatformError`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiodocker
import aiohttp
import psutil
from aiodocker.exceptions import DockerError

from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker.clock import Clock
from breakroom.platforms.docker.endpoint import Endpoint, find_endpoint, ssl_context
from breakroom.platforms.docker.errors import asking, not_docker
from breakroom.platforms.docker.ssh import SshTunnel

__all__ = ["OLDEST_API", "Daemon", "connect", "is_container_process", "opened"]

OLDEST_API = (1, 40)
"""Docker 19.03: the first whose services can say all that a drill may ask for (`MaxReplicas`, sysctls, init)."""
_FIRST_ANSWER_S = 20.0
"""How long a daemon may take to say who it is; it does so in milliseconds, on a very busy machine in seconds."""
_TIMEOUT = aiohttp.ClientTimeout(total=120, sock_connect=15)
_SAME_KERNEL_SLACK = 64 << 20


@dataclass(slots=True, kw_only=True, eq=False)
class Daemon:
    """A daemon that answers. Made by `connect`; `close` it."""

    docker: aiodocker.Docker
    endpoint: Endpoint
    info: dict[str, Any] = field(default_factory=dict)
    """Its answer to GET /info, at the time of connecting."""
    version: dict[str, Any] = field(default_factory=dict)
    """Its answer to GET /version."""
    local: bool = False
    """Whether it runs on this very machine, so that its containers' pids are pids here. See `confirm_local`."""
    clock: Clock = field(default_factory=lambda: Clock(local=False))
    _tunnel: SshTunnel | None = None
    _connector: aiohttp.BaseConnector | None = None

    @property
    def host(self) -> str:
        """Its address as DOCKER_HOST would have it."""
        return self.endpoint.host

    @property
    def api(self) -> tuple[int, int]:
        """Its API version."""
        major, _, minor = str(self.version.get("ApiVersion", "0.0")).partition(".")
        return int(major), int(minor or 0)

    @property
    def node_address(self) -> str:
        """Where ports published by this daemon are reached from here: loopback, or the other machine's name."""
        if self.local or self.endpoint.scheme == "unix":
            return "127.0.0.1"
        host = self.endpoint.host.partition("://")[2].rpartition("@")[2].partition("/")[0]
        return _address(host)

    def asking(self, doing: str) -> AbstractContextManager[None]:
        """For a `with` around requests; `doing` ends a sentence that begins with "cannot"."""
        return asking(doing, self.host)

    def confirm_local(self, container: str, pid: int) -> bool:
        """Find out for certain whether the daemon's containers are processes of this machine, from a running one."""
        self._set_local(is_container_process(container, pid))
        return self.local

    async def close(self) -> None:
        """End the connection."""
        await self.docker.close()
        if self._connector is not None:
            await self._connector.close()
        if self._tunnel is not None:
            await self._tunnel.close()

    def _set_local(self, local: bool) -> None:
        self.local = local
        self.clock.local = local


async def connect(environment: Mapping[str, str] | None = None) -> Daemon:
    """Connect to the daemon that the `docker` command would talk to.

    Args:
        environment: in place of `os.environ`; HOME and DOCKER_CONFIG in it say where the CLI's configuration is.

    Raises:
        PlatformError: `daemon-missing`, `permission-denied`, `tls-failed`, `ssh-failed`, `docker-host`,
            `docker-config`, or `unsupported` for a daemon that is too old.
    """
    environment = os.environ if environment is None else environment
    endpoint = find_endpoint(environment)
    daemon = _client(endpoint, environment)
    try:
        await _introduce(daemon)
    except BaseException:
        await daemon.close()
        raise
    return daemon


@asynccontextmanager
async def opened(environment: Mapping[str, str] | None = None) -> AsyncIterator[Daemon]:
    """`connect` for the length of a block."""
    daemon = await connect(environment)
    try:
        yield daemon
    finally:
        await daemon.close()


def _client(endpoint: Endpoint, environment: Mapping[str, str]) -> Daemon:
    """The client, not yet used.

    aiodocker gets a connector of ours, so that nothing comes from its own reading of the environment, which differs
    from the CLI's.
    """
    tunnel: SshTunnel | None = None
    connector: aiohttp.BaseConnector
    if endpoint.scheme == "ssh":
        tunnel = SshTunnel(endpoint.host, environment)
        tunnel.open()
        connector, url = aiohttp.UnixConnector(str(tunnel.path)), "http://docker"
    elif endpoint.scheme == "unix":
        connector, url = aiohttp.UnixConnector(endpoint.path), "http://docker"
    else:
        context = ssl_context(endpoint)
        # Names are looked up anew, as a daemon may have moved; connections are few.
        connector = aiohttp.TCPConnector(ssl=context if context is not None else False, use_dns_cache=False)
        url = (
            f"{'https' if context is not None else 'http'}://{endpoint.host.partition('://')[2].rstrip('/')}"
        )
    docker = aiodocker.Docker(url=url, connector=connector, timeout=_TIMEOUT)
    return Daemon(docker=docker, endpoint=endpoint, _tunnel=tunnel, _connector=connector)


async def _introduce(daemon: Daemon) -> None:
    doing = f"ask the Docker daemon ({daemon.endpoint.source})"
    try:
        with asking(doing, daemon.host, connected=False):
            async with asyncio.timeout(_FIRST_ANSWER_S):
                daemon.version = await daemon.docker.version()
                daemon.info = dict(await daemon.docker.system.info())
        if not {"ApiVersion", "Version"} <= daemon.version.keys() or "ID" not in daemon.info:
            raise not_docker(daemon.host, daemon.endpoint.source)
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        # aiodocker met an answer of a form that no daemon gives: a page, or a text without a type.
        raise not_docker(daemon.host, daemon.endpoint.source) from error
    except PlatformError as error:
        tunnel = daemon._tunnel  # noqa: SLF001  # its maker
        if error.code == "not-found" or "Bad status line" in str(error):
            raise not_docker(daemon.host, daemon.endpoint.source) from error
        if tunnel is None or error.code not in {"daemon-missing", "daemon-died"}:
            raise
        said = tunnel.complaint or str(error)
        raise PlatformError(
            "ssh-failed",
            f"cannot reach the Docker daemon at {daemon.host}: {said}",
            f"try it by hand: `{' '.join(_shown(daemon.host))}`",
        ) from error
    if daemon.api < OLDEST_API:
        raise PlatformError(
            "unsupported",
            f"the Docker daemon at {daemon.host} is too old: it speaks API {daemon.version.get('ApiVersion')}",
            f"breakroom needs API {OLDEST_API[0]}.{OLDEST_API[1]} (Docker 19.03) or newer",
        )
    daemon._set_local(await _is_local(daemon))  # noqa: SLF001  # its maker


def _shown(host: str) -> list[str]:
    return ["docker", "-H", host, "version"]


async def _is_local(daemon: Daemon) -> bool:
    """Whether the daemon's processes are this machine's, from a running container or, without one, from the signs.

    Without a container: the other end of the Unix socket is a process that we can see, and it runs on a kernel
    of our release with our memory, which a virtual machine's does not. `confirm_local` makes it certain later.
    """
    if sys.platform != "linux" or daemon.info.get("OSType", "linux") != "linux":
        return False
    with contextlib.suppress(DockerError, aiohttp.ClientError):
        for container in (await daemon.docker.containers.list())[:3]:
            state = (await container.show())["State"]
            if state["Pid"]:
                return is_container_process(container.id, state["Pid"])
    same_kernel = daemon.info.get("KernelVersion") == os.uname().release
    memory = psutil.virtual_memory().total
    same_memory = abs(int(daemon.info.get("MemTotal", 0)) - memory) < _SAME_KERNEL_SLACK
    return (
        daemon.endpoint.scheme == "unix" and same_kernel and same_memory and _peer_seen(daemon.endpoint.path)
    )


def is_container_process(container: str, pid: int) -> bool:
    """Whether the process `pid` of this machine is that container's: its control groups or its mounts bear the id."""
    if pid <= 0 or sys.platform != "linux":
        return False
    needle = container.encode()
    for name in ("cgroup", "mountinfo"):
        with contextlib.suppress(OSError):
            if needle in Path(f"/proc/{pid}/{name}").read_bytes():
                return True
    return False


def _peer_seen(path: str) -> bool:
    """Whether the listener of a Unix socket is a process in our pid namespace (unix(7), SO_PEERCRED)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.connect(path)
            raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        except OSError:
            return False
    pid: int = struct.unpack("3i", raw)[0]
    return pid > 0


def _address(host: str) -> str:
    """The numeric address of a `HOST[:PORT]`, as the ingress wants it; the name itself if it has none."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    with contextlib.suppress(OSError):
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        return str(found[0][4][0])
    return name
