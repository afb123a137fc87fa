"""Availability over the observation window: by requests, and by time without a total outage.

Called by `analysis.trial`. Pure. Requests: ok probes ÷ intended probes. Time: 1 - total outage time ÷ window.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from breakroom.analysis.reading import OUTCOME_NAMES
from breakroom.analysis.results import Availability, Outage
from breakroom.journal.samples import Outcome

__all__ = ["availability", "outage_total", "outcome_counts"]


def availability(
    outcome: NDArray[np.uint8], found: Iterable[Outage], *, window_s: float, window_from_s: float
) -> Availability:
    """Availability from the window's probes.

    Args:
        outcome: Outcomes of the probes in the window.
        found: The window's outages.
        window_s: Length of the window.
        window_from_s: Its begin. An outage that began before it (its first probe was in flight) counts from it on.
    """
    intended = len(outcome)
    ok = int(np.count_nonzero(outcome == Outcome.OK))
    lost = sum(
        max(outage.start_at_s + outage.duration_s - max(outage.start_at_s, window_from_s), 0.0)
        for outage in found
        if outage.kind == "total"
    )
    return Availability(
        requests=ok / intended if intended else None,
        time=min(max(1 - lost / window_s, 0.0), 1.0) if intended and window_s > 0 else None,
        intended=intended,
        ok=ok,
        window_s=window_s,
        window_from_s=window_from_s,
    )


def outage_total(found: Iterable[Outage]) -> float:
    """Seconds in total outages; degraded stretches do not count."""
    return float(sum(outage.duration_s for outage in found if outage.kind == "total"))


def outcome_counts(outcome: NDArray[np.uint8]) -> dict[str, int]:
    """Outcome name → count, every name present."""
    counts = np.bincount(outcome, minlength=len(OUTCOME_NAMES))
    return {name: int(counts[index]) for index, name in enumerate(OUTCOME_NAMES)}
