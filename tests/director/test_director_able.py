"""What a platform cannot do is known before a trial begins; what it does not run is left out of the plan."""

from __future__ import annotations

from dataclasses import replace

import pytest

from breakroom.director.able import why_impossible
from breakroom.director.plan import PlanError, expected_ns, longest_ns, only_runnable, plan_run
from breakroom.spec.drill import DrainStep, Drill, KillStep, NetworkStep, PartitionStep, PauseStep, Step
from breakroom.spec.drill_shapes import action_of
from breakroom.spec.drill_steps import needs
from breakroom.spec.loader import load_drill

SECOND = 1_000_000_000


def _drill(*steps: Step) -> Drill:
    return replace(load_drill("kill", pace="quick", env={}), timeline=steps)


def _why(step: Step, cannot: dict[str, str], contender: str = "orchestrated") -> str:
    drill = _drill(KillStep(), step)
    chosen = next(one for one in drill.contenders if one.name == contender)
    return why_impossible(drill, chosen, cannot)


def test_a_step_that_the_platform_cannot_do_is_named_with_the_reason() -> None:
    assert _why(DrainStep(), {"drain": "one node"}) == "drain: one node"
    assert _why(DrainStep(), {}) == ""
    assert _why(PauseStep(), {"drain": "one node"}) == ""


def test_a_part_of_an_action_can_be_missing_alone() -> None:
    cannot = {"network.loss": "no netem", "partition.node": "one node"}
    assert _why(NetworkStep(delay=1), cannot) == ""
    assert _why(NetworkStep(delay=1, loss=0.1), cannot) == "network.loss: no netem"
    assert _why(PartitionStep(), cannot) == ""
    assert _why(PartitionStep(node="worker"), cannot) == "partition.node: one node"


def test_no_node_can_be_taken_from_a_container() -> None:
    assert _why(DrainStep(), {}, "single").startswith("drain: a contender that runs as a container")
    assert _why(PartitionStep(), {}, "single") == ""


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (KillStep(), ("kill",)),
        (KillStep(match="node"), ("kill", "kill.match")),
        (NetworkStep(rate=1, corrupt=0.1), ("network", "network.corrupt", "network.rate")),
        (PartitionStep(), ("partition", "partition.tasks")),
    ],
)
def test_needs_go_from_coarse_to_fine(step: Step, words: tuple[str, ...]) -> None:
    assert needs(action_of(step), step) == words


def test_contenders_that_the_platform_does_not_run_are_left_out_with_their_conditions() -> None:
    plan = plan_run((_drill(KillStep()),), platform="docker", pace="quick", seed=1, repeat=2, contenders=())
    narrowed = only_runnable(plan, frozenset({"container"}))
    assert [trial.id for trial in narrowed.trials] == [
        f"kill/{name}/{repeat}" for repeat in (1, 2) for name in ("single", "single-restart")
    ]
    assert [(one.contender, one.runs_as) for one in narrowed.left_out] == [("orchestrated", "service")]
    assert {condition.contender for condition in narrowed.drills[0].expect} == {"single", "single-restart"}
    assert only_runnable(plan, frozenset({"container", "service"})) == plan


def test_a_plan_of_which_nothing_can_be_run_is_refused() -> None:
    plan = plan_run(
        (_drill(KillStep()),),
        platform="docker",
        pace="quick",
        seed=1,
        repeat=1,
        contenders=("orchestrated",),
    )
    with pytest.raises(PlanError, match=r"orchestrated \(a service\).*a container"):
        only_runnable(plan, frozenset({"container"}))


def test_the_time_of_a_fault_counts_for_the_trials_length() -> None:
    short = plan_run(
        (_drill(PauseStep(lasts=SECOND)),), platform="x", pace="quick", seed=1, repeat=1, contenders=()
    )
    long = plan_run(
        (_drill(PauseStep(lasts=9 * SECOND)),), platform="x", pace="quick", seed=1, repeat=1, contenders=()
    )
    for measure in (expected_ns, longest_ns):
        assert measure(long.trials[0]) - measure(short.trials[0]) == 8 * SECOND
