"""For each drill a check against something that does not know breakroom: the kernel's counters, the apps' own logs."""

from __future__ import annotations

import sys

import pytest

from breakroom.journal.records import HealthChanged, RotationChanged, TaskStats
from whole_run.evidence import Trial, WholeRun

pytestmark = pytest.mark.timeout(2400)

TOLERANCE_S = 0.25
"""Between an app's own clock and the journal's: the app logs when it gets the processor, after what it tells of."""


def _served_by_apps(trial: Trial) -> int:
    served = [log.served for log in trial.logs.values()]
    assert None not in served, "every replica of this trial is stopped politely"
    return sum(count or 0 for count in served)


def _killed(trial: Trial) -> set[str]:
    return {record.task for record in trial.tasks() if record.signal == 9}


@pytest.mark.parametrize(
    ("drill", "contender"),
    [
        ("scale", "single"),
        ("scale", "orchestrated"),
        ("autoscale", "autoscaled"),
        ("network-delay", "single"),
        ("network-delay", "orchestrated"),
        ("rolling-update", "orchestrated"),
        ("health-check-sick", "orchestrated"),
    ],
)
def test_what_users_were_answered_is_what_the_replicas_say_to_have_served(
    whole: WholeRun, drill: str, contender: str
) -> None:
    trial = whole.trial(drill, contender)
    assert trial.answered() == _served_by_apps(trial)


@pytest.mark.parametrize(
    ("drill", "contender"), [("network-loss", "orchestrated"), ("network-partition", "orchestrated")]
)
def test_replicas_behind_a_bad_link_served_what_was_answered_and_at_most_what_was_lost_on_the_way(
    whole: WholeRun, drill: str, contender: str
) -> None:
    trial = whole.trial(drill, contender)
    lost = sum(
        count
        for outcomes in trial.results["outcomes"].values()
        for outcome, count in outcomes.items()
        if outcome != "ok"
    )
    assert trial.answered() <= _served_by_apps(trial) <= trial.answered() + lost


def test_during_a_partition_the_replica_that_is_cut_off_answers_nobody(whole: WholeRun) -> None:
    trial = whole.trial("network-partition", "orchestrated")
    (cut,) = trial.actions("partition", "proved")
    (healed,) = trial.actions("partition", "undone")
    (task,) = cut.tasks
    for _, samples, names in trial.samples():
        inside = (samples["intended"] > cut.t) & (samples["intended"] < healed.t - 2_000_000_000)
        who = {names[number] for number in samples["task"][inside].tolist()}
        assert task not in who
        assert len(who - {""}) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/vmstat is Linux's")
def test_the_kernel_counts_as_many_memory_kills_as_were_reported(whole: WholeRun) -> None:
    trials = whole.trials("memory-leak")
    if {trial.results["capabilities"]["memory_limit"] for trial in trials} == {"rss-watch"}:
        pytest.skip(
            "no control group can be made here: breakroom watches the limit itself, the kernel kills nobody"
        )
    reported = sum(record.oom_killed for trial in trials for record in trial.tasks())
    assert reported == sum(trial.results["leak"]["oom_kills"] for trial in trials)
    if whole.first_code == 0 and whole.oom_kills is not None:
        assert whole.oom_kills == reported


def test_a_leaking_replica_says_itself_that_its_memory_was_near_the_limit(whole: WholeRun) -> None:
    for trial in whole.trials("memory-leak"):
        life = next(life for life in trial.results["leak"]["lives"] if life["oom"])
        said = [line for line in trial.logs[life["task"]].text.splitlines() if "remembers" in line]
        remembered = float(said[-1].split(" visits in ")[1].split(" MiB")[0]) * 2**20
        assert 0.5 * life["limit_bytes"] < remembered < life["limit_bytes"]
        visits = int(said[-1].split("remembers ")[1].split()[0])
        assert life["bytes_per_request"] == pytest.approx(remembered / visits, rel=0.15)


def test_a_killed_replica_had_no_last_words_and_its_replacement_listens_before_it_is_in_rotation(
    whole: WholeRun,
) -> None:
    for drill in ("kill", "health-check"):
        trial = whole.trial(drill, "orchestrated")
        (dead,) = trial.actions("kill", "proved")[0].tasks
        assert trial.logs[dead].served is None
        assert _killed(trial) == {dead}
        entries = [record for record in trial.records if isinstance(record, RotationChanged)]
        replacement = next(
            record
            for record in entries
            if record.in_rotation and record.t > trial.actions("kill", "proved")[0].t
        )
        listened = trial.logs[replacement.task].unix_of("listening on")
        assert listened is not None
        assert listened <= trial.unix(replacement.t) + 0.01


def test_versions_in_the_answers_are_those_that_replicas_say_to_be(whole: WholeRun) -> None:
    trial = whole.trial("rolling-update", "orchestrated")
    served: dict[str, int] = {}
    for log in trial.logs.values():
        served[log.version] = served.get(log.version, 0) + (log.served or 0)
    assert trial.answered_by_version() == served
    assert set(served) == {"v1", "v2"}
    (finding,) = trial.results["updates"]
    assert finding["state"] == "completed"
    assert finding["failed_requests"] == 0
    assert all(log.cut == 0 for log in trial.logs.values())


def test_single_containers_release_is_out_of_service_between_the_old_logs_end_and_the_new_ones_begin(
    whole: WholeRun,
) -> None:
    trial = whole.trial("rolling-update", "single")
    old, new = sorted(trial.logs.values(), key=lambda log: log.version)
    stopped, listening = old.unix_of("stopping on"), new.unix_of("listening on")
    assert stopped is not None
    assert listening is not None
    outages = [outage for outage in trial.results["outages"] if outage["kind"] == "total"]
    zero = trial.results["zero_unix_s"]
    assert outages
    assert min(outage["start_at_s"] for outage in outages) + zero >= stopped - TOLERANCE_S
    assert max(outage["end_at_s"] for outage in outages) + zero >= listening - 0.01


def test_the_crashing_release_ended_itself_and_the_old_one_came_back(whole: WholeRun) -> None:
    trial = whole.trial("bad-update", "orchestrated")
    bad = [record for record in trial.tasks() if record.exit_code == 1]
    assert bad
    assert all(trial.logs[record.task].version == "v2" for record in bad)
    (finding,) = trial.results["updates"]
    assert finding["state"] == "rolled-back"
    lasting = [log for log in trial.logs.values() if log.served is not None]
    assert {log.version for log in lasting} == {"v1"}
    met = sum(count for version, count in trial.answered_by_version().items() if version == "v2")
    assert finding["new_version_requests"] >= met


def test_nobody_was_answered_by_a_release_that_never_became_healthy(whole: WholeRun) -> None:
    orchestrated = whole.trial("bad-update-unhealthy", "orchestrated")
    served = [log.served for log in orchestrated.logs.values() if log.version == "v2"]
    assert served == [0]
    single = whole.trial("bad-update-unhealthy", "single")
    said = sum(log.served or 0 for log in single.logs.values() if log.version == "v2")
    (finding,) = single.results["updates"]
    # What failed on the new container before it listened has met it, too, and its log knows nothing of that.
    assert single.answered_by_version()["v2"] == said
    assert said <= finding["new_version_requests"] <= said + finding["failed_requests"]


def test_the_slow_release_was_slow_by_its_own_words(whole: WholeRun) -> None:
    trial = whole.trial("bad-update-slow", "single")
    late = [
        samples["total"][(samples["outcome"] == 3)]
        for stream, samples, _ in trial.samples()
        if stream == "probe"
    ]
    assert all((totals >= 1_000_000).all() for totals in late)
    assert {log.version for log in trial.logs.values()} == {"v1", "v2"}


def test_a_replica_said_that_it_was_sick_when_the_fault_was_proved(whole: WholeRun) -> None:
    for trial in whole.trials("health-check-sick"):
        (proved,) = trial.actions("request", "proved")
        (task,) = proved.tasks
        said = trial.logs[task].unix_of("is sick")
        assert said is not None
        assert proved.proved_t is not None
        assert abs(trial.unix(proved.proved_t) - said) < TOLERANCE_S


def test_a_hung_replica_never_heard_that_it_was_to_stop(whole: WholeRun) -> None:
    trial = whole.trial("health-check-hang", "orchestrated")
    hung = trial.actions("hang", "proved")[0]
    (task,) = hung.tasks
    assert "stopping on" not in trial.logs[task].text
    assert task in _killed(trial)
    # While it was starting a probe may have come before it listened.
    failed = [
        record
        for record in trial.records
        if isinstance(record, HealthChanged) and record.task == task and not record.ok and record.t > hung.t
    ]
    (finding,) = trial.results["detection"]
    assert finding["failed_probes"] == len(failed) == 3


def test_only_the_health_check_saw_the_hang(whole: WholeRun) -> None:
    restart = whole.trial("health-check-hang", "single-restart")
    assert len(restart.logs) == 1, "the container was never started again"
    assert len(whole.trial("health-check-hang", "orchestrated").logs) == 6


@pytest.mark.parametrize(("drill", "kind", "share"), [("pause", "pause", 0.0), ("cpu-hog", "cpu", 0.05)])
def test_the_kernel_gave_the_replica_no_more_of_a_core_than_the_fault_says(
    whole: WholeRun, drill: str, kind: str, share: float
) -> None:
    trial = whole.trial(drill, "single")
    (proved,) = trial.actions(kind, "proved")
    (undone,) = trial.actions(kind, "undone")
    (task,) = proved.tasks
    stats = [
        record
        for record in trial.records
        if isinstance(record, TaskStats) and record.task == task and proved.t < record.t < undone.t
    ]
    first, last = stats[0], stats[-1]
    assert last.t - first.t > 3_000_000_000
    used = (last.cpu_ns - first.cpu_ns) / (last.t - first.t)
    assert used <= share + 0.03


def test_a_scale_up_ended_when_the_new_replicas_say_that_they_listen(whole: WholeRun) -> None:
    trial = whole.trial("scale", "orchestrated")
    up = next(finding for finding in trial.results["scaling"] if finding["to_replicas"] == 6)
    zero = trial.results["zero_unix_s"]
    new = [log for log in trial.logs.values() if (log.unix_of("listening on") or 0.0) > zero]
    assert len(new) == 3
    last = max(log.unix_of("listening on") or 0.0 for log in new)
    assert 0 <= up["reached_at_s"] + zero - last < 1.0
    assert up["failed_requests"] == 0
