"""Percentiles of latency: by stream, by period, successful and failed requests apart.

Called by `analysis.trial` and `analysis.series`. Latency counts from the intended send time. A percentile is
by nearest rank: the smallest observed value such that at least that share of the values is not above it, so
it is always a latency that really occurred. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from breakroom.analysis.results import Latency
from breakroom.journal.samples import NOT_REACHED

__all__ = ["PERCENTILES", "latency", "percentiles"]

PERCENTILES = (0.5, 0.9, 0.99, 0.999)
_US_PER_S = 1e6


def percentiles(values_us: NDArray[np.uint32], shares: Sequence[float]) -> tuple[float | None, ...]:
    """Nearest-rank percentiles of µs, in seconds; None for each where there is no value.

    Values that are `NOT_REACHED` are left out. The input is not changed.
    """
    known = values_us[values_us != NOT_REACHED]
    count = len(known)
    if count == 0:
        return tuple(None for _ in shares)
    ranks = [rank(share, count) for share in shares]
    known.partition(sorted(set(ranks)))
    return tuple(float(known[at]) / _US_PER_S for at in ranks)


def rank(share: float, count: int) -> int:
    """Index (from 0) of the nearest-rank percentile among `count` ordered values: ceil(share x count) - 1.

    The product is rounded to 9 digits first, as 0.999 x 1000 is a hair above 999 in binary.
    """
    return min(max(int(np.ceil(round(share * count, 9))) - 1, 0), count - 1)


def latency(
    stream: Literal["probe", "load"],
    period: Literal["before", "during", "after"],
    which: Literal["ok", "failed"],
    values_us: NDArray[np.uint32],
    lag_us: NDArray[np.uint32] | None = None,
) -> Latency:
    """The figures of one stream in one period; with `lag_us`, how late each was sent, also what of them is its own."""
    p50, p90, p99, p999, highest = percentiles(values_us, (*PERCENTILES, 1.0))
    own = _own(values_us, lag_us) if lag_us is not None else (0.0, 0.0)
    count = int(np.count_nonzero(values_us != NOT_REACHED))
    return Latency(
        stream=stream,
        period=period,
        which=which,
        count=count,
        p50_s=p50,
        p90_s=p90,
        p99_s=p99,
        p999_s=p999,
        max_s=highest,
        own_p50_s=own[0],
        own_p99_s=own[1],
    )


def _own(values_us: NDArray[np.uint32], lag_us: NDArray[np.uint32]) -> tuple[float, float]:
    """By how much p50 and p99 would be lower, had latency counted from the sending."""
    known = (values_us != NOT_REACHED) & (lag_us != NOT_REACHED)
    sent = values_us[known] - np.minimum(lag_us[known], values_us[known])
    pairs = zip(percentiles(values_us[known], (0.5, 0.99)), percentiles(sent, (0.5, 0.99)), strict=True)
    p50, p99 = (round((whole or 0.0) - (part or 0.0), 6) for whole, part in pairs)
    return p50, p99
