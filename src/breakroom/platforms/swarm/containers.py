"""What happens to a service's containers on this node, from the daemon's stream of events.

Used by `watcher`. An event comes within milliseconds and bears the daemon's own time, where Swarm's report of the same
thing takes a tenth of a second more; a container's memory limit is completed here, since Swarm cannot limit swap.
Containers on other nodes have no events here: of them the tasks' states are all that is known.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aiodocker.exceptions import DockerError

from breakroom.journal.records import HealthChanged
from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker.connect import Daemon
from breakroom.platforms.docker.events import DaemonEvent, listening
from breakroom.platforms.docker.health import HealthLog
from breakroom.platforms.docker.ownership import SWARM_TASK

__all__ = ["ContainerEvents", "ContainerNews"]

_ACTIONS = ("start", "die", "oom", "health_status")
_SERVICE = "com.docker.swarm.service.id"
_AGAIN_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerNews:
    """One thing that happened to a task's container, at `t` of the journal's clock."""

    what: Literal["start", "die", "oom", "health"]
    t: int
    task: str
    container: str
    pid: int = 0
    exit_code: int = 0
    oom: bool = False
    """Of an end: whether Docker says that it was killed for memory."""
    healthy: bool | None = None
    probes: tuple[HealthChanged, ...] = ()
    """Health probes that were not told of before."""


class ContainerEvents:
    """The stream for one service; `on_news` is awaited for each event, in order."""

    def __init__(
        self,
        daemon: Daemon,
        *,
        trial: str,
        service_id: str,
        on_news: Callable[[ContainerNews], Awaitable[None]],
    ) -> None:
        self._daemon = daemon
        self._trial = trial
        self._service = service_id
        self._on_news = on_news
        self._health: dict[str, HealthLog] = {}
        self.listening = asyncio.Event()
        """Set once the stream stands: what happens from then on is heard."""

    async def run(self) -> None:
        """Follow the stream until cancelled; it is opened again if it breaks (the tasks' states fill the gap)."""
        filters = {"type": ["container"], "event": _ACTIONS, "label": [f"{_SERVICE}={self._service}"]}
        while True:
            with contextlib.suppress(PlatformError):
                async with listening(self._daemon, filters) as events:
                    self.listening.set()
                    async for event in events:
                        await self._event(event)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _event(self, event: DaemonEvent) -> None:
        task = event.attributes.get(SWARM_TASK, "")
        t = self._daemon.clock.monotonic(event.unix_ns)
        match event.action.partition(":")[0]:
            case "start":
                shown = await self._shown(event.id)
                await self._limit_swap(event.id, shown)
                pid = int((shown.get("State") or {}).get("Pid") or 0)
                news = ContainerNews(what="start", t=t, task=task, container=event.id, pid=pid)
            case "die":
                code = int(event.attributes.get("exitCode") or 0)
                state = (await self._shown(event.id)).get("State") or {}
                oom = bool(state.get("OOMKilled"))
                news = ContainerNews(what="die", t=t, task=task, container=event.id, exit_code=code, oom=oom)
            case "oom":
                news = ContainerNews(what="oom", t=t, task=task, container=event.id)
            case "health_status":
                news = await self._health_news(event, t, task)
            case _:
                return
        await self._on_news(news)

    async def _health_news(self, event: DaemonEvent, t: int, task: str) -> ContainerNews:
        log = self._health.setdefault(event.id, HealthLog(trial=self._trial, task=task))
        health = ((await self._shown(event.id)).get("State") or {}).get("Health")
        return ContainerNews(
            what="health",
            t=t,
            task=task,
            container=event.id,
            healthy=event.action.endswith(" healthy"),
            probes=tuple(log.read(health, self._daemon.clock.monotonic)),
        )

    async def _shown(self, container: str) -> Mapping[str, Any]:
        """The container's inspection; empty if it is gone already."""
        with contextlib.suppress(DockerError):
            found: Mapping[str, Any] = await self._daemon.docker.containers.container(container).show()
            return found
        return {}

    async def _limit_swap(self, container: str, shown: Mapping[str, Any]) -> None:
        """No swap beside the memory limit, as the contenders that are single containers have it."""
        host = shown.get("HostConfig") or {}
        memory = int(host.get("Memory") or 0)
        if not memory or int(host.get("MemorySwap") or 0) == memory or not self._daemon.info.get("SwapLimit"):
            return
        with contextlib.suppress(DockerError):  # it may have ended meanwhile
            body = {"Memory": memory, "MemorySwap": memory}
            await self._daemon.docker._query_json(f"containers/{container}/update", method="POST", data=body)  # noqa: SLF001  # it has no call for this
