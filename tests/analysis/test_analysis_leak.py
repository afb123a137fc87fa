"""A leak: each replica's growth a request, kills by the limit, and that starting again does not cure it."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.conftest import Scene, TrialScene, at, observed, probes, results_of
from breakroom.analysis.metrics import metric_value
from breakroom.analysis.results import LeakFinding
from breakroom.journal.records import ActionChanged
from breakroom.journal.samples import Outcome

KIB = 1_024


def _leaking(scene: Scene, *, again: int = 120 * KIB, killed: bool = True) -> TrialScene:
    """One container; each answer takes 120 KiB; at 4 s it is killed and started again, and takes `again` then."""
    samples = probes(-4_003, 8_000)
    for sample in samples:
        sample.task = "t1" if sample.intended < 4_000 else "t2"
        sample.latency = 5.0 + max(sample.intended, 0.0) % 4_000 / 100
    trial = observed(scene, samples, runs_as="container", replicas=1)
    for ms in range(-3_500, 4_000, 500):
        trial.stats(ms, "t1", 10_000_000 + 120 * KIB * _answers(-4_003, ms), 200_000_000)
    trial.task(4_000, "t1", 1, "failed", exit_code=137, oom_killed=killed, error="task: non-zero exit (137)")
    trial.leaves(4_000, "t1")
    trial.task(4_010, "t2", 1, "new")
    trial.task(4_020, "t2", 1, "running", pid=7)
    trial.enters(4_020, "t2")
    for ms in range(4_500, 8_000, 500):
        trial.stats(ms, "t2", 10_000_000 + again * _answers(4_007, ms), 200_000_000)
    base = {"action": "step-1", "kind": "oom", "by": "timeline"}
    trial.add(ActionChanged, 0, stage="intended", detail={"oom_kills_before": 7}, **base)
    if killed:
        after = {"oom_kills_after": 8}
        trial.add(
            ActionChanged, 4_050, stage="proved", proved_t=at(4_000), tasks=("t1",), detail=after, **base
        )
    else:
        trial.add(ActionChanged, 7_000, stage="unproved", **base)
    return trial


def _answers(first: float, ms: float) -> int:
    """Probes of one every 10 ms from `first` on that had come by `ms` (each takes less than 50 ms)."""
    return max(int((ms - first) // 10), 0)


def _finding(scene: Scene) -> LeakFinding:
    found = results_of(scene).leak
    assert found is not None
    return found


def test_a_leak_is_measured_by_memory_over_answers_and_restarting_does_not_cure_it(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    _leaking(scene)
    finding = _finding(scene)
    first, second = finding.lives
    assert (first.task, first.oom, second.task, second.oom) == ("t1", True, "t2", False)
    assert first.ended_at_s == pytest.approx(0.0)  # the kill is the trial's zero
    assert (first.limit_bytes, first.first_bytes) == (200_000_000, 10_000_000 + 120 * KIB * 50)
    assert first.peak_bytes == 10_000_000 + 120 * KIB * _answers(-4_003, 3_500)
    assert first.served == pytest.approx(800, abs=3)
    assert finding.bytes_per_request_first == pytest.approx(120 * KIB, rel=0.02)
    assert finding.bytes_per_request_restarted == pytest.approx(120 * KIB, rel=0.02)
    assert (finding.oom_kills, finding.kernel_oom_kills, finding.cured) == (1, 1, False)
    # Latency was 5 ms until the load began and grew to 45 ms: the last fifth is 2.4 to 4 s, its middle at 3.2 s.
    assert finding.latency_first_s == pytest.approx(0.005)
    assert finding.latency_last_s == pytest.approx(0.037, abs=0.001)
    codes = [why.code for why in results_of(scene).explanation]
    assert codes[-3:] == ["leak.killed", "leak.slower", "leak.not-cured"]
    assert metric_value(results_of(scene), "oom_kills") == 1


@pytest.mark.parametrize(("again", "cured"), [(0, True), (95 * KIB, True), (97 * KIB, False)])
def test_cured_is_what_grows_by_less_than_four_fifths(tmp_path: Path, again: int, cured: bool) -> None:
    scene = Scene(tmp_path)
    _leaking(scene, again=again)
    assert _finding(scene).cured is cured


def test_a_replacement_that_fails_as_well_is_no_slow_start(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    samples = probes(-4_003, 8_000)
    for sample in samples:
        if 1_000 < sample.intended < 1_200 or 3_000 < sample.intended < 3_200:
            sample.outcome = Outcome.REFUSED
    trial = observed(scene, samples, runs_as="container", replicas=1, restart="always")
    trial.action(999, "step-1", "kill", tasks=("t1",))
    for number, ms in ((1, 1_000), (2, 3_000)):
        trial.task(ms, f"t{number}", 1, "failed", exit_code=137, oom_killed=True)
        trial.leaves(ms, f"t{number}")
        trial.task(ms + 100, f"t{number + 1}", 1, "new")
        trial.task(ms + 110, f"t{number + 1}", 1, "running", pid=number)
        trial.enters(ms + 120, f"t{number + 1}")
    told = {why.code: why.params.get("s") for why in results_of(scene).explanation}
    # Back for good 2.207 s after the first kill; the first replacement lived from 0.12 s to 2 s.
    assert next(iter(told)) == "lost.failed-again"
    assert told["lost.failed-again"] == pytest.approx(1.88)
    # The policy waited 0.11 s both times until there was a process; the rest of both ways is the app's.
    assert told["lost.restart-delay"] == pytest.approx(0.22)
    assert told["lost.app-start"] == pytest.approx(2.207 - 2.11)


def test_a_person_who_restarts_a_leak_twice_is_waited_for_twice(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    samples = probes(-4_003, 12_000)
    for sample in samples:
        if 1_000 < sample.intended < 3_200 or 5_000 < sample.intended < 9_200:
            sample.outcome = Outcome.REFUSED
    trial = observed(scene, samples, end=12_000, runs_as="container", replicas=1, restart="no")
    trial.action(999, "step-1", "kill", tasks=("t1",))
    for number, ms, back in ((1, 1_000, 3_000), (2, 5_000, 9_000)):
        trial.task(ms, f"t{number}", 1, "failed", exit_code=137, oom_killed=True)
        trial.leaves(ms, f"t{number}")
        trial.action(back, f"operator-{number}", "restart", by="operator-model", tasks=(f"t{number + 1}",))
        trial.task(back + 100, f"t{number + 1}", 1, "new")
        trial.task(back + 110, f"t{number + 1}", 1, "running", pid=number)
        trial.enters(back + 120, f"t{number + 1}")
    results = results_of(scene)
    told = {why.code: why.params.get("s") for why in results.explanation}
    assert next(iter(told)) == "lost.waiting-for-operator"
    assert told["lost.waiting-for-operator"] == pytest.approx(2.0 + 4.0, abs=0.01)
    assert told["lost.failed-again"] == pytest.approx(1.88, abs=0.01)
    assert results.advice is not None
    assert results.advice.part == "waiting-for-operator"
    assert results.advice.s == pytest.approx(told["lost.waiting-for-operator"])


def test_a_limit_that_was_not_reached_leaves_the_lives_and_no_verdict(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    _leaking(scene, killed=False)
    finding = _finding(scene)
    assert (finding.oom_kills, finding.kernel_oom_kills, finding.cured) == (0, None, None)
    assert [why.code for why in results_of(scene).reasons_unknown] == ["unknown.fault-unproved"]


def test_a_trial_in_which_nobody_ran_out_of_memory_has_no_such_finding(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    observed(scene).stats(0, "t1", 100, 200)
    assert results_of(scene).leak is None


def test_requests_that_were_given_up_do_not_make_the_others_look_dearer(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    samples = probes(-4_003, 8_000)
    for sample in samples:
        sample.task = "t1"
        if sample.intended >= 2_000:  # every second request is still served, but its client has left
            sample.outcome = Outcome.TIMEOUT if int(sample.intended) // 10 % 2 else Outcome.OK
            sample.task = "" if sample.outcome else "t1"
    trial = observed(scene, samples, runs_as="container", replicas=1)
    for ms in range(-3_500, 4_000, 500):
        trial.stats(ms, "t1", 10_000_000 + 120 * KIB * _answers(-4_003, ms), 200_000_000)
    trial.task(4_000, "t1", 1, "failed", exit_code=137, oom_killed=True, error="task: non-zero exit (137)")
    assert _finding(scene).bytes_per_request_first == pytest.approx(120 * KIB, rel=0.02)


def test_a_containers_later_starts_answer_by_its_id_too(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    samples = probes(-4_003, 8_000)
    for sample in samples:
        sample.task = "c0ffee"
    trial = observed(scene, samples, runs_as="container", replicas=1)
    trial.task(-5_000, "c0ffee", 1, "running", pid=3)
    for ms in range(-3_500, 4_000, 500):
        trial.stats(ms, "c0ffee", 10_000_000 + 120 * KIB * _answers(-4_003, ms), 200_000_000)
    trial.task(
        4_000, "c0ffee", 1, "failed", exit_code=137, oom_killed=True, error="task: non-zero exit (137)"
    )
    trial.task(4_010, "c0ffee.2", 1, "running", pid=7)
    for ms in range(4_500, 8_000, 500):
        trial.stats(ms, "c0ffee.2", 10_000_000 + 120 * KIB * _answers(4_007, ms), 200_000_000)
    first, second = _finding(scene).lives
    assert second.bytes_per_request == pytest.approx(120 * KIB, rel=0.02)
    assert first.served + second.served == pytest.approx(1_200, abs=10)


def test_memory_that_the_dying_replica_gives_back_is_no_part_of_its_growth(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    trial = _leaking(scene)
    trial.stats(3_950, "t1", 20_000_000, 200_000_000)
    assert _finding(scene).bytes_per_request_first == pytest.approx(120 * KIB, rel=0.02)
