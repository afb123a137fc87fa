"""Proof that a stream ran the plan: its arrival times, computed again, against the samples.

Called by `analysis.trial` and `analysis.generator`. Pure. For an open stream that was closed in order, the
samples' intended times must be `t0` plus the first planned offsets, to the nanosecond, none missing and none
added. For one that was cut off, requests in flight at its end have no sample, so each sample's time must be
one of the plan's. A closed stream has no planned arrivals: nothing is checked.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from breakroom.analysis.reading import StreamData
from breakroom.spec.arrivals import planned_offsets
from breakroom.spec.drill import LoadSpec, ProbeSpec

__all__ = ["MAX_CHECKED", "arrivals_match", "ran_as_planned", "stream_spec"]

MAX_CHECKED = 1_000_000
"""Arrivals that are computed again, from the stream's begin; more would cost seconds and prove no more."""


def stream_spec(stream: StreamData) -> ProbeSpec | LoadSpec | None:
    """The stream's plan as a value; None where the journal's form of it cannot be read."""
    return _spec(stream.name, stream.opened.plan)


def ran_as_planned(stream: StreamData, shared: dict[str, Any]) -> bool:
    """Whether the stream was opened with the settings and the seed that the shared plan has for it.

    The arrivals are compared with what the stream was opened with; this closes the gap between that and the plan whose
    digest is compared. What the plan does not name cannot be contradicted.
    """
    opened = stream.opened.plan
    same_seed = "seed" not in shared or opened.get("seed", shared["seed"]) == shared["seed"]
    if stream.name not in shared:
        return same_seed
    planned, ran = _spec(stream.name, shared[stream.name]), stream_spec(stream)
    return same_seed and planned is not None and ran is not None and _as_asked(planned) == _as_asked(ran)


def _as_asked(spec: ProbeSpec | LoadSpec) -> ProbeSpec | LoadSpec:
    """Without the number of workers, which is cut down where there are fewer clients than workers."""
    return replace(spec, workers=1) if isinstance(spec, LoadSpec) else spec


def _spec(name: str, plan: object) -> ProbeSpec | LoadSpec | None:
    kind: type[ProbeSpec | LoadSpec] = ProbeSpec if name == "probe" else LoadSpec
    try:
        return msgspec.convert(plan, kind)
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
