"""One drill of a run: its contenders side by side, its conditions and its verdict.

Called by `analysis.run`. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from breakroom.analysis.comparisons import compare
from breakroom.analysis.conditions import drill_verdict, judge
from breakroom.analysis.contenders import Repeats, contender_results
from breakroom.analysis.facts import TrialFacts
from breakroom.analysis.results import DrillResults, TrialResults
from breakroom.spec.drill import Expectation

__all__ = ["AnalysedTrial", "drill_results", "group"]


@dataclass(frozen=True, slots=True)
class AnalysedTrial:
    """A trial's facts and what was found."""

    facts: TrialFacts
    results: TrialResults


def group(
    trials: Sequence[AnalysedTrial], planned: Iterable[str], seed: int
) -> dict[str, dict[str, Repeats]]:
    """Drill → contender → its repeats, in the drill's own order of contenders.

    Args:
        trials: All analysed trials, in the order in which they ran.
        planned: Trial ids that the run was to run (`DRILL/CONTENDER/REPEAT`).
        seed: The run's.
    """
    counts: dict[str, int] = {}
    for trial_id in planned:
        contender = trial_id.rpartition("/")[0]
        counts[contender] = counts.get(contender, 0) + 1
    found: dict[str, dict[str, list[AnalysedTrial]]] = {}
    for trial in trials:
        started = trial.facts.started
        found.setdefault(started.drill, {}).setdefault(started.contender, []).append(trial)
    return {
        drill: {name: _repeats(name, by_name[name], counts, seed) for name in _order(by_name)}
        for drill, by_name in found.items()
    }


def _repeats(name: str, trials: list[AnalysedTrial], counts: dict[str, int], seed: int) -> Repeats:
    first = trials[0].facts
    planned = counts.get(f"{first.started.drill}/{name}", 0)
    return Repeats(
        name=name,
        facts=first,
        trials=tuple(trial.results for trial in trials),
        planned=max(planned, len(trials)),
        seed=seed,
    )


def _order(by_name: dict[str, list[AnalysedTrial]]) -> list[str]:
    """As the drill lists its contenders; any others behind, as they ran."""
    first = next(iter(by_name.values()))[0].facts
    listed = first.started.plan.get("contenders")
    names = (
        [one.get("name") for one in listed if isinstance(one, dict)]
        if isinstance(listed, list | tuple)
        else []
    )
    return [name for name in names if name in by_name] + [name for name in by_name if name not in names]


def drill_results(name: str, contenders: dict[str, Repeats]) -> DrillResults:
    """The drill's results."""
    plan = next(iter(contenders.values())).facts.started.plan
    same_plan = _same_plan(contenders.values())
    conditions = tuple(judge(expectation, contenders) for expectation in _expectations(plan.get("expect")))
    verdict, reasons = drill_verdict(conditions, tuple(contenders.values()), same_plan=same_plan)
    return DrillResults(
        name=name,
        title=_texts(plan.get("title")),
        description=_texts(plan.get("description")),
        contenders=tuple(contender_results(repeats) for repeats in contenders.values()),
        same_plan=same_plan,
        plan_digests={repeats.name: _digest(repeats) for repeats in contenders.values()},
        conditions=conditions,
        comparisons=compare(tuple(contenders.values())),
        verdict=verdict,
        verdict_reasons=reasons,
    )


def _texts(value: object) -> dict[str, str]:
    return {str(key): str(text) for key, text in value.items()} if isinstance(value, dict) else {}


def _expectations(value: object) -> tuple[Expectation, ...]:
    return (
        tuple(msgspec.convert(one, Expectation) for one in value) if isinstance(value, list | tuple) else ()
    )


def _digest(repeats: Repeats) -> str:
    """The shared plan's digest; over several repeats, whose seeds differ, the digest of their digests in order."""
    digests = [trial.plan.digest for trial in sorted(repeats.trials, key=lambda trial: trial.repeat)]
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _same_plan(contenders: Iterable[Repeats]) -> bool | None:
    """Whether, in each repeat, all contenders had one plan and kept to it; None if no repeat has two to compare."""
    by_repeat: dict[int, list[TrialResults]] = {}
    for repeats in contenders:
        for trial in repeats.trials:
            by_repeat.setdefault(trial.repeat, []).append(trial)
    compared = [trials for trials in by_repeat.values() if len(trials) > 1]
    if not compared:
        return None
    if any(len({trial.plan.digest for trial in trials}) > 1 for trials in compared):
        return False
    matched = [trial.plan.arrivals_matched for trials in compared for trial in trials]
    if False in matched:
        return False
    return True if all(matched) else None
