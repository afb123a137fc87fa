"""Phase 4: contenders over all drills, what if the operator reacted later, and claims judged on the drills that fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.conftest import MS, Scene, observed, orchestrated, probes, single
from breakroom.analysis.results import OverallApart, OverallRow, RunResults
from breakroom.analysis.run import analyse
from breakroom.journal.samples import Outcome


def _rows(results: RunResults) -> dict[str, OverallRow]:
    return {row.contender: row for row in results.overall.rows}


def _degraded(scene: Scene) -> None:
    """A drill in which a bad link made every tenth probe of the service fail for 4 s; nothing was to be healed."""
    samples = probes(-4_003, 8_000)
    for number, sample in enumerate(samples):
        if 0 <= sample.intended < 4_000 and number % 10 == 0:
            sample.outcome = Outcome.TIMEOUT
    trial = observed(scene, samples, drill="network-loss")
    trial.action(0, "step-1", "network", tasks=("t2",), undone=4_000)


def test_the_same_contender_of_several_drills_is_one_row(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    orchestrated(scene)
    _degraded(scene)
    (service,) = analyse(scene.journal()).overall.rows
    assert (service.drills, service.known) == (2, 2)
    # 336 probes and one lost in the first drill; 802 (8.005 s and one in flight) and 40 lost in the second.
    assert service.availability == pytest.approx((335 + 761) / (336 + 801), abs=0.001)
    assert service.failed_requests == 1 + 40
    assert (service.operator_acts, service.operator_s, service.never_recovered) == (0, None, 0)
    assert service.recovery_worst_drill == "network-loss"
    assert service.recovery_worst_s == pytest.approx(3.9, abs=0.11)


def test_contenders_are_compared_over_the_drills_that_all_of_them_took_part_in(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    orchestrated(scene)
    _degraded(scene)
    single(scene, operator={"reacts_after": 2_999 * MS})
    overall = analyse(scene.journal()).overall
    rows = {row.contender: row for row in overall.rows}
    service, container = rows["orchestrated"], rows["single"]
    assert (overall.drills, overall.left_out, overall.apart) == (("kill",), ("network-loss",), ())
    assert (service.drills, service.known, container.drills, container.known) == (1, 1, 1, 1)
    assert service.availability == pytest.approx(335 / 336)
    assert (service.failed_requests, service.recovery_worst_drill) == (1, "kill")
    assert (container.operator_acts, container.modelled) == (1, True)
    assert container.operator_s == container.recovery_median_s == pytest.approx(3.207)
    assert container.scale_gain is None


def test_a_contender_of_one_drill_of_many_stands_apart_and_takes_no_drill_from_the_others(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path)
    for drill in ("kill", "pause", "hang"):
        orchestrated(scene, drill=drill)
        single(scene, drill=drill)
    observed(scene, drill="kill", contender="special").action(0, "step-1", "kill", tasks=("t2",))
    overall = analyse(scene.journal()).overall
    assert {row.contender for row in overall.rows} == {"orchestrated", "single"}
    assert overall.apart == (OverallApart(contender="special", drills=("kill",)),)
    assert (set(overall.drills), overall.left_out) == ({"kill", "pause", "hang"}, ())


def test_a_drill_that_one_contender_has_no_numbers_of_counts_for_none(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    for drill in ("kill", "hang"):
        orchestrated(scene, drill=drill)
    single(scene, drill="kill")
    planned = ("kill/orchestrated/1", "hang/orchestrated/1", "kill/single/1", "hang/single/1")
    overall = analyse(scene.journal(planned=planned)).overall
    assert (overall.drills, overall.left_out) == (("kill",), ("hang",))
    assert {(row.drills, row.known) for row in overall.rows} == {(2, 1)}


def test_contenders_that_share_no_drill_are_not_compared(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    orchestrated(scene, drill="kill")
    single(scene, drill="hang")
    overall = analyse(scene.journal()).overall
    assert len(overall.rows) == len(overall.apart) == 1


def test_a_drill_that_nobody_asked_for_and_the_platform_cannot_play_does_not_count(tmp_path: Path) -> None:
    for chosen in (False, True):
        scene = Scene(tmp_path / str(chosen))
        scene.directory.mkdir()
        orchestrated(scene)
        skipped = scene.trial("orchestrated", drill="node-loss")
        skipped.start(50_000)
        skipped.end(50_010, "skipped")
        results = analyse(scene.journal(chosen=chosen))
        assert [drill.counts for drill in results.drills] == [True, chosen]
        assert results.verdict == ("unknown" if chosen else "met")


def test_a_contender_that_never_recovered_is_counted_and_in_no_median(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    orchestrated(scene)
    samples = probes(-4_003, 8_000)
    for sample in samples:
        if sample.intended > 0:
            sample.outcome = Outcome.TIMEOUT
    trial = scene.trial("orchestrated", drill="hang")
    trial.start(-5_000)
    trial.running(-4_900, "t1", 1)
    trial.stream("probe", samples, opened=-4_003, closed=8_020)
    trial.phase(-5, "faulting")
    trial.action(0, "step-1", "hang", tasks=("t1",))
    trial.phase(8_000, "undoing")
    trial.end(8_100, "not-recovered")
    row = _rows(analyse(scene.journal()))["orchestrated"]
    assert (row.never_recovered, row.recovery_worst_drill) == (1, "kill")
    # From the kill to the next answer; the hang's 8 s are no recovery.
    assert row.recovery_median_s == pytest.approx(0.007)


def test_a_planned_drill_has_no_recovery_and_a_drill_that_never_ran_is_counted(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    observed(scene, drill="rolling-update").action(0, "step-1", "update")
    planned = ("rolling-update/orchestrated/1", "node-loss/orchestrated/1")
    row = _rows(analyse(scene.journal(planned=planned)))["orchestrated"]
    assert (row.drills, row.known, row.recovery_median_s, row.never_recovered) == (2, 1, None, 0)


def test_a_later_operator_makes_outage_recovery_and_observation_longer_by_the_difference(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path)
    single(scene, operator={"reacts_after": 2_999 * MS})
    results = analyse(scene.journal())
    (trial,) = results.trials
    one, five, ten = results.overall.sensitivity
    assert [row.reacts_after_s for row in (one, five, ten)] == [60.0, 300.0, 600.0]
    assert {row.contender for row in (one, five, ten)} == {"single"}
    assert one.recovery_s == pytest.approx(3.207 + 60 - 2.999)
    assert ten.outage_s == pytest.approx((trial.outage_total_s or 0) + 600 - 2.999)
    # 100 probes a second, all of them lost while nobody acts.
    window = trial.availability.window_s + 300 - 2.999
    assert five.availability == pytest.approx(trial.availability.ok / (window * 100), rel=0.002)


def test_without_a_model_of_an_operator_there_is_nothing_to_vary(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    orchestrated(scene)
    single(scene, by="person", operator={"reacts_after": 1})
    assert analyse(scene.journal()).overall.sensitivity == ()


def test_contenders_that_ran_at_the_same_time_say_so_and_repeats_one_after_another_do_not(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path)
    orchestrated(scene)
    single(scene)
    assert [trial.side_by_side for trial in analyse(scene.journal()).trials] == [True, True]
    alone = Scene(tmp_path / "alone")
    alone.directory.mkdir()
    orchestrated(alone)
    orchestrated(alone, 2)  # at the same time in this journal, but another repeat
    assert [trial.side_by_side for trial in analyse(alone.journal()).trials] == [False, False]


def test_a_fault_that_ended_by_itself_says_nothing_on_automatic_recovery(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    _degraded(scene)
    observed(scene, drill="rolling-update").action(0, "step-1", "update")
    paused = observed(scene, drill="hang")
    paused.action(0, "step-1", "hang", tasks=("t2",), undone=2_000)
    claims = {claim.code: claim for claim in analyse(scene.journal()).claims}
    automatic = claims["automatic-within-30-s"]
    assert (automatic.verdict, automatic.value, automatic.reason.code) == ("unknown", None, "claim.no-drill")
    assert claims["orchestrated-keeps-66"].reason.code == "claim.no-drill"


def test_a_drill_that_the_platform_cannot_do_does_not_make_a_claim_unknown(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    orchestrated(scene)
    skipped = scene.trial("orchestrated", drill="node-loss")
    skipped.start(50_000)
    skipped.end(50_010, "skipped")
    claims = {claim.code: claim for claim in analyse(scene.journal()).claims}
    assert claims["automatic-within-30-s"].verdict == "met"


def test_a_load_alone_is_told_by_what_it_did(tmp_path: Path) -> None:
    for lost, code in ((0, "act.no-failures"), (3, "act.failures")):
        scene = Scene(tmp_path / code)
        scene.directory.mkdir()
        samples = probes(-4_003, 8_000)
        for sample in [sample for sample in samples if sample.intended > 100][:lost]:
            sample.outcome = Outcome.TIMEOUT
        observed(scene, samples, runs_as="container", replicas=1).action(0, "load-1", "load")
        (trial,) = analyse(scene.journal()).trials
        (told,) = trial.explanation
        assert told.code == code
        assert told.params == ({"failed": 3, "s": 0.03} if lost else {})


def test_automatic_recovery_is_judged_on_what_was_killed_beside_what_was_not(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    orchestrated(scene)
    _degraded(scene)
    automatic = {claim.code: claim for claim in analyse(scene.journal()).claims}["automatic-within-30-s"]
    assert automatic.verdict == "met"
    assert automatic.value == pytest.approx(0.3)


def test_the_operators_work_is_added_up_over_the_drills_that_both_kinds_ran(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    for drill in ("kill", "memory-leak"):
        single(scene, drill=drill)
        orchestrated(scene, drill=drill)
    single(scene, drill="only-single")
    work = {claim.code: claim for claim in analyse(scene.journal()).claims}["operator-work-80-less"]
    assert work.reason.params == {"single": 2.0, "orchestrated": 0.0, "saved": 1.0}


def test_a_sick_container_that_went_on_answering_is_no_outage_that_was_promised(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    for drill, mode in (("sick", "sick"), ("gone", "exit")):
        samples = probes(-4_003, 8_000)
        for sample in samples:
            if mode == "exit" and 1 < sample.intended < 2_000:
                sample.outcome = Outcome.REFUSED
        trial = observed(scene, samples, drill=drill, contender="single", runs_as="container", replicas=1)
        trial.action(0, "step-1", "request", tasks=("t1",), path=f"/fail?mode={mode}")
    claim = {claim.code: claim for claim in analyse(scene.journal()).claims}["single-out-while-failed"]
    assert claim.verdict == "met"
    assert claim.value == pytest.approx(1.0, abs=0.01)
