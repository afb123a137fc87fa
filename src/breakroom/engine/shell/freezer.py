"""Freezing all processes of a task, as `docker pause` does, and letting them go on.

Used by `engine.shell.acts`. By a version 2 control group where one can be made: the kernel says itself when every
process in it stands still. Elsewhere by SIGSTOP to each process, proved by its state in /proc. The version 1 freezer is
not used: there a frozen process does not die of SIGKILL, and a replica could outlive breakroom.

Source: kernel documentation, cgroup-v2, "Core Interface Files" (`cgroup.freeze`, `cgroup.events`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from breakroom.engine.shell import procfs, protocol
from breakroom.engine.shell.cgroups import PREFIX, gather, remove_directory, unified_directories

__all__ = ["Freezer", "freezer_means"]

_WITHIN = 2_000_000_000
_LOOK_SECONDS = 0.001


class Freezer:
    """All frozen tasks of the engine.

    `processes` gives the pids of a task; `limit_group` the version 2 group that it is in already, if it is in one;
    without `groups`, none is made.
    """

    def __init__(
        self,
        *,
        processes: Callable[[str], Iterable[int]],
        limit_group: Callable[[str], Path | None],
        groups: bool = True,
    ) -> None:
        self._processes = processes
        self._limit_group = limit_group
        self._root = _find_root() if groups else None
        self._own: dict[str, Path] = {}
        self._frozen: set[str] = set()
        self._made = 0
        self._emptying: list[Path] = []

    @property
    def means(self) -> str:
        """`freezer` or `sigstop`."""
        return "freezer" if self._root is not None else "sigstop"

    def frozen(self, task: str) -> bool:
        """Whether the task was frozen and not let go on."""
        return task in self._frozen

    def holds_by_signal(self, task: str) -> bool:
        """Whether it is frozen, and a SIGCONT would let it go on."""
        return task in self._frozen and self._root is None

    async def freeze(self, task: str) -> protocol.Witness:
        """Freeze, and look until the kernel says that it is so."""
        self._frozen.add(task)
        group = self.group(task)
        if group is None:
            return await self._until(lambda: self._stop_all(task), "sigstop")
        (group / "cgroup.freeze").write_text("1", encoding="ascii")
        return await self._until(lambda: _events(group).get("frozen") == "1", "freezer")

    def group(self, task: str) -> Path | None:
        """The version 2 group with all of the task's processes, made where it is in none; None: there can be none."""
        if self._root is None:
            return None
        limited = self._limit_group(task)
        if limited is not None:
            return limited
        if task not in self._own:
            self._made += 1
            group = self._root / f"{PREFIX}{os.getpid()}-frozen{self._made}"
            group.mkdir()
            self._own[task] = group
        gather(self._own[task], lambda: self._processes(task))
        return self._own[task]

    def thaw(self, task: str) -> None:
        """Let it go on; harmless if it was not frozen."""
        if task not in self._frozen:
            return
        self._frozen.discard(task)
        group = self._limit_group(task) or self._own.get(task)
        with contextlib.suppress(OSError):
            if self._root is not None and group is not None:
                (group / "cgroup.freeze").write_text("0", encoding="ascii")
                return
        for pid in self._processes(task):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGCONT)

    def ended(self, task: str) -> None:
        """The task's main process has ended: what is left of it must be able to die."""
        self.thaw(task)
        if task in self._own:
            self._emptying.append(self._own.pop(task))

    def tidy(self) -> list[str]:
        """Remove the groups of ended tasks as far as they are empty. Returns those that are not."""
        self._emptying = [group for group in self._emptying if not remove_directory(group)]
        return [str(group) for group in self._emptying]

    def close(self) -> list[str]:
        """Remove all groups; their processes must be dead. Returns what could not be removed."""
        self._emptying += self._own.values()
        self._own.clear()
        return self.tidy()

    def _stop_all(self, task: str) -> bool:
        moving = [pid for pid in self._processes(task) if procfs.state_of(pid) not in {"T", "Z", "X", ""}]
        for pid in moving:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        return not moving

    async def _until(self, true: Callable[[], bool], means: str) -> protocol.Witness:
        deadline = time.monotonic_ns() + _WITHIN
        # The kernel gives notice of neither.
        while not (holds := true()) and time.monotonic_ns() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)
        return protocol.Witness(holds=holds, t=time.monotonic_ns(), means=means)


def freezer_means() -> str:
    """How tasks are frozen here, found out by trying: `freezer` or `sigstop`."""
    return "freezer" if _find_root() is not None else "sigstop"


def _find_root() -> Path | None:
    """Where groups can be made and frozen, found out by making one."""
    for directory in unified_directories():
        group = directory / f"{PREFIX}{os.getpid()}-tryfreeze"
        with contextlib.suppress(OSError):
            group.mkdir()
            works = os.access(group / "cgroup.freeze", os.W_OK) and os.access(
                directory / "cgroup.procs", os.W_OK
            )
            group.rmdir()
            if works:
                return directory
    return None


def _events(group: Path) -> dict[str, str]:
    try:
        lines = (group / "cgroup.events").read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    return {name: value for name, _, value in (line.partition(" ") for line in lines)}
