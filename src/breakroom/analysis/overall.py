"""Phase 4 of the course: every contender over all drills of the run, and what if the operator reacted later.

Called by `analysis.run`. Pure. Contenders of the same name in different drills are one. Over repeats a drill counts
with its median; only trials that can be trusted count at all. A drill in which a contender never recovered is in no
median of times and is counted apart, so that giving up early cannot look fast.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from breakroom.analysis.contenders import Repeats
from breakroom.analysis.metrics import trusted
from breakroom.analysis.results import Overall, OverallRow, SensitivityRow, TrialResults

__all__ = ["REACTIONS_S", "overall"]

REACTIONS_S = (60.0, 300.0, 600.0)
"""1, 5 and 10 minutes: the course says 5 to 10."""


def overall(drills: Mapping[str, Mapping[str, Repeats]], planned: Iterable[str] = ()) -> Overall:
    """The table, and the sensitivity of contenders that have a model of an operator.

    Args:
        drills: Drill → contender → its repeats.
        planned: All trials that were to run (`DRILL/CONTENDER/REPEAT`), those that never did too.
    """
    by_name: dict[str, dict[str, Repeats]] = {}
    for drill, contenders in drills.items():
        for name, repeats in contenders.items():
            by_name.setdefault(name, {})[drill] = repeats
    wanted = {(parts[1], parts[0]) for trial in planned if len(parts := trial.split("/")) == 3}
    return Overall(
        rows=tuple(
            _row(name, found, len({drill for who, drill in wanted if who == name} | set(found)))
            for name, found in by_name.items()
        ),
        sensitivity=tuple(row for name, found in by_name.items() for row in _sensitivity(name, found)),
    )


def _row(name: str, drills: Mapping[str, Repeats], planned: int) -> OverallRow:
    trials = [trial for repeats in drills.values() for trial in repeats.trials]
    seen = [trial for trial in trials if trusted(trial, "availability") and trial.availability.intended]
    intended = sum(trial.availability.intended for trial in seen)
    recovery = {
        drill: value
        for drill, repeats in drills.items()
        if _broken(repeats) and (value := _median(repeats.values("recovery_time"))) is not None
    }
    back = {drill: value for drill, value in recovery.items() if math.isfinite(value)}
    worst = max(back, key=lambda drill: back[drill], default="")
    acts = _added(drills.values(), "operator_acts")
    return OverallRow(
        contender=name,
        drills=planned,
        known=len({trial.drill for trial in seen}),
        availability=sum(trial.availability.ok for trial in seen) / intended if intended else None,
        outage_s=_added(drills.values(), "outage"),
        failed_requests=round(_added(drills.values(), "failed_requests") or 0.0),
        recovery_median_s=_median(list(back.values())),
        recovery_worst_s=back.get(worst),
        recovery_worst_drill=worst,
        never_recovered=len(recovery) - len(back),
        operator_acts=None if acts is None else round(acts),
        operator_s=_operator_s(drills.values()),
        scale_gain=_median([_median(repeats.values("goodput_gain")) for repeats in drills.values()]),
        modelled=any(trial.modelled for trial in trials),
    )


def _broken(repeats: Repeats) -> bool:
    """Whether the drill broke something of this contender's."""
    facts = repeats.facts
    return facts.fault is not None and facts.fault.applies and not facts.planned


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def _added(drills: Iterable[Repeats], metric: str) -> float | None:
    """The sum over the drills that know it of each one's median; None if none does."""
    known = [value for repeats in drills if (value := _median(repeats.values(metric))) is not None]
    return float(sum(known)) if known else None


def _operator_s(drills: Iterable[Repeats]) -> float | None:
    """From fault to restored, over the drills in which a person acted; None where nobody did."""
    medians = [
        _median([trial.operator.restored_after_s for trial in repeats.trials if _acted(trial)])
        for repeats in drills
    ]
    known = [value for value in medians if value is not None]
    return float(sum(known)) if known else None


def _acted(trial: TrialResults) -> bool:
    return trial.operator.acts > 0 and not trial.reasons_unknown


def _sensitivity(name: str, drills: Mapping[str, Repeats]) -> list[SensitivityRow]:
    """One row a reaction time; none where no model of an operator acted."""
    acted = [
        (_reaction_s(repeats), [trial for trial in repeats.trials if _acted(trial) and trial.modelled])
        for repeats in drills.values()
    ]
    known = [(reacts_s, trials) for reacts_s, trials in acted if reacts_s is not None and trials]
    if not known:
        return []
    return [_if_after(name, after_s, known) for after_s in REACTIONS_S]


def _reaction_s(repeats: Repeats) -> float | None:
    operator = repeats.facts.contender.get("operator")
    if not isinstance(operator, dict) or operator.get("reacts_after") is None:
        return None
    return int(operator["reacts_after"]) / 1e9


def _if_after(
    name: str, after_s: float, known: Sequence[tuple[float, Sequence[TrialResults]]]
) -> SensitivityRow:
    """Every act later by the difference: as much longer is the outage, the recovery, and the observation."""
    outages, recoveries = [], []
    ok, intended = 0.0, 0.0
    for reacts_s, trials in known:
        later = [(trial, trial.operator.acts * (after_s - reacts_s)) for trial in trials]
        outages.append(_median([_shifted(trial.outage_total_s, by) for trial, by in later]))
        recoveries.append(_median([_shifted(trial.recovery_time_s, by) for trial, by in later]))
        for trial, by in later:
            window = trial.availability.window_s
            if window > 0:
                ok += trial.availability.ok
                longer = max(window + by, 0.0) / window * trial.availability.intended
                intended += max(longer, trial.availability.ok)
    out = [value for value in outages if value is not None]
    return SensitivityRow(
        contender=name,
        reacts_after_s=after_s,
        outage_s=float(sum(out)) if out else None,
        recovery_s=_median(recoveries),
        availability=ok / intended if intended else None,
    )


def _shifted(value: float | None, by: float) -> float | None:
    return None if value is None else max(value + by, 0.0)
