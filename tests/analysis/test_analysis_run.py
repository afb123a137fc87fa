"""From a journal to findings: two trials whose every number is worked out by hand, and journals that are incomplete."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from breakroom.analysis.metrics import operator_time
from breakroom.analysis.results import RunResults, TrialResults
from breakroom.analysis.run import analyse
from breakroom.journal.records import Problem
from breakroom.journal.samples import Outcome
from breakroom.journal.store import JOURNAL_NAME, read_journal
from breakroom.spec.drill import METRICS, LoadSpec

if TYPE_CHECKING:
    from analysis.conftest import Kit, Scene

MS = 1_000_000


def one(results: RunResults) -> TrialResults:
    (trial,) = results.trials
    return trial


def moments(trial: TrialResults) -> dict[str, float | None]:
    return {phase.name: phase.at_s for phase in trial.recovery}


def codes(trial: TrialResults) -> list[str]:
    return [why.code for why in trial.reasons_unknown]


@pytest.fixture
def orchestrated(kit: Kit) -> TrialResults:
    scene = kit.scene()
    kit.orchestrated(scene)
    return one(analyse(scene.journal()))


@pytest.fixture
def single(kit: Kit) -> TrialResults:
    scene = kit.scene()
    kit.single(scene)
    return one(analyse(scene.journal()))


def test_availability_counts_probes_from_the_one_in_flight_to_the_end_of_observation(
    orchestrated: TrialResults,
) -> None:
    # Window -5 … 3350 ms; probes at -3, 7, …, 3347: 336, of which the first failed.
    assert orchestrated.availability.intended == 336
    assert orchestrated.availability.ok == 335
    assert orchestrated.availability.requests == pytest.approx(335 / 336)
    assert orchestrated.availability.time == pytest.approx(1 - 0.010 / 3.355)
    assert orchestrated.availability.window_s == pytest.approx(3.355)


def test_a_cut_connection_is_an_outage_of_one_spacing(orchestrated: TrialResults) -> None:
    (outage,) = orchestrated.outages
    assert (outage.kind, outage.failed, outage.outcomes) == ("total", 1, {"reset": 1})
    assert outage.start_at_s == pytest.approx(-0.003)
    assert outage.end_at_s == pytest.approx(0.007)
    assert orchestrated.outage_total_s == orchestrated.longest_outage_s == pytest.approx(0.010)
    assert orchestrated.resolution_s == pytest.approx(0.010 + 0.0001)


def test_recovery_of_a_service_is_taken_apart(orchestrated: TrialResults) -> None:
    assert moments(orchestrated) == pytest.approx(
        {
            "fault": 0.0,
            "first_error": 0.0,
            "detected": 0.0,
            "replaced": 0.001,
            "running": 0.006,
            "first_success": 0.007,
            "in_rotation": 0.3,
            "full_capacity": 0.3,
            "stable": 3.3,
        }
    )
    assert [phase.at_s for phase in orchestrated.recovery] == sorted(
        phase.at_s for phase in orchestrated.recovery if phase.at_s is not None
    )
    assert all((phase.since_previous_s or 0) >= 0 for phase in orchestrated.recovery)
    assert orchestrated.recovery_time_s == pytest.approx(0.007)
    assert orchestrated.time_to_full_capacity_s == pytest.approx(0.3)


def test_a_service_loses_no_more_than_the_connections_that_were_cut(orchestrated: TrialResults) -> None:
    assert orchestrated.cut.failed_requests == 1
    assert (orchestrated.cut.open_on_target, orchestrated.cut.refused_by_target) == (1, 0)
    assert orchestrated.cut.within is True
    assert [why.code for why in orchestrated.explanation][:3] == [
        "lost.cut-connections",
        "capacity.reduced",
        "capacity.rotation",
    ]
    assert orchestrated.explanation[1].params == {"s": pytest.approx(0.3), "lowest": 2, "wanted": 3}


def test_a_clean_trial_is_trusted_and_its_arrivals_are_the_plans(orchestrated: TrialResults) -> None:
    assert orchestrated.reasons_unknown == ()
    assert orchestrated.plan.arrivals_matched is True
    assert orchestrated.plan.arrivals_checked == 737
    assert orchestrated.fault_proved is True
    assert orchestrated.modelled is False
    assert orchestrated.left_behind == ()


def test_blast_radius_is_the_share_of_requests_that_failed_while_it_was_broken(
    orchestrated: TrialResults,
) -> None:
    # During: -3 (in flight) … 297 ms: 31 probes.
    assert orchestrated.blast_radius == pytest.approx(1 / 31)
    assert orchestrated.failed_requests == 1


def test_latency_is_told_by_period_and_outcome(orchestrated: TrialResults) -> None:
    rows = {(row.period, row.which): row for row in orchestrated.latency if row.stream == "probe"}
    # Before: from -3005 ms on, ended before 0: -3003 … -13 ms.
    assert rows["before", "ok"].count == 300
    assert rows["before", "ok"].p99_s == pytest.approx(0.005)
    assert rows["during", "failed"].count == 1
    assert rows["during", "failed"].max_s == pytest.approx(0.003)
    assert rows["during", "ok"].count == 30
    assert rows["after", "ok"].count == 336 - 31


def test_load_is_spread_evenly_over_the_tasks(orchestrated: TrialResults) -> None:
    assert orchestrated.balance.per_task == {"t1": 100, "t2": 100, "t3": 100}
    assert orchestrated.balance.largest_to_smallest == 1.0
    assert orchestrated.balance.chi_square == 0.0
    assert orchestrated.balance.p_value == 1.0


def test_bands_show_each_tasks_life(orchestrated: TrialResults) -> None:
    of_t4: list[tuple[object, ...]] = [
        (band.state, band.from_s, band.to_s) for band in orchestrated.bands if band.task == "t4"
    ]
    assert of_t4 == [
        ("new", pytest.approx(0.001), pytest.approx(0.006)),
        ("starting", pytest.approx(0.006), pytest.approx(0.3)),
        ("rotation", pytest.approx(0.3), pytest.approx(3.402)),
    ]
    t2 = [band.state for band in orchestrated.bands if band.task == "t2"]
    assert t2 == ["new", "running", "rotation", "failed"]


def test_a_single_container_is_down_until_its_operator_acts(single: TrialResults) -> None:
    (outage,) = single.outages
    assert outage.start_at_s == pytest.approx(-0.003)
    assert outage.end_at_s == pytest.approx(3.207)
    assert outage.outcomes == {"reset": 1, "refused": 320}
    assert single.recovery_time_s == pytest.approx(3.207)
    assert single.time_to_full_capacity_s == pytest.approx(3.006)
    assert single.operator.acts == 1
    assert single.operator.first_act_after_s == pytest.approx(3.0)
    assert single.operator.restored_after_s == pytest.approx(3.207)
    assert single.operator.modelled is single.modelled is True
    assert single.cut.within is False


def test_the_operators_waiting_dominates_the_explanation(single: TrialResults) -> None:
    first, second = single.explanation[:2]
    assert first.code == "lost.waiting-for-operator"
    assert first.params == {
        "s": pytest.approx(3.0),
        "share": pytest.approx(3.0 / 3.207),
        "modelled": True,
    }
    assert (second.code, second.params["s"]) == ("lost.app-start", pytest.approx(0.201))


def test_a_persons_act_is_measured_not_modelled(kit: Kit) -> None:
    scene = kit.scene()
    kit.single(scene, by="person")
    trial = one(analyse(scene.journal()))
    assert trial.operator.acts == 1
    assert trial.modelled is False


def test_a_fault_without_proof_makes_the_trial_unknown(kit: Kit) -> None:
    scene = kit.scene()
    kit.orchestrated(scene)
    scene.records = [record for record in scene.records if getattr(record, "stage", "") != "proved"]
    results = analyse(scene.journal())
    trial = one(results)
    assert trial.fault_proved is False
    assert codes(trial) == ["unknown.fault-unproved"]
    assert trial.recovery_time_s is None
    assert results.verdict == "unknown"
    metrics = results.drills[0].contenders[0].metrics
    assert all(metrics[name].n == 0 and metrics[name].unknown == 1 for name in METRICS)


def test_a_load_that_could_not_be_sent_spoils_only_what_rests_on_it(kit: Kit) -> None:
    scene = kit.scene()
    trial = kit.orchestrated(scene, load=LoadSpec(concurrency=1))
    samples = [kit.sample(ms, outcome=Outcome.NOT_SENT) for ms in (-2_000, 10)]
    trial.stream("load", samples, opened=-4_003, closed=3_400)
    results = analyse(scene.journal())
    assert codes(one(results)) == ["unknown.not-sent"]
    metrics = results.drills[0].contenders[0].metrics
    assert metrics["outage"].n == 1
    assert metrics["failed_requests"].unknown == 1


def test_samples_fewer_than_the_generator_counted_are_noticed(kit: Kit) -> None:
    scene = kit.scene()
    kit.orchestrated(scene)
    path = scene.directory / "samples/kill/orchestrated/1/probe-0.bin"
    path.write_bytes(path.read_bytes()[:-32])
    trial = one(analyse(scene.journal()))
    assert codes(trial) == ["unknown.samples-missing"]


def test_arrivals_off_the_plan_by_a_nanosecond_are_noticed(kit: Kit) -> None:
    scene = kit.scene()
    kit.orchestrated(scene)
    path = scene.directory / "samples/kill/orchestrated/1/probe-0.bin"
    data = bytearray(path.read_bytes())
    data[320] ^= 1
    path.write_bytes(data)
    trial = one(analyse(scene.journal()))
    assert trial.plan.arrivals_matched is False
    assert codes(trial) == ["unknown.plan-mismatch"]


def test_contenders_of_one_plan_are_the_same_plan_and_others_are_not(kit: Kit) -> None:
    scene = kit.scene()
    kit.orchestrated(scene)
    kit.single(scene)
    (drill,) = analyse(scene.journal()).drills
    assert drill.same_plan is True
    assert len(set(drill.plan_digests.values())) == 1
    other = kit.scene()
    kit.orchestrated(other)
    kit.single(other, shared={"image": "another"})
    (drill,) = analyse(other.journal()).drills
    assert drill.same_plan is False
    assert drill.verdict == "unknown"
    assert [why.code for why in drill.verdict_reasons] == ["verdict.plans-differ"]


def full_scene(kit: Kit) -> Scene:
    scene = kit.scene()
    scene.expect = [("orchestrated", "outage", "<=", 1e9), ("single", "recovery_time", ">", 1e9)]
    for repeat in (1, 2, 3, 4, 5):
        kit.orchestrated(scene, repeat, back=300 + 10 * repeat)
        kit.single(scene, repeat, act=3_000.0 + 100 * repeat)
    return scene


def test_a_run_of_five_repeats_has_medians_intervals_and_a_verdict(kit: Kit) -> None:
    results = analyse(full_scene(kit).journal())
    assert results.verdict == "met"
    assert results.outcome == "completed"
    assert [claim.verdict for claim in results.claims] == ["met", "unknown", "unknown", "met", "met"]
    (drill,) = results.drills
    by_name = {contender.name: contender for contender in drill.contenders}
    full = by_name["orchestrated"].metrics["time_to_full_capacity"]
    assert (full.n, full.unknown, full.modelled) == (5, 0, False)
    assert (full.median, full.minimum, full.maximum) == pytest.approx((0.33, 0.31, 0.35))
    assert (full.ci95_low, full.ci95_high) == pytest.approx((0.31, 0.35))
    recovery = by_name["single"].metrics["recovery_time"]
    assert recovery.median == pytest.approx(3.507)
    assert recovery.modelled is True
    assert by_name["single"].explanation[0].code == "lost.waiting-for-operator"
    compared = next(one for one in drill.comparisons if one.metric == "recovery_time")
    assert (compared.better, compared.worse) == ("orchestrated", "single")
    assert compared.difference == pytest.approx(3.5)
    assert compared.beyond_noise is True
    known = {name for name, spread in by_name["single"].metrics.items() if spread.median is not None}
    both = {name for name in known if by_name["orchestrated"].metrics[name].median is not None}
    assert {one.metric for one in drill.comparisons} == both | {"operator_minutes"}
    assert all(one.beyond_noise is not None for one in drill.comparisons)


def test_the_operators_time_is_zero_where_it_came_back_alone_and_unknown_where_it_did_not(kit: Kit) -> None:
    results = analyse(full_scene(kit).journal())
    (drill,) = results.drills
    times = {contender.name: contender.operator_time for contender in drill.contenders}
    assert (times["orchestrated"].median, times["orchestrated"].modelled) == (0.0, False)
    assert times["single"].median == pytest.approx(3.507)
    assert times["single"].ci95_low is not None
    assert times["single"].modelled
    alone = next(trial for trial in results.trials if trial.contender == "orchestrated")
    assert operator_time(msgspec.structs.replace(alone, recovery_time_s=None)) is None


def test_a_planned_trial_that_never_ran_counts_as_unknown(kit: Kit) -> None:
    scene = kit.scene()
    scene.expect = [("orchestrated", "outage", "<=", 1e9)]
    kit.orchestrated(scene)
    results = analyse(scene.journal(planned=("kill/orchestrated/1", "kill/orchestrated/2", "kill/single/1")))
    (drill,) = results.drills
    assert drill.contenders[0].metrics["outage"].unknown == 1
    assert drill.conditions[0].verdict == "unknown"
    assert results.verdict == "unknown"
    assert "problem.trials-missing" in [problem.code for problem in results.problems]


def test_a_violated_condition_is_not_met(kit: Kit) -> None:
    scene = kit.scene()
    scene.expect = [("single", "outage", "<=", 1e9), ("orchestrated", "operator_acts", "==", 0)]
    kit.single(scene)
    kit.orchestrated(scene)
    results = analyse(scene.journal())
    (drill,) = results.drills
    assert [condition.verdict for condition in drill.conditions] == ["not met", "met"]
    assert drill.conditions[0].value == pytest.approx(3.21)
    assert drill.verdict == results.verdict == "not met"


def test_results_survive_json(kit: Kit) -> None:
    results = analyse(full_scene(kit).journal())
    assert msgspec.json.decode(msgspec.json.encode(results), type=RunResults) == results


def test_the_same_journal_gives_the_same_results(kit: Kit) -> None:
    journal = full_scene(kit).journal()
    assert analyse(journal) == analyse(journal)


def test_a_journal_cut_at_any_record_is_analysed_and_says_so(kit: Kit) -> None:
    scene = kit.scene()
    kit.single(scene)
    kit.orchestrated(scene)
    scene.journal()
    path = scene.directory / JOURNAL_NAME
    lines = path.read_bytes().splitlines(keepends=True)
    for kept in range(1, len(lines)):
        path.write_bytes(b"".join(lines[:kept]) + lines[kept][: len(lines[kept]) // 2])
        results = analyse(read_journal(scene.directory))
        assert results.outcome == "cut-off"
        assert "problem.torn-lines" in [problem.code for problem in results.problems]
        for trial in results.trials:
            if trial.outcome == "cut-off":
                assert codes(trial)[0] == "unknown.cut-off"
                assert results.verdict == "unknown"
        msgspec.json.encode(results)


@pytest.mark.parametrize("kept", [0, 1, 31, 32, 33, 3_200, 12_850])
def test_samples_cut_at_any_byte_are_analysed(kit: Kit, kept: int) -> None:
    scene = kit.scene()
    kit.orchestrated(scene)
    scene.records = [
        record for record in scene.records if type(record).__name__ not in {"StreamClosed", "TrialEnded"}
    ]
    path = scene.directory / "samples/kill/orchestrated/1/probe-0.bin"
    path.write_bytes(path.read_bytes()[:kept])
    trial = one(analyse(scene.journal(ended=False)))
    assert trial.outcome == "cut-off"
    assert trial.generators[0].samples == kept // 32
    assert trial.plan.arrivals_matched is (True if kept >= 32 else None)
    if kept < 12_800:  # nothing of the observation window is there
        assert trial.availability.requests is None
        assert "unknown.no-probe" in codes(trial)


def test_a_cut_off_trial_keeps_what_was_measured_up_to_then(kit: Kit) -> None:
    scene = kit.scene()
    kit.single(scene)
    drop = {"StreamClosed", "TrialEnded", "CleanlinessChecked"}
    scene.records = [
        record for record in scene.records if type(record).__name__ not in drop and record.t <= kit.at(2_000)
    ]
    path = scene.directory / "samples/kill/single/1/probe-0.bin"
    path.write_bytes(path.read_bytes()[: 32 * 601])  # up to the probe at 1997 ms
    trial = one(analyse(scene.journal(ended=False)))
    (outage,) = trial.outages
    assert outage.end_at_s is None
    assert outage.duration_s == pytest.approx(2.0, abs=0.001)
    assert trial.recovery_time_s is None
    assert trial.explanation[0].code == "lost.never-recovered"
    assert trial.explanation[0].params["part"] == "waiting-for-operator"
    assert trial.left_behind is None


def test_a_trial_that_never_got_steady_has_no_numbers(kit: Kit) -> None:
    scene = kit.scene()
    trial = scene.trial("orchestrated")
    trial.start(0)
    trial.phase(1, "deploying")
    trial.end(100, "not-steady")
    result = one(analyse(scene.journal()))
    assert codes(result) == ["unknown.not-steady"]
    assert result.availability.requests is None
    assert result.outage_total_s is None
    assert result.fault_proved is None
    assert result.blast_radius is None


def test_a_contender_that_never_recovers_fails_an_upper_limit_on_its_recovery(kit: Kit) -> None:
    scene = kit.scene()
    scene.expect = [("single", "recovery_time", "<=", 30e9), ("single", "recovery_time", ">", 1e9)]
    kit.single(scene, act=9_000)
    gone = {"operator-1", "c2"}
    scene.records = [
        msgspec.structs.replace(record, outcome="not-recovered") if hasattr(record, "outcome") else record
        for record in scene.records
        if getattr(record, "action", "") not in gone and getattr(record, "task", "") not in gone
    ]
    path = scene.directory / "samples/kill/single/1/probe-0.bin"
    path.write_bytes(path.read_bytes()[: 32 * 1_300])  # up to the probe at 8987 ms
    scene.records = [
        msgspec.structs.replace(record, intended=1_300, completed=1_300)
        if type(record).__name__ == "StreamClosed"
        else record
        for record in scene.records
    ]
    results = analyse(scene.journal())
    assert one(results).recovery_time_s is None
    assert one(results).explanation[0].code == "lost.never-recovered"
    upper, lower = results.drills[0].conditions
    assert (upper.verdict, upper.value) == ("not met", None)
    assert upper.reason is not None
    assert upper.reason.code == "condition.never"
    assert lower.verdict == "met"


def test_a_journals_own_problems_are_passed_on(kit: Kit) -> None:
    scene = kit.scene()
    trial = kit.orchestrated(scene)
    trial.add(Problem, 10, severity="warning", code="left-behind", params={"what": "x"})
    results = analyse(scene.journal())
    assert results.problems[0].code == "left-behind"
    assert results.problems[0].params == {"what": "x", "trial": "kill/orchestrated/1"}


def test_the_tools_own_cost_is_in_the_results(kit: Kit) -> None:
    scene = kit.scene()
    kit.orchestrated(scene)
    (cost,) = analyse(scene.journal()).tool_cost
    assert (cost.process, cost.max_rss_bytes) == ("main", 9)
    assert cost.cpu_s == pytest.approx(0.003)


def test_a_connection_that_was_reset_before_the_notice_of_the_exit_is_the_faults_doing(kit: Kit) -> None:
    scene = kit.scene()
    trial = kit.orchestrated(scene, load=LoadSpec(concurrency=1))
    load = [kit.sample(-2_000 + number) for number in range(1_900)]
    # Injected at -1 ms, noticed at 0: this one was cut in between.
    load.append(kit.sample(-6, latency=5.5, outcome=Outcome.RESET))
    trial.stream("load", load, opened=-4_003, closed=3_400)
    found = one(analyse(scene.journal()))
    assert found.cut.failed_requests == 2
    assert (found.cut.open_on_target, found.cut.within) == (1, False)
    before = [row.count for row in found.latency if (row.stream, row.period) == ("load", "before")]
    assert before == [1_900, 0]
    assert moments(found)["first_error"] == 0.0


def test_capacity_taken_away_by_the_clean_up_is_not_the_faults_doing(kit: Kit) -> None:
    scene = kit.scene()
    trial = kit.orchestrated(scene)
    for task in ("t1", "t3", "t4"):
        trial.leaves(3_380, task)
    reduced = one(analyse(scene.journal())).explanation[1]
    assert reduced.params["lowest"] == 2


def test_an_outage_that_began_before_observation_counts_in_time_from_then_on(kit: Kit) -> None:
    scene = kit.scene()
    kit.single(scene)
    path = scene.directory / "samples/kill/single/1/probe-0.bin"
    data = bytearray(path.read_bytes())
    for number in range(380, 401):  # slow requests from -203 ms on, all cut by the kill
        data[number * 32 + 30] = Outcome.RESET
        latency_us = 203_000 - 10_000 * (number - 380)
        data[number * 32 + 20 : number * 32 + 24] = latency_us.to_bytes(4, "little")
    path.write_bytes(data)
    trial = one(analyse(scene.journal()))
    (outage,) = trial.outages
    assert outage.start_at_s == pytest.approx(-0.203)
    assert trial.availability.time == pytest.approx(1 - (3.207 + 0.005) / 6.255)


def test_users_who_were_served_again_too_late_to_count_are_not_said_to_have_waited_on(kit: Kit) -> None:
    scene = kit.scene()
    kit.single(scene, act=8_000)
    scene.records = [
        msgspec.structs.replace(record, outcome="not-recovered") if hasattr(record, "outcome") else record
        for record in scene.records
        if not (type(record).__name__ == "PhaseStarted" and getattr(record, "phase", "") == "done")
    ]
    undoing = next(record for record in scene.records if getattr(record, "phase", "") == "undoing")
    scene.records[scene.records.index(undoing)] = msgspec.structs.replace(undoing, t=kit.at(9_000))
    trial = one(analyse(scene.journal()))
    assert trial.recovery_time_s is None
    (why,) = trial.explanation[:1]
    assert why.code == "lost.not-lasting"
    assert why.params["s"] == pytest.approx(8.4, abs=0.5)
    assert why.params["watched_s"] < why.params["stable_s"]
