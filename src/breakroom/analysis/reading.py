"""Sample files → columns: the one place of the analysis that touches files.

Called by `analysis.run` and `analysis.series`, which hand the columns to pure functions. Reads through
`journal.samples` only. The files are mapped and copied chunk by chunk into the columns that are needed, and
the mapped pages are given back after each chunk, so that 10 million samples (320 MB on disk) cost about 250
MB, not twice the file.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from breakroom.journal.records import StreamClosed, StreamOpened
from breakroom.journal.samples import NOT_REACHED, Outcome, read_names, read_samples

__all__ = ["OUTCOME_NAMES", "StreamData", "empty_stream", "read_stream", "stream_from_arrays"]

OUTCOME_NAMES: tuple[str, ...] = tuple(outcome.name.lower().replace("_", "-") for outcome in Outcome)
"""`ok`, `refused`, `reset`, `timeout`, `http-error`, `bad-body`, `not-sent`: indexed by the outcome."""

_CHUNK = 1 << 20
_US = 1_000


@dataclass(frozen=True, slots=True)
class StreamData:
    """One stream's samples as columns of equal length, ordered by intended time.

    `intended`: ns. `lag`, `total`: µs after it, `NOT_REACHED` where it did not come to that. `task`,
    `version`: index into `names` (0: not known). `outcome`: an `Outcome`.
    """

    opened: StreamOpened
    closed: StreamClosed | None
    intended: NDArray[np.int64]
    lag: NDArray[np.uint32]
    total: NDArray[np.uint32]
    outcome: NDArray[np.uint8]
    task: NDArray[np.uint16]
    version: NDArray[np.uint16]
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        """`probe` or `load`."""
        return self.opened.stream

    def __len__(self) -> int:
        return len(self.intended)

    def ends(self, part: slice = slice(None)) -> NDArray[np.int64]:
        """When each request of `part` ended, in ns; its intended time where it was not even sent."""
        total = self.total[part]
        end = total.astype(np.int64)
        end[total == NOT_REACHED] = 0
        end *= _US
        end += self.intended[part]
        return end

    def chunks(self) -> Iterator[slice]:
        """The stream in parts of about a million samples, for work that needs wide temporaries."""
        return (slice(start, start + _CHUNK) for start in range(0, len(self), _CHUNK))


def read_stream(directory: Path, opened: StreamOpened, closed: StreamClosed | None) -> StreamData:
    """Read all sample files of a stream; missing files count as empty (a run may die before the first flush).

    Raises:
        OSError: a file exists but cannot be read.
    """
    mapped = [(read_samples(directory / name), read_names(directory / name)) for name in opened.files]
    size = sum(len(samples) for samples, _ in mapped)
    columns = _columns(size)
    numbers: dict[str, int] = {"": 0}
    at = 0
    for samples, names in mapped:
        lookup = _lookup(names, numbers)
        for start in range(0, len(samples), _CHUNK):
            part = samples[start : start + _CHUNK]
            _copy(part, columns, slice(at, at + len(part)), lookup)
            at += len(part)
            _give_back(samples, start, len(part))
    _sort(columns)
    return StreamData(opened, closed, **columns, names=tuple(numbers))


def empty_stream(opened: StreamOpened, closed: StreamClosed | None = None) -> StreamData:
    """A stream without one sample."""
    return StreamData(opened, closed, **_columns(0), names=("",))


def stream_from_arrays(
    opened: StreamOpened,
    closed: StreamClosed | None,
    *,
    intended: NDArray[np.int64],
    total: NDArray[np.uint32],
    outcome: NDArray[np.uint8],
) -> StreamData:
    """A stream from bare columns in any order, with unknown tasks and no lag: for callers without files."""
    columns = _columns(len(intended))
    columns["intended"][:] = intended
    columns["total"][:] = total
    columns["outcome"][:] = outcome
    _sort(columns)
    return StreamData(opened, closed, **columns, names=("",))


def _columns(size: int) -> dict[str, NDArray[Any]]:
    return {
        "intended": np.zeros(size, np.int64),
        "lag": np.zeros(size, np.uint32),
        "total": np.zeros(size, np.uint32),
        "outcome": np.zeros(size, np.uint8),
        "task": np.zeros(size, np.uint16),
        "version": np.zeros(size, np.uint16),
    }


def _lookup(names: list[str], numbers: dict[str, int]) -> NDArray[np.uint16]:
    """Number in the file → number in `numbers`, which grows by new names; 0 for what has no name."""
    lookup = np.zeros(1 << 16, np.uint16)
    for index, name in enumerate(names[: len(lookup)]):
        if name not in numbers and len(numbers) < len(lookup):
            numbers[name] = len(numbers)
        lookup[index] = numbers.get(name, 0)
    return lookup


def _copy(
    part: NDArray[np.void], columns: dict[str, NDArray[Any]], where: slice, lookup: NDArray[np.uint16]
) -> None:
    for field in ("intended", "lag", "total", "outcome"):
        columns[field][where] = part[field]
    for field in ("task", "version"):
        columns[field][where] = lookup[part[field]]


def _give_back(samples: NDArray[np.void], start: int, count: int) -> None:
    """Drop the mapped pages of samples that were copied; they would else count as ours until the end."""
    mapping: object = samples.base
    if isinstance(mapping, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        first = start * samples.itemsize // mmap.PAGESIZE * mmap.PAGESIZE
        mapping.madvise(mmap.MADV_DONTNEED, first, min(count * samples.itemsize, len(mapping) - first))


def _sort(columns: dict[str, NDArray[Any]]) -> None:
    """Order all columns by intended time, in place; workers write in order of completion, so nearly so."""
    intended = columns["intended"]
    if bool(np.all(intended[1:] >= intended[:-1])):
        return
    order = np.argsort(intended, kind="stable")
    for column in columns.values():
        column[:] = column[order]
