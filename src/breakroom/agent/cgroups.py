"""A container's control groups: where they are, what its memory is doing, and how to put a process among its own.

Both versions: v1, where each controller has a tree of its own, and v2 with one tree for all. Called by the acts on
memory and CPU and by `stats`. Reads and writes the cgroup file systems. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from breakroom.agent.errors import ActError, from_os_error

__all__ = [
    "Memory",
    "Place",
    "cpu_ns",
    "cpu_quota",
    "enter",
    "memory_events",
    "memory_of",
    "place_of",
    "root_of",
    "version",
    "writable",
]

_UNLIMITED = 1 << 60
"""v1 writes "no limit" as the greatest multiple of a page below 2**63."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process is for one controller. `own`: its own group; `container`: the one that bears the limits."""

    version: int
    own: Path
    container: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes. `used` is without inactive file pages, as `docker stats` counts; `limit` None: there is none."""

    used: int
    total: int
    limit: int | None


def version() -> int:
    """2 where memory is controlled by the one tree, 1 where it has a tree of its own.

    Raises:
        ActError: `unsupported`: no cgroup file system is mounted here.
    """
    if _mount("memory") is not None:
        return 1
    _need(_mount(""), "cgroup2")
    return 2


def place_of(pid: int, container: str, controller: str = "memory") -> Place:
    """The groups of a container's process for one controller.

    Raises:
        ActError: `gone`; `not-in-container`; `unsupported`: that controller is not there.
    """
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError as error:
        raise ActError("gone", f"process {pid} is not there any more") from error
    paths = {
        name: path for line in lines for _, names, path in [line.split(":", 2)] for name in names.split(",")
    }
    mount = _mount(controller)
    which = 1 if mount is not None else 2
    root = mount if mount is not None else _need(_mount(""), f"the controller {controller}")
    path = paths.get(controller if which == 1 else "", "")
    if container not in path:
        raise ActError("not-in-container", f"process {pid} does not belong to container {container[:12]}")
    parts = Path(path).parts[1:]
    # Below the container's own group there may be others, made by what runs in it; limits are on the container's.
    depth = next(index for index, part in enumerate(parts) if container in part) + 1
    return Place(which, root.joinpath(*parts), root.joinpath(*parts[:depth]))


def memory_of(place: Place) -> Memory:
    """What the container uses now.

    Raises:
        ActError: `gone`.
    """
    names = ("memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file")
    if place.version != 1:
        names = ("memory.current", "memory.max", "inactive_file")
    total = _number(place.container / names[0])
    limit = _read(place.container / names[1])
    inactive = _table(place.container / "memory.stat").get(names[2], 0)
    bound = None if limit == "max" or int(limit) >= _UNLIMITED else int(limit)
    return Memory(used=max(0, total - inactive), total=total, limit=bound)


def memory_events(place: Place) -> dict[str, int]:
    """What has happened at the limit: `oom_kills`, `limit_hits` (v1: failcnt; v2: `max`), `peak_bytes`.

    The kernel's own counters are beside them, named as it names them. v1 counts no hits where memory and swap have the
    same limit (seen on Linux 6.18): `oom_kills` and `peak_bytes` tell then.

    Raises:
        ActError: `gone`.
    """
    group = place.container
    if place.version == 1:
        control = _table(group / "memory.oom_control")
        hits, peak = _number(group / "memory.failcnt"), _number(group / "memory.max_usage_in_bytes")
        return {"oom_kills": control.get("oom_kill", 0), "limit_hits": hits, "peak_bytes": peak, **control}
    events = _table(group / "memory.events")
    found = {"oom_kills": events.get("oom_kill", 0), "limit_hits": events.get("max", 0), **events}
    with contextlib.suppress(ActError):  # memory.peak: Linux 5.19 and later
        found["peak_bytes"] = _number(group / "memory.peak")
    return found


def cpu_ns(pid: int, container: str) -> int:
    """CPU time that the container has used.

    Raises:
        ActError: `gone`, `unsupported`.
    """
    place = place_of(pid, container, "cpuacct")
    if place.version == 1:
        return _number(place.container / "cpuacct.usage")
    return _table(place.container / "cpu.stat").get("usage_usec", 0) * 1000


def cpu_quota(pid: int, container: str) -> tuple[int | None, int]:
    """CPU time that the container may have in each period, and the period, in microseconds; None: as much as it likes.

    Raises:
        ActError: `gone`, `not-in-container`, `unsupported`: this kernel or daemon keeps no account of it.
    """
    place = place_of(pid, container, "cpu")
    if place.version == 1:
        quota = _number(place.container / "cpu.cfs_quota_us")
        return (quota if quota > 0 else None), _number(place.container / "cpu.cfs_period_us")
    most, _, period = _read(place.container / "cpu.max").partition(" ")
    return (None if most == "max" else int(most)), int(period)


def enter(place: Place) -> None:
    """Put the calling process into the group: what it allocates from now on counts there.

    Raises:
        ActError: `permission-denied`, `gone`, `failed`.
    """
    try:
        (place.own / "cgroup.procs").write_text(str(os.getpid()))
    except FileNotFoundError as error:
        raise ActError("gone", f"the control group {place.own.name} is not there any more") from error
    except OSError as error:
        raise from_os_error(error, f"enter the control group {place.own}") from error


def writable(place: Path) -> bool:
    """Whether a group's list of processes can be written: found by opening it, writing nothing."""
    try:
        os.close(os.open(place / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def root_of(controller: str) -> Path | None:
    """Where the tree of a v1 controller, or (empty name) the v2 tree, is mounted whole; a writable one if there is."""
    return _mount(controller)


def _mount(controller: str) -> Path | None:
    best: tuple[bool, Path] | None = None
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        fields, (kind, _, options) = left.split(), right.split(" ", 2)
        # A container sees its own groups as root; only a mount of the whole tree has the others.
        if fields[3] != "/":
            continue
        if kind == ("cgroup" if controller else "cgroup2") and (
            not controller or controller in options.split(",")
        ):
            choice = ("rw" in fields[5].split(","), Path(fields[4]))
            best = choice if best is None or (choice[0] and not best[0]) else best
    return best[1] if best is not None else None


def _need(mount: Path | None, what: str) -> Path:
    if mount is None:
        raise ActError("unsupported", f"no cgroup file system with {what} is mounted here")
    return mount


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise ActError("gone", f"cannot read {path}: {error.strerror}") from error


def _number(path: Path) -> int:
    return int(_read(path))


def _table(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in _read(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
