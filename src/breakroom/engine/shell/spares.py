"""Keeps one parked process ready for each kind of task that was started, so that a replacement starts at once.

Used by `engine.shell.node`. Kinds differ by memory limit. The first task of a kind is started the long way; the
spare is made a moment later, when nobody waits for the engine. Where several tasks of a kind die at once, the first
replacement takes the spare and the others go the long way.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

from breakroom.engine.shell.cgroups import Group
from breakroom.engine.shell.memory import MemoryLimits
from breakroom.engine.shell.parked import Parked
from breakroom.engine.shell.processes import Children, Ended

__all__ = ["Spare", "Spares"]

_LATER = 0.2
"""Seconds. A fork of the engine costs a processor a millisecond or two, and a program that starts wants it as well."""
_AT_MOST = 0.5
"""Seconds for which starts may put it off: where tasks are always being started, spares are what helps."""


@dataclass(frozen=True, slots=True)
class Spare:
    """A parked process and the group that it is in, if its kind is limited by one."""

    parked: Parked
    group: Group | None


class Spares:
    """The spares of one engine."""

    def __init__(self, loop: asyncio.AbstractEventLoop, children: Children, memory: MemoryLimits) -> None:
        self._loop = loop
        self._children = children
        self._memory = memory
        self._ready: dict[int | None, Spare] = {}
        self._wanted: set[int | None] = set()
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def take(self, limit: int | None) -> Spare | None:
        """The spare of that memory limit, if there is one. A new one is made later."""
        spare = self._ready.pop(limit, None)
        self._want(limit)
        return spare

    def close(self) -> None:
        """Dismiss all of them and make no more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for spare in self._ready.values():
            spare.parked.dismiss()
            if spare.group is not None:
                self._memory.discard(spare.group)
        self._ready.clear()

    def _want(self, limit: int | None) -> None:
        if self._closed:
            return
        now = self._loop.time()
        if not self._wanted:
            self._since = now
        self._wanted.add(limit)
        # Each start puts it off again: while tasks are being started, they go first.
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(min(_LATER, max(0.0, self._since + _AT_MOST - now)), self._make)

    def _make(self) -> None:
        self._timer = None
        wanted, self._wanted = self._wanted, set()
        for limit in wanted - self._ready.keys():
            try:
                group = self._memory.make_group(limit) if limit is not None else None
                parked = self._children.park(
                    group.procs_fd if group is not None else None,
                    on_exit=partial(self._lost, limit),
                )
            except OSError:
                # Tasks still start the long way, and say what is wrong if that fails too.
                continue
            self._ready[limit] = Spare(parked, group)

    def _lost(self, limit: int | None, ended: Ended) -> None:
        """A spare has ended before it was used: somebody killed it, or it could not enter its group."""
        spare = self._ready.get(limit)
        if spare is not None and spare.parked.pid == ended.pid:
            del self._ready[limit]
            spare.parked.dismiss()
            if spare.group is not None:
                self._memory.discard(spare.group)
