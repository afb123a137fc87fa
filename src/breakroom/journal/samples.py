"""One request, one sample: 32 bytes on disk, streamed as it happens.

Written by the load workers (`SampleWriter`), followed live by the director (`SampleTail`), read whole by the
analysis (`read_samples`, a memory map). A file is a sequence of fixed-size little-endian records with no header, so
a torn last record is cut by length and nothing else can be wrong with it. Names of tasks and versions stand once in
a sidecar, `FILE.names`, one per line; a sample holds the line's number, counting from 1 (0: not known).
"""

from __future__ import annotations

import os
import struct
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "NOT_REACHED",
    "SAMPLE_SIZE",
    "Outcome",
    "SampleTail",
    "SampleWriter",
    "pack_end",
    "pack_times",
    "read_names",
    "read_samples",
    "sample_dtype",
]


class Outcome(IntEnum):
    """How a request ended. The classes are never merged silently."""

    OK = 0
    """Expected status, whole body, within its deadline."""
    REFUSED = 1
    """The connection was refused: nobody listened."""
    RESET = 2
    """The connection was reset, or closed before the whole response had come."""
    TIMEOUT = 3
    """No whole response within the deadline."""
    HTTP_ERROR = 4
    """A whole response with another status than expected."""
    BAD_BODY = 5
    """A response that is not HTTP, or whose body is not the expected one."""
    NOT_SENT = 6
    """The generator itself could not send (no file descriptor, no local port): says nothing about the service."""


NOT_REACHED = 0xFFFFFFFF
"""In a phase time: that phase was not reached."""

_STRUCT = struct.Struct("<qIIIIHHHBB")
_TIMES = struct.Struct("<qIIII8s")
_END = struct.Struct("<HHHBB")
SAMPLE_SIZE = _STRUCT.size


def sample_dtype() -> np.dtype[np.void]:
    """The record's layout for numpy.

    intended: monotonic ns at which the request was to be sent (open model) or was begun (closed model).
    lag, connect, first_byte, total: µs after `intended` at which sending began, the connection stood, the first byte
    came, the request ended in whatever way; `NOT_REACHED` where it did not come to that. status: HTTP status or 0.
    task, version: numbers of lines in the sidecar, or 0. outcome: an `Outcome`. flags: bit 0: connection reused.
    """
    import numpy as np

    return np.dtype(
        [
            ("intended", "<i8"),
            ("lag", "<u4"),
            ("connect", "<u4"),
            ("first_byte", "<u4"),
            ("total", "<u4"),
            ("status", "<u2"),
            ("task", "<u2"),
            ("version", "<u2"),
            ("outcome", "u1"),
            ("flags", "u1"),
        ]
    )


pack_times = _TIMES.pack
"""(intended, lag, connect, first byte, total, end) as one sample: as `SampleWriter.add` in half the time."""


def pack_end(status: int, task: int, version: int, outcome: int, flags: int) -> bytes:
    """The part of a sample that is the same for like answers: the `end` of `pack_times`."""
    return _END.pack(status, task, version, outcome, flags)


class SampleWriter:
    """Appends samples to a file; `flush` hands what is buffered to the kernel, where it survives our death.

    The owner flushes at least every 100 ms and at the end.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        names = path.with_name(path.name + ".names")
        self._names_fd = os.open(names, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._names: dict[str, int] = {"": 0}
        self.buffer = bytearray()
        """What is not flushed yet. Who has little time appends to it what `pack_times` gives."""

    def name(self, text: str) -> int:
        """The number that stands for `text` in samples (0 for the empty text, and past 65,535 names)."""
        number = self._names.get(text)
        if number is None:
            if len(self._names) > 0xFFFF:
                return 0
            number = self._names[text] = len(self._names)
            os.write(self._names_fd, text.replace("\n", " ").encode() + b"\n")
        return number

    def add(
        self,
        intended: int,
        lag: int,
        connect: int,
        first_byte: int,
        total: int,
        status: int,
        task: int,
        version: int,
        outcome: int,
        flags: int = 0,
    ) -> None:
        """Buffer one sample; fields as in `sample_dtype`."""
        self.buffer += _STRUCT.pack(
            intended, lag, connect, first_byte, total, status, task, version, outcome, flags
        )

    def flush(self) -> None:
        """Write what is buffered.

        Raises:
            OSError: the disk is full, or similar; what was not written stays buffered.
        """
        while self.buffer:
            written = os.write(self._fd, self.buffer)
            del self.buffer[:written]

    def close(self) -> None:
        """Flush and close."""
        try:
            self.flush()
        finally:
            os.close(self._fd)
            os.close(self._names_fd)


def read_samples(path: Path) -> NDArray[np.void]:
    """All whole samples of a file as a read-only memory map of shape (n,) and type `sample_dtype`.

    A missing or empty file gives an empty array.
    """
    import numpy as np

    count = path.stat().st_size // SAMPLE_SIZE if path.exists() else 0
    if count == 0:
        return np.empty(0, sample_dtype())
    return np.memmap(path, dtype=sample_dtype(), mode="r", shape=(count,))


def read_names(path: Path) -> list[str]:
    """The sidecar's names of the sample file `path`; index 0 is the empty name."""
    sidecar = path.with_name(path.name + ".names")
    if not sidecar.exists():
        return [""]
    return ["", *sidecar.read_text(encoding="utf-8", errors="replace").splitlines()]


class SampleTail:
    """Follows a growing sample file: each `read` returns the samples that are new since the last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> NDArray[np.void]:
        """New whole samples, shape (n,), type `sample_dtype`; empty if there are none or no file yet."""
        import numpy as np

        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            data = b""
        whole = len(data) - len(data) % SAMPLE_SIZE
        self._offset += whole
        return np.frombuffer(data[:whole], dtype=sample_dtype())
