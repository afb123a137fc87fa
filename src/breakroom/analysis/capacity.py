"""Capacity kept: the work served during the fault against before it.

Called by `analysis.trial`. Pure. Goodput is successful requests of load and probe that *ended* in a period ÷ its
length: the probe's requests are work too, and leaving out their constant share would understate what was kept.
It says something about capacity only if the load asked for all of it:

- A closed load saturates if its clients were all waiting (requests per second x mean latency, Little's law, at
  least `BUSY` of the concurrency; in a short *before* less, since what was in flight at its end is in no answer yet:
  less by mean latency / length) and they waited in line (median latency before the fault at least `QUEUED` times the
  fastest answer of the stream), with at least one client for each task.
- An open load saturates if requests failed already before the fault.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from breakroom.analysis.latency import percentiles
from breakroom.analysis.periods import BEFORE, Periods, failed
from breakroom.analysis.reading import StreamData
from breakroom.analysis.results import CapacityKept
from breakroom.journal.samples import Outcome

__all__ = ["BUSY", "LOWEST_STEP_NS", "LOWEST_WIDTH_NS", "NO_CAPACITY", "QUEUED", "capacity", "lowest_rate"]

BUSY = 0.9
QUEUED = 1.5
LOWEST_WIDTH_NS = 1_000_000_000
LOWEST_STEP_NS = 10_000_000
_S = 1_000_000_000

NO_CAPACITY = CapacityKept(
    before_per_s=None, during_per_s=None, after_per_s=None, kept=None, lowest=None, saturated=None
)


def capacity(
    load: StreamData | None,
    labels: NDArray[np.uint8],
    periods: Periods | None,
    wanted: int,
    *,
    probe: StreamData | None = None,
) -> CapacityKept:
    """Goodput before, during and after, and what was kept of it.

    Args:
        load: The load's samples, None where there was no load.
        labels: Their labels (`periods.label`).
        periods: The trial's periods; without a fault's effect nothing can be said.
        wanted: Tasks that the contender is to have.
        probe: The probe's samples, whose successes count as served work beside the load's.
    """
    if load is None or len(load) == 0 or periods is None or periods.hit is None:
        return NO_CAPACITY
    hit = periods.hit
    alone = _goodput_steps([load], periods, hit)
    counts = _goodput_steps([load, probe] if probe is not None else [load], periods, hit)
    before = _rate(counts, periods.before_start, hit)
    during = _rate(counts, hit, periods.during_end)
    after = _rate(counts, periods.during_end, periods.window_end)
    length = (hit - periods.before_start) / _S
    saturated = _saturated(load, labels, _rate(alone, periods.before_start, hit), length, wanted)
    kept = lowest = resolution = lowest_resolution = None
    if saturated and before and during is not None and not _ran_out(load, periods):
        kept = during / before
        low = lowest_rate(counts, hit, periods.during_end)
        burst = counts.largest_step(periods.during_end)
        seconds = (periods.during_end - hit) / _S
        lowest = kept if low is None else min(low / before, kept)
        resolution = burst / (before * seconds)
        lowest_resolution = burst / (before * min(seconds, LOWEST_WIDTH_NS / _S))
    return CapacityKept(
        before_per_s=before,
        during_per_s=during,
        after_per_s=after,
        kept=kept,
        lowest=lowest,
        saturated=saturated,
        resolution=resolution,
        lowest_resolution=lowest_resolution,
    )


class _Steps:
    """Cumulated successful ends on a fine grid, to count any stretch of it by one subtraction."""

    def __init__(self, origin: int, cumulated: NDArray[np.int64]) -> None:
        self.origin = origin
        self.cumulated = cumulated

    def before(self, t: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many ended before each step's begin `t` (rounded down to the grid)."""
        index = np.clip((t - self.origin) // LOWEST_STEP_NS, 0, len(self.cumulated) - 1)
        return self.cumulated[index]

    def largest_step(self, until: int) -> int:
        """The most that ended within one step before `until`."""
        steps = np.diff(self.cumulated[: max((until - self.origin) // LOWEST_STEP_NS, 1) + 1])
        return int(steps.max(initial=0))


def _goodput_steps(streams: list[StreamData], periods: Periods, hit: int) -> _Steps:
    """The grid runs through the fault, so that before and during are cut exactly there."""
    origin = hit - (hit - periods.before_start) // LOWEST_STEP_NS * LOWEST_STEP_NS
    steps = max((periods.window_end - origin) // LOWEST_STEP_NS + 1, 1)
    counts = np.zeros(steps + 2, np.int64)
    for stream in streams:
        for part in stream.chunks():
            ends = stream.ends(part)[stream.outcome[part] == Outcome.OK]
            index = np.clip((ends - origin) // LOWEST_STEP_NS + 1, 0, steps + 1)
            counts += np.bincount(index, minlength=steps + 2)
    counts[0] = 0
    return _Steps(origin, np.cumsum(counts[:-1]))


def _rate(steps: _Steps, start: int, end: int) -> float | None:
    """Goodput of [start, end), cut to the grid; None where that is empty.

    The grid's first step may begin a little after `start`: what lies before it is neither counted nor waited for.
    """
    edges = np.array([max(start, steps.origin), end], np.int64)
    grid = (edges - steps.origin) // LOWEST_STEP_NS
    if grid[1] <= grid[0]:
        return None
    ended = steps.before(edges)
    return float(ended[1] - ended[0]) / (float(grid[1] - grid[0]) * LOWEST_STEP_NS / _S)


def lowest_rate(steps: _Steps, start: int, end: int) -> float | None:
    """The least goodput of any window of 1 s that lies in [start, end), moved by 10 ms; None if it is shorter."""
    last = end - LOWEST_WIDTH_NS
    if last < start:
        return None
    starts = np.arange(start, last + 1, LOWEST_STEP_NS, dtype=np.int64)
    ended = steps.before(starts + LOWEST_WIDTH_NS) - steps.before(starts)
    return float(ended.min()) * _S / LOWEST_WIDTH_NS


def _saturated(
    load: StreamData, labels: NDArray[np.uint8], before_per_s: float | None, length_s: float, wanted: int
) -> bool | None:
    """Whether the load asked for all the capacity before the fault; None where it was answered nothing then."""
    before = (labels & BEFORE) != 0
    latency = load.total[before & (load.outcome == Outcome.OK)]
    if len(latency) == 0 or not before_per_s:
        return None
    if load.opened.model == "open":
        return bool(failed(load.outcome[before]).any())
    concurrency = int(load.opened.plan.get("concurrency", 1))
    mean_s = float(latency.mean()) / 1e6
    busy = before_per_s * mean_s
    all_busy = concurrency * max(1 - mean_s / length_s, 0.5)
    fastest = int(load.total[load.outcome == Outcome.OK].min())
    median = percentiles(latency, (0.5,))[0] or 0.0
    return busy >= BUSY * all_busy and median >= QUEUED * fastest / 1e6 and concurrency >= wanted


def _ran_out(load: StreamData, periods: Periods) -> bool:
    """Whether a load of limited requests had sent them all before the fault's consequences were over."""
    requests = int(load.opened.plan.get("requests", 0))
    return 0 < requests <= len(load) and int(load.intended[-1]) < periods.during_end
