"""The journal on disk: `journal.jsonl` in the run's directory, one record a line.

`JournalWriter` is the director's; `read_journal` is the analysis's and the report command's. A record is handed to
the kernel in one `write` before `append` returns, so the death of breakroom loses none; a line torn by a full disk or a
power cut is skipped on reading and counted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from breakroom.journal.records import Record, decode, encode

__all__ = ["JOURNAL_NAME", "Journal", "JournalError", "JournalWriter", "read_journal"]

JOURNAL_NAME = "journal.jsonl"


class JournalError(Exception):
    """The journal cannot be written or read; the text says which file and why."""


class JournalWriter:
    """Appends records, and tells listeners (the live view, the director's waits) of each.

    A disk that takes no more does not stop the clean-up of a run: the lines it refused are kept in memory and tried
    again before the next one, `failure` says what happened, and `on_failure` is called once so that the run can end.
    """

    def __init__(self, directory: Path) -> None:
        """Create or continue the journal in `directory`.

        Raises:
            JournalError: it cannot be opened for writing.
        """
        self.directory = directory
        self.failure: JournalError | None = None
        self.on_failure: Callable[[JournalError], None] = lambda _failure: None
        self._unwritten = bytearray()
        self._listeners: list[Callable[[Record], None]] = []
        try:
            self._fd = os.open(
                directory / JOURNAL_NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
            )
        except OSError as error:
            raise JournalError(f"cannot write the journal in {directory}: {error.strerror}") from error

    def listen(self, listener: Callable[[Record], None]) -> Callable[[], None]:
        """Call `listener` with every later record; returns the function that ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def append(self, record: Record) -> None:
        """Write one record; unless the disk refuses, it is in the kernel's hands when this returns."""
        self._unwritten += encode(record)
        self._write()
        for listener in tuple(self._listeners):
            listener(record)

    def _write(self) -> None:
        try:
            while self._unwritten:
                written = os.write(self._fd, self._unwritten)
                del self._unwritten[:written]
        except OSError as error:
            if self.failure is None:
                self.failure = JournalError(f"cannot write the journal in {self.directory}: {error.strerror}")
                self.on_failure(self.failure)

    def close(self) -> None:
        """Try once more to write what was refused, and close the file."""
        self._write()
        os.close(self._fd)


@dataclass(frozen=True, slots=True)
class Journal:
    """A journal that was read: its records in order, where it lies, and how many lines could not be read."""

    directory: Path
    records: tuple[Record, ...]
    torn_lines: int = 0

    def of_trial(self, trial: str) -> Iterator[Record]:
        """The records of one trial, in order."""
        return (record for record in self.records if record.trial == trial)


def read_journal(directory: Path) -> Journal:
    """Read the journal of the run in `directory`.

    Raises:
        JournalError: there is no journal there, or it holds not one record.
    """
    path = directory / JOURNAL_NAME
    try:
        data = path.read_bytes()
    except OSError as error:
        raise JournalError(f"no journal to read at {path}: {error.strerror}") from error
    records: list[Record] = []
    torn = 0
    for line in data.split(b"\n"):
        if not line:
            continue
        try:
            records.append(decode(line))
        except msgspec.DecodeError:
            torn += 1
    if not records:
        raise JournalError(f"the journal at {path} holds no record")
    return Journal(directory, tuple(records), torn)
