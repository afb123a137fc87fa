"""What counts as the fault, how many replicas are wanted over time, and where *before* begins."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.conftest import Scene, TrialScene, at, facts_of, observed, probes, results_of
from breakroom.analysis.results import TrialResults
from breakroom.analysis.wanted import beside, value_at
from breakroom.journal.records import ActionChanged, TaskStats, UpdateChanged
from breakroom.journal.samples import Outcome
from breakroom.spec.drill import LoadSpec

END = 8_000.0


def _phases(results: TrialResults) -> dict[str, float | None]:
    return {phase.name: phase.at_s for phase in results.recovery}


def test_the_loads_begin_is_no_fault_beside_another_action(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    trial = observed(scene)
    trial.action(-1, "load-1", "load")
    trial.action(2_000, "step-1", "pause", tasks=("t2",))
    facts = facts_of(scene)
    assert [fault.action.kind for fault in facts.faults] == ["pause"]
    assert facts.zero == at(2_001)


def test_the_loads_begin_is_the_zero_of_a_drill_that_does_nothing_else(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    observed(scene).action(1_000, "load-1", "load")
    facts = facts_of(scene)
    assert (facts.zero, facts.planned) == (at(1_001), True)
    assert results_of(scene).reasons_unknown == ()


def test_an_act_that_a_contender_does_not_have_makes_nothing_unknown(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    trial = observed(scene, runs_as="container", replicas=1)
    trial.inapplicable(500, "step-1", "scale", replicas=6)
    results = results_of(scene)
    assert results.reasons_unknown == ()
    assert results.fault_proved is None
    assert (results.recovery_time_s, results.time_to_full_capacity_s) == (0.0, 0.0)
    facts = facts_of(scene)
    assert (facts.zero, facts.wanted_at(at(1_000))) == (at(500), 1)
    assert [(fault.applies, fault.action.tasks, fault.refuted) for fault in facts.faults] == [
        (False, (), False)
    ]


def test_an_unproved_scale_is_unknown_as_an_unproved_fault_is(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    observed(scene).action(0, "step-1", "scale", proved=False, replicas=6)
    results = results_of(scene)
    assert [why.code for why in results.reasons_unknown] == ["unknown.fault-unproved"]
    assert results.fault_proved is False


def test_the_wanted_number_follows_scaling_by_drill_and_autoscaler_and_what_a_rollback_brings_back(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path)
    trial = observed(scene)
    trial.action(0, "step-1", "scale", replicas=6)
    trial.action(1_000, "autoscaler-1", "scale", by="autoscaler", replicas=4)
    trial.action(2_000, "step-2", "scale", stage="failed", replicas=9)
    trial.action(3_000, "step-3", "rollback")
    trial.add(UpdateChanged, 3_005, service="web", state="rollback_started", message="")
    facts = facts_of(scene)
    assert facts.wanted_steps == ((at(-5_000), 3), (at(0), 6), (at(1_000), 4), (at(3_005), 6))
    assert [facts.wanted_at(at(ms)) for ms in (-9_000, -1, 0, 2_500, 4_000)] == [3, 3, 6, 4, 6]
    assert facts.wanted == 3
    assert facts.acts == ()


def test_a_rollback_after_an_update_keeps_the_number_of_replicas(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    trial = observed(scene)
    trial.action(0, "step-1", "scale", replicas=6)
    trial.action(1_000, "step-2", "update")
    trial.add(UpdateChanged, 2_000, service="web", state="rollback_started", message="")
    assert facts_of(scene).wanted_at(at(3_000)) == 6


def test_full_capacity_after_a_scale_up_is_when_the_new_number_is_reached(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    trial = observed(scene)
    trial.action(0, "step-1", "scale", replicas=5)
    for number, ms in ((4, 300), (5, 700)):
        trial.task(50, f"t{number}", number, "new")
        trial.task(ms, f"t{number}", number, "running", pid=9)
        trial.enters(ms, f"t{number}")
    results = results_of(scene)
    assert results.time_to_full_capacity_s == pytest.approx(0.699)
    phases = _phases(results)
    assert {phases[name] for name in ("detected", "replaced", "running", "in_rotation")} == {None}


def test_a_kill_for_memory_counts_from_the_kill_and_not_from_the_waiting_for_it(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    samples = probes(-4_003, END)
    for sample in samples:
        if 5_000 <= sample.intended < 5_050:
            sample.outcome = Outcome.RESET
    trial = observed(scene, samples)
    action = {"action": "step-1", "kind": "oom", "by": "timeline"}
    trial.add(ActionChanged, 0, stage="intended", detail={"oom_kills_before": 3}, **action)
    trial.add(ActionChanged, 1, stage="done", **action)
    # Another replica of the same slot had come and gone long before: no replacement of the one that was killed.
    trial.task(1_000, "t9", 2, "new")
    trial.task(1_100, "t9", 2, "shutdown")
    trial.task(5_000, "t2", 2, "failed", exit_code=137, oom_killed=True)
    trial.leaves(5_000, "t2")
    trial.task(5_010, "t4", 2, "new")
    trial.task(5_300, "t4", 2, "running", pid=4)
    trial.enters(5_300, "t4")
    trial.add(
        ActionChanged,
        5_020,
        stage="proved",
        proved_t=at(5_000),
        tasks=("t2",),
        detail={"oom_kills_after": 4},
        **action,
    )
    (fault,) = facts_of(scene).faults
    assert (fault.effect, fault.since, fault.hits_from) == (at(5_000), at(4_000), at(4_000))
    assert fault.action.detail == {"oom_kills_before": 3, "oom_kills_after": 4}
    results = results_of(scene)
    phases = _phases(results)
    assert phases["replaced"] == pytest.approx(0.010)
    assert phases["full_capacity"] == pytest.approx(0.3)
    assert results.recovery_time_s == pytest.approx(0.057)


def test_a_request_that_made_an_app_ill_is_in_force_until_its_task_is_gone(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    trial = observed(scene)
    trial.action(0, "step-1", "request", tasks=("t2",))
    assert facts_of(scene).in_force_until(at(END)) == at(END)
    trial.task(3_000, "t2", 2, "failed")
    assert facts_of(scene).in_force_until(at(END)) == at(3_000)


def _load(trial: TrialScene, begin: float) -> None:
    trial.load = LoadSpec(model="open", rate=50)
    samples = probes(begin, END, 20.0)
    trial.stream("load", samples, opened=begin, closed=END + 40)


@pytest.mark.parametrize(
    ("begin", "before"),
    [
        (-3_503.0, 500),  # there for the whole of the steady state: 3.005 s before the window, 2 s in it
        (1_000.0, 100),  # it began in the window: from then until the fault at 2 s
        (4_000.0, 500),  # it began after the fault and says nothing on the time before it
    ],
)
def test_before_the_fault_is_with_the_load_that_was_on_then(
    tmp_path: Path, begin: float, before: int
) -> None:
    scene = Scene(tmp_path)
    trial = observed(scene)
    _load(trial, begin)
    trial.action(2_000, "step-1", "pause", tasks=("t2",))
    (row,) = (
        row
        for row in results_of(scene).latency
        if (row.stream, row.period, row.which) == ("probe", "before", "ok")
    )
    # A probe every 10 ms; the last one was still in flight at the fault.
    assert row.count == pytest.approx(before, abs=1)


def test_memory_of_a_replica_is_kept_with_the_facts(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    observed(scene).stats(5, "t1", 100, 200)
    assert [type(record) for record in facts_of(scene).stats] == [TaskStats]


@given(
    inside=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), min_size=1, max_size=8),
    wanted=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), min_size=1, max_size=8),
    t=st.integers(0, 60),
)
def test_two_lines_side_by_side_say_at_each_moment_what_each_says(
    inside: list[tuple[int, int]], wanted: list[tuple[int, int]], t: int
) -> None:
    one = tuple(sorted(dict(inside).items()))
    two = tuple(sorted(dict(wanted).items()))
    both = [step for step in beside(one, two) if step[0] <= t]
    has, wants = value_at(one, t), value_at(two, t)
    if has is None or wants is None:
        assert both == []
    else:
        assert both[-1][1:] == (has, wants)
