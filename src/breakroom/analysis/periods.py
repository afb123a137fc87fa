"""Which request belongs to which part of a trial: the observation window, and before, during and after the fault.

Built by `analysis.trial`; read by every number that counts requests. Pure.

- *window*: from the phase `faulting` (steady state is established) to the phase `undoing`; where the journal or the
  trial ended earlier, to the last request known.
- *before*: the steady state's duration before the window, up to the fault. Its limit, `hit`, is the fault's injection,
  a moment before its effect was noticed: what it breaks, it breaks before the notice of it is handled.
- *during*: from the fault until full capacity is back **and** the last error has passed, or to the window's end.
- *after*: the rest of the window.

A request belongs to the window (or to *during*) if it ended after its begin and was to be sent before its
end. So a request that was in flight when the fault took effect counts as *during*, and none is counted twice
or lost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from breakroom.analysis.facts import TrialFacts
from breakroom.analysis.reading import StreamData
from breakroom.journal.samples import Outcome

__all__ = ["AFTER", "BEFORE", "DURING", "WINDOW", "Periods", "count", "failed", "label", "window_of"]

BEFORE, DURING, AFTER, WINDOW = 1, 2, 4, 8
"""Bits of a request's label."""


@dataclass(frozen=True, slots=True)
class Periods:
    """Limits in ns. `hit` None: no fault is known to have taken effect, so nothing is *before* or *during*."""

    window_start: int
    window_end: int
    before_start: int
    hit: int | None
    during_end: int

    @property
    def window_ns(self) -> int:
        """Length of the window."""
        return max(self.window_end - self.window_start, 0)


def window_of(facts: TrialFacts, streams: dict[str, StreamData]) -> tuple[int, int] | None:
    """The observation window in ns, or None where observation never began."""
    start = facts.phases.get("faulting")
    if start is None:
        return None
    end = facts.phases.get("undoing")
    if end is None:
        last = [int(stream.intended[-1]) + 1 for stream in streams.values() if len(stream)]
        end = max(last, default=start)
    return start, max(start, end)


def failed(outcome: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which requests the service failed. `not-sent` says nothing about it."""
    bad: NDArray[np.bool_] = (outcome != Outcome.OK) & (outcome != Outcome.NOT_SENT)
    return bad


def label(stream: StreamData, periods: Periods | None) -> NDArray[np.uint8]:
    """The label bits of each request of the stream."""
    labels = np.zeros(len(stream), np.uint8)
    if periods is None:
        return labels
    for part in stream.chunks():
        labels[part] = _label_chunk(stream.intended[part], stream.ends(part), periods)
    return labels


def _label_chunk(intended: NDArray[np.int64], ends: NDArray[np.int64], periods: Periods) -> NDArray[np.uint8]:
    begun = intended < periods.window_end
    labels = (begun & (ends >= periods.window_start)).astype(np.uint8) * np.uint8(WINDOW)
    if periods.hit is None:
        return labels
    hit = begun & (ends >= periods.hit)
    early = intended < periods.during_end
    labels |= (hit & early).astype(np.uint8) * np.uint8(DURING)
    labels |= (hit & ~early).astype(np.uint8) * np.uint8(AFTER)
    labels |= ((ends < periods.hit) & (intended >= periods.before_start)).astype(np.uint8) * np.uint8(BEFORE)
    return labels


def count(mask: NDArray[np.bool_]) -> int:
    """How many are true."""
    return int(np.count_nonzero(mask))
