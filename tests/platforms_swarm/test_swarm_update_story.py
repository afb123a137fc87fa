"""What looks at a service's UpdateStatus tell, in Swarm's own answers, put in order without a daemon."""

from __future__ import annotations

from typing import Any

from breakroom.platforms.docker.clock import parse_time
from breakroom.platforms.swarm.updates import UpdateStory

SECOND = 1_000_000_000
ZERO = parse_time("2026-11-26T22:05:00Z") or 0
FAILED = "update rolled back due to failure or early termination of task 6jx4"


def status(state: str, message: str, *, began: int, completed: int | None = None) -> dict[str, Any]:
    """As the API has it; times in seconds."""
    stamp = "2026-11-26T22:05:{:02d}Z"
    found = {"State": state, "Message": message, "StartedAt": stamp.format(began)}
    return found if completed is None else {**found, "CompletedAt": stamp.format(completed)}


def told(*looks: tuple[int, dict[str, Any]]) -> list[tuple[str, str, float]]:
    """State, message and second of each record, looked at in these seconds."""
    now = 0

    def tell(_: str, unix: int | None) -> int:
        return now * SECOND if unix is None else unix - ZERO

    story = UpdateStory(trial="t", service="web", tell_time=tell)
    found = []
    for second, look in looks:
        now = second
        found += [(record.state, record.message, record.t / SECOND) for record in story.observe(look)]
    return found


UPDATING = status("updating", "update in progress", began=20)


def test_an_update_begins_and_ends_when_swarm_says_and_is_told_once() -> None:
    done = status("completed", "update completed", began=20, completed=24)
    assert told((1, {}), (21, UPDATING), (22, UPDATING), (26, done), (27, done)) == [
        ("updating", "update in progress", 20),
        ("completed", "update completed", 24),
    ]


def test_an_automatic_rollback_does_not_begin_when_its_update_began() -> None:
    back = status("rollback_started", FAILED, began=20)
    done = status("rollback_completed", "rollback completed", began=20, completed=30)
    assert told((21, UPDATING), (27, back), (31, done)) == [
        ("updating", "update in progress", 20),
        ("rollback_started", FAILED, 27),
        ("rollback_completed", "rollback completed", 30),
    ]


def test_a_rollback_that_was_over_between_two_looks_is_told_all_the_same() -> None:
    done = status("rollback_completed", "rollback completed", began=20, completed=27)
    assert told((21, UPDATING), (28, done)) == [
        ("updating", "update in progress", 20),
        ("rollback_started", "", 27),
        ("rollback_completed", "rollback completed", 27),
    ]


def test_a_persons_rollback_begins_when_swarm_says_seen_or_not() -> None:
    back = status("rollback_started", "manually requested rollback", began=40)
    done = status("rollback_completed", "rollback completed", began=40, completed=44)
    wanted = [
        ("updating", "update in progress", 20),
        ("rollback_started", "manually requested rollback", 40),
        ("rollback_completed", "rollback completed", 44),
    ]
    assert told((21, UPDATING), (41, back), (45, done)) == wanted
    assert told((21, UPDATING), (45, done)) == wanted


def test_an_end_is_not_told_as_earlier_than_a_beginning_that_was_seen_late() -> None:
    back = status("rollback_started", FAILED, began=20)
    done = status("rollback_completed", "rollback completed", began=20, completed=27)
    assert [(state, t) for state, _, t in told((21, UPDATING), (28, back), (29, done))] == [
        ("updating", 20),
        ("rollback_started", 28),
        ("rollback_completed", 28),
    ]


def test_an_update_that_failed_before_it_was_seen_had_begun() -> None:
    paused = status("paused", "update paused due to failure of task 6jx4", began=20)
    assert [state for state, _, _ in told((23, paused))] == ["updating", "paused"]
    back = status("rollback_started", FAILED, began=20)
    assert told((23, back)) == [("updating", "update in progress", 20), ("rollback_started", FAILED, 23)]


def test_a_second_update_is_told_as_the_first_was() -> None:
    done = status("completed", "update completed", began=20, completed=24)
    again = status("updating", "update in progress", began=40)
    done_again = status("completed", "update completed", began=40, completed=44)
    assert [state for state, _, _ in told((21, UPDATING), (25, done), (41, again), (45, done_again))] == [
        "updating", "completed", "updating", "completed",
    ]  # fmt: skip
