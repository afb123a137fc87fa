"""A histogram of durations that never grows: how the workers keep their lag percentiles. Pure.

Buckets are logarithmic with 64 linear steps to each power of two, so that a percentile is at most 1.6 % above the
true value, from a nanosecond to hours, in a few thousand counters.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["Histogram"]

_STEP_BITS = 6
_MAX_BITS = 44  # 2**44 ns is almost five hours; anything longer counts as that


class Histogram:
    """Counts of durations in nanoseconds."""

    __slots__ = ("_counts", "maximum", "total")

    def __init__(self) -> None:
        self._counts = [0] * ((_MAX_BITS - _STEP_BITS + 2) << _STEP_BITS)
        self.total = 0
        self.maximum = 0

    def add(self, value: int) -> None:
        """Count one duration; a negative one counts as 0."""
        if value > self.maximum:
            self.maximum = value
        elif value < 0:
            value = 0
        self._counts[_bucket(value)] += 1
        self.total += 1

    def merge(self, counts: Mapping[str, int], maximum: int) -> None:
        """Add what another process's `sparse` gave, with its maximum."""
        for bucket, count in counts.items():
            self._counts[int(bucket)] += count
            self.total += count
        self.maximum = max(self.maximum, maximum)

    def sparse(self) -> dict[str, int]:
        """The counts that are not 0, by bucket number (as text, for JSON)."""
        return {str(bucket): count for bucket, count in enumerate(self._counts) if count}

    def percentile(self, fraction: float) -> int:
        """The least bucket end that at least `fraction` of the durations do not exceed; 0 if there are none."""
        wanted = max(1, round(fraction * self.total + 0.499_999))
        seen = 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return min(_upper(bucket), self.maximum)
        return self.maximum


def _bucket(value: int) -> int:
    shift = value.bit_length() - _STEP_BITS - 1
    if shift <= 0:
        return value
    if shift > _MAX_BITS - _STEP_BITS - 1:
        return _bucket((1 << _MAX_BITS) - 1)
    return (shift << _STEP_BITS) + (value >> shift)


def _upper(bucket: int) -> int:
    """The largest value of a bucket."""
    if bucket < 2 << _STEP_BITS:
        return bucket
    shift = (bucket >> _STEP_BITS) - 1
    return ((bucket - (shift << _STEP_BITS) + 1) << shift) - 1
