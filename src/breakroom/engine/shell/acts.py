"""What is done to a task on purpose, past the orchestrator: frozen, signalled inside, short of memory or CPU time.

Used by `engine.shell.requests`. Each act is read back from the kernel before it is answered: the answer is evidence,
not a hope. The core hears nothing of it, as Docker's orchestrator hears nothing of a `docker pause`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING

from breakroom.engine.shell import procfs, protocol
from breakroom.engine.shell.command import task_environment

if TYPE_CHECKING:
    from breakroom.engine.shell.node import Node

__all__ = ["Acts", "TaskGoneError"]

_FILLED_WITHIN = 10_000_000_000
_BOTH_WITHIN = 1_000_000_000
_LOOK_SECONDS = 0.005
_ENOUGH = 0.9
"""A task's memory moves while it is filled; so much of what was asked for must be seen."""


class TaskGoneError(Exception):
    """The task has no running process; the text names it."""


class Acts:
    """The acts on the tasks of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def pause(self, task: str) -> protocol.Witness:
        """Freeze all of its processes; its health is not probed meanwhile (moby `daemon/health.go`).

        Raises:
            TaskGoneError: it does not run.
            OSError: the kernel refuses.
        """
        self._pid(task)
        self._node.hold_probe(task)
        return await self._node.freezer.freeze(task)

    def unpause(self, task: str) -> None:
        """Let its processes go on.

        Raises:
            TaskGoneError: it does not run any more.
        """
        self._pid(task)
        self._node.thaw(task)

    def state(self, task: str) -> str:
        """The state letter of its main process; empty: gone."""
        pid = self._node.running().get(task)
        return procfs.state_of(pid) if pid is not None else ""

    def signal_inside(self, task: str, match: str, name: str) -> list[int]:
        """Signal its processes whose command line contains `match`; returns their pids.

        Raises:
            TaskGoneError: it does not run.
        """
        self._pid(task)
        hit = []
        for pid in tuple(self._node.processes_of(task)):
            if match in procfs.command_line_of(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.Signals[name])
                    self._node.throttle.signalled(task, pid, name)
                    hit.append(pid)
        return hit

    async def throttle(self, task: str, share: float) -> protocol.Witness:
        """Let its processes have only `share` of one core.

        Raises:
            TaskGoneError: it does not run, or ended before it was seen to be so.
            OSError: the kernel refuses.
        """
        self._pid(task)
        witness = await self._node.throttle.limit(task, share)
        if not witness.holds:
            self._pid(task)
        return witness

    def unthrottle(self, task: str) -> None:
        """Let them have what they had before; the task may be gone."""
        self._node.throttle.lift(task)

    async def fill(self, task: str, size: int) -> protocol.Witness:
        """Have `size` bytes more used in its limit, and look until they are; or until it was killed for memory.

        Raises:
            TaskGoneError: it does not run.
            OSError: the filler cannot be started.
        """
        self._pid(task)
        node = self._node
        pids = tuple(node.processes_of(task))
        before = node.memory.used(task, pids)
        place = node.task(task)
        env = task_environment(place, 0, node.marker)
        node.adopt(task, node.pressure.add(task, size, env=env, cgroup_fd=node.memory.entry(task), pids=pids))
        used = before
        deadline = time.monotonic_ns() + _FILLED_WITHIN
        while time.monotonic_ns() < deadline:
            await asyncio.sleep(_LOOK_SECONDS)
            if task not in node.running():
                # Held in memory for this: an application that dies of the pressure has felt it.
                return self._filled(task, holds=node.died_of_memory(task), before=before, used=used)
            if not node.pressure.holds(task):
                # Killed; with the task, whose own end is then about to be heard of, or instead of it.
                deadline = min(deadline, time.monotonic_ns() + _BOTH_WITHIN)
                continue
            used = node.memory.used(task, tuple(node.processes_of(task)))
            if used >= before + _ENOUGH * size:
                break
        holds = node.pressure.holds(task) and used >= before + _ENOUGH * size
        return self._filled(task, holds=holds, before=before, used=used)

    def free(self, task: str) -> None:
        """End the pressure; the task may be gone."""
        for pid in self._node.pressure.free(task):
            self._node.disown(task, pid)

    def _filled(self, task: str, *, holds: bool, before: int, used: int) -> protocol.Witness:
        detail = {"before_bytes": before, "used_bytes": used}
        if task not in self._node.running():
            detail["killed_for_memory"] = int(holds)
        means = self._node.memory.means
        return protocol.Witness(holds=holds, t=time.monotonic_ns(), means=means, detail=detail)

    def _pid(self, task: str) -> int:
        pid = self._node.running().get(task)
        if pid is None:
            raise TaskGoneError(f"task {task} has no running process")
        return pid
