"""Outages and degraded stretches: failed probes, with the load's successes as witnesses that the service was not down.

Called by `analysis.trial`. Pure. The rule, with probes in the order of their intended times and the load's successes
where they were sent, of two at the same moment the success first:

1. A *run* is a maximal sequence of failed probes without a success between them, be it a probe's or the load's. It
   lasts from its first probe's intended time to the moment of the success that follows.
2. A run is a *total* outage if it has at least `SURE` probes, or if no other failure lies within `NEAR_NS` of it and
   not both of its neighbours are successes of the load. (Two probes in a row that were cut with one replica of three
   are no outage, if the load was served between them.)
3. Single failures near others are a mixture of failures and successes: neighbours among them that are less than
   `NEAR_NS` apart make one *degraded* stretch, from the first failure to the success after the last.

Between two probes nothing is seen: each edge is known to one spacing. A single failed probe is an outage of
*somewhere from nothing to one spacing before it, to one after*; it is reported as one spacing, and the
resolution says the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from breakroom.analysis.reading import OUTCOME_NAMES
from breakroom.analysis.results import Outage
from breakroom.journal.samples import Outcome

__all__ = ["NEAR_NS", "SURE", "Stretch", "find", "outages"]

NEAR_NS = 1_000_000_000
SURE = 2
"""Anything longer than two spacings meets at least two probes, whenever it begins; so none of those is missed."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """One stretch in ns; `end` None: no success followed. `first`, `last`: indices of its failed probes' ends."""

    total: bool
    start: int
    end: int | None
    first: int
    last: int


def find(
    intended: NDArray[np.int64], bad: NDArray[np.bool_], witness: NDArray[np.bool_] | None = None
) -> list[Stretch]:
    """All stretches of failed probes, in order.

    Args:
        intended: Intended times in ns, ascending.
        bad: Whether each failed; probes that say nothing about the service are to be left out before.
        witness: Which are the load's successes; the others are probes. None: there is no load.
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([False], bad, [False])).astype(np.int8)))
    first, beyond = edges[::2], edges[1::2]
    if len(first) == 0:
        return []
    starts = intended[first]
    open_end = beyond[-1] == len(intended)
    ends = intended[np.minimum(beyond, len(intended) - 1)]
    # Distance from a run's last failure to the next run's first; runs at the edges have nobody beyond them.
    gaps = starts[1:] - intended[beyond[:-1] - 1]
    near_previous = np.concatenate(([False], gaps < NEAR_NS))
    near_next = np.concatenate((gaps < NEAR_NS, [False]))
    total = (beyond - first >= SURE) | ~(near_previous | near_next | _between(witness, first, beyond))
    joins = ~total[1:] & ~total[:-1] & (gaps < NEAR_NS)
    leaders = np.flatnonzero(np.concatenate(([True], ~joins)))
    closers = np.concatenate((leaders[1:] - 1, [len(first) - 1]))
    return [
        Stretch(
            total=bool(total[leader]),
            start=int(starts[leader]),
            end=None if open_end and closer == len(first) - 1 else int(ends[closer]),
            first=int(first[leader]),
            last=int(beyond[closer] - 1),
        )
        for leader, closer in zip(leaders.tolist(), closers.tolist(), strict=True)
    ]


def _between(
    witness: NDArray[np.bool_] | None, first: NDArray[np.intp], beyond: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Which runs stand between two of the load's successes."""
    if witness is None:
        return np.zeros(len(first), np.bool_)
    framed = np.concatenate(([False], witness, [False]))
    return framed[first] & framed[beyond + 1]


def outages(
    intended: NDArray[np.int64],
    outcome: NDArray[np.uint8],
    *,
    zero: int,
    window_end: int,
    served: NDArray[np.int64] | None = None,
) -> tuple[Outage, ...]:
    """The window's outages as results.

    Args:
        intended: Intended times of the window's probes, ns, ascending.
        outcome: Their outcomes; `not-sent` is left out here.
        zero: The moment that seconds count from, ns.
        window_end: Where an outage that does not end is cut, ns.
        served: When the load's requests were sent that were answered within the probe's deadline, ns.
    """
    known = outcome != Outcome.NOT_SENT
    load = served if served is not None else np.zeros(0, np.int64)
    times = np.concatenate((intended[known], load))
    results = np.concatenate((outcome[known], np.full(len(load), Outcome.OK, np.uint8)))
    witness = np.arange(len(times)) >= len(times) - len(load)
    order = np.lexsort((results, times))
    times, results, witness = times[order], results[order], witness[order]
    return tuple(
        _outage(stretch, results, zero, window_end) for stretch in find(times, results != Outcome.OK, witness)
    )


def _outage(stretch: Stretch, outcome: NDArray[np.uint8], zero: int, window_end: int) -> Outage:
    counts = np.bincount(outcome[stretch.first : stretch.last + 1], minlength=len(OUTCOME_NAMES))
    by_name = {name: int(counts[index]) for index, name in enumerate(OUTCOME_NAMES) if counts[index]}
    by_name.pop("ok", None)
    end = stretch.end if stretch.end is not None else max(window_end, stretch.start)
    return Outage(
        kind="total" if stretch.total else "degraded",
        start_at_s=(stretch.start - zero) / 1e9,
        end_at_s=None if stretch.end is None else (stretch.end - zero) / 1e9,
        duration_s=(end - stretch.start) / 1e9,
        failed=sum(by_name.values()),
        outcomes=by_name,
    )
