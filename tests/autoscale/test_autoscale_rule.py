"""The rule's promises: within bounds, quiet in cool-downs, more load never fewer replicas, and every case explained."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscale.simulation import SECOND
from breakroom.analysis.reasons import CODES
from breakroom.autoscale.model import Decision, Memory, Observation
from breakroom.autoscale.rule import decide
from breakroom.spec.drill import AutoscaleSpec

SPEC = AutoscaleSpec(
    capacity=120.0, target=0.7, minimum=2, maximum=6, cooldown_up=2 * SECOND, cooldown_down=10 * SECOND
)
LATENCY = AutoscaleSpec(
    metric="latency", target=0.2 * SECOND, minimum=1, maximum=8, cooldown_down=10 * SECOND
)
LATE = 1000 * SECOND


def _seen(
    replicas: int = 3,
    *,
    offered: float | None = 0.0,
    latency: float | None = None,
    serving: int | None = None,
    settled: bool = True,
    at: int = LATE,
) -> Observation:
    return Observation(
        at=at,
        replicas=replicas,
        serving=replicas if serving is None else serving,
        settled=settled,
        offered=offered,
        latency=None if latency is None else round(latency * SECOND),
    )


def _decide(spec: AutoscaleSpec, seen: Observation, memory: Memory | None = None) -> Decision:
    return decide(spec, seen, memory or Memory(replicas=seen.replicas))[0]


def _was(replicas: int, latency: float) -> Memory:
    return Memory(replicas=replicas, latency=round(latency * SECOND))


# (what is seen, memory, decided, code)
UTILISATION = {
    "above the target": (_seen(offered=310), None, 4, "scaling.up-utilisation"),
    "below the target": (_seen(5, offered=200), None, 3, "scaling.down-utilisation"),
    "just inside the tolerance": (_seen(offered=3 * 120 * 0.7 * 1.1), None, 3, "scaling.on-target"),
    "exactly four replicas' worth": (_seen(offered=4 * 120 * 0.7), None, 4, "scaling.up-utilisation"),
    "one fewer would be too few": (_seen(offered=220), None, 3, "scaling.none-to-spare"),
    "load not known": (_seen(offered=None), None, 3, "scaling.nothing-observed"),
    "more than double": (_seen(2, offered=1000), None, 4, "scaling.up-doubled"),
    "more than the maximum": (_seen(5, offered=1000), None, 6, "scaling.up-to-maximum"),
    "at the maximum": (_seen(6, offered=1000), None, 6, "scaling.at-maximum"),
    "fewer than the minimum": (_seen(3, offered=5), None, 2, "scaling.down-to-minimum"),
    "at the minimum": (_seen(2, offered=5), None, 2, "scaling.at-minimum"),
    "above the bounds": (_seen(9, offered=1000), None, 6, "scaling.outside-bounds"),
    "below the bounds": (_seen(1, offered=5), None, 2, "scaling.outside-bounds"),
    "just changed, up": (
        _seen(offered=310),
        Memory(replicas=3, changed_at=LATE - SECOND),
        3,
        "scaling.cooling-up",
    ),
    "the cool-down has just ended": (
        _seen(offered=310),
        Memory(replicas=3, changed_at=LATE - 2 * SECOND),
        4,
        "scaling.up-utilisation",
    ),
    "just changed, down": (
        _seen(4, offered=100),
        Memory(replicas=4, changed_at=LATE - 9 * SECOND),
        4,
        "scaling.cooling-down",
    ),
    "changed by somebody else": (_seen(4, offered=100), Memory(replicas=3), 4, "scaling.cooling-down"),
    "a dip": (
        _seen(4, offered=100),
        Memory(replicas=4, proposals=((LATE - 9 * SECOND, 4),)),
        4,
        "scaling.stabilising",
    ),
    "the dip has lasted": (
        _seen(4, offered=100),
        Memory(replicas=4, proposals=((LATE - 10 * SECOND, 4),)),
        2,
        "scaling.down-utilisation",
    ),
    "only as far as was asked for lately": (
        _seen(6, offered=100),
        Memory(replicas=6, proposals=((LATE - 9 * SECOND, 4),)),
        4,
        "scaling.down-stabilised",
    ),
    "a replica is missing, load low": (_seen(4, offered=100, serving=3), None, 4, "scaling.incomplete"),
    "a replica is missing, load high": (_seen(3, offered=310, serving=2), None, 4, "scaling.up-utilisation"),
    "those coming are counted": (_seen(4, offered=310, serving=3), None, 4, "scaling.on-target"),
}
BY_LATENCY = {
    "slow at first sight": (_seen(3, latency=0.5), None, 3, "scaling.first-look"),
    "slow": (_seen(3, latency=0.5), _was(3, 0.5), 5, "scaling.up-latency"),
    "slow, alone": (_seen(1, latency=0.5), _was(1, 0.1), 2, "scaling.up-latency"),
    "within the tolerance": (_seen(3, latency=0.22), None, 3, "scaling.latency-good"),
    "above half of the target": (_seen(3, latency=0.1), None, 3, "scaling.latency-good"),
    "below half of the target": (_seen(3, latency=0.099), None, 2, "scaling.down-latency"),
    "one is the least": (_seen(1, latency=0.01), None, 1, "scaling.latency-good"),
    "slow, but falling": (
        _seen(3, latency=0.5),
        _was(3, 0.6),
        3,
        "scaling.improving",
    ),
    "falling within the tolerance": (
        _seen(3, latency=0.55),
        _was(3, 0.6),
        5,
        "scaling.up-latency",
    ),
    "a scale in progress": (_seen(4, latency=0.5, serving=3, settled=False), None, 4, "scaling.unsettled"),
    "nothing answered": (_seen(3, latency=None), None, 3, "scaling.nothing-observed"),
    "tried before": (
        _seen(4, latency=0.02, offered=300),
        Memory(replicas=4, too_slow=((3, 320.0),)),
        4,
        "scaling.tried-before",
    ),
    "tried before with more replicas": (
        _seen(4, latency=0.02, offered=300),
        Memory(replicas=4, too_slow=((5, 320.0),)),
        4,
        "scaling.tried-before",
    ),
    "tried before with fewer replicas": (
        _seen(4, latency=0.02, offered=300),
        Memory(replicas=4, too_slow=((2, 320.0),)),
        3,
        "scaling.down-latency",
    ),
    "less load than when it was tried": (
        _seen(4, latency=0.02, offered=280),
        Memory(replicas=4, too_slow=((3, 320.0),)),
        3,
        "scaling.down-latency",
    ),
}
CASES = [(SPEC, name, *case) for name, case in UTILISATION.items()]
CASES += [(LATENCY, name, *case) for name, case in BY_LATENCY.items()]


@pytest.mark.parametrize(
    ("spec", "name", "seen", "memory", "decided", "code"), CASES, ids=[name for _, name, *_ in CASES]
)
def test_each_case_has_its_number_and_its_reason(
    spec: AutoscaleSpec, name: str, seen: Observation, memory: Memory | None, decided: int, code: str
) -> None:
    decision = _decide(spec, seen, memory)
    assert (decision.decided, decision.reason) == (decided, code), name
    assert set(decision.params) == set(CODES[code])


def test_every_code_of_the_table_is_one_of_these_cases() -> None:
    assert {code for *_, code in CASES} == {code for code in CODES if code.startswith("scaling.")}


def test_what_latency_was_too_slow_for_is_learned_with_the_least_load() -> None:
    memory = _was(3, 0.5)
    for offered in (400.0, 350.0, 500.0):
        _, memory = decide(LATENCY, _seen(3, latency=0.5, offered=offered), memory)
    assert memory.too_slow == ((3, 350.0),)


def test_a_number_that_somebody_else_set_begins_a_cool_down_once() -> None:
    _, memory = decide(SPEC, _seen(4, offered=100), Memory(replicas=3))
    later = _seen(4, offered=100, at=LATE + 10 * SECOND)
    assert decide(SPEC, later, memory)[0].decided == 2


# --- for all ------------------------------------------------------------------------------------------------------

COUNTS = st.integers(1, 12)
LOADS = st.floats(0, 5000)


@st.composite
def specs(draw: st.DrawFn) -> AutoscaleSpec:
    minimum = draw(st.integers(1, 6))
    metric = draw(st.sampled_from(("utilisation", "latency")))
    return AutoscaleSpec(
        metric="utilisation" if metric == "utilisation" else "latency",
        target=draw(st.floats(0.05, 1.0)) * (1 if metric == "utilisation" else SECOND),
        capacity=draw(st.floats(1, 500)),
        minimum=minimum,
        maximum=minimum + draw(st.integers(0, 8)),
        tolerance=draw(st.floats(0, 0.5)),
        cooldown_up=draw(st.integers(0, 5)) * SECOND,
        cooldown_down=draw(st.integers(0, 20)) * SECOND,
    )


@st.composite
def memories(draw: st.DrawFn, replicas: int) -> Memory:
    ages = st.integers(0, 30 * SECOND)
    return Memory(
        replicas=replicas,
        changed_at=draw(st.none() | ages.map(lambda age: LATE - age)),
        proposals=tuple(
            sorted(draw(st.lists(st.tuples(ages.map(lambda age: LATE - age), COUNTS), max_size=4)))
        ),
        too_slow=tuple(sorted(draw(st.dictionaries(COUNTS, LOADS, max_size=3)).items())),
        latency=draw(st.none() | st.integers(1, 3 * SECOND)),
    )


@st.composite
def situations(draw: st.DrawFn) -> tuple[AutoscaleSpec, Observation, Memory]:
    spec = draw(specs())
    replicas = draw(COUNTS)
    seen = _seen(
        replicas,
        offered=draw(st.none() | LOADS),
        latency=draw(st.none() | st.floats(0.001, 5)),
        serving=draw(st.integers(0, replicas + 2)),
        settled=draw(st.booleans()),
    )
    return spec, seen, draw(memories(replicas))


@settings(deadline=None)
@given(situations())
def test_a_change_stays_within_the_bounds_and_at_most_doubles(
    situation: tuple[AutoscaleSpec, Observation, Memory],
) -> None:
    spec, seen, memory = situation
    decision = _decide(spec, seen, memory)
    assert spec.minimum <= decision.decided <= spec.maximum
    if spec.minimum <= seen.replicas:
        assert decision.decided <= 2 * seen.replicas


@settings(deadline=None)
@given(situations())
def test_nothing_changes_in_a_cool_down_but_what_is_outside_of_the_bounds(
    situation: tuple[AutoscaleSpec, Observation, Memory],
) -> None:
    spec, seen, memory = situation
    decision = _decide(spec, seen, memory)
    if memory.changed_at is None or decision.reason == "scaling.outside-bounds":
        return
    age = seen.at - memory.changed_at
    assert decision.decision != "up" or age >= spec.cooldown_up
    assert decision.decision != "down" or age >= spec.cooldown_down


@settings(deadline=None)
@given(situations(), LOADS, st.floats(0, 5))
def test_more_load_and_more_latency_never_lead_to_fewer_replicas(
    situation: tuple[AutoscaleSpec, Observation, Memory], more: float, slower: float
) -> None:
    spec, seen, memory = situation
    if seen.offered is None or seen.latency is None:
        return
    heavier = _seen(
        seen.replicas,
        offered=seen.offered + more,
        latency=seen.latency / SECOND + slower,
        serving=seen.serving,
        settled=seen.settled,
    )
    assert _decide(spec, heavier, memory).decided >= _decide(spec, seen, memory).decided


@settings(deadline=None)
@given(situations())
def test_every_decision_has_a_sentence_with_all_of_its_parameters(
    situation: tuple[AutoscaleSpec, Observation, Memory],
) -> None:
    spec, seen, memory = situation
    decision = _decide(spec, seen, memory)
    assert set(decision.params) == set(CODES[decision.reason])
    word = "up" if decision.decided > seen.replicas else "down"
    assert decision.decision == (word if decision.decided != seen.replicas else "hold")


@settings(deadline=None)
@given(situations())
def test_nothing_is_taken_away_while_a_replica_is_missing(
    situation: tuple[AutoscaleSpec, Observation, Memory],
) -> None:
    spec, seen, memory = situation
    decision = _decide(spec, seen, memory)
    if seen.serving < seen.replicas and decision.reason != "scaling.outside-bounds":
        assert decision.decided >= seen.replicas
