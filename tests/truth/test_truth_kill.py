"""A real kill drill against witnesses that know nothing of breakroom: the service's books, a watcher, plain loops."""

from __future__ import annotations

import sys

import pytest

from truth.conftest import Evidence
from truth.naive import numbers

CONTENDERS = ("single", "single-restart", "orchestrated")
EACH = pytest.mark.parametrize("contender", CONTENDERS)


def _killed(evidence: Evidence, contender: str) -> str:
    """The killed task."""
    (fault,) = evidence.trials[contender].of("ActionChanged", by="timeline", stage="proved")
    (task,) = fault["tasks"]
    return str(task)


@EACH
def test_the_books_are_of_the_tasks_that_answered(evidence: Evidence, contender: str) -> None:
    answered = {request.task for request in evidence.trials[contender].requests if request.ok}
    assert answered == set(evidence.books[contender])


@EACH
def test_each_task_counts_as_many_answers_as_the_samples_have_of_it(
    evidence: Evidence, contender: str
) -> None:
    requests = evidence.trials[contender].requests
    failed = sum(request.failed for request in requests)
    for task, books in evidence.books[contender].items():
        received = sum(request.ok and request.task == task for request in requests)
        if task == _killed(evidence, contender):
            # What it had not answered, or answered into a connection that died with it, its clients saw fail.
            assert received <= books.begun <= received + failed
        else:
            assert received == books.answered == books.begun


@EACH
def test_the_ingress_counts_the_connections_that_each_task_accepted(
    evidence: Evidence, contender: str
) -> None:
    for change in evidence.trials[contender].of("RotationChanged"):
        if change.get("in_rotation"):
            continue
        books = evidence.books[contender][change["task"]]
        total = change.get("total_connections", 0)
        cut = change.get("open_connections", 0) + change.get("refused_connections", 0)
        if change["task"] == _killed(evidence, contender):
            assert books.accepted <= total <= books.accepted + cut
        else:
            assert total - change.get("refused_connections", 0) == books.accepted


def test_every_failure_of_the_orchestrated_service_was_a_connection_of_the_killed_task(
    evidence: Evidence,
) -> None:
    trial, killed = evidence.trials["orchestrated"], _killed(evidence, "orchestrated")
    received = sum(request.ok and request.task == killed for request in trial.requests)
    (left,) = [r for r in trial.of("RotationChanged", task=killed) if not r.get("in_rotation")]
    unanswered = left["total_connections"] - received
    assert evidence.books["orchestrated"][killed].accepted - received <= unanswered
    assert sum(request.failed for request in trial.requests) == unanswered


@pytest.mark.skipif(sys.platform != "linux", reason="the watcher needs pidfds")
@EACH
def test_the_fault_was_proved_after_the_watcher_saw_the_process_alive(
    evidence: Evidence, contender: str
) -> None:
    (fault,) = evidence.trials[contender].of("ActionChanged", by="timeline", stage="proved")
    death = evidence.deaths[evidence.books[contender][_killed(evidence, contender)].pid]
    (intended,) = evidence.trials[contender].of("ActionChanged", by="timeline", stage="intended")
    assert intended["t"] <= death.dead_by
    assert death.alive_at < fault["proved_t"]


@pytest.mark.skipif(sys.platform != "linux", reason="the watcher needs pidfds")
def test_the_proof_is_at_most_a_few_ms_late(evidence: Evidence) -> None:
    # The least of three trials: a machine that stalls at one of the three moments does not make it wrong.
    late = []
    for contender in CONTENDERS:
        (fault,) = evidence.trials[contender].of("ActionChanged", by="timeline", stage="proved")
        death = evidence.deaths[evidence.books[contender][_killed(evidence, contender)].pid]
        late.append(fault["proved_t"] - death.dead_by)
    assert min(late) <= 5_000_000, late


@EACH
def test_the_findings_are_those_of_plain_loops_over_the_raw_samples(
    evidence: Evidence, contender: str
) -> None:
    found, naive = evidence.found(contender), numbers(evidence.trials[contender])
    capacity = found["capacity"]
    pairs = {
        "availability": found["availability"]["requests"],
        "availability_time": found["availability"]["time"],
        "outage": found["outage_total_s"],
        "longest_outage": found["longest_outage_s"],
        "recovery_time": found["recovery_time_s"],
        "time_to_full_capacity": found["time_to_full_capacity_s"],
        "failed_requests": found["failed_requests"],
        "failed_from_fault": found["cut"]["failed_requests"],
        "blast_radius": found["blast_radius"],
        "operator_acts": found["operator"]["acts"],
        "before_per_s": capacity["before_per_s"],
        "during_per_s": capacity["during_per_s"],
        "after_per_s": capacity["after_per_s"],
    }
    assert pairs == pytest.approx({name: naive[name] for name in pairs}, abs=1e-9)
    assert found["outcomes"] == naive["outcomes"]
    assert [outage["kind"] for outage in found["outages"]] == [outage[0] for outage in naive["outages"]]
    for outage, (_, start, end, failed) in zip(found["outages"], naive["outages"], strict=True):
        assert outage["start_at_s"] == pytest.approx(start, abs=1e-9)
        assert outage["end_at_s"] == pytest.approx(end, abs=1e-9)
        assert outage["failed"] == failed


@EACH
def test_capacity_kept_follows_where_the_load_saturated(evidence: Evidence, contender: str) -> None:
    capacity, naive = evidence.found(contender)["capacity"], numbers(evidence.trials[contender])
    assert capacity["saturated"] is True, "the witness is slower than 16 clients: 3 at a time, 25 ms each"
    assert capacity["kept"] == pytest.approx(naive["kept"], abs=1e-9)
    assert capacity["lowest"] == pytest.approx(naive["lowest"], abs=1e-9)


@EACH
def test_the_metrics_of_the_comparison_are_the_trials_own(evidence: Evidence, contender: str) -> None:
    (drill,) = evidence.results["drills"]
    (column,) = [one for one in drill["contenders"] if one["name"] == contender]
    naive = numbers(evidence.trials[contender])
    names = {"capacity_kept": "kept", "lowest_capacity": "lowest"}
    for metric, spread in column["metrics"].items():
        if names.get(metric, metric) in naive:
            assert spread["median"] == pytest.approx(naive[names.get(metric, metric)], abs=1e-9)
