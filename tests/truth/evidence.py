"""Reads what a run left on disk with nothing of breakroom's own: lines of JSON, 32-byte records, the witnesses' books.

Used by the tests of this folder alone. The layouts are those that docs and docstrings promise.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["OUTCOMES", "Books", "Request", "Trial", "read_books", "read_requests", "read_trials"]

OUTCOMES = ("ok", "refused", "reset", "timeout", "http-error", "bad-body", "not-sent")
_RECORD = struct.Struct("<qIIIIHHHBB")
_NEVER = 0xFFFFFFFF


@dataclass(frozen=True)
class Request:
    """One sample. Times in ns of the monotonic clock; `connected` None: it did not come to that."""

    stream: str
    intended: int
    connected: int | None
    ended: int
    total_us: int
    lag_us: int
    status: int
    task: str
    outcome: str

    @property
    def ok(self) -> bool:
        return self.outcome == "ok"

    @property
    def failed(self) -> bool:
        return self.outcome not in {"ok", "not-sent"}


@dataclass(frozen=True)
class Trial:
    """One trial's raw evidence."""

    id: str
    records: list[dict[str, Any]]
    requests: list[Request]

    def of(self, kind: str, **fields: object) -> list[dict[str, Any]]:
        """Records of a type with these fields, in the journal's order."""
        return [
            record
            for record in self.records
            if record["type"] == kind and all(record.get(key) == value for key, value in fields.items())
        ]


@dataclass
class Books:
    """What one process wrote down, without its health checks."""

    pid: int
    task: str = ""
    accepted: int = 0
    begun: int = 0
    answered: int = 0


def read_trials(directory: Path) -> dict[str, Trial]:
    """Contender → its evidence, for a run of one repeat."""
    lines = (directory / "journal.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    ids = [record["trial"] for record in records if record["type"] == "TrialStarted"]
    found = {}
    for trial in ids:
        own = [record for record in records if record.get("trial") == trial]
        requests = [
            request
            for record in own
            if record["type"] == "StreamOpened"
            for name in record["files"]
            for request in read_requests(directory / name, record["stream"])
        ]
        requests.sort(key=lambda request: request.intended)
        found[trial.split("/")[1]] = Trial(trial, own, requests)
    return found


def read_requests(path: Path, stream: str) -> list[Request]:
    """All samples of a file, in the file's order."""
    data = path.read_bytes()
    names = [""]
    sidecar = path.with_name(path.name + ".names")
    if sidecar.exists():
        names += sidecar.read_text().splitlines()
    found = []
    for fields in _RECORD.iter_unpack(data[: len(data) // _RECORD.size * _RECORD.size]):
        intended, lag, connect, _first, total, status, task, _version, outcome, _flags = fields
        found.append(
            Request(
                stream=stream,
                intended=intended,
                connected=None if connect == _NEVER else intended + connect * 1000,
                ended=intended if total == _NEVER else intended + total * 1000,
                total_us=total,
                lag_us=lag,
                status=status,
                task=names[task],
                outcome=OUTCOMES[outcome],
            )
        )
    return found


def read_books(directory: Path) -> dict[int, Books]:
    """Pid → its books."""
    return {int(path.stem): _books(path) for path in directory.glob("*.log")}


def _books(path: Path) -> Books:
    books = Books(int(path.stem))
    health: set[str] = set()
    for line in path.read_text().splitlines():
        _, kind, *rest = line.split()
        if kind == "pid":
            books.task = rest[1]
        elif kind == "accepted":
            books.accepted += 1
        elif rest[1] == "/health":
            health.add(rest[0])
        elif kind == "begun":
            books.begun += 1
        elif kind == "answered":
            books.answered += 1
    books.accepted -= len(health)
    return books
