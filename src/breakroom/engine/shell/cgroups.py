"""Control groups, where this process may make them, version 2 or 1; and memory limits by them.

Used by `engine.shell.memory`, `freezer` and `quota`. Groups are made only below the engine's own group and are called
`breakroom-PID-WORD`, so that what a killed engine left can be told from everything else and be swept. A group's own
OOM counter is the proof that the kernel killed for memory.

Sources: kernel documentation, cgroup-v2 ("Memory Interface Files", "No Internal Process Constraint") and
cgroup-v1/memory (sections 4, 10).
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "PREFIX",
    "Controller",
    "Group",
    "candidates",
    "find_controller",
    "gather",
    "remove_directory",
    "sweep_leftovers",
    "unified_directories",
]

PREFIX = "breakroom-"
"""Every group's name is `breakroom-PID-WORD`, with its engine's pid."""
_SWEPT = ("memory", "cpu")
"""Controllers of version 1 that groups are made of here."""


@dataclass(frozen=True, slots=True)
class Controller:
    """The engine's own group in a hierarchy with the controller that was asked for."""

    version: int
    directory: Path

    @property
    def means(self) -> str:
        """As capabilities name it."""
        return f"cgroup-v{self.version}"

    def make(self, name: str, limit: int) -> Group:
        """A group whose processes are killed by the kernel when they need more than `limit` bytes, swap included.

        Raises:
            OSError: it cannot be made; nothing was left.
        """
        group = Group(self.directory / f"{PREFIX}{os.getpid()}-{name}", self.version)
        group.directory.mkdir()
        try:
            group.set_limit(limit)
            group.open()
        except OSError:
            group.remove()
            raise
        return group


class Group:
    """One task's control group."""

    def __init__(self, directory: Path, version: int) -> None:
        self.directory = directory
        self.version = version
        self.procs_fd = -1

    def open(self) -> None:
        """Open the file by which a child puts itself into the group."""
        self.procs_fd = os.open(self.directory / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)

    def set_limit(self, limit: int) -> None:
        """Bound memory and swap together: without the second, the kernel would swap instead of kill."""
        if self.version == 2:
            (self.directory / "memory.max").write_text(str(limit), encoding="ascii")
            with contextlib.suppress(FileNotFoundError):
                (self.directory / "memory.swap.max").write_text("0", encoding="ascii")
            return
        (self.directory / "memory.limit_in_bytes").write_text(str(limit), encoding="ascii")
        with contextlib.suppress(FileNotFoundError):
            (self.directory / "memory.memsw.limit_in_bytes").write_text(str(limit), encoding="ascii")

    def oom_kills(self) -> int:
        """How many of its processes the kernel killed for memory."""
        return self._counter("memory.events" if self.version == 2 else "memory.oom_control", "oom_kill")

    def used(self) -> int:
        """Bytes in use without the page cache that could be dropped at once, as `docker stats` counts."""
        try:
            name = "memory.current" if self.version == 2 else "memory.usage_in_bytes"
            usage = int((self.directory / name).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0
        inactive = "inactive_file" if self.version == 2 else "total_inactive_file"
        return max(0, usage - self._counter("memory.stat", inactive))

    def processes(self) -> list[int]:
        """Pids in the group."""
        try:
            return [int(pid) for pid in (self.directory / "cgroup.procs").read_text(encoding="ascii").split()]
        except OSError:
            return []

    def remove(self) -> bool:
        """Remove the group; False while processes are in it."""
        if self.procs_fd >= 0:
            os.close(self.procs_fd)
            self.procs_fd = -1
        return remove_directory(self.directory)

    def _counter(self, file: str, key: str) -> int:
        try:
            lines = (self.directory / file).read_text(encoding="ascii").splitlines()
        except OSError:
            return 0
        return next(
            (int(value) for name, _, value in (line.partition(" ") for line in lines) if name == key), 0
        )


def find_controller() -> Controller | None:
    """The controller that works here, found out by making a group with a limit and removing it again."""
    for candidate in candidates("memory"):
        try:
            group = candidate.make("try", 64 << 20)
        except OSError:
            continue
        if group.remove():
            return candidate
    return None


def sweep_leftovers() -> list[str]:
    """Kill and remove what engines that are dead left below this process's group. Returns what is still there."""
    left = []
    old = [own for controller in _SWEPT for own in _version_1_directories(controller)]
    for place, version in {**dict.fromkeys(unified_directories(), 2), **dict.fromkeys(old, 1)}.items():
        with contextlib.suppress(OSError):
            for directory in tuple(place.glob(f"{PREFIX}*")):
                owner = directory.name.removeprefix(PREFIX).partition("-")[0]
                if owner.isdecimal() and not Path(f"/proc/{owner}").exists():
                    group = Group(directory, version)
                    for pid in group.processes():
                        with contextlib.suppress(OSError):
                            os.kill(pid, signal.SIGKILL)
                    if not group.remove():
                        left.append(str(directory))
    return left


def unified_directories() -> list[Path]:
    """This process's own group in the version 2 hierarchy, wherever that is mounted; controllers or not."""
    mounts, memberships = _own_memberships()
    paths = [membership.split(":", 2)[2] for membership in memberships if membership.startswith("0:")]
    return [own for path in paths for own in _mounted(mounts, "cgroup2", "", path)]


def _own_memberships() -> tuple[list[str], list[str]]:
    """What is mounted where, and which groups this process is in."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
        memberships = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return [], []
    return mounts, memberships


def candidates(controller: str) -> list[Controller]:
    """This process's own group in each hierarchy that has, or may be given, a controller (`memory`, `cpu`)."""
    return [
        *(Controller(2, own) for own in unified_directories() if _delegates(own, controller)),
        *(Controller(1, own) for own in _version_1_directories(controller)),
    ]


def gather(directory: Path, processes: Callable[[], Iterable[int]]) -> None:
    """Put every process into a group; once more for those that were forked meanwhile.

    Raises:
        OSError: the kernel refuses.
    """
    inside: set[int] = set()
    while outside := set(processes()) - inside:
        for pid in outside:
            with contextlib.suppress(ProcessLookupError):
                (directory / "cgroup.procs").write_text(str(pid), encoding="ascii")
        inside |= outside


def remove_directory(directory: Path) -> bool:
    """Remove a group; False while processes are in it."""
    try:
        directory.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _version_1_directories(controller: str) -> list[Path]:
    """This process's own group in the version 1 hierarchy of a controller, wherever that is mounted."""
    mounts, memberships = _own_memberships()
    found = []
    for membership in memberships:
        number, controllers, path = membership.split(":", 2)
        if number != "0" and controller in controllers.split(","):
            found += _mounted(mounts, "cgroup", controller, path)
    return found


def _mounted(mounts: list[str], kind: str, option: str, path: str) -> list[Path]:
    """Where the group `path` of a hierarchy is seen in the file system."""
    found = []
    for line in mounts:
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        fields = after.split()
        if fields[0] == kind and (not option or option in fields[-1].split(",")):
            # Inside a container the mount may show only a part of the hierarchy, beginning at `root`.
            inside = path.removeprefix(root.rstrip("/")) if path.startswith(root) else path
            directory = Path(point + "/" + inside.strip("/"))
            if directory.is_dir():
                found.append(directory)
    return found


def _delegates(own: Path, controller: str) -> bool:
    """Whether children of this version 2 group get the controller, or can be given it."""
    control = own / "cgroup.subtree_control"
    try:
        if controller in control.read_text(encoding="ascii").split():
            return True
        # Refused (EBUSY) where processes live in the group itself, which is most desktops: then RSS is watched.
        control.write_text(f"+{controller}", encoding="ascii")
    except OSError:
        return False
    return True
