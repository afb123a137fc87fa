"""Changes of the number of replicas: response, goodput and latency on each level, balance, and metrics of it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from analysis.conftest import Sample, Scene, TrialScene, observed, probes, results_of
from breakroom.analysis.metrics import metric_value
from breakroom.analysis.run import analyse
from breakroom.journal.samples import Outcome
from breakroom.spec.drill import LoadSpec, ProbeSpec


def _samples(levels: list[tuple[float, float, float, tuple[str, ...]]]) -> list[Sample]:
    """(from, until, spacing, tasks): requests with a latency of half their spacing, tasks taking turns."""
    found = []
    for start, end, spacing, tasks in levels:
        ms, turn = start, 0
        while ms < end:
            found.append(Sample(ms, latency=spacing / 2, task=tasks[turn % len(tasks)]))
            ms, turn = ms + spacing, turn + 1
    return found


THREE = ("t1", "t2", "t3")
SIX = (*THREE, "t4", "t5", "t6")


def _scaled(scene: Scene, **options: object) -> TrialScene:
    """Three replicas serve 50/s of the load; six, from 0.8 s on, 100/s; from 5 s on two serve 25/s. The probe: 10/s."""
    levels = [(-4_000.0, 800.0, 20.0, THREE), (800, 5_000, 10.0, SIX), (5_000, 10_000, 40.0, ("t1", "t2"))]
    samples = _samples(levels)
    lost = next(sample for sample in samples if sample.intended == 5_040)
    lost.outcome = Outcome.RESET
    found = probes(-4_003, 10_000, 100.0)
    for number, sample in enumerate(found):
        _, _, spacing, tasks = next(level for level in levels if sample.intended < level[1])
        sample.latency, sample.task = spacing / 2, tasks[number % len(tasks)]
    trial = observed(scene, found, end=10_000, probe=ProbeSpec(rate=10), load=LoadSpec(), **options)
    trial.stream("load", samples, opened=-4_003, closed=10_040)
    trial.action(0, "step-1", "scale", replicas=6)
    for number in (4, 5, 6):
        trial.task(10, f"t{number}", number, "new")
        trial.task(200, f"t{number}", number, "running", pid=number)
        trial.enters(200 * number - 400, f"t{number}")
    trial.action(5_000, "step-2", "scale", replicas=2)
    for number in (6, 5, 4, 3):
        trial.leaves(5_010 + number, f"t{number}")
        trial.task(5_030, f"t{number}", number, "shutdown", desired="shutdown")
    return trial


def test_scaling_up_and_down_is_measured_on_each_level(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    _scaled(scene)
    up, down = results_of(scene).scaling
    assert (up.from_replicas, up.to_replicas, down.from_replicas, down.to_replicas) == (3, 6, 6, 2)
    assert up.response_s == pytest.approx(0.8)
    assert down.response_s == pytest.approx(0.016)
    assert up.goodput_before_per_s == pytest.approx(60, rel=0.02)
    assert up.goodput_after_per_s == pytest.approx(110, rel=0.02)
    assert up.gain == pytest.approx(110 / 60, rel=0.03)
    assert down.goodput_before_per_s == up.goodput_after_per_s
    assert down.goodput_after_per_s == pytest.approx(35, rel=0.02)
    assert (up.latency_p50_before_s, up.latency_p50_after_s, down.latency_p50_after_s) == (0.01, 0.005, 0.02)
    assert (up.failed_requests, down.failed_requests) == (0, 1)
    assert set(up.per_task) == set(SIX)
    assert up.largest_to_smallest == pytest.approx(1.0, abs=0.06)
    assert set(down.per_task) == {"t1", "t2"}


def test_the_metrics_of_scaling_are_the_slowest_response_and_the_gain_of_the_ups(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    _scaled(scene)
    trial = results_of(scene)
    assert metric_value(trial, "scale_response") == pytest.approx(0.8)
    assert metric_value(trial, "goodput_gain") == pytest.approx(110 / 60, rel=0.03)
    assert metric_value(trial, "updates_completed") is None
    assert [why.code for why in trial.explanation] == ["scale.up", "scale.down"]
    assert [mark.label.code for mark in trial.marks if mark.kind == "scale"] == ["mark.scale", "mark.scale"]
    (drill,) = analyse(scene.journal()).drills
    (contender,) = drill.contenders
    gain = contender.metrics["goodput_gain"]
    assert gain.resolution == pytest.approx(0.04 * (gain.median or 0))


def test_what_was_never_reached_has_no_end(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    observed(scene).action(0, "step-1", "scale", replicas=9)
    trial = results_of(scene)
    (finding,) = trial.scaling
    assert (finding.reached_at_s, finding.response_s, finding.goodput_after_per_s) == (None, None, None)
    assert metric_value(trial, "scale_response") == math.inf
    assert [why.code for why in trial.explanation] == ["scale.not-reached"]


def test_a_container_is_looked_at_over_the_same_stretches_with_nothing_done(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    trial = observed(scene, runs_as="container", replicas=1)
    trial.inapplicable(2_000, "step-1", "scale", replicas=6)
    results = results_of(scene)
    (finding,) = results.scaling
    assert (finding.applied, finding.from_replicas, finding.to_replicas) == (False, 1, 6)
    assert finding.gain == pytest.approx(1.0, rel=0.01)
    assert metric_value(results, "scale_response") is None
    assert metric_value(results, "goodput_gain") == pytest.approx(1.0, rel=0.01)
    assert [why.code for why in results.explanation] == ["scale.inapplicable"]


def test_a_level_of_less_than_a_second_and_a_half_says_nothing(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    trial = observed(scene)
    trial.action(0, "step-1", "scale", replicas=4)
    trial.task(10, "t4", 4, "new")
    trial.enters(500, "t4")
    trial.action(1_990, "step-2", "scale", replicas=3)
    trial.leaves(2_100, "t4")
    up, down = results_of(scene).scaling
    assert up.goodput_after_per_s is None
    assert down.goodput_before_per_s is None
    assert down.goodput_after_per_s == pytest.approx(100, rel=0.01)


def test_what_the_autoscaler_changed_counts_as_scaling_and_many_changes_are_summed_up(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    trial = observed(scene)
    trial.action(0, "load-1", "load")
    for number, replicas in enumerate((4, 5, 4, 5, 3)):
        trial.action(100 * number + 50, f"autoscaler-{number}", "scale", by="autoscaler", replicas=replicas)
    results = results_of(scene)
    assert [finding.by for finding in results.scaling] == ["autoscaler"] * 5
    (told,) = results.explanation
    assert told.code == "scale.many"
    assert told.params == {"count": 5, "lowest": 3, "highest": 5, "failed": 0}
