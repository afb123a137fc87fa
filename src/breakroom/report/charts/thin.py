"""Fewer bins for a chart, where many repeats would make the file too large.

Called by `report.html`. Counts are summed; of percentiles the largest is kept, so that no peak is lost. Tables
never use it. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from breakroom.analysis.series import StreamSeries, TrialSeries

__all__ = ["thin"]

V = TypeVar("V")


def thin(series: TrialSeries, max_bins: int) -> TrialSeries:
    """The series with at most `max_bins` bins, each made of whole old ones; the series itself if it has no more."""
    factor = -(-len(series.at_s) // max(1, max_bins))
    if factor <= 1:
        return series
    return replace(
        series,
        bin_s=series.bin_s * factor,
        at_s=series.at_s[::factor],
        streams={name: _stream(stream, factor) for name, stream in series.streams.items()},
        versions={name: _merge(counts, factor, sum) for name, counts in series.versions.items()},
    )


def _stream(stream: StreamSeries, factor: int) -> StreamSeries:
    return replace(
        stream,
        outcomes={name: _merge(counts, factor, sum) for name, counts in stream.outcomes.items()},
        goodput_per_s=_merge(stream.goodput_per_s, factor, lambda part: sum(part) / len(part)),
        p50_s=_merge(stream.p50_s, factor, _largest),
        p90_s=_merge(stream.p90_s, factor, _largest),
        p99_s=_merge(stream.p99_s, factor, _largest),
    )


def _merge(values: Sequence[V], factor: int, combine: Callable[[Sequence[V]], V]) -> tuple[V, ...]:
    return tuple(combine(values[start : start + factor]) for start in range(0, len(values), factor))


def _largest(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
