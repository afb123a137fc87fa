"""Proof that a stream ran the plan: its arrival times, computed again, against the samples.

Called by `analysis.trial` and `analysis.generator`. Pure. For an open stream that was closed in order, the
samples' intended times must be `t0` plus the first planned offsets, to the nanosecond, none missing and none
added. For one that was cut off, requests in flight at its end have no sample, so each sample's time must be
one of the plan's. A closed stream has no planned arrivals: nothing is checked.
"""

from __future__ import annotations

from itertools import islice

import msgspec
import numpy as np
from numpy.typing import NDArray

from breakroom.analysis.reading import StreamData
from breakroom.spec.arrivals import planned_offsets
from breakroom.spec.drill import LoadSpec, ProbeSpec

__all__ = ["MAX_CHECKED", "arrivals_match", "stream_spec"]

MAX_CHECKED = 1_000_000
"""Arrivals that are computed again, from the stream's begin; more would cost seconds and prove no more."""


def stream_spec(stream: StreamData) -> ProbeSpec | LoadSpec | None:
    """The stream's plan as a value; None where the journal's form of it cannot be read."""
    kind: type[ProbeSpec | LoadSpec] = ProbeSpec if stream.name == "probe" else LoadSpec
    try:
        return msgspec.convert(stream.opened.plan, kind)
    except msgspec.ValidationError:
        return None


def arrivals_match(stream: StreamData, seed: int) -> tuple[int, bool | None]:
    """How many arrivals were checked, and whether they are the plan's; None where there is nothing to check."""
    spec = stream_spec(stream)
    if spec is None or stream.opened.model != "open" or len(stream) == 0:
        return 0, None
    checked = min(len(stream), MAX_CHECKED)
    offsets = stream.intended[:checked] - stream.opened.t0
    if stream.closed is None:
        return checked, _subset(offsets, _planned_until(spec, seed, int(offsets[-1])))
    planned = np.fromiter(islice(planned_offsets(spec, seed), checked), np.int64)
    return checked, bool(np.array_equal(offsets, planned))


def _planned_until(spec: ProbeSpec | LoadSpec, seed: int, last: int) -> NDArray[np.int64]:
    """The planned offsets up to `last` ns; at most twice `MAX_CHECKED`, so that a wrong `last` cannot run away."""
    planned = []
    for offset in islice(planned_offsets(spec, seed), 2 * MAX_CHECKED):
        if offset > last:
            break
        planned.append(offset)
    return np.array(planned, np.int64)


def _subset(found: NDArray[np.int64], planned: NDArray[np.int64]) -> bool:
    """Whether each value of `found` is in `planned`, counted with multiplicity; both ascending."""
    values, counts = np.unique(found, return_counts=True)
    known, allowed = np.unique(planned, return_counts=True)
    at = np.searchsorted(known, values)
    if len(known) == 0 or bool((at >= len(known)).any()):
        return False
    return bool((known[at] == values).all() and (counts <= allowed[at]).all())
