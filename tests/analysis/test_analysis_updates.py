"""Releases: how they end, which versions answered, who met the new one, and the lowest capacity."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.conftest import Sample, Scene, TrialScene, facts_of, observed, probes, results_of
from breakroom.analysis.metrics import metric_value
from breakroom.analysis.results import UpdateFinding
from breakroom.journal.records import RotationChanged, UpdateChanged
from breakroom.journal.samples import Outcome


def _state(trial: TrialScene, ms: float, state: str, message: str = "") -> None:
    trial.add(UpdateChanged, ms, service="web", state=state, message=message)


def _swap(trial: TrialScene, ms: float, old: str, new: str, slot: int, version: int = 2) -> None:
    """stop-first: the old task leaves at `ms` and its successor serves 500 ms later."""
    trial.add(RotationChanged, ms, task=old, in_rotation=False, reason="drain")
    trial.task(ms + 10, old, slot, "shutdown", desired="shutdown")
    trial.task(ms + 20, new, slot, "new", version=version)
    trial.task(ms + 400, new, slot, "running", version=version, pid=9)
    trial.enters(ms + 500, new)


def _by_version(samples: list[Sample], new: dict[str, tuple[float, float]]) -> list[Sample]:
    """Each new task of the name answers all probes of its stretch, as version v2."""
    for sample in samples:
        sample.version = "v1"
        for task, (start, end) in new.items():
            if start <= sample.intended < end:
                sample.task, sample.version = task, "v2"
    return samples


def _only(scene: Scene) -> UpdateFinding:
    (finding,) = results_of(scene).updates
    return finding


def test_a_completed_update_tells_versions_lowest_capacity_and_duration(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    samples = _by_version(probes(-4_003, 8_000), {"t4": (2_000, 3_000), "t6": (3_000, 8_000)})
    next(sample for sample in samples if sample.intended == 1_507).outcome = Outcome.RESET
    trial = observed(scene, samples)
    trial.action(1_000, "step-1", "update", image="improved-app:v2")
    _state(trial, 1_010, "updating", "update in progress")
    for number, (old, new) in enumerate((("t1", "t4"), ("t2", "t5"), ("t3", "t6"))):
        _swap(trial, 1_500 + 700 * number, old, new, number + 1)
    _state(trial, 3_600, "completed", "update completed")
    finding = _only(scene)
    assert (finding.kind, finding.state, finding.message) == ("update", "completed", "update completed")
    assert (finding.old_version, finding.new_version) == ("v1", "v2")
    assert finding.duration_s == pytest.approx(2.6)
    # From 1.000 s on, one probe every 10 ms: 100 of v1, less the one that failed; then 600 of v2.
    assert finding.answered == {"v1": 100 - 1 + 1, "v2": 600}
    assert finding.new_version_requests == 600
    assert finding.new_version_share == pytest.approx(600 / 701)
    assert (finding.failed_requests, finding.lowest_in_rotation, finding.wanted) == (1, 2, 3)
    results = results_of(scene)
    assert [why.code for why in results.explanation] == ["update.completed"]
    assert results.advice is not None
    # Each of three slots was empty for 0.5 s; start-first would have had it served meanwhile.
    assert (results.advice.setting, results.advice.better) == ("deploy.update_config.order", "start-first")
    assert results.advice.saves_s == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("states", "state", "message", "code"),
    [
        (("updating", "paused"), "paused", "why-paused", "update.paused"),
        (
            ("updating", "rollback_started", "rollback_completed"),
            "rolled-back",
            "why-rollback_started",
            "update.rolled-back",
        ),
        (
            ("updating", "rollback_started", "rollback_paused"),
            "rollback-paused",
            "why-rollback_started",
            "update.rollback-paused",
        ),
        (("updating",), "under-way", "why-updating", "update.under-way"),
        ((), "under-way", "", "update.under-way"),
    ],
)
def test_a_bad_update_says_why_it_ended_and_who_met_it(
    tmp_path: Path, states: tuple[str, ...], state: str, message: str, code: str
) -> None:
    scene = Scene(tmp_path)
    trial = observed(scene)
    trial.action(0, "step-1", "update", environment={"APP_VERSION": "v3"})
    for number, name in enumerate(states):
        _state(trial, 100 + 100 * number, name, f"why-{name}")
    trial.leaves(150, "t1")
    trial.task(160, "t9", 1, "new", version=2)
    trial.enters(170, "t9")
    trial.task(200, "t9", 1, "failed", version=2, exit_code=1)
    # It never answered: three connections were assigned to it before it was gone.
    trial.add(
        RotationChanged,
        200,
        task="t9",
        in_rotation=False,
        reason="cut",
        total_connections=3,
        refused_connections=2,
    )
    finding = _only(scene)
    assert (finding.state, finding.message, finding.new_version) == (state, message, "v3")
    assert finding.new_version_requests == 3
    assert finding.lowest_in_rotation == 2
    assert (finding.duration_s is None) == (state == "under-way")
    results = results_of(scene)
    assert results.explanation[0].code == code
    assert results.advice is None


def test_a_rollback_that_was_asked_for_is_completed_when_it_is_back(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    trial = observed(scene)
    trial.action(0, "step-1", "update")
    _state(trial, 10, "updating")
    _swap(trial, 100, "t1", "t4", 1)
    _state(trial, 700, "completed")
    trial.action(3_000, "step-2", "rollback")
    _state(trial, 3_010, "rollback_started", "manually requested rollback")
    _swap(trial, 3_100, "t4", "t5", 1, version=1)
    _state(trial, 3_900, "rollback_completed", "rollback completed")
    first, second = results_of(scene).updates
    assert (first.state, second.kind, second.state) == ("completed", "rollback", "completed")
    assert second.duration_s == pytest.approx(0.9)
    assert second.begun_at_s == pytest.approx(2.999)  # the trial's zero is the first step's proof, at 1 ms


def test_a_container_made_anew_is_a_release_that_is_out_meanwhile(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    samples = _by_version(probes(-4_003, 8_000), {"t2": (1_600, 8_000)})
    for sample in samples:
        if 1_000 < sample.intended < 1_600:
            sample.outcome = Outcome.REFUSED
    trial = observed(scene, samples, runs_as="container", replicas=1)
    trial.action(1_000, "step-1", "update")
    trial.leaves(1_005, "t1")
    trial.task(1_010, "t1", 1, "shutdown", desired="shutdown")
    trial.task(1_400, "t2", 1, "new", version=2)
    trial.task(1_410, "t2", 1, "running", version=2, pid=4)
    trial.enters(1_420, "t2")
    results = results_of(scene)
    (finding,) = results.updates
    assert (finding.kind, finding.state, finding.new_version) == ("replace", "replaced", "v2")
    assert finding.duration_s == pytest.approx(0.42)
    assert (finding.failed_requests, finding.lowest_in_rotation) == (60, 0)
    assert results.advice is not None
    assert results.advice.reason.code == "advice.rolling-update"
    assert results.advice.saves_s == results.outage_total_s == pytest.approx(0.6)
    assert facts_of(scene).planned


def test_a_bad_release_is_met_until_it_is_gone_though_its_recall_was_asked_for(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    trial = observed(scene, runs_as="container", replicas=1)
    trial.action(0, "step-1", "update", environment={"APP_VERSION": "v2"})
    trial.leaves(5, "t1")
    trial.task(6, "t1", 1, "shutdown")
    trial.task(10, "t2", 1, "new", version=2)
    trial.enters(20, "t2")
    trial.action(3_000, "step-2", "rollback")
    # It never answered; the ingress had assigned 300 connections to it when it left, after the second command.
    trial.add(RotationChanged, 3_100, task="t2", in_rotation=False, reason="drain", total_connections=300)
    trial.task(3_100, "t2", 1, "shutdown", version=2)
    trial.task(3_110, "t3", 1, "new", version=3)
    trial.enters(3_120, "t3")
    first, second = results_of(scene).updates
    assert (first.new_version, first.new_version_requests) == ("v2", 300)
    assert second.old_version == "v2"
    # Lost by what was released, not by how: nothing that a setting would have shortened.
    assert results_of(scene).advice is None


def test_what_a_person_brought_back_is_not_the_new_version(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    samples = _by_version(probes(-4_003, 8_000), {"t2": (100, 200)})
    for sample in samples:
        if sample.intended >= 3_000:
            sample.task = "t3"
    trial = observed(scene, samples, runs_as="container", replicas=1)
    trial.action(0, "step-1", "update")
    trial.task(10, "t2", 1, "new", version=2)
    trial.enters(20, "t2")
    trial.task(300, "t2", 1, "failed", version=2, exit_code=1)
    trial.act(2_900)
    trial.task(2_950, "t3", 1, "new", version=3)
    trial.enters(2_960, "t3")
    (finding,) = results_of(scene).updates
    assert (finding.old_version, finding.new_version, finding.new_version_requests) == ("v1", "v2", 10)


def test_a_release_of_which_the_command_failed_is_none(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    observed(scene).action(0, "step-1", "update", stage="failed")
    results = results_of(scene)
    assert results.updates == ()
    assert [why.code for why in results.reasons_unknown] == ["unknown.fault-failed"]


def test_an_update_that_is_under_way_at_the_end_may_still_go_wrong(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    trial = observed(scene, probes(-4_003, 8_000))
    trial.action(1_000, "step-1", "update", image="improved-app:v2")
    _state(trial, 1_010, "updating", "update in progress")
    results = results_of(scene)
    assert metric_value(results, "updates_completed") == 0
    assert metric_value(results, "updates_paused") is None
    assert metric_value(results, "updates_rolled_back") is None
