"""A container's starts and ends as tasks of the journal. Pure: told what Docker said, it answers with records.

Used by `deployment`. Every start is a task of its own (slot 1), as on the local platform. The first bears the
container's short id, which is also its host name, by which the sample apps answer; later ones add a number: `4f1c….2`.
A container that takes the place of another goes on in the same book, with a version one higher.
Docker numbers an end by signal as 128 + the signal (runc), so an exit status from 129 to 192 is told as that signal;
a program that exits with such a number by itself cannot be told apart, here as everywhere in Docker.
"""

from __future__ import annotations

import signal
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import msgspec

from breakroom.journal.records import TaskChanged
from breakroom.platforms.base import TaskView

__all__ = ["Container", "Lives", "Start", "signal_of"]

_SIGNALS = range(129, 193)
_ENDED = frozenset({"complete", "failed", "shutdown"})


def signal_of(exit_code: int) -> int | None:
    """The signal that Docker means by an exit status; None if it means none."""
    return exit_code - 128 if exit_code in _SIGNALS else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """What stays the same over a container's starts."""

    id: str
    trial: str
    service: str
    node: str
    image: str
    version: int = 1
    """Counts the containers that have had this place."""

    @property
    def short(self) -> str:
        """The first 12 digits of its id, as Docker shows it."""
        return self.id[:12]


@dataclass(slots=True, kw_only=True)
class Start:
    """One start of the container: a task."""

    container: Container
    task: str
    number: int
    state: str = "new"
    desired: str = "running"
    pid: int | None = None
    healthy: bool | None = None
    started: int | None = None
    """When its process began, on the journal's clock."""
    started_unix: int | None = None
    oom_heard: int | None = None
    """When Docker told of memory running out in it, on the journal's clock."""
    last: TaskChanged | None = None
    probes: set[str] = field(default_factory=set)
    """Starts of the health probes already written."""

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.state not in _ENDED


_OOM_BEFORE_END = 5_000_000_000


class Lives:
    """All starts of one container, and of those whose place it took. Each method returns what is new as records."""

    def __init__(self, container: Container) -> None:
        self.container = container
        """The one that is there now."""
        self.starts: list[Start] = []

    @property
    def current(self) -> Start | None:
        """The newest start."""
        return self.starts[-1] if self.starts else None

    def find(self, task: str) -> Start | None:
        """The start with that task id."""
        return next((start for start in self.starts if start.task == task), None)

    def replaced(self, container: Container) -> None:
        """The container is gone, and another one has its place: what is told from now on is of that one.

        Raises:
            ValueError: the last start has not ended.
        """
        if self.current is not None and self.current.alive:
            raise ValueError(f"task {self.current.task} is still {self.current.state}")
        self.container = container

    def begin(self, t: int, *, unix: int | None = None) -> list[TaskChanged]:
        """Docker has begun to start it (or is told to): a new task, unless one is on its way already."""
        if self.current is not None and self.current.alive:
            return self._move(self.current, "starting", t, unix) if self.current.state == "new" else []
        container = self.container
        number = sum(start.container is container for start in self.starts) + 1
        task = container.short if number == 1 else f"{container.short}.{number}"
        start = Start(container=container, task=task, number=number, state="starting")
        self.starts.append(start)
        return [self._record(start, t, unix)]

    def running(self, t: int, *, unix: int | None = None, pid: int | None = None) -> list[TaskChanged]:
        """Its process runs; `pid` None: it has ended so soon that nobody knows."""
        records = self.begin(t, unix=unix)
        start = self.starts[-1]
        if start.state == "running":
            return records
        start.pid, start.started, start.started_unix = pid or None, t, unix
        return records + self._move(start, "running", t, unix)

    def unwanted(self, t: int, *, unix: int | None = None) -> list[TaskChanged]:
        """It is to end: `docker stop`, `docker kill`. Its restart policy no longer holds."""
        start = self.current
        if start is None or not start.alive or start.desired == "shutdown":
            return []
        start.desired = "shutdown"
        return [self._record(start, t, unix)]

    def out_of_memory(self, t: int) -> list[TaskChanged]:
        """Docker's `oom` event. It may come a little after the end that it explains."""
        start = self.current
        if start is None:
            return []
        start.oom_heard = t
        last = start.last
        if start.alive or last is None or last.oom_killed or last.signal != signal.SIGKILL:
            return []
        start.last = msgspec.structs.replace(last, t=t, oom_killed=True)
        return [start.last]

    def ended(
        self, t: int, *, exit_code: int, oom_killed: bool = False, unix: int | None = None
    ) -> list[TaskChanged]:
        """Its process has ended."""
        start = self.current
        if start is None or not start.alive:
            return []
        number = signal_of(exit_code)
        heard = start.oom_heard is not None and t - start.oom_heard < _OOM_BEFORE_END
        oom = oom_killed or (number == signal.SIGKILL and heard)
        error = ""
        if start.desired == "shutdown":
            state = "shutdown"
        elif exit_code == 0:
            state = "complete"
        else:
            state, error = "failed", f"task: non-zero exit ({exit_code})"
        start.state = state
        record = self._record(start, t, unix)
        start.last = msgspec.structs.replace(
            record, error=error, exit_code=exit_code, signal=number, oom_killed=oom
        )
        return [start.last]

    def views(self, *, inside: AbstractSet[str], port: int | None) -> list[TaskView]:
        """The starts as the platform protocol has them, newest first. `inside`: tasks in rotation."""
        return [
            TaskView(
                id=start.task,
                slot=1,
                node=start.container.node,
                state=start.state,
                desired=start.desired,
                in_rotation=start.task in inside,
                healthy=start.healthy,
                pid=start.pid if start.alive else None,
                version=start.container.version,
                port=port if start.alive else None,
                container=start.container.id,
            )
            for start in reversed(self.starts)
        ]

    def _move(self, start: Start, state: str, t: int, unix: int | None) -> list[TaskChanged]:
        start.state = state
        return [self._record(start, t, unix)]

    def _record(self, start: Start, t: int, unix: int | None) -> TaskChanged:
        container = start.container
        start.last = TaskChanged(
            t=t,
            trial=container.trial,
            task=start.task,
            service=container.service,
            slot=1,
            node=container.node,
            state=start.state,
            desired=start.desired,
            image=container.image,
            version=container.version,
            pid=start.pid,
            platform_unix_ns=unix,
        )
        return start.last
