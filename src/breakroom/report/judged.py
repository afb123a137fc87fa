"""What was judged, as texts: conditions, claims of the course, and differences between contenders.

Called by `report.view`. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from breakroom.analysis.results import Comparison, Condition, DrillResults, RunResults, Verdict
from breakroom.i18n import Translator
from breakroom.i18n.terms import METRIC_KINDS
from breakroom.report.comparison import marked

__all__ = [
    "SYMBOLS",
    "ClaimView",
    "ConditionView",
    "Shown",
    "claim_views",
    "condition_view",
    "differences",
    "shown",
]

Shown = Verdict | Literal["impossible"]
"""A verdict as it is shown: a drill that nobody asked for and the platform cannot play is none of the three."""

SYMBOLS: dict[str, str] = {"met": "✓", "not met": "✗", "unknown": "?", "impossible": "–"}  # noqa: RUF001  # a dash, as for numbers that are not there


def shown(drill: DrillResults) -> Shown:
    """The drill's verdict as it is shown."""
    return drill.verdict if drill.counts else "impossible"


@dataclass(frozen=True, slots=True)
class ConditionView:
    """One `expect` condition with its value."""

    text: str
    value: str
    verdict: Verdict
    word: str
    reason: str


@dataclass(frozen=True, slots=True)
class ClaimView:
    """One claim of the course."""

    text: str
    value: str
    verdict: Verdict
    word: str
    reason: str
    modelled: bool


KEY_METRICS = frozenset(
    {
        "availability",
        "outage",
        "recovery_time",
        "time_to_full_capacity",
        "capacity_kept",
        "failed_requests",
    }
)
"""Whose differences are told in sentences; all of them stand in a table."""


def condition_view(condition: Condition, drill: DrillResults, t: Translator) -> ConditionView:
    """A condition with its value and verdict."""
    modelled = condition.value is not None and _modelled(drill, condition.metric, condition.contender)
    return ConditionView(
        text=condition.text,
        value=marked(t.metric_value(condition.metric, condition.value), t, modelled=modelled),
        verdict=condition.verdict,
        word=t.label("verdict", condition.verdict),
        reason=t.reason(condition.reason) if condition.reason else "",
    )


def _modelled(drill: DrillResults, metric: str, *names: str) -> bool:
    """Whether an operator model's time is in the metric of any of the contenders."""
    spreads = [one.metrics.get(metric) for one in drill.contenders if one.name in names]
    return any(spread is not None and spread.modelled for spread in spreads)


def differences(drill: DrillResults, t: Translator) -> tuple[str, ...]:
    """Differences on the key metrics that are, or are not, larger than the noise between repeats."""
    sentences = []
    for comparison in drill.comparisons:
        if comparison.beyond_noise is None or comparison.metric not in KEY_METRICS:
            continue
        values = _difference_values(comparison, drill, t)
        if comparison.beyond_noise:
            sentence = t.say(
                "{metric:metric}: {better} is better than {worse} by {difference} (95% interval {low} to {high}).",
                **values,
            )
        else:
            sentence = t.say(
                "{metric:metric}: {better} and {worse} differ by {difference}, no more than the "
                "runs differ among themselves or the measurement can tell apart.",
                **values,
            )
        sentences.append(sentence)
    return tuple(sentences)


def _difference_values(comparison: Comparison, drill: DrillResults, t: Translator) -> dict[str, str]:
    metric = comparison.metric
    modelled = _modelled(drill, metric, comparison.better, comparison.worse)
    difference = t.metric_value(metric, abs(comparison.difference))
    if METRIC_KINDS.get(metric) == "ratio":
        # 28 % and 90 % differ by 62 points: "62 % better" would be another number.
        difference = t.say("{points} percentage points", points=difference.removesuffix("%"))
    return {
        "metric": metric,
        "better": comparison.better,
        "worse": comparison.worse,
        "difference": marked(difference, t, modelled=modelled),
        "low": t.metric_value(metric, comparison.ci95_low),
        "high": t.metric_value(metric, comparison.ci95_high),
    }


def claim_views(results: RunResults, t: Translator) -> tuple[ClaimView, ...]:
    """Every claim of the course in its order; those that rest on the operator model after all that were measured."""
    return tuple(
        ClaimView(
            text=t.label("claim", claim.code),
            value=_claim_value(claim.code, claim.value, t),
            verdict=claim.verdict,
            word=t.label("verdict", claim.verdict),
            reason=t.reason(claim.reason),
            modelled=claim.modelled,
        )
        for claim in sorted(results.claims, key=lambda claim: claim.modelled)
    )


def _claim_value(code: str, value: float | None, t: Translator) -> str:
    return t.duration(value) if code in DURATION_CLAIMS else t.ratio(value)


DURATION_CLAIMS = frozenset({"manual-recovery-5-to-10-min", "automatic-within-30-s"})
