"""The order of trials, and what cannot be planned."""

from __future__ import annotations

from dataclasses import replace

import pytest

from breakroom.director.plan import PlanError, batches, expected_ns, plan_run
from breakroom.spec.drill import Contender, Drill, Expectation, KillStep, OperatorModel
from breakroom.spec.service import Port, ServiceSpec

SECOND = 1_000_000_000
SERVICE = ServiceSpec(name="web", command=("true",), ports=(Port(target=3000),))


def _drill(name: str = "kill") -> Drill:
    return Drill(
        name=name,
        pace="quick",
        timeline=(KillStep(at=SECOND),),
        contenders=(
            Contender(
                name="single",
                runs_as="container",
                service=SERVICE,
                operator=OperatorModel(reacts_after=8 * SECOND),
            ),
            Contender(name="orchestrated", runs_as="service", service=SERVICE),
        ),
    )


def _ids(*, repeat: int = 1, contenders: tuple[str, ...] = (), drills: tuple[Drill, ...]) -> list[str]:
    plan = plan_run(drills, platform="local", pace="quick", seed=7, repeat=repeat, contenders=contenders)
    return [trial.id for trial in plan.trials]


def test_contenders_alternate_within_a_repeat() -> None:
    assert _ids(repeat=2, drills=(_drill(),)) == [
        "kill/single/1",
        "kill/orchestrated/1",
        "kill/single/2",
        "kill/orchestrated/2",
    ]


def test_contenders_of_one_repeat_share_a_seed_and_repeats_differ() -> None:
    plan = plan_run((_drill(),), platform="local", pace="quick", seed=7, repeat=2, contenders=())
    assert [trial.seed for trial in plan.trials] == [8, 8, 9, 9]


def test_only_the_named_contenders_run() -> None:
    assert _ids(contenders=("single",), drills=(_drill(),)) == ["kill/single/1"]


def test_conditions_about_contenders_that_do_not_run_are_not_asked() -> None:
    condition = Expectation(
        contender="single", metric="outage", op="<", value=1.0, text="single.outage < 1ns"
    )
    drill = replace(_drill(), expect=(condition,))
    for name, asked in [("single", 1), ("orchestrated", 0)]:
        plan = plan_run((drill,), platform="local", pace="quick", seed=1, repeat=1, contenders=(name,))
        assert [len(trial.drill.expect) for trial in plan.trials] == [asked]


def test_an_unknown_contender_is_refused_with_the_known_ones() -> None:
    with pytest.raises(PlanError, match="'swarm'; there are: orchestrated, single"):
        _ids(contenders=("swarm",), drills=(_drill(),))


def test_a_drill_given_twice_is_refused() -> None:
    with pytest.raises(PlanError, match="more than once"):
        _ids(drills=(_drill(), _drill()))


def test_the_expected_time_holds_the_operators_reaction() -> None:
    plan = plan_run((_drill(),), platform="local", pace="quick", seed=1, repeat=1, contenders=())
    single, orchestrated = plan.trials
    assert expected_ns(single) - expected_ns(orchestrated) == (8 - 5) * SECOND


def _batches(drill: Drill, *, repeat: int = 1, one_by_one: bool = False) -> list[list[str]]:
    plan = plan_run(
        (drill,), platform="local", pace="quick", seed=7, repeat=repeat, contenders=(), one_by_one=one_by_one
    )
    return [[trial.id for trial in batch] for batch in batches(plan)]


def test_contenders_of_a_repeat_run_side_by_side_where_the_drill_allows_it() -> None:
    beside = replace(_drill(), side_by_side=True)
    first, second = ["kill/single/1", "kill/orchestrated/1"], ["kill/single/2", "kill/orchestrated/2"]
    assert _batches(beside, repeat=2) == [first, second]
    assert _batches(beside, one_by_one=True) == [[first[0]], [first[1]]]
    assert _batches(_drill()) == [[first[0]], [first[1]]]


def _beside(published: int, other: int) -> Drill:
    first, second = _drill().contenders
    return replace(
        _drill(),
        side_by_side=True,
        contenders=(
            replace(first, service=replace(SERVICE, ports=(Port(target=3000, published=published),))),
            replace(second, service=replace(SERVICE, ports=(Port(target=3000, published=other),))),
        ),
    )


@pytest.mark.parametrize(
    ("published", "other", "sizes"), [(0, 0, [2]), (8080, 8081, [2]), (8080, 0, [2]), (8080, 8080, [1, 1])]
)
def test_contenders_that_publish_the_same_port_do_not_run_side_by_side(
    published: int, other: int, sizes: list[int]
) -> None:
    drill = _beside(published, other)
    plan = plan_run((drill,), platform="local", pace="quick", seed=1, repeat=1, contenders=())
    assert [len(batch) for batch in batches(plan)] == sizes
    assert all(trial.drill.side_by_side == (sizes == [2]) for trial in plan.trials)
