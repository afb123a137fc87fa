"""Fewer bins for a chart, where many repeats would make the file too large.

Called by `report.html`. Counts are summed; of percentiles the largest is kept, so that no peak is lost. Tables
never use it. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeVar

from breakroom.analysis.series import StreamSeries, TrialSeries

__all__ = ["thin", "widen"]

V = TypeVar("V")


def thin(series: TrialSeries, max_bins: int) -> TrialSeries:
    """The series with at most `max_bins` bins (2 or more), each made of whole old ones; itself if it has no more."""
    factor = 1
    while _groups(series, factor) > max(2, max_bins):
        factor += 1
    return widen(series, factor * series.bin_s)


def widen(series: TrialSeries, seconds: float) -> TrialSeries:
    """The series with bins of at least `seconds`; edges stay on whole bins around zero."""
    factor = math.ceil(seconds / series.bin_s - 1e-9)
    if factor <= 1 or not series.at_s:
        return series
    first = _first(series, factor)
    count = _groups(series, factor)
    merge = _Merge(factor, lead=factor - first)
    return replace(
        series,
        bin_s=series.bin_s * factor,
        at_s=tuple(series.at_s[0] + (group * factor - first) * series.bin_s for group in range(count)),
        streams={name: _stream(stream, merge) for name, stream in series.streams.items()},
        versions={name: merge(counts, sum) for name, counts in series.versions.items()},
    )


def _first(series: TrialSeries, factor: int) -> int:
    """How many old bins are missing before the first one to fill the first new one."""
    return round(series.at_s[0] / series.bin_s) % factor if series.at_s else 0


def _groups(series: TrialSeries, factor: int) -> int:
    return -(-(len(series.at_s) + _first(series, factor)) // factor)


@dataclass(frozen=True, slots=True)
class _Merge:
    """Combines each `factor` values to one; the first group has only `lead`."""

    factor: int
    lead: int

    def __call__(self, values: Sequence[V], combine: Callable[[Sequence[V]], V]) -> tuple[V, ...]:
        starts = [0, *range(self.lead, len(values), self.factor)]
        return tuple(
            combine(values[start:end]) for start, end in pairwise([*starts, len(values)]) if end > start
        )


def _stream(stream: StreamSeries, merge: _Merge) -> StreamSeries:
    return replace(
        stream,
        outcomes={name: merge(counts, sum) for name, counts in stream.outcomes.items()},
        goodput_per_s=merge(stream.goodput_per_s, lambda part: sum(part) / len(part)),
        p50_s=merge(stream.p50_s, _largest),
        p90_s=merge(stream.p90_s, _largest),
        p99_s=merge(stream.p99_s, _largest),
    )


def _largest(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
