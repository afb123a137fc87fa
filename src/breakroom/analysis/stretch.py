"""What the requests of one stretch of time say: how many ended well, how many failed, how long they took.

Used by the modules on one kind of failure each (`updates`, `scaling`, `impairment`), whose stretches are not the
trial's periods. Pure. A request belongs to a stretch if it ended after its begin and was to be sent before its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from breakroom.analysis.periods import failed
from breakroom.analysis.reading import StreamData
from breakroom.journal.samples import Outcome

__all__ = ["asked_in", "failed_in", "goodput", "inside", "ok_latency", "served_by", "usual_version"]

_S = 1_000_000_000


def inside(stream: StreamData, start: int, end: int) -> NDArray[np.bool_]:
    """Which requests belong to [start, end)."""
    mask = np.zeros(len(stream), np.bool_)
    for part in stream.chunks():
        mask[part] = (stream.ends(part) >= start) & (stream.intended[part] < end)
    return mask


def failed_in(streams: Iterable[StreamData], start: int, end: int) -> int:
    """Failed requests of the stretch."""
    return sum(int((failed(stream.outcome) & inside(stream, start, end)).sum()) for stream in streams)


def asked_in(streams: Iterable[StreamData], start: int, end: int) -> int:
    """Requests of the stretch that were sent."""
    return sum(
        int(((stream.outcome != Outcome.NOT_SENT) & inside(stream, start, end)).sum()) for stream in streams
    )


def goodput(streams: Iterable[StreamData], start: int, end: int) -> float | None:
    """Successful requests that ended in [start, end), a second; None for an empty stretch."""
    if end <= start:
        return None
    ended = 0
    for stream in streams:
        for part in stream.chunks():
            ends = stream.ends(part)[stream.outcome[part] == Outcome.OK]
            ended += int(((ends >= start) & (ends < end)).sum())
    return ended * _S / (end - start)


def ok_latency(stream: StreamData, start: int, end: int) -> NDArray[np.uint32]:
    """Latency (µs) of successful requests that were to be sent in [start, end)."""
    low, high = np.searchsorted(stream.intended, [start, end])
    part = slice(int(low), int(high))
    found: NDArray[np.uint32] = stream.total[part][stream.outcome[part] == Outcome.OK]
    return found


def served_by(streams: Iterable[StreamData], start: int, end: int, *, only_ok: bool = True) -> dict[str, int]:
    """Task → requests of the stretch that it answered, of any outcome if not `only_ok`."""
    found: dict[str, int] = {}
    for stream in streams:
        mask = inside(stream, start, end)
        if only_ok:
            mask &= stream.outcome == Outcome.OK
        counts = np.bincount(stream.task[mask], minlength=len(stream.names))
        for index in np.flatnonzero(counts).tolist():
            if stream.names[index]:
                name = stream.names[index]
                found[name] = found.get(name, 0) + int(counts[index])
    return found


def usual_version(streams: Mapping[str, StreamData], tasks: Iterable[str]) -> str:
    """The version that most answers of these tasks bore; empty if none answered."""
    wanted = set(tasks)
    counts: dict[str, int] = {}
    for stream in streams.values():
        numbers = [index for index, name in enumerate(stream.names) if name in wanted]
        versions = stream.version[np.isin(stream.task, numbers)]
        found = np.bincount(versions, minlength=len(stream.names))
        for index in np.flatnonzero(found).tolist():
            if stream.names[index]:
                counts[stream.names[index]] = counts.get(stream.names[index], 0) + int(found[index])
    return max(sorted(counts), key=lambda name: counts[name], default="")
