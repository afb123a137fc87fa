"""Decisions of the autoscaler become findings with a sentence, in both languages."""

from __future__ import annotations

import pytest

from breakroom.analysis.decisions import scaling_decisions
from breakroom.autoscale.model import Memory, Observation
from breakroom.autoscale.rule import decide
from breakroom.i18n import Language, translator
from breakroom.journal.records import ScalingDecided
from breakroom.spec.drill import AutoscaleSpec

SECOND = 1_000_000_000


def _record(t: int, offered: float, replicas: int) -> ScalingDecided:
    """A record as the rule itself decides."""
    spec = AutoscaleSpec(capacity=120.0, minimum=2, maximum=6)
    seen = Observation(at=t, replicas=replicas, serving=replicas, settled=True, offered=offered, latency=None)
    made, _ = decide(spec, seen, Memory(replicas=replicas))
    return ScalingDecided(
        t=t,
        trial="d/c/1",
        metric=spec.metric,
        observed=made.observed,
        target=spec.target,
        replicas=replicas,
        proposed=made.proposed,
        decided=made.decided,
        decision=made.decision,
        reason=made.reason,
        params=made.params,
    )


def test_decisions_are_in_the_order_of_time_and_count_from_zero() -> None:
    records = [_record(12 * SECOND, 310, 4), _record(11 * SECOND, 310, 3)]
    found = scaling_decisions(records, lambda t: (t - 10 * SECOND) / SECOND)
    assert [(one.at_s, one.replicas, one.decided, one.decision) for one in found] == [
        (1.0, 3, 4, "up"),
        (2.0, 4, 4, "hold"),
    ]
    assert found[0].observed == pytest.approx(310 / 360)
    assert not found[0].dry_run


@pytest.mark.parametrize(
    ("lang", "sentence"),
    [
        (
            "en",
            "A load of 310/s over 3 replicas of 120/s each is 86.1% of capacity, above the target of 70.0%: 3 → 4.",
        ),
        (
            "ko",
            "부하 310/초: 복제본 3개(개당 120/초) 용량의 86.1%라서 목표 70.0%보다 높습니다. 3개 → 4개로 늘립니다.",
        ),
    ],
)
def test_a_decision_explains_itself(lang: Language, sentence: str) -> None:
    (found,) = scaling_decisions([_record(0, 310, 3)], lambda t: t / SECOND)
    assert translator(lang).reason(found.reason) == sentence


def test_a_decision_of_another_version_is_kept() -> None:
    record = _record(0, 310, 3)
    strange = ScalingDecided(
        **{name: getattr(record, name) for name in record.__struct_fields__} | {"reason": "scaling.moon"}
    )
    (found,) = scaling_decisions([strange], lambda t: t / SECOND)
    assert found.reason.code == "scaling.moon"
