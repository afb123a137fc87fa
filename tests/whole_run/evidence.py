"""What the whole run left behind, read by other means than our analysis: the apps' logs, raw samples, records.

Used by the tests of this directory. An app's log has the calendar time of its own clock; samples and records have the
monotonic clock, which `RunStarted` ties to the calendar.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from breakroom.journal.records import (
    ActionChanged,
    Record,
    RunStarted,
    StreamOpened,
    TaskChanged,
    TrialStarted,
)
from breakroom.journal.samples import Outcome, read_names, read_samples
from breakroom.journal.store import read_journal

__all__ = ["AppLog", "Trial", "WholeRun"]

_STOPPED = re.compile(r"stopped: (\d+) requests served, (\d+) cut")
_LISTENING = re.compile(r"(\S+) \S+ (\S+) listening on \S+ as task (\S+), pid (\d+)")


@dataclass(frozen=True)
class AppLog:
    """One replica's own log."""

    task: str
    text: str

    @property
    def served(self) -> int | None:
        """How many requests it says to have served; None where it had no time to say so."""
        found = _STOPPED.search(self.text)
        return int(found[1]) if found else None

    @property
    def cut(self) -> int | None:
        """How many it says to have cut at its end."""
        found = _STOPPED.search(self.text)
        return int(found[2]) if found else None

    @property
    def version(self) -> str:
        """As which version it began to listen."""
        found = _LISTENING.search(self.text)
        return found[2] if found else ""

    def unix_of(self, words: str) -> float | None:
        """The calendar time of its first line that holds these words."""
        line = next((line for line in self.text.splitlines() if words in line), None)
        return datetime.fromisoformat(line.split()[0]).timestamp() if line else None


@dataclass(frozen=True)
class Trial:
    """One trial of the run."""

    run: Path
    id: str
    results: dict[str, Any]
    records: tuple[Record, ...]
    started: RunStarted

    @cached_property
    def logs(self) -> dict[str, AppLog]:
        """Task → its log."""
        folder = self.run / "logs" / self.id.replace("/", "-")
        files = [file for file in folder.glob("*.log") if file.stem != "engine"]
        return {file.stem: AppLog(file.stem, file.read_text(errors="replace")) for file in files}

    def tasks(self) -> list[TaskChanged]:
        """Every record of a task."""
        return [record for record in self.records if isinstance(record, TaskChanged)]

    def actions(self, kind: str, stage: str) -> list[ActionChanged]:
        """The actions' records of a kind at a stage."""
        return [
            record
            for record in self.records
            if isinstance(record, ActionChanged) and (record.kind, record.stage) == (kind, stage)
        ]

    def unix(self, t: int) -> float:
        """A moment of the journal as calendar time."""
        return (self.started.unix_ns + t - self.started.t) / 1e9

    def samples(self) -> list[tuple[str, np.ndarray[Any, Any], list[str]]]:
        """(stream, samples, names) of every file, straight from disk."""
        found = []
        for record in self.records:
            if isinstance(record, StreamOpened):
                found += [
                    (record.stream, read_samples(self.run / file), read_names(self.run / file))
                    for file in record.files
                ]
        return found

    def answered(self) -> int:
        """Requests of all streams that were answered whole, counted from the samples."""
        good = (int(Outcome.OK), int(Outcome.HTTP_ERROR))
        return sum(int(np.isin(samples["outcome"], good).sum()) for _, samples, _ in self.samples())

    def answered_by_version(self) -> dict[str, int]:
        """Version that the answer named → how many."""
        found: dict[str, int] = {}
        for _, samples, names in self.samples():
            for number in samples["version"][samples["outcome"] == Outcome.OK].tolist():
                found[names[number]] = found.get(names[number], 0) + 1
        return found


class WholeRun:
    """All drills of one command; a drill that a busy machine made *unknown* comes from its repetition."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.oom_kills: int | None = None
        """By how much the kernel's own counter grew during the first command; None: nobody looked."""
        self.first_code: int | None = None
        self._directories: dict[str, Path] = {}

    def take(self, directory: Path, results: dict[str, Any]) -> None:
        """Take the drills of a run; later ones count."""
        for drill in results["drills"]:
            self._directories[drill["name"]] = directory

    def results(self, drill: str) -> dict[str, Any]:
        """The results of the run that has the drill."""
        import json

        loaded: dict[str, Any] = json.loads((self._directories[drill] / "results.json").read_text())
        return loaded

    def verdict(self, drill: str) -> str:
        """The drill's verdict."""
        (found,) = [one for one in self.results(drill)["drills"] if one["name"] == drill]
        return str(found["verdict"])

    def trial(self, drill: str, contender: str) -> Trial:
        """The contender's trial."""
        directory, trial = self._directories[drill], f"{drill}/{contender}/1"
        (results,) = [one for one in self.results(drill)["trials"] if one["id"] == trial]
        journal = read_journal(directory)
        (started,) = [record for record in journal.records if isinstance(record, RunStarted)]
        records = tuple(record for record in journal.records if record.trial == trial)
        return Trial(directory, trial, results, records, started)

    def trials(self, drill: str) -> list[Trial]:
        """Those of all contenders."""
        journal = read_journal(self._directories[drill])
        names = [
            record.contender
            for record in journal.records
            if isinstance(record, TrialStarted) and record.drill == drill
        ]
        return [self.trial(drill, name) for name in names]
