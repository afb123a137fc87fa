"""CPU time of a task bounded by the kernel's CFS bandwidth control, where a control group for it can be made.

Used by `engine.shell.throttle`. Version 1: a group of the hierarchy `cpu`, made when a task is first throttled;
entering takes the kernel some 10 ms a process, which only the fault waits for. Version 2: the group that the task is in
for its memory limit or for freezing, since a process can be in one group of that hierarchy only. Children that
are born in a group stay in it; what is made in advance for a replacement is in none.

Source: kernel documentation, scheduler/sched-bwc and cgroup-v2 ("CPU Interface Files").
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from breakroom.engine.shell import procfs
from breakroom.engine.shell.cgroups import PREFIX, Controller, candidates, gather, remove_directory

__all__ = ["Quota", "bandwidth", "find_quota"]

_PERIOD_US = 100_000
_LONGEST_US = 1_000_000
_SHORTEST_QUOTA_US = 1_000
"""The kernel takes no shorter quota, and no longer period."""


def bandwidth(share: float) -> tuple[int, int]:
    """Quota and period in microseconds that give `share` of one core; the kernel's usual period where it can be."""
    period = _PERIOD_US
    if share * period < _SHORTEST_QUOTA_US:
        period = min(_LONGEST_US, round(_SHORTEST_QUOTA_US / share)) if share > 0 else _LONGEST_US
    return max(_SHORTEST_QUOTA_US, round(share * period)), period


class Quota:
    """The CPU groups of one engine.

    `processes` gives the pids of a task, `unified_group` the version 2 group that all of them are in.
    """

    def __init__(
        self,
        controller: Controller,
        *,
        processes: Callable[[str], Iterable[int]],
        unified_group: Callable[[str], Path | None],
    ) -> None:
        self._controller = controller
        self._processes = processes
        self._unified_group = unified_group
        self._groups: dict[str, Path] = {}
        self._made = 0
        self._emptying: list[Path] = []

    def limit(self, task: str, share: float) -> dict[str, int]:
        """Bound the task, and say what the kernel says then.

        Returns:
            `quota_us` and `period_us` as read back, `nr_throttled` so far, `outside`: processes that are not bounded.

        Raises:
            OSError: the kernel refuses.
        """
        group = self._group(task)
        quota, period = bandwidth(share)
        _write(group, quota, period)
        seen_quota, seen_period = _read(group)
        return {
            "quota_us": seen_quota,
            "period_us": seen_period,
            "nr_throttled": _throttled(group),
            "outside": len(self._outside(task, group)),
        }

    def lift(self, task: str) -> None:
        """No bound any more; harmless if there was none. Its processes stay in the group until they end."""
        group = self._groups.get(task)
        if group is not None:
            with contextlib.suppress(OSError):
                _write(group, None, _PERIOD_US)

    def ended(self, task: str) -> None:
        """The task's main process has ended: what is left of it must be able to die."""
        self.lift(task)
        group = self._groups.pop(task, None)
        if group is not None and self._controller.version == 1:
            self._emptying.append(group)

    def tidy(self) -> list[str]:
        """Remove the groups of ended tasks as far as they are empty. Returns those that are not."""
        self._emptying = [group for group in self._emptying if not remove_directory(group)]
        return [str(group) for group in self._emptying]

    def close(self) -> list[str]:
        """Remove all groups; their processes must be dead. Returns what could not be removed."""
        for task in tuple(self._groups):
            self.ended(task)
        return self.tidy()

    def _group(self, task: str) -> Path:
        """The task's group, with all of its processes in it."""
        if self._controller.version == 2:
            group = self._unified_group(task)
            if group is None:
                raise FileNotFoundError("the task can be put into no control group")
            self._groups[task] = group
            return group
        if task not in self._groups:
            self._made += 1
            group = self._controller.directory / f"{PREFIX}{os.getpid()}-cpu{self._made}"
            group.mkdir()
            self._groups[task] = group
        gather(self._groups[task], lambda: self._processes(task))
        return self._groups[task]

    def _outside(self, task: str, group: Path) -> set[int]:
        inside = set(map(int, (group / "cgroup.procs").read_text(encoding="ascii").split()))
        return {
            pid for pid in set(self._processes(task)) - inside if procfs.state_of(pid) not in {"Z", "X", ""}
        }


def find_quota() -> Controller | None:
    """Where CPU time can be bounded, found out by making a group with a quota and removing it again."""
    for candidate in candidates("cpu"):
        group = candidate.directory / f"{PREFIX}{os.getpid()}-trycpu"
        try:
            group.mkdir()
            _write(group, *bandwidth(0.5))
            works = _read(group) == bandwidth(0.5) and os.access(
                candidate.directory / "cgroup.procs", os.W_OK
            )
        except OSError:
            works = False
        if remove_directory(group) and works:
            return candidate
    return None


def _write(group: Path, quota: int | None, period: int) -> None:
    """Set the group's quota (None: none) for each period."""
    unified = group / "cpu.max"
    if unified.exists():
        unified.write_text(f"{'max' if quota is None else quota} {period}", encoding="ascii")
        return
    # Without a quota first: the kernel checks each of the two against the other's old value.
    (group / "cpu.cfs_quota_us").write_text("-1", encoding="ascii")
    if quota is not None:
        (group / "cpu.cfs_period_us").write_text(str(period), encoding="ascii")
        (group / "cpu.cfs_quota_us").write_text(str(quota), encoding="ascii")


def _read(group: Path) -> tuple[int, int]:
    """The quota in force (-1: none) and its period."""
    unified = group / "cpu.max"
    if unified.exists():
        quota, period = unified.read_text(encoding="ascii").split()
        return -1 if quota == "max" else int(quota), int(period)
    return (
        int((group / "cpu.cfs_quota_us").read_text(encoding="ascii")),
        int((group / "cpu.cfs_period_us").read_text(encoding="ascii")),
    )


def _throttled(group: Path) -> int:
    """In how many periods the group was stopped for having used its quota up."""
    lines = (group / "cpu.stat").read_text(encoding="ascii").splitlines()
    values = {name: value for name, _, value in (line.partition(" ") for line in lines)}
    return int(values.get("nr_throttled", 0))
