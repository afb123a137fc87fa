"""A task's CPU time made less and given back, by the engine of its node, with the word of that node's kernel for it.

The part of `acts` that keeps what each container had before. Swarm knows nothing of it: its own limit stays as it is.
"""

from __future__ import annotations

import time

from breakroom.agent.cpu import restored, throttled
from breakroom.platforms.base import Evidence, PlatformError
from breakroom.platforms.docker.connect import Daemon
from breakroom.platforms.docker.cpu import cpu_evidence, limits_now, local_quota, require_share, set_limits
from breakroom.platforms.swarm.hands import SwarmHands
from breakroom.platforms.swarm.nodes import NodeList
from breakroom.platforms.swarm.reach import TaskReach
from breakroom.platforms.swarm.tasks import SwarmTask

__all__ = ["TaskCpu"]


class TaskCpu(TaskReach):
    """CPU time of the tasks of one deployment."""

    def __init__(self, daemon: Daemon, nodes: NodeList, *, run: str, hands: SwarmHands) -> None:
        super().__init__(daemon, nodes, run=run, hands=hands)
        self._cpu: dict[str, dict[str, int]] = {}
        """What the container of each task that has less now had before."""

    async def throttle_cpu(self, task: SwarmTask, share: float) -> Evidence:
        """Leave the task's container `share` of one core; the evidence is its kernel's own quota for it.

        Raises:
            ProcessLookupError: it is gone.
            PlatformError: `unsupported`: less than the kernel can, a daemon without quotas, or nobody reaches it.
        """
        require_share(self._daemon, share)
        had = self._cpu.get(task.id) or await self._limits(task)
        self._cpu[task.id] = had
        await self._limit(task, throttled(had, share))
        seen = await self._quota(task)
        return cpu_evidence(share, seen, time.monotonic_ns())

    async def unthrottle_cpu(self, task: SwarmTask) -> None:
        """Give it back what it had; a container that is gone needs nothing.

        Raises:
            PlatformError: its engine refuses, or is gone.
        """
        had = self._cpu.get(task.id)
        if had is None:
            return
        try:
            await self._limit(task, restored(had))
        except ProcessLookupError:
            pass
        except PlatformError as error:
            if error.code != "not-found":
                raise
        self._cpu.pop(task.id, None)

    async def _limits(self, task: SwarmTask) -> dict[str, int]:
        if self._nodes.is_here(task.node):
            return await limits_now(self._daemon, task.container)
        return dict((await self._in_task(task, {"act": "docker-look"}))["cpu"])

    async def _limit(self, task: SwarmTask, body: dict[str, int]) -> None:
        if self._nodes.is_here(task.node):
            await set_limits(self._daemon, task.container, body)
        else:
            await self._in_task(task, {"act": "docker-cpu", "limits": body})

    async def _quota(self, task: SwarmTask) -> tuple[int | None, int] | None:
        seen = await local_quota(task.container, task.pid or 0) if self._own(task) else None
        if seen is not None or not self._hands.reaches(task.node):
            return seen
        try:
            answer = await self._in_task(task, {"act": "cpu-quota"})
        except PlatformError:
            return None  # it was done all the same, and nobody can say so
        return answer.get("quota_us"), int(answer["period_us"])
