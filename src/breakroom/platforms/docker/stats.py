"""Memory and CPU of a container, sampled while it runs.

Used by `deployment` and by the platform `swarm`. Of a container on this machine the kernel's own files are read, which
costs next to nothing; of one elsewhere Docker is asked, whose answers come once a second. Memory is counted as `docker
stats` counts it: without file pages that the kernel would give back first.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiodocker.exceptions import DockerError

from breakroom.agent import cgroups
from breakroom.agent.errors import ActError
from breakroom.platforms.docker.connect import Daemon

__all__ = ["Reading", "StatsReader", "from_api"]

Reading = tuple[int, int | None, int]
"""Memory in bytes, its limit in bytes or None, CPU time in ns since the start."""
_NO_LIMIT = 1 << 60


class StatsReader:
    """Reads one running container again and again. `pid`: its main process, if it is of this machine."""

    def __init__(self, daemon: Daemon, container: str, pid: int | None) -> None:
        self._daemon = daemon
        self._container = container
        self._pid = pid
        self._places: tuple[cgroups.Place, int] | None = None
        self.means = "api"
        if daemon.local and pid:
            with contextlib.suppress(ActError, OSError):
                self._places = (cgroups.place_of(pid, container), pid)
                self.means = "cgroup"

    async def read(self) -> Reading | None:
        """What it uses now; None if that cannot be known any more."""
        if self._places is not None:
            place, pid = self._places
            with contextlib.suppress(ActError, OSError, ValueError):
                memory = cgroups.memory_of(place)
                return memory.used, memory.limit, cgroups.cpu_ns(pid, self._container)
            return None
        container = self._daemon.docker.containers.container(self._container)
        with contextlib.suppress(DockerError, aiohttp.ClientError, OSError, TimeoutError):
            answers = await container.stats(stream=False)
            return from_api(answers[0]) if answers else None
        return None


def from_api(stats: Mapping[str, Any]) -> Reading | None:
    """A reading from the answer of GET /containers/ID/stats; None from that of a container which does not run."""
    memory = stats.get("memory_stats") or {}
    if "usage" not in memory:
        return None
    detail = memory.get("stats") or {}
    # docker/cli `calculateMemUsageUnixNoCache`: v1 names it total_inactive_file, v2 inactive_file.
    inactive = detail.get("total_inactive_file", detail.get("inactive_file", 0))
    usage = int(memory["usage"])
    used = usage - inactive if inactive < usage else usage
    limit = memory.get("limit")
    cpu = (stats.get("cpu_stats") or {}).get("cpu_usage") or {}
    bound = int(limit) if limit and limit < _NO_LIMIT else None
    return used, bound, int(cpu.get("total_usage", 0))
