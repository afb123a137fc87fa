"""Memory pressure: a process that holds memory inside a task's own limit until it is told to let go.

Used by `engine.shell.acts`. The filler is put into the task's control group where it has one; without one it counts
as a process of the task, so that the watch of resident memory counts it too. It is not what the kernel is to kill when
the limit is reached: it lowers its own score; where it may not, the task's processes get the highest for that time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from breakroom.engine.shell.processes import Children, Ended

__all__ = ["Pressure"]

_PROGRAM = """
import mmap, signal, sys
size, counted = int(sys.argv[1]), sys.argv[2]
try:
    with open("/proc/self/status") as status:
        size -= sum(int(line.split()[1]) * 1024 for line in status if line.startswith(counted))
except OSError:
    pass
try:
    with open("/proc/self/oom_score_adj", "w") as score:
        score.write("-999")
except OSError:
    pass
held = mmap.mmap(-1, max(size, mmap.PAGESIZE), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
page = b"x" * (1 << 20)
while held.tell() < len(held):
    held.write(page[: len(held) - held.tell()])
signal.pause()
"""
_FIRST_TO_DIE = "1000"


@dataclass(slots=True)
class _Filler:
    pid: int
    ended: bool = False
    scores: dict[int, str] = field(default_factory=dict)


class Pressure:
    """The fillers of one engine."""

    def __init__(self, children: Children) -> None:
        self._children = children
        self._fillers: dict[str, list[_Filler]] = {}

    def add(
        self, task: str, size: int, *, env: Mapping[str, str], cgroup_fd: int | None, pids: Iterable[int]
    ) -> int:
        """Start a filler of `size` bytes, its own program included; returns its pid.

        Raises:
            OSError: it cannot be started.
        """
        fillers = self._fillers.setdefault(task, [])

        def on_exit(ended: Ended) -> None:
            for filler in fillers:
                filler.ended = filler.ended or filler.pid == ended.pid

        # A control group counts what is the filler's alone; the watch of resident memory, shared pages too.
        counted = "VmRSS:" if cgroup_fd is None else "RssAnon:"
        command = [sys.executable, "-I", "-S", "-c", _PROGRAM, str(size), counted]
        pid = self._children.spawn(command, env=env, cgroup_fd=cgroup_fd, on_exit=on_exit)
        fillers.append(_Filler(pid, scores={} if _can_be_spared() else _make_first_to_die(pids)))
        return pid

    def holds(self, task: str) -> bool:
        """Whether a filler of the task lives."""
        return any(not filler.ended for filler in self._fillers.get(task, ()))

    def free(self, task: str) -> list[int]:
        """End the task's fillers; returns their pids."""
        fillers = self._fillers.pop(task, [])
        for filler in fillers:
            if not filler.ended:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(filler.pid, signal.SIGKILL)
            for pid, score in filler.scores.items():
                _set_score(pid, score)
        return [filler.pid for filler in fillers]


def _can_be_spared() -> bool:
    """Whether a process of ours may lower its own score."""
    try:
        own = Path("/proc/self/oom_score_adj")
        before = own.read_text(encoding="ascii").strip()
        own.write_text(str(int(before) - 1), encoding="ascii")
        own.write_text(before, encoding="ascii")
    except OSError:
        return False
    return True


def _make_first_to_die(pids: Iterable[int]) -> dict[int, str]:
    """Give processes the highest score; returns what they had."""
    before = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            score = Path(f"/proc/{pid}/oom_score_adj").read_text(encoding="ascii").strip()
            if score != _FIRST_TO_DIE and _set_score(pid, _FIRST_TO_DIE):
                before[pid] = score
    return before


def _set_score(pid: int, score: str) -> bool:
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text(score, encoding="ascii")
        return True
    return False
