"""What every benchmark gets: rounds, size, cores, a directory; and how processes are run and rounds alternate.

Used by the benchmarks of `catalogue`. Starts processes and ends those that it started, nothing else.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

__all__ = [
    "ROOT",
    "BrokenError",
    "Context",
    "Done",
    "environment",
    "free_port",
    "kill_quietly",
    "pinned",
    "report_of",
    "run",
    "serving",
    "started",
]

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 120.0
T = TypeVar("T")


class BrokenError(Exception):
    """A benchmark does not measure what it says: it failed, or what was served is not what was asked for."""


@dataclass(frozen=True, slots=True)
class Context:
    """One invocation's settings."""

    rounds: int
    small: bool
    """As short as can be: only whether each benchmark works."""
    directory: Path
    tools: Mapping[str, str]
    """Peer → its program; those that are missing are not in it."""
    missing: Mapping[str, str]
    """Peer → why it is missing."""
    say: Callable[[str], None] = field(default=lambda text: print(text, file=sys.stderr, flush=True))

    def pick(self, full: int, small: int) -> int:
        """The size for this invocation."""
        return small if self.small else full

    def cores(self) -> list[int]:
        """The cores that we may use; empty where that cannot be said (macOS)."""
        return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []

    def alternate(self, contestants: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
        """Measure each in turn, round after round, so that a slow moment of the machine hits all alike."""
        found: dict[str, list[T]] = {name: [] for name in contestants}
        for _ in range(self.rounds):
            for name, measure in contestants.items():
                found[name].append(measure())
        return found

    def absent(self, *names: str) -> dict[str, str]:
        """Those of the peers that are missing, and why."""
        return {name: self.missing[name] for name in names if name in self.missing}


def environment(**more: str) -> dict[str, str]:
    """For processes of ours: as a user's, who keeps Python's compiled files."""
    kept = {k: v for k, v in os.environ.items() if k not in {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}}
    return {**kept, **more}


@dataclass(frozen=True, slots=True)
class Done:
    """A command that ended."""

    text: str
    wall_s: float
    cpu_s: float
    """Of it and the children that it waited for."""


def run(command: list[str], *, cwd: Path | None = None, good: frozenset[int] = frozenset({0})) -> Done:
    """Run a command to its end.

    Raises:
        BrokenError: it failed, or took far too long.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=cwd,
            env=environment(),
            timeout=PATIENCE_S,
        )
    except subprocess.TimeoutExpired as error:
        raise BrokenError(f"{command[0]} was not done after {PATIENCE_S:g} s") from error
    wall = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in good:
        raise BrokenError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Done(text=done.stdout, wall_s=wall, cpu_s=cpu)


@contextmanager
def started(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """The process, ended afterwards."""
    options.setdefault("env", environment())
    with subprocess.Popen(command, text=True, **options) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def serving(port: int, process: subprocess.Popen[str], name: str) -> None:
    """Wait until it accepts connections.

    Raises:
        BrokenError: it ended, or does not come up.
    """
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise BrokenError(f"{name} did not start")


def kill_quietly(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process that may be gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def pinned(core: int | None, command: list[str]) -> list[str]:
    """The command on that core alone."""
    taskset = shutil.which("taskset")
    return command if core is None or taskset is None else [taskset, "-c", str(core), *command]


def report_of(command: list[str]) -> dict[str, Any]:
    """What a command prints as its last line of JSON."""
    text = run(command).text.strip().splitlines()
    if not text:
        raise BrokenError(f"{' '.join(command)} printed nothing")
    found: dict[str, Any] = json.loads(text[-1])
    return found
