"""Phase 4 of the course: the contenders over the drills that they share, and what if the operator reacted later.

Called by `analysis.run`. Pure. Contenders of the same name in different drills are one. Compared are those that take
part in at least half of the run's drills; the others stand apart. Numbers that are pooled over drills are only
comparable over the same ones, so a drill counts if every compared contender takes part in it, and each number is taken
over the drills in which all of them know it. Over repeats a drill counts with its median; only trials that can be
trusted count at all. A drill in which a contender never recovered is in no median of times and is counted apart, so
that giving up early cannot look fast.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from breakroom.analysis.contenders import Repeats
from breakroom.analysis.metrics import trusted
from breakroom.analysis.results import Overall, OverallApart, OverallRow, SensitivityRow, TrialResults

__all__ = ["REACTIONS_S", "overall"]

REACTIONS_S = (60.0, 300.0, 600.0)
"""1, 5 and 10 minutes: the course says 5 to 10."""

Found = Mapping[str, Repeats]
"""One contender's repeats, by drill."""


def overall(drills: Mapping[str, Mapping[str, Repeats]], planned: Iterable[str] = ()) -> Overall:
    """The table, and the sensitivity of contenders that have a model of an operator.

    Args:
        drills: Drill → contender → its repeats.
        planned: All trials that were to run (`DRILL/CONTENDER/REPEAT`), those that never did too.
    """
    found: dict[str, dict[str, Repeats]] = {}
    taking_part: dict[str, list[str]] = {}
    for drill, contenders in drills.items():
        for name, repeats in contenders.items():
            found.setdefault(name, {})[drill] = repeats
            taking_part.setdefault(name, []).append(drill)
    for parts in (trial.split("/") for trial in planned):
        if len(parts) == 3 and parts[0] not in taking_part.setdefault(parts[1], []):
            taking_part[parts[1]].append(parts[0])
    compared = _compared(taking_part)
    common = _common([taking_part[name] for name in compared])
    shared = {name: {drill: found.get(name, {}).get(drill) for drill in common} for name in compared}
    ran = {name: {d: one for d, one in mine.items() if one is not None} for name, mine in shared.items()}
    counted = _all_know(ran, lambda repeats: bool(_seen(repeats)))
    everything = list(dict.fromkeys(drill for mine in taking_part.values() for drill in mine))
    return Overall(
        rows=tuple(_row(name, ran, counted, len(common)) for name in compared),
        sensitivity=tuple(row for name in compared for row in _sensitivity(name, ran[name])),
        drills=tuple(counted),
        left_out=tuple(drill for drill in everything if drill not in counted),
        apart=tuple(
            OverallApart(contender=name, drills=tuple(mine))
            for name, mine in taking_part.items()
            if name not in compared
        ),
    )


def _compared(taking_part: Mapping[str, Sequence[str]]) -> list[str]:
    """Contenders that take part in at least half of all drills, as far as they have a drill in common."""
    drills = {drill for mine in taking_part.values() for drill in mine}
    common, kept = drills, set()
    for name, mine in sorted(taking_part.items(), key=lambda item: -len(item[1])):
        if 2 * len(mine) >= len(drills) and common & set(mine):
            common = common & set(mine)
            kept.add(name)
    return [name for name in taking_part if name in kept]


def _common(lists: Sequence[Sequence[str]]) -> list[str]:
    return [drill for drill in lists[0] if all(drill in other for other in lists)] if lists else []


def _all_know(ran: Mapping[str, Found], knows: Callable[[Repeats], bool]) -> list[str]:
    """The drills that every contender knows; one that knows none takes nothing away from the others."""
    lists = [[drill for drill, one in mine.items() if knows(one)] for mine in ran.values()]
    return _common([mine for mine in lists if mine])


def _seen(repeats: Repeats) -> list[TrialResults]:
    return [
        trial for trial in repeats.trials if trusted(trial, "availability") and trial.availability.intended
    ]


def _row(name: str, ran: Mapping[str, Found], counted: Sequence[str], planned: int) -> OverallRow:
    def shared(metric: str) -> list[float]:
        """The medians of the drills in which every compared contender knows the metric."""
        known = _all_know(ran, lambda repeats: _median(repeats.values(metric)) is not None)
        return [
            value
            for drill in known
            if drill in mine and (value := _median(mine[drill].values(metric))) is not None
        ]

    mine = {drill: repeats for drill, repeats in ran[name].items() if drill in counted}
    seen = [trial for repeats in mine.values() for trial in _seen(repeats)]
    intended = sum(trial.availability.intended for trial in seen)
    back, never = _recoveries(name, ran, counted)
    worst = max(back, key=lambda drill: back[drill], default="")
    outages, failed, acts = shared("outage"), shared("failed_requests"), shared("operator_acts")
    return OverallRow(
        contender=name,
        drills=planned,
        known=len({trial.drill for trial in seen}),
        availability=sum(trial.availability.ok for trial in seen) / intended if intended else None,
        outage_s=float(sum(outages)) if outages else None,
        failed_requests=round(sum(failed)),
        recovery_median_s=_median(list(back.values())),
        recovery_worst_s=back.get(worst),
        recovery_worst_drill=worst,
        never_recovered=never,
        operator_acts=round(sum(acts)) if acts else None,
        operator_s=_operator_s(mine.values()),
        scale_gain=_median([_median(repeats.values("goodput_gain")) for repeats in ran[name].values()]),
        modelled=any(trial.modelled for repeats in mine.values() for trial in repeats.trials),
    )


def _recoveries(name: str, ran: Mapping[str, Found], counted: Sequence[str]) -> tuple[dict[str, float], int]:
    """The contender's recovery times over drills that broke something of everybody's; how often it never did."""
    broken = _all_know(
        ran, lambda repeats: _broken(repeats) and _median(repeats.values("recovery_time")) is not None
    )
    mine = {
        drill: value
        for drill in broken
        if drill in counted
        and drill in ran[name]
        and (value := _median(ran[name][drill].values("recovery_time"))) is not None
    }
    back = {drill: value for drill, value in mine.items() if math.isfinite(value)}
    return back, len(mine) - len(back)


def _broken(repeats: Repeats) -> bool:
    """Whether the drill broke something of this contender's."""
    facts = repeats.facts
    return facts.fault is not None and facts.fault.applies and not facts.planned


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


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
