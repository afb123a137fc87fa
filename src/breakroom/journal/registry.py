"""Which runs of this user are under way or were cut off on this machine: one small file a run.

Written by `director.run` (`register` before anything is made, `finish` at the end) and by the platforms (`note`, for
what outlives a process: the Swarm that was initialised, the daemon that was used); read by `safety`, for `breakroom
cleanup`. Touches `${XDG_STATE_HOME:-~/.local/state}/breakroom/runs/` and reads /proc.

A run is alive if its process is: the process id together with the moment it was born, so that a later process with
the same id is not taken for it. A directory that cannot be written is told in `Registration.problem` and is never an
error: the marks on the things themselves are what a clean-up works from, the registry tells whose they are.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import psutil

__all__ = [
    "RegisteredRun",
    "Registration",
    "birth_of",
    "forget",
    "journal_is_open",
    "note",
    "register",
    "registered",
    "registry_directory",
]

_SUFFIX = ".json"
_JOURNAL = "journal.jsonl"
_DOCKER_WORDS = (
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "DOCKER_CONTEXT",
    "DOCKER_HOST",
    "DOCKER_TLS",
    "DOCKER_TLS_VERIFY",
)
"""The environment's words that choose a daemon: kept, so that the same one is found again from another terminal."""
_LINUX = sys.platform == "linux"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class _Entry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The file's content."""

    run_id: str
    pid: int
    born: str
    directory: str
    platform: str
    began_unix: int = 0
    environment: dict[str, str] = {}
    facts: dict[str, Any] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredRun:
    """A run as its file tells it. `facts` are what was noted, by the names that `note` lists."""

    run_id: str
    pid: int
    born: str
    """When the process began, in words that only this boot of this machine uses; see `birth_of`."""
    directory: Path
    platform: str
    began_unix: int = 0
    """Calendar time of the beginning, in seconds."""
    environment: dict[str, str] = field(default_factory=dict)
    """Those variables of its environment that choose a Docker daemon."""
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """Whether its process still runs."""
        return self.born != "" and birth_of(self.pid) == self.born

    def docker_environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """`base` with the words that lead to the daemon that this run used, and no others that would lead elsewhere."""
        environment = {name: value for name, value in base.items() if name not in _DOCKER_WORDS}
        return {**environment, **self.environment}

    @property
    def docker_host(self) -> str:
        """Url of the Docker daemon that it used; empty: none, or not known."""
        return str(self.facts.get("docker_host", ""))

    @property
    def swarm_initialised(self) -> bool:
        """Whether it made its daemon a Swarm of one node."""
        return bool(self.facts.get("swarm_initialised", False))


class Registration:
    """One run's entry, held by the run itself. `problem` is why there is none; empty if there is one."""

    def __init__(self, run_id: str, problem: str = "") -> None:
        self.run_id = run_id
        self.problem = problem

    def note(self, **facts: Any) -> None:
        """As the module's `note`, for this run."""
        note(self.run_id, **facts)

    def finish(self, *, clean: bool = True) -> None:
        """The run is over. If it left something, the entry stays, for `breakroom cleanup` to work from."""
        if clean:
            forget(self.run_id)


def registry_directory() -> Path:
    """Where the entries lie: below XDG_STATE_HOME, which the XDG Base Directory Specification gives for such data."""
    home = os.environ.get("XDG_STATE_HOME", "")
    base = Path(home) if home.startswith("/") else Path.home() / ".local" / "state"
    return base / "breakroom" / "runs"


def register(run_id: str, directory: Path, platform: str) -> Registration:
    """Enter this process's run. Never raises: `problem` of what it returns says why nothing could be written."""
    entry = _Entry(
        run_id=run_id,
        pid=os.getpid(),
        born=birth_of(os.getpid()),
        directory=str(directory.absolute()),
        platform=platform,
        began_unix=int(time.time()),
        environment={name: os.environ[name] for name in _DOCKER_WORDS if name in os.environ},
    )
    try:
        _write(entry)
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home directory
        return Registration(run_id, str(error))
    return Registration(run_id)


def note(run_id: str, **facts: Any) -> None:
    """Add to what is known of a registered run; does nothing for one that could not be registered.

    To be called *before* the thing is made that the fact is about: a fact without its thing costs a look, a thing
    without its fact stays. Facts in use: `docker_host` (url of the daemon), `swarm_initialised` and
    `docker_gwbridge_was_there` (bools), `nodes_drained` (ids), `host_network` (a namespace's inode).
    """
    with contextlib.suppress(OSError, RuntimeError, msgspec.MsgspecError):
        entry = _read(_path(run_id))
        entry.facts = {**entry.facts, **facts}
        _write(entry)


def forget(run_id: str) -> None:
    """Remove a run's entry; it may be gone already."""
    with contextlib.suppress(OSError, RuntimeError):
        _path(run_id).unlink(missing_ok=True)


def registered() -> list[RegisteredRun]:
    """All entries, oldest first. A file that cannot be read or understood is passed over."""
    found = []
    try:
        paths = sorted(registry_directory().glob(f"*{_SUFFIX}"))
    except (OSError, RuntimeError):
        return []
    for path in paths:
        try:
            entry = _read(path)
        except (OSError, msgspec.MsgspecError):
            continue
        found.append(
            RegisteredRun(
                run_id=entry.run_id,
                pid=entry.pid,
                born=entry.born,
                directory=Path(entry.directory),
                platform=entry.platform,
                began_unix=entry.began_unix,
                environment=entry.environment,
                facts=entry.facts,
            )
        )
    return sorted(found, key=lambda run: (run.began_unix, run.run_id))


def birth_of(pid: int) -> str:
    """When a process began, in words that no other process of that id can have; empty if it does not run.

    On Linux the boot's own id and the start in clock ticks since that boot (proc_pid_stat(5), field 22), which setting
    the clock does not change. A process that is dead and not yet waited for does not run.
    """
    if _LINUX:
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()
            boot = _BOOT_ID.read_text(encoding="ascii").strip()
        except OSError:
            return ""
        # The name in parentheses may hold spaces and parentheses; the fields begin behind its end with the state.
        fields = stat.rpartition(b")")[2].split()
        return "" if fields[0] in (b"Z", b"X") else f"{boot}:{int(fields[19])}"
    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.3f}"
    except psutil.Error:
        return ""


def journal_is_open(run_id: str) -> bool | None:
    """Whether some process holds that run's journal open, which only a living run does. For runs without an entry.

    Returns:
        None if a process of breakroom's belongs to another user, so that what it holds open cannot be seen.
    """
    ending = f"/{run_id}/{_JOURNAL}"
    hidden = False
    for process in psutil.process_iter():
        try:
            if any(file.path.endswith(ending) for file in process.open_files()):
                return True
        except psutil.AccessDenied:
            hidden = hidden or _is_breakroom(process)
        except (psutil.Error, OSError):
            continue
    return None if hidden else False


def _is_breakroom(process: psutil.Process) -> bool:
    """Whether its command line, which everybody may read, is a run's of breakroom."""
    try:
        words = process.cmdline()
    except (psutil.Error, OSError):
        return False
    return any(Path(word).name == "breakroom" for word in words[:4]) and "run" in words


def _path(run_id: str) -> Path:
    return registry_directory() / f"{run_id.replace('/', '_')}{_SUFFIX}"


def _read(path: Path) -> _Entry:
    return msgspec.json.decode(path.read_bytes(), type=_Entry)


def _write(entry: _Entry) -> None:
    """Write the entry whole or not at all, and have it on the disk: the machine may be what is going to fail."""
    path = _path(entry.run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".half")
    half = Path(name)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(msgspec.json.encode(entry) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    except BaseException:
        half.unlink(missing_ok=True)
        raise
