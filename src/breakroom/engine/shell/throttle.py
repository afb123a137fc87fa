"""Bounds a task's CPU time: by the kernel's quota where a control group for it can be made, by a duty cycle elsewhere.

Used by `engine.shell.node` and `acts`. It ends with the task, and before a stop or a kill, so that a process can end
as it would have; what was paused or made to hang meanwhile stays so. A replacement is not bounded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial

from breakroom.engine.shell import protocol
from breakroom.engine.shell.duty_cycle import DutyCycle
from breakroom.engine.shell.freezer import Freezer
from breakroom.engine.shell.quota import Quota, bandwidth, find_quota

__all__ = ["Throttle", "throttle_means"]

_SEEN_WITHIN = 5_000_000_000
_LOOK_SECONDS = 0.005


class Throttle:
    """All bounded tasks of the engine. `processes` gives the pids of a task; without `groups`, none is made."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        processes: Callable[[str], Iterable[int]],
        freezer: Freezer,
        groups: bool = True,
    ) -> None:
        self._loop = loop
        self._processes = processes
        self._freezer = freezer
        controller = find_quota() if groups else None
        self._quota = (
            Quota(controller, processes=processes, unified_group=freezer.group)
            if controller is not None
            else None
        )
        self._cycles: dict[str, DutyCycle] = {}
        self._held: dict[str, set[int]] = {}

    async def limit(self, task: str, share: float) -> protocol.Witness:
        """Give the task `share` of one core, and look until it is so.

        Raises:
            OSError: the kernel refuses.
        """
        if self._quota is None:
            return await self._begin_cycle(task, share)
        detail = self._quota.limit(task, share)
        holds = not detail["outside"] and (detail["quota_us"], detail["period_us"]) == bandwidth(share)
        return _witness("cfs-quota", share, detail, holds=holds)

    def lift(self, task: str) -> None:
        """Give it what it had before; harmless if it was not bounded."""
        if self._quota is not None:
            self._quota.lift(task)
        cycle = self._cycles.pop(task, None)
        if cycle is not None:
            cycle.end(go_on=not self._freezer.holds_by_signal(task))

    def signalled(self, task: str, pid: int, name: str) -> None:
        """Somebody else sent a process of the task a signal: what was stopped by that is not ours to let go on."""
        if name in {"SIGSTOP", "SIGTSTP"}:
            self._held.setdefault(task, set()).add(pid)
        elif name == "SIGCONT" and task in self._held:
            self._held[task].discard(pid)

    def ended(self, task: str) -> None:
        """The task's main process has ended."""
        self.lift(task)
        self._held.pop(task, None)
        if self._quota is not None:
            self._quota.ended(task)

    def tidy(self) -> list[str]:
        """Remove the groups of ended tasks as far as they are empty. Returns those that are not."""
        return self._quota.tidy() if self._quota is not None else []

    def close(self) -> list[str]:
        """Bound nothing any more and remove all groups; returns those that are not empty yet."""
        for task in tuple(self._cycles):
            self.lift(task)
        return self._quota.close() if self._quota is not None else []

    async def _begin_cycle(self, task: str, share: float) -> protocol.Witness:
        self.lift(task)
        cycle = self._cycles[task] = DutyCycle(
            self._loop,
            share,
            processes=partial(self._processes, task),
            held=self._held.setdefault(task, set()),
            suspended=partial(self._freezer.frozen, task),
        )
        cycle.begin()
        deadline = time.monotonic_ns() + _SEEN_WITHIN
        # Each turn looks, and none gives notice.
        while not cycle.seen and self._cycles.get(task) is cycle and time.monotonic_ns() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)
        holds = cycle.seen and self._cycles.get(task) is cycle
        detail = {"running_us": round(cycle.running * 1e6), "stopped_us": round(cycle.stopped * 1e6)}
        return _witness("duty-cycle", share, detail, holds=holds)


def throttle_means() -> str:
    """How CPU time is bounded here, found out by trying: `cfs-quota` or `duty-cycle`."""
    return "cfs-quota" if find_quota() is not None else "duty-cycle"


def _witness(means: str, share: float, detail: dict[str, int], *, holds: bool) -> protocol.Witness:
    return protocol.Witness(
        holds=holds, t=time.monotonic_ns(), means=means, detail={"share": share, **detail}
    )
