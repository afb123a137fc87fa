"""Findings on faults that stay in force: how long *during* lasts, what was a detection, and what is explained."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.conftest import Sample, Scene, TrialScene, at, probes
from breakroom.analysis.facts import TrialFacts, trial_facts
from breakroom.analysis.results import TrialResults
from breakroom.analysis.run import analyse
from breakroom.journal.records import ActionChanged, StreamClosed
from breakroom.journal.samples import Outcome

END = 8_000.0


def _fault(trial: TrialScene, kind: str, undone: float | None, **detail: object) -> None:
    action = {"action": "step-1", "kind": kind, "by": "timeline", "tasks": ("t2",), "detail": dict(detail)}
    trial.add(ActionChanged, -1, stage="intended", **action)
    trial.add(ActionChanged, 0, stage="done", **action)
    trial.add(ActionChanged, 1, stage="proved", proved_t=at(0), **action)
    if undone is not None:
        trial.add(ActionChanged, undone, stage="undone", **action)


def _trial(
    scene: Scene,
    samples: list[Sample],
    *,
    kind: str = "network",
    undone: float | None = 4_000,
    **detail: object,
) -> TrialScene:
    """Three replicas; a fault on t2 from 0 on; observed until END, when the clean-up takes all out of rotation."""
    trial = scene.trial("orchestrated")
    trial.start(-5_000)
    for slot in (1, 2, 3):
        trial.running(-4_900, f"t{slot}", slot)
    trial.stream("probe", samples, opened=-4_003, closed=None)
    trial.phase(-4_000, "steadying")
    trial.phase(-5, "faulting")
    _fault(trial, kind, undone, **detail)
    trial.phase(7, "recovering")
    trial.phase(END, "undoing")
    for slot in (1, 2, 3):
        trial.leaves(END + 20, f"t{slot}")
    count = len(samples)
    trial.add(StreamClosed, END + 30, stream="probe", intended=count, sent=count, completed=count)
    trial.end(END + 100)
    return trial


def _results(scene: Scene) -> TrialResults:
    (trial,) = analyse(scene.journal()).trials
    return trial


def _facts(scene: Scene) -> TrialFacts:
    facts = trial_facts(record for record in scene.journal().records if record.trial)
    assert facts is not None
    return facts


def _delayed() -> list[Sample]:
    samples = probes(-4_003, END)
    for sample in samples:
        if 0 < sample.intended < 4_000:
            sample.latency = 200.0
    return samples


def test_during_lasts_as_long_as_the_fault_although_no_request_fails(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    _trial(scene, _delayed())
    found = {(row.period, row.which): row for row in _results(scene).latency if row.stream == "probe"}
    assert found["during", "ok"].p50_s == pytest.approx(0.2)
    assert found["before", "ok"].p99_s == pytest.approx(0.005)
    assert found["after", "ok"].p99_s == pytest.approx(0.005)


def test_a_fault_without_an_end_is_in_force_until_observation_is_over(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    _trial(scene, _delayed(), undone=None)
    assert _facts(scene).in_force_until(at(END)) == at(END)


def test_a_fault_ends_with_the_tasks_that_it_hit_unless_it_is_on_all_to_come(tmp_path: Path) -> None:
    for every, end in ((False, at(1_000)), (True, at(4_000))):
        scene = Scene(tmp_path)
        trial = _trial(scene, _delayed(), every=every)
        trial.task(1_000, "t2", 2, "failed", exit_code=137, signal=9)
        assert _facts(scene).in_force_until(at(END)) == end


def test_a_kill_is_not_in_force(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    _trial(scene, _delayed(), kind="kill", undone=None)
    assert _facts(scene).in_force_until(at(END)) is None


def test_the_clean_up_is_neither_a_detection_nor_a_cut(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    _trial(scene, _delayed())
    found = _results(scene)
    assert {phase.name: phase.at_s for phase in found.recovery}["detected"] is None
    assert found.cut.open_on_target is None


def test_a_new_task_of_the_slot_is_a_detection_though_the_old_one_was_seen_given_up_later(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path)
    trial = _trial(scene, _delayed(), kind="node_loss")
    trial.task(2_000, "t4", 2, "new", desired="ready")
    trial.leaves(2_250, "t2")
    trial.task(2_250, "t2", 2, "shutdown", desired="shutdown")
    moments = {phase.name: phase.at_s for phase in _results(scene).recovery}
    assert moments["detected"] == moments["replaced"] == pytest.approx(2.0)


def test_what_only_the_end_of_the_fault_brought_back_is_explained_by_it(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    samples = probes(-4_003, END)
    for sample in samples:
        if 0 < sample.intended < 4_100:
            sample.outcome, sample.latency = Outcome.TIMEOUT, 100.0
    _trial(scene, samples, kind="partition")
    found = _results(scene)
    assert found.recovery_time_s == pytest.approx(4.107)
    assert [reason.code for reason in found.explanation[:2]] == ["lost.fault-in-force", "lost.after-undo"]
    # One of three replicas was cut off, yet nobody was served: that is more than the link explains.
    assert [reason.code for reason in found.explanation[2:]] == ["impairment.otherwise"]
    assert found.explanation[0].params["s"] == pytest.approx(4.0)
    assert found.explanation[0].params["kind"] == "partition"


def test_a_skipped_trial_is_unknown_for_its_reason_and_nothing_else(tmp_path: Path) -> None:
    scene = Scene(tmp_path, expect=[("orchestrated", "longest_outage", "<=", 10**9)])
    trial = scene.trial("orchestrated")
    trial.start(-10)
    trial.end(0, "skipped")
    results = analyse(scene.journal())
    assert [reason.code for reason in results.trials[0].reasons_unknown] == ["unknown.skipped"]
    (condition,) = results.drills[0].conditions
    assert condition.verdict == "unknown"
    assert condition.reason is not None
    assert condition.reason.code == "condition.skipped"
    assert results.drills[0].verdict == "unknown"
