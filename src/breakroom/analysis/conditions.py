"""A drill's `expect` conditions, each judged on the median over the repeats; and the drill's verdict.

Called by `analysis.drills`. Pure. *Unknown* is never rounded: where some trials do not know the value, the
condition is judged with those taken as small and as large as can be, and has a verdict only if both agree.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from breakroom.analysis.contenders import Repeats
from breakroom.analysis.reasons import reason
from breakroom.analysis.results import Condition, Reason, Verdict
from breakroom.spec.drill import METRICS, Expectation

__all__ = ["drill_verdict", "holds", "judge", "judge_values"]

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_NS = 1e9


def judge(expectation: Expectation, contenders: Mapping[str, Repeats]) -> Condition:
    """Judge one condition. Its `value` is in seconds where the metric is a duration."""
    repeats = contenders.get(expectation.contender)
    if repeats is None:
        why = reason("condition.no-trial", contender=expectation.contender)
        return _condition(expectation, None, "unknown", why)
    duration = METRICS.get(expectation.metric) == "duration"
    limit = expectation.value / _NS if duration else expectation.value
    values = repeats.values(expectation.metric)
    verdict = judge_values(values, expectation.op, limit, repeats.own(expectation.metric))
    known = [value for value in values if value is not None]
    median = float(np.median(known)) if known else None
    resolution = repeats.resolution(expectation.metric)
    why_not = _why(expectation, repeats, values, median, limit, resolution)
    if verdict == "unknown" and None not in values:
        own = max(repeats.own(expectation.metric), default=0.0)
        why_not = reason("condition.own-lag", metric=expectation.metric, own_s=own)
    shown = median if median is not None and math.isfinite(median) else None
    return _condition(expectation, shown, verdict, why_not)


def judge_values(values: Sequence[float | None], op: str, limit: float, own: Sequence[float] = ()) -> Verdict:
    """The verdict on the median, with unknown values taken both as the least and as the greatest.

    Args:
        values: One a trial.
        op: How they are compared.
        limit: With what.
        own: By how much each may be too high; empty: by nothing.
    """
    if not any(value is not None for value in values):
        return "unknown"
    too_high = own or (0.0,) * len(values)
    low = [-math.inf if value is None else value - less for value, less in zip(values, too_high, strict=True)]
    high = [math.inf if value is None else value for value in values]
    outcomes = {holds(_median(low), op, limit), holds(_median(high), op, limit)}
    if len(outcomes) > 1:
        return "unknown"
    # Between two extremes on one side of the limit everything is on that side, but for equality: there the
    # extremes differ from the limit whatever lies between.
    if op in {"==", "!="} and _median(low) != _median(high):
        return "unknown" if _median(low) <= limit <= _median(high) else _verdict(op == "!=")
    return _verdict(outcomes.pop())


def holds(value: float, op: str, limit: float) -> bool:
    """Whether `value op limit`."""
    return _OPERATORS[op](value, limit)


def _median(values: Sequence[float]) -> float:
    """The median; of two middles that are opposite infinities, the one that is farther from any verdict."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    low, high = ordered[middle - 1], ordered[middle]
    return low if math.isinf(low) else high if math.isinf(high) else (low + high) / 2


def _verdict(met: bool) -> Verdict:
    return "met" if met else "not met"


def _why(
    expectation: Expectation,
    repeats: Repeats,
    values: Sequence[float | None],
    median: float | None,
    limit: float,
    resolution: float | None,
) -> Reason | None:
    """What a reader must know beside the verdict, the gravest first."""
    known = sum(value is not None for value in values)
    untrusted = sum(bool(trial.reasons_unknown) for trial in repeats.trials)
    if known < len(values):
        skipped = _skipped(repeats)
        if skipped is not None:
            return reason("condition.skipped", contender=expectation.contender, message=skipped)
        if untrusted:
            return reason(
                "condition.untrusted", contender=expectation.contender, unknown=untrusted, of=len(values)
            )
        return reason("condition.not-measured", metric=expectation.metric, known=known, of=len(values))
    if median is not None and math.isinf(median):
        return reason("condition.never", metric=expectation.metric)
    close = median is not None and resolution is not None and 0 < abs(median - limit) < resolution
    if close and METRICS.get(expectation.metric) != "count":
        return reason("condition.within-resolution", metric=expectation.metric, resolution=resolution)
    return None


def _skipped(repeats: Repeats) -> str | None:
    """Why the contender's trials were skipped; None if they were not (one platform skips all of them, or none)."""
    reasons = [why for trial in repeats.trials for why in trial.reasons_unknown]
    return next((str(why.params["message"]) for why in reasons if why.code == "unknown.skipped"), None)


def _condition(
    expectation: Expectation, value: float | None, verdict: Verdict, why: Reason | None
) -> Condition:
    return Condition(
        text=expectation.text,
        contender=expectation.contender,
        metric=expectation.metric,
        value=value,
        verdict=verdict,
        reason=why,
    )


def drill_verdict(
    conditions: Sequence[Condition], contenders: Sequence[Repeats], *, same_plan: bool | None
) -> tuple[Verdict, tuple[Reason, ...]]:
    """*Not met* if any condition is not; else *unknown* if anything is; else *met*."""
    violated = [condition for condition in conditions if condition.verdict == "not met"]
    if violated:
        return "not met", tuple(
            reason("verdict.condition-not-met", text=condition.text, value=condition.value)
            for condition in violated
        )
    doubts = [
        reason("verdict.condition-unknown", text=condition.text)
        for condition in conditions
        if condition.verdict == "unknown"
    ]
    doubts += [doubt for repeats in contenders for doubt in _doubts(repeats)]
    if same_plan is not True and len(contenders) > 1:
        doubts.append(reason("verdict.plans-differ" if same_plan is False else "verdict.plans-unknown"))
    if doubts:
        return "unknown", tuple(doubts)
    if not conditions:
        return "met", (reason("verdict.no-conditions"),)
    return "met", (reason("verdict.all-met", conditions=len(conditions)),)


def _doubts(repeats: Repeats) -> list[Reason]:
    """A contender of which not one planned trial can be trusted makes the comparison unknown."""
    untrusted = sum(bool(trial.reasons_unknown) for trial in repeats.trials)
    if len(repeats.trials) - untrusted > 0:
        return []
    skipped = _skipped(repeats)
    if skipped is not None:
        return [reason("verdict.trials-skipped", contender=repeats.name, message=skipped)]
    if untrusted:
        return [
            reason(
                "verdict.trials-unknown", contender=repeats.name, unknown=untrusted, of=len(repeats.trials)
            )
        ]
    return [reason("verdict.trials-missing", contender=repeats.name, known=0, of=repeats.planned)]
