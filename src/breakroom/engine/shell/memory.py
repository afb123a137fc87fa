"""A task's memory limit, enforced by a control group or, where none can be made, by watching its resident memory.

Used by `engine.shell.node`. With a control group the kernel kills. Without one the watch reads the resident
memory of all of the task's processes every 50 ms, and every 10 ms from four fifths of the limit on, and kills
the task's processes at the limit. The watch runs only while a limited task runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from breakroom.engine.shell import procfs
from breakroom.engine.shell.cgroups import Controller, Group, find_controller, sweep_leftovers

__all__ = ["MemoryLimits"]

_CALM = 0.05
_CLOSE = 0.01
_NEARLY = 0.8


class MemoryLimits:
    """All limited tasks of the engine.

    `processes` gives the pids of a task; `kill` kills them all.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        processes: Callable[[str], Iterable[int]],
        kill: Callable[[str], None],
        means: str = "",
    ) -> None:
        self._loop = loop
        self._processes = processes
        self._kill = kill
        self._controller: Controller | None = None
        if means != "rss-watch":
            sweep_leftovers()
            self._controller = find_controller()
        self._groups: dict[str, Group] = {}
        self._unassigned: list[Group] = []
        self._made = 0
        self._emptying: list[Group] = []
        self._watched: dict[str, int] = {}
        self._killed: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def means(self) -> str:
        """`cgroup-v2`, `cgroup-v1` or `rss-watch`."""
        return self._controller.means if self._controller is not None else "rss-watch"

    def make_group(self, limit: int) -> Group | None:
        """A group to start a task in, or None where there are none: then call `watch` once the task runs.

        Raises:
            OSError: the group cannot be made.
        """
        if self._controller is None:
            return None
        self._made += 1
        group = self._controller.make(str(self._made), limit)
        self._unassigned.append(group)
        return group

    def assign(self, task: str, group: Group) -> None:
        """The group is the task's from now on."""
        self._unassigned.remove(group)
        self._groups[task] = group

    def entry(self, task: str) -> int | None:
        """The open `cgroup.procs` of the task's group, by which another process can enter it; None: it has none."""
        group = self._groups.get(task)
        return group.procs_fd if group is not None else None

    def unified_group(self, task: str) -> Path | None:
        """The task's group if that is one of version 2, which can be frozen."""
        group = self._groups.get(task)
        return group.directory if group is not None and group.version == 2 else None

    def discard(self, group: Group) -> None:
        """The group is nobody's: remove it as soon as it is empty."""
        self._unassigned.remove(group)
        self._emptying.append(group)
        self.tidy()

    def watch(self, task: str, limit: int) -> None:
        """Begin to watch a running task."""
        self._watched[task] = limit
        if self._timer is None:
            self._timer = self._loop.call_later(_CALM, self._look)

    def used(self, task: str, pids: Iterable[int]) -> int:
        """The task's memory as its limit counts it; `pids` are its processes."""
        group = self._groups.get(task)
        return group.used() if group is not None else procfs.resident_bytes(pids)

    def ended(self, task: str) -> bool:
        """The task's main process has ended: stop limiting it. Returns whether it was killed for memory."""
        self._watched.pop(task, None)
        group = self._groups.pop(task, None)
        if group is None:
            killed = task in self._killed
            self._killed.discard(task)
            return killed
        oom = group.oom_kills() > 0
        self._emptying.append(group)
        return oom

    def tidy(self) -> list[str]:
        """Remove the groups of ended tasks as far as they are empty. Returns those that are not."""
        self._emptying = [group for group in self._emptying if not group.remove()]
        return [str(group.directory) for group in self._emptying]

    def close(self) -> list[str]:
        """Remove all groups; their processes must be dead. Returns what could not be removed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._emptying += [*self._groups.values(), *self._unassigned]
        self._groups.clear()
        self._unassigned.clear()
        return self.tidy()

    def _look(self) -> None:
        fullest = 0.0
        for task, limit in tuple(self._watched.items()):
            used = procfs.resident_bytes(self._processes(task))
            fullest = max(fullest, used / limit)
            if used > limit:
                del self._watched[task]
                self._killed.add(task)
                self._kill(task)
        self._timer = None
        if self._watched:
            self._timer = self._loop.call_later(_CLOSE if fullest > _NEARLY else _CALM, self._look)
