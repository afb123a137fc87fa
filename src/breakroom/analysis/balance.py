"""How evenly requests were spread over the tasks while nothing was broken.

Called by `analysis.trial`, and by `analysis.scaling` for each number of replicas. Pure. Counts successful requests of
probe and load in the period *before*, by the task that answered; a task that was in rotation throughout and answered
none counts with 0. The chi-square test asks whether counts this uneven would come about if each request went to any
task with equal chance; a round-robin balancer is more even than chance, so p is near 1 there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from breakroom.analysis.periods import BEFORE
from breakroom.analysis.reading import StreamData
from breakroom.analysis.results import Balance
from breakroom.analysis.statistics import chi_square_survival
from breakroom.journal.samples import Outcome

__all__ = ["MIN_EXPECTED", "balance", "balance_of"]

MIN_EXPECTED = 5
"""Below this expected count per task, the chi-square distribution is no good approximation, and no test is made."""


def balance(streams: Iterable[tuple[StreamData, NDArray[np.uint8]]], tasks: Iterable[str]) -> Balance:
    """The spread over tasks.

    Args:
        streams: Streams with their labels.
        tasks: Tasks that were in rotation throughout the period.
    """
    per_task = dict.fromkeys(tasks, 0)
    for stream, labels in streams:
        answered = ((labels & BEFORE) != 0) & (stream.outcome == Outcome.OK)
        counts = np.bincount(stream.task[answered], minlength=len(stream.names))
        for index in np.flatnonzero(counts).tolist():
            name = stream.names[index]
            if name:
                per_task[name] = per_task.get(name, 0) + int(counts[index])
    return balance_of(per_task)


def balance_of(per_task: Mapping[str, int]) -> Balance:
    """How even counts of requests per task are."""
    values = np.array(list(per_task.values()), np.float64)
    ratio = float(values.max() / values.min()) if len(values) and values.min() > 0 else None
    chi_square = p_value = None
    if len(values) > 1 and values.mean() >= MIN_EXPECTED:
        chi_square = float(((values - values.mean()) ** 2).sum() / values.mean())
        p_value = chi_square_survival(chi_square, len(values) - 1)
    return Balance(
        per_task=dict(sorted(per_task.items())),
        largest_to_smallest=ratio,
        chi_square=chi_square,
        p_value=p_value,
    )
