"""Seeing a task's death without being told: the kernel's own notice that its process has ended.

Used by `server` for tasks that entered with their process id. A dead task must leave rotation at once, as Swarm has
it; the engine's message takes a thousandth of a second or so on its way, and each connection given to the dead task
meanwhile is lost. Where there is no pidfd (other systems, older kernels) the message is all there is.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from breakroom.ingress.loop import Loop
from breakroom.ingress.poller import IN

__all__ = ["DeathWatch"]


class DeathWatch:
    """Calls `on_death` once when the process `pid` has ended, until it is closed."""

    __slots__ = ("_fd", "_loop", "_on_death")

    def __init__(self, loop: Loop, pid: int, on_death: Callable[[], None]) -> None:
        self._loop = loop
        self._on_death = on_death
        self._fd = _pidfd(pid)
        if self._fd >= 0:
            loop.watch(self._fd, self, IN)

    def on_event(self, _events: int) -> None:
        """The process has ended."""
        if self._fd >= 0:
            self.close()
            self._on_death()

    def close(self) -> None:
        """Watch no more."""
        if self._fd >= 0:
            self._loop.unwatch(self._fd)
            os.close(self._fd)
            self._fd = -1


def _pidfd(pid: int) -> int:
    """A descriptor that becomes readable at the process's end; -1 where there is none to be had."""
    opener: Callable[[int], int] | None = getattr(os, "pidfd_open", None)
    if pid <= 0 or opener is None:
        return -1
    try:
        return opener(pid)
    except OSError:
        return -1
