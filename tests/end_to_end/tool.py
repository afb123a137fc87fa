"""Runs the command line as a user would: a process of its own, in an empty directory, with its results beside it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

__all__ = ["MINI_DRILL", "TOO_BUSY", "UNKNOWN", "Ended", "Tool", "descendants", "wait_until"]

MINI_DRILL = """\
extends: kill
name: mini
steady_state: {duration: 1s, within: 20s}
recovered: {stable: 1s, within: 20s}
contenders:
  single:
    operator: {reacts_after: 1s}
expect:
  - orchestrated.operator_acts == 0
  - single.operator_acts == 1
"""
"""The built-in drill with short waits: everything real, a few seconds for each contender."""

UNKNOWN = 3
TOO_BUSY = ("unknown.generator-lag", "unknown.probe-blind")


@dataclass(frozen=True)
class Ended:
    """A command that ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


class Tool:
    """The command line in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.results = directory / "breakroom-results"

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        return path

    def start(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "breakroom", *arguments],
            cwd=self.directory,
            env={
                **os.environ,
                "LC_ALL": "C.UTF-8",
                "COLUMNS": "200",
                # Runs that a test kills are not to stand in the registry of whoever runs the tests.
                "XDG_STATE_HOME": f"{self.directory}-state",
                **(env or {}),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, env: Mapping[str, str] | None = None, within: float = 150) -> Ended:
        process = self.start(*arguments, env=env)
        out, err = process.communicate(timeout=within)
        return Ended(process.returncode, out, err)

    def run_undisturbed(self, *arguments: str) -> Ended:
        """As `run`, again where the machine was too busy for the generator, which rightly makes the run *unknown*.

        For tests of what is found out, not of whether it could be: at most three times; the last one counts.
        """
        for _ in range(2):
            ended = self.run(*arguments)
            text = self._results_text()
            if ended.code != UNKNOWN or not any(code in text for code in TOO_BUSY):
                return ended
            shutil.rmtree(self.results)
        return self.run(*arguments)

    def _results_text(self) -> str:
        return "".join(path.read_text() for path in self.results.glob("2*/results.json"))

    def run_directory(self) -> Path:
        """The only run's directory."""
        (directory,) = [path for path in self.results.iterdir() if not path.is_symlink()]
        return directory

    def journal_has(self, text: str) -> bool:
        """Whether some run's journal holds `text` already."""
        return any(text in path.read_text() for path in self.results.glob("2*/journal.jsonl"))

    def journal_has_record(self, **fields: object) -> bool:
        """Whether some run's journal holds a record with these fields already."""
        for path in self.results.glob("2*/journal.jsonl"):
            for line in path.read_text().splitlines(keepends=True):
                # The last line may not be whole yet.
                record = json.loads(line) if line.endswith("\n") else {}
                if all(record.get(name) == value for name, value in fields.items()):
                    return True
        return False

    def interrupt_at(
        self, text: str, number: signal.Signals, *arguments: str
    ) -> tuple[Ended, list[psutil.Process]]:
        """Send the running command a signal as soon as its journal holds `text`; returns what it had started, too."""
        process = self.start(*arguments)
        try:
            wait_until(lambda: self.journal_has(text) or process.poll() is not None, seconds=60)
            started = descendants(process.pid)
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
        return Ended(process.returncode, out, err), started


def descendants(pid: int) -> list[psutil.Process]:
    """All processes below `pid`."""
    return psutil.Process(pid).children(recursive=True)


def wait_until(true: Callable[[], bool], *, seconds: float) -> bool:
    """Ask until `true()`, for at most `seconds`; returns its last answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        os.sched_yield()
    return true()
