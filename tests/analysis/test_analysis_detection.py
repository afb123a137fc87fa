"""How a sick replica is found out, the failure log, and the one setting that would have shortened the way back."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.conftest import MS, Scene, TrialScene, observed, probes, results_of
from breakroom.analysis.metrics import metric_value
from breakroom.analysis.results import Advice, TrialResults
from breakroom.analysis.settings import in_compose
from breakroom.journal.records import HealthChanged, LogCaptured
from breakroom.journal.samples import Outcome

CHECK: dict[str, Any] = {
    "test": ["HTTP", "/health"],
    "interval": 1_000 * MS,
    "timeout": 500 * MS,
    "retries": 3,
    "start_period": 10_000 * MS,
    "start_interval": 2_000 * MS,
}
SERVICE: dict[str, Any] = {
    "healthcheck": CHECK,
    "stop_grace_period": 4_000 * MS,
    "deploy": {"replicas": 3, "restart_policy": {"delay": 1_000 * MS}},
}


def _hung(scene: Scene, *, seen: bool = True, service: dict[str, Any] | None = None) -> TrialScene:
    """t2 hangs at 1 ms; three probes of its health fail; it is stopped by force and replaced, all by 10 s."""
    trial = observed(scene, end=16_000, service=SERVICE if service is None else service)
    trial.action(0, "step-1", "request", tasks=("t2",), path="/fail?mode=hang", method="POST")
    if not seen:
        return trial
    for number in range(3):
        status = "unhealthy" if number == 2 else "healthy"
        trial.add(
            HealthChanged,
            501 + 1_500 * number,
            task="t2",
            status=status,
            ok=False,
            failing_streak=number + 1,
            output="timed out",
        )
    trial.leaves(3_502, "t2")
    trial.stats(7_000, "t2", 5_000, 9_000)
    trial.task(
        7_601, "t2", 2, "failed", exit_code=137, signal=9, error="task: non-zero exit (137): unhealthy"
    )
    trial.add(LogCaptured, 7_650, task="t2", file="logs/t2.log", tail="falling ill: hang")
    trial.task(7_601, "t4", 2, "new", desired="ready")
    trial.task(8_601, "t4", 2, "starting", pid=8)
    trial.task(10_601, "t4", 2, "running", pid=8)
    trial.enters(10_601, "t4")
    return trial


def test_detection_is_taken_apart_and_has_the_bound_of_its_settings(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    _hung(scene)
    trial = results_of(scene)
    (finding,) = trial.detection
    assert finding.task == "t2"
    assert finding.first_failed_probe_at_s == pytest.approx(0.5)
    assert finding.unhealthy_at_s == pytest.approx(3.5)
    assert finding.left_rotation_at_s == pytest.approx(3.501)
    assert [finding.ended_at_s, finding.replaced_at_s] == pytest.approx([7.6, 7.6])
    # Three times an interval of 1 s and a timeout of 0.5 s.
    assert (finding.bound_s, finding.failed_probes, finding.never) == (4.5, 3, False)
    assert metric_value(trial, "detection_time") == pytest.approx(3.5)


def test_what_nobody_noticed_has_no_detection_in_the_time_it_was_watched(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    _hung(scene, seen=False)
    trial = results_of(scene)
    (finding,) = trial.detection
    assert (finding.never, finding.failed_probes, finding.replaced_at_s) == (True, 0, None)
    assert metric_value(trial, "detection_time") == math.inf


def test_a_persons_restart_is_no_detection_by_the_platform(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    samples = probes(-4_003, 12_000)
    for sample in samples:
        if 0 < sample.intended < 8_300:
            sample.outcome, sample.latency = Outcome.TIMEOUT, 200.0
    trial = observed(
        scene,
        samples,
        end=12_000,
        contender="single",
        runs_as="container",
        replicas=1,
        service=SERVICE,
        operator={"reacts_after": 8_000 * MS},
    )
    trial.action(0, "step-1", "hang", tasks=("t1",))
    trial.act(8_001)
    trial.task(8_050, "t1", 1, "shutdown", exit_code=137)
    trial.leaves(8_050, "t1")
    trial.task(8_060, "t2", 1, "new")
    trial.task(8_070, "t2", 1, "running", pid=5)
    trial.enters(8_070, "t2")
    results = results_of(scene)
    assert {phase.name: phase.at_s for phase in results.recovery}["detected"] is None
    assert metric_value(results, "detection_time") == math.inf
    assert results.detection[0].never is True
    parts = {why.code: why.params.get("s") for why in results.explanation}
    assert parts["lost.waiting-for-operator"] == pytest.approx(8.0)
    # What was stopped on purpose is no failure.
    assert results.failures == ()
    advice = results.advice
    assert advice is not None
    assert (advice.part, advice.reason.code) == ("waiting-for-operator", "advice.orchestrator")
    # Its health check would have needed 3 x (1 s + 0.5 s) of the 8 s.
    assert advice.saves_s == pytest.approx(3.5)


def test_the_failure_log_has_state_memory_and_last_words_at_each_moment(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    _hung(scene)
    results = results_of(scene)
    sick, ended = results.failures
    assert (sick.state, sick.error, sick.exit_code, sick.memory_bytes) == (
        "unhealthy",
        "timed out",
        None,
        None,
    )
    assert (ended.state, ended.exit_code, ended.signal, ended.oom) == ("failed", 137, 9, False)
    assert (ended.memory_bytes, ended.memory_limit_bytes) == (5_000, 9_000)
    assert (ended.log_file, ended.log_tail) == ("logs/t2.log", "falling ill: hang")
    assert ended.at_s == pytest.approx(7.6)
    assert ended.unix_s == pytest.approx(results.zero_unix_s + 7.6)


def _advice(results: TrialResults) -> Advice:
    assert results.advice is not None
    return results.advice


def test_the_setting_that_saves_most_is_advised_and_never_saves_more_than_its_part(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    _hung(scene)
    advice = _advice(results_of(scene))
    # Detection 3.5 s: three intervals of 1 s would be 0.1 s each: 2.7 s. Replacement 4.1 s: 4 s of grace, 1 s is
    # enough: 3 s. Restart delay 1 s. First health probe 2 s: 0.2 s instead: 1.8 s.
    assert (advice.setting, advice.now, advice.better) == ("stop_grace_period", "4s", "1s")
    assert advice.part == "replacement"
    assert [advice.s, advice.saves_s] == pytest.approx([4.1, 3.0])
    assert advice.share == pytest.approx(4.1 / 10.6)


@pytest.mark.parametrize(
    ("change", "setting", "now", "better", "saves"),
    [
        ({"stop_grace_period": 1_000 * MS}, "healthcheck.interval", "1s", "100ms", 2.7),
        (
            {"stop_grace_period": 1_000 * MS, "healthcheck": {**CHECK, "interval": 100 * MS}},
            "healthcheck.start_interval",
            "2s",
            "200ms",
            1.8,
        ),
        (
            {
                "stop_grace_period": 1_000 * MS,
                "healthcheck": {**CHECK, "interval": 100 * MS, "start_interval": 100 * MS},
            },
            "deploy.restart_policy.delay",
            "1s",
            "0s",
            1.0,
        ),
    ],
    ids=["interval", "start_interval", "delay"],
)
def test_each_part_has_its_setting(
    tmp_path: Path, change: dict[str, Any], setting: str, now: str, better: str, saves: float
) -> None:
    scene = Scene(tmp_path)
    _hung(scene, service={**SERVICE, **change})
    advice = _advice(results_of(scene))
    assert (advice.setting, advice.now, advice.better) == (setting, now, better)
    assert advice.saves_s == pytest.approx(saves)


def test_a_dead_container_is_advised_a_restart_policy(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    samples = probes(-4_003, 12_000)
    for sample in samples:
        if 0 < sample.intended < 5_000:
            sample.outcome = Outcome.REFUSED
    trial = observed(
        scene, samples, end=12_000, runs_as="container", replicas=1, operator={"reacts_after": 4_900 * MS}
    )
    trial.action(0, "step-1", "kill", tasks=("t1",))
    trial.task(1, "t1", 1, "failed", exit_code=137, signal=9)
    trial.leaves(1, "t1")
    trial.act(4_901)
    trial.task(4_910, "t2", 1, "new")
    trial.task(4_920, "t2", 1, "running", pid=5)
    trial.enters(4_920, "t2")
    advice = _advice(results_of(scene))
    assert (advice.setting, advice.now, advice.better) == ("restart", "no", "always")
    # 4.9 s until the person acted, less the container engine's first backoff of 0.1 s.
    assert [advice.s, advice.saves_s] == pytest.approx([4.9, 4.8])


def test_where_nothing_was_lost_nothing_is_advised(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    observed(scene).action(0, "step-1", "network", tasks=("t2",), undone=3_000)
    assert results_of(scene).advice is None


@settings(max_examples=25, deadline=None)
@given(
    interval=st.integers(10, 20_000),
    retries=st.integers(1, 10),
    start_interval=st.integers(10, 20_000),
    grace=st.integers(0, 60_000),
    delay=st.integers(0, 20_000),
)
def test_no_setting_is_said_to_save_more_than_the_part_it_decides_on(
    tmp_path_factory: pytest.TempPathFactory,
    interval: int,
    retries: int,
    start_interval: int,
    grace: int,
    delay: int,
) -> None:
    scene = Scene(tmp_path_factory.mktemp("scene"))
    check = {**CHECK, "interval": interval * MS, "retries": retries, "start_interval": start_interval * MS}
    service = {
        "healthcheck": check,
        "stop_grace_period": grace * MS,
        "deploy": {"replicas": 3, "restart_policy": {"delay": delay * MS}},
    }
    _hung(scene, service=service)
    advice = results_of(scene).advice
    if advice is not None:
        assert 0 < advice.saves_s <= advice.s <= 10.6 + 1e-9
        assert 0 < advice.share <= 1


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0s"),
        (100 * MS, "100ms"),
        (1_500 * MS, "1.5s"),
        (5_000 * MS, "5s"),
        (60_000 * MS, "1m"),
        (90_000 * MS, "1m30s"),
    ],
)
def test_times_are_written_as_in_a_compose_file(ns: int, text: str) -> None:
    assert in_compose(ns) == text
