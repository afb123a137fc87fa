"""What a killed run can leave on this machine without Docker: processes, control groups, a load's directory.

Used by `safety.cleanup`. Everything dies with breakroom by itself (docs/safety.md); this is for what did not. A thing
is ours by a mark that says which process made it, and it is left alone as long as that process lives: the process
itself, not a later one with its number. Nothing of another pid namespace is touched: its numbers mean other processes.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from breakroom.engine.shell.command import MARKER
from breakroom.engine.shell.procfs import environment_of
from breakroom.i18n.terms import N_
from breakroom.safety.deeds import Deed, Said, said
from breakroom.safety.standing import Runs

__all__ = ["sweep_local"]

_GROUP = re.compile(r"breakroom-(\d+)-.+")
_DIRECTORY = re.compile(r"breakroom-(?:load|ssh|doctor)-(\d+)-.+")
_OWN_PROGRAM = re.compile(r"breakroom\.(?:engine|ingress|load)")
_SLACK_SECONDS = 2.0
"""How much later than a thing its maker may seem to have begun: clocks of files and of processes differ by that."""
_END_SECONDS = 5.0
_LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class _Left:
    """One thing that was found, and how it is undone; that returns what kept it from being undone."""

    thing: str
    name: str
    run: str
    undo: Callable[[], str]


def sweep_local(runs: Runs) -> list[Deed]:
    """Find what dead processes of breakroom left on this machine, and undo it unless the wish is a dry run. Blocks."""
    deeds: list[Deed] = []
    for find in (_processes, _groups, _directories):
        # One kind after the other: a group can be removed only when its processes are gone.
        deeds += [_undo(left, dry_run=runs.wish.dry_run) for left in find(runs)]
    return deeds


def _undo(left: _Left, *, dry_run: bool) -> Deed:
    if dry_run:
        return Deed(done="would", thing=left.thing, name=left.name, run=left.run)
    trouble = left.undo()
    why = said(N_("{trouble}"), trouble=trouble) if trouble else Said()
    done = "failed" if trouble else "ended" if left.thing == "process" else "removed"
    return Deed(done=done, thing=left.thing, name=left.name, run=left.run, why=why)  # type: ignore[arg-type]  # the words above


def _processes(runs: Runs) -> Iterator[_Left]:
    makers = {entry.pid: entry for entry in (*runs.cut_off, *(runs.alive if runs.wish.force else ()))}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid == os.getpid() or not _same_namespace(process.pid):
                continue
            maker = _maker_by_mark(process)
            if maker is None and not _is_orphan(process):
                continue
            entry = makers.get(maker) if maker is not None else None
            if runs.wish.run and entry is None:
                continue
            forced = entry is not None and runs.wish.force
            if maker is not None and not forced and _lived_then(maker, process.create_time()):
                continue
            words = " ".join(process.cmdline()) or process.name()
            yield _Left(
                "process", f"{process.pid} ({words[:80]})", entry.run_id if entry else "", _ender(process)
            )


def _maker_by_mark(process: psutil.Process) -> int | None:
    number = environment_of(process.pid).get(MARKER, "").partition("-")[0]
    return int(number) if number.isdecimal() else None


def _is_orphan(process: psutil.Process) -> bool:
    """Whether it is an engine, ingress or load worker of ours that nobody controls any more.

    It ends by itself when its control socket closes; one that was stopped or hangs does not.
    """
    words = process.cmdline()
    if "--control-fd" not in words or not any(_OWN_PROGRAM.fullmatch(word) for word in words):
        return False
    parent = process.parent()
    return parent is None or parent.pid == 1 or parent.name() == "systemd"


def _ender(process: psutil.Process) -> Callable[[], str]:
    def end() -> str:
        try:
            process.send_signal(signal.SIGKILL)
            process.wait(_END_SECONDS)
        except psutil.NoSuchProcess:
            return ""
        except psutil.Error as error:
            return "" if _is_dead(process) else str(error)
        return ""

    return end


def _is_dead(process: psutil.Process) -> bool:
    """Gone, or dead and not yet waited for by its parent."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return True


def _groups(runs: Runs) -> Iterator[_Left]:
    if sys.platform != "linux":
        return
    for root in _memory_hierarchies():
        for directory in _named(root, _GROUP):
            made_by = _GROUP.fullmatch(directory.name)
            assert made_by is not None, "that is how it was found"
            if _lived_then(int(made_by[1]), _born(directory)) or _of_other_namespace(directory):
                continue
            if not runs.wish.run:
                yield _Left("cgroup", str(directory), "", _group_remover(directory))


def _group_remover(directory: Path) -> Callable[[], str]:
    def remove() -> str:
        deadline = time.monotonic() + _END_SECONDS
        while True:
            for pid in filter(None, _members(directory)):  # 0 would be our own process group
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            try:
                directory.rmdir()
            except FileNotFoundError:
                return ""
            except OSError as error:
                if time.monotonic() > deadline:
                    return error.strerror or str(error)
                time.sleep(_LOOK_SECONDS)
            else:
                return ""

    return remove


def _directories(runs: Runs) -> Iterator[_Left]:
    if runs.wish.run:
        return
    for path in sorted(Path(tempfile.gettempdir()).glob("breakroom-*")):
        made_by = _DIRECTORY.fullmatch(path.name)
        if made_by is None or path.is_symlink() or not path.is_dir():
            continue
        with contextlib.suppress(OSError):
            if path.stat().st_uid == os.geteuid() and not _lived_then(int(made_by[1]), _born(path)):
                yield _Left("directory", str(path), "", _directory_remover(path))


def _directory_remover(path: Path) -> Callable[[], str]:
    def remove() -> str:
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            return ""
        except OSError as error:
            return error.strerror or str(error)
        return ""

    return remove


def _lived_then(pid: int, moment: float) -> bool:
    """Whether the process of that number runs and had begun at that moment (calendar seconds)."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= moment + _SLACK_SECONDS
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


def _born(path: Path) -> float:
    try:
        return path.stat().st_ctime
    except OSError:
        return 0.0


def _same_namespace(pid: int) -> bool:
    if sys.platform != "linux":
        return True
    try:
        return Path(f"/proc/{pid}/ns/pid").readlink() == Path("/proc/self/ns/pid").readlink()
    except OSError:
        return False


def _of_other_namespace(directory: Path) -> bool:
    return any(not _same_namespace(pid) for pid in (*_members(directory), *_members(directory.parent)))


def _members(directory: Path) -> list[int]:
    try:
        # A process that this pid namespace does not see is shown as 0.
        return [int(pid) for pid in (directory / "cgroup.procs").read_text(encoding="ascii").split()]
    except (OSError, ValueError):
        return []


def _memory_hierarchies() -> list[Path]:
    """Where the control group hierarchies with a memory controller are mounted."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    mounts = [line.split()[1:4] for line in lines]
    return [
        Path(point)
        for point, kind, options in mounts
        if kind == "cgroup2" or (kind == "cgroup" and "memory" in options.split(","))
    ]


def _named(root: Path, pattern: re.Pattern[str]) -> list[Path]:
    found = []
    for directory, names, _ in os.walk(root, onerror=None):
        found += [Path(directory, name) for name in names if pattern.fullmatch(name)]
    return found
