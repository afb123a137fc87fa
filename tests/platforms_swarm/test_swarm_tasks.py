"""Rows of the API become records: every change once, in the order in which it happened."""

from __future__ import annotations

from typing import Any

from breakroom.platforms.swarm.tasks import TaskBook

SECOND = 1_000_000_000
NAMES = {"n1": "box-1"}


def at(second: float) -> str:
    return f"2026-01-01T00:00:{second:012.9f}Z"


def row(
    state: str,
    desired: str = "running",
    *,
    reported: float = 1,
    updated: float = 1,
    task: str = "t1",
    slot: int = 1,
    image: str = "app:v1",
    **status: Any,
) -> dict[str, Any]:
    return {
        "ID": task,
        "CreatedAt": at(0),
        "UpdatedAt": at(updated),
        "Slot": slot,
        "NodeID": "n1",
        "DesiredState": desired,
        "Spec": {"ContainerSpec": {"Image": image}},
        "Status": {"Timestamp": at(reported), "State": state, **status},
    }


def book() -> TaskBook:
    return TaskBook(trial="t/o/1", service="web", tell_time=lambda _node, unix: (unix or 0) % (60 * SECOND))


RUNNING: dict[str, Any] = {"ContainerStatus": {"ContainerID": "c1", "PID": 42, "ExitCode": 0}}
DEAD: dict[str, Any] = {
    "ContainerStatus": {"ContainerID": "c1", "PID": 0, "ExitCode": 137},
    "Err": "task: non-zero exit (137)",
}


def test_a_task_first_seen_late_was_created_when_swarm_says() -> None:
    records = book().observe([row("preparing", reported=3)], NAMES)

    assert [(record.state, record.t) for record in records] == [("new", 0), ("preparing", 3 * SECOND)]
    assert records[1].node == "box-1"


def test_the_same_answer_twice_is_no_news() -> None:
    tasks = book()
    tasks.observe([row("running", **RUNNING)], NAMES)

    assert tasks.observe([row("running", **RUNNING)], NAMES) == []


def test_a_crash_comes_before_the_wish_that_follows_from_it() -> None:
    tasks = book()
    tasks.observe([row("running", **RUNNING)], NAMES)

    records = tasks.observe([row("failed", "shutdown", reported=5, updated=6, **DEAD)], NAMES)

    assert [(record.state, record.desired) for record in records] == [
        ("failed", "running"),
        ("failed", "shutdown"),
    ]
    assert (records[0].exit_code, records[0].signal) == (137, 9)
    assert records[0].error == "task: non-zero exit (137)"


def test_an_end_heard_of_late_is_still_before_the_wish_that_follows_from_it() -> None:
    def by_manager(node: str, unix: int | None) -> int:
        return (unix or 0) % (60 * SECOND) if node == "" else 9 * SECOND

    tasks = TaskBook(trial="t/o/1", service="web", tell_time=by_manager)
    tasks.observe([row("running", **RUNNING)], NAMES)

    records = tasks.observe([row("failed", "shutdown", reported=5, updated=6, **DEAD)], NAMES)

    assert [(record.t, record.desired) for record in records] == [
        (6 * SECOND, "running"),
        (6 * SECOND, "shutdown"),
    ]


def test_a_wish_comes_before_the_end_that_follows_from_it() -> None:
    tasks = book()
    tasks.observe([row("running", **RUNNING)], NAMES)

    records = tasks.observe([row("shutdown", "shutdown", reported=5, updated=4)], NAMES)

    assert [(record.state, record.desired) for record in records] == [
        ("running", "shutdown"),
        ("shutdown", "shutdown"),
    ]


def test_an_end_that_the_kernel_told_of_is_written_before_swarm_knows() -> None:
    tasks = book()
    tasks.observe([row("running", **RUNNING)], NAMES)

    (record,) = tasks.ended("t1", 137, 7 * SECOND, NAMES)

    assert (record.state, record.signal, record.t) == ("running", 9, 7 * SECOND)
    assert not tasks.tasks["t1"].alive


def test_an_exit_code_before_the_end_means_nothing() -> None:
    tasks = book()
    half: dict[str, Any] = {"ContainerStatus": {"ContainerID": "c1", "PID": 42, "ExitCode": -1}}

    records = tasks.observe([row("running", **half)], NAMES)

    assert [record.exit_code for record in records] == [None, None]


def test_a_rolled_back_spec_has_its_number_again() -> None:
    tasks = book()
    for number, image in enumerate(("app:v1", "app:v2", "app:v1"), start=1):
        tasks.observe([row("new", task=f"t{number}", image=image)], NAMES)

    assert [task.version for task in tasks.tasks.values()] == [1, 2, 1]


def test_tasks_of_a_removed_service_end_although_swarm_forgets_them() -> None:
    tasks = book()
    tasks.observe([row("running", **RUNNING)], NAMES)

    (unwanted,) = tasks.withdraw(5 * SECOND, NAMES)
    late = tasks.observe([row("running", **RUNNING)], NAMES)
    (ended,) = tasks.ended("t1", 0, 6 * SECOND, NAMES)

    assert unwanted.desired == "remove"
    assert late == []
    assert (ended.state, ended.desired, ended.exit_code) == ("shutdown", "remove", 0)


def test_a_task_that_swarm_has_deleted_between_two_looks_has_ended() -> None:
    tasks = book()
    tasks.observe([row("running", **RUNNING), row("running", task="t2", slot=2)], NAMES)
    tasks.observe([row("running", **RUNNING), row("running", "remove", task="t2", slot=2)], NAMES)

    (gone,) = tasks.observe([row("running", **RUNNING)], NAMES)

    assert (gone.task, gone.state, gone.desired) == ("t2", "shutdown", "remove")
    assert tasks.observe([row("running", **RUNNING)], NAMES) == []


def test_a_task_whose_end_was_seen_leaves_the_history_silently() -> None:
    tasks = book()
    tasks.observe([row("failed", "shutdown", **DEAD)], NAMES)

    assert tasks.observe([], NAMES) == []


def test_memorys_end_that_is_heard_of_late_is_told_all_the_same() -> None:
    tasks = book()
    tasks.observe([row("running", **RUNNING)], NAMES)
    tasks.observe([row("failed", "shutdown", reported=5, updated=6, **DEAD)], NAMES)

    (record,) = tasks.out_of_memory("t1", 7 * SECOND, NAMES)

    assert (record.state, record.oom_killed, record.t) == ("failed", True, 7 * SECOND)
    assert tasks.out_of_memory("t1", 8 * SECOND, NAMES) == []


def test_memory_that_ran_out_in_a_task_did_not_kill_one_that_ended_otherwise() -> None:
    tasks = book()
    tasks.observe([row("running", **RUNNING)], NAMES)

    told = tasks.out_of_memory("t1", 2 * SECOND, NAMES)
    told += tasks.ended("t1", 0, 7 * SECOND, NAMES)

    assert [record.oom_killed for record in told] == [False]
