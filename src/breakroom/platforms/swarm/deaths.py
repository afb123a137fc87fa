"""When a process of this machine ended, by the kernel's own notice.

Used by `watcher` for the tasks of this node: Docker tells of an end some hundredths of a second later, and a fault's
effect is to be known to the moment. Where there is no pidfd, Docker's time stands.
"""

from __future__ import annotations

import asyncio
import os
import time

__all__ = ["DeathTimes"]

_LATE_NS = 2_000_000_000


class DeathTimes:
    """Watches processes by task id and remembers when each ended, on the journal's clock."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}
        self._ended: dict[str, int] = {}

    def watch(self, task: str, pid: int) -> None:
        """Begin to watch a task's process; harmless if it is gone already."""
        if pid <= 0 or task in self._open or not hasattr(os, "pidfd_open"):
            return
        try:
            number = os.pidfd_open(pid)
        except OSError:
            return
        self._open[task] = number
        asyncio.get_running_loop().add_reader(number, self._gone, task)

    def of(self, task: str, told: int) -> int:
        """When the task's process ended; `told`, if that is not known or is about another end."""
        seen = self._ended.get(task)
        return seen if seen is not None and 0 <= told - seen < _LATE_NS else told

    def close(self) -> None:
        """Watch no more."""
        for task in tuple(self._open):
            self._forget(task)

    def _gone(self, task: str) -> None:
        self._ended[task] = time.monotonic_ns()
        self._forget(task)

    def _forget(self, task: str) -> None:
        number = self._open.pop(task)
        asyncio.get_running_loop().remove_reader(number)
        os.close(number)
