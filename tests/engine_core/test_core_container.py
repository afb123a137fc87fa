from __future__ import annotations

import pytest

from breakroom.engine.core import events as ev
from breakroom.engine.core import instructions as ins
from breakroom.engine.core.model import Container, Exit, HealthStatus, Task, TaskState
from breakroom.engine.core.orchestrator import IllegalEvent
from breakroom.spec.service import SECOND, Healthcheck, Port, ServiceSpec
from engine_core.simulation import Behaviour, Simulation, ms


def app(restart: str = "no", health: Healthcheck | None = None) -> ServiceSpec:
    return ServiceSpec(
        name="app", image="app:1", ports=(Port(target=3000),), restart=restart, healthcheck=health
    )


def running(restart: str = "no", behaviour: Behaviour | None = None) -> Simulation:
    sim = Simulation(behaviour)
    sim.do(ev.CreateContainer(app(restart)))
    return sim


def container(sim: Simulation) -> Container:
    return sim.orchestrator.containers["app"]


def last(sim: Simulation) -> Task:
    return sim.tasks("app")[-1]


def waits(sim: Simulation, crashes: int, run_for: int = 0) -> list[int]:
    """Time from each crash to the next start."""
    found = []
    for _ in range(crashes):
        sim.run(run_for)
        sim.crash(last(sim).id)
        found.append(sim.run_until(lambda: container(sim).state == "running"))
    return found


def test_a_container_runs_in_rotation_under_its_own_name() -> None:
    sim = running()
    assert container(sim).state == "running"
    assert last(sim).in_rotation
    assert last(sim).name == "app"


@pytest.mark.parametrize(
    ("policy", "code", "restarted"),
    [
        ("no", 1, False),
        ("always", 0, True),
        ("always", 1, True),
        ("unless-stopped", 0, True),
        ("on-failure", 0, False),
        ("on-failure", 1, True),
    ],
)
def test_the_policy_decides_by_the_exit_code(policy: str, code: int, *, restarted: bool) -> None:
    sim = running(policy)
    out = sim.crash(last(sim).id, code=code, signal=None)
    assert out[0] == ins.LeaveRotation(sim.tasks("app")[0].id, "cut")
    assert container(sim).state == ("restarting" if restarted else "exited")
    sim.run(SECOND)
    assert (len(sim.tasks("app")) == 2) is restarted


def test_the_wait_doubles_from_100_ms_to_a_minute() -> None:
    expected = [ms(100 * 2**n) for n in range(10)] + [60 * SECOND, 60 * SECOND]
    assert waits(running("always"), 12) == expected


def test_a_run_of_ten_seconds_resets_the_wait() -> None:
    sim = running("always")
    assert waits(sim, 3) == [ms(100), ms(200), ms(400)]
    assert waits(sim, 1, 10 * SECOND - 1) == [ms(800)]
    assert waits(sim, 1, 10 * SECOND) == [ms(100)]


def test_on_failure_with_a_limit_gives_up_after_so_many_restarts_and_a_person_starts_the_count_anew() -> None:
    sim = running("on-failure:2")
    waits(sim, 2)
    sim.crash(last(sim).id)
    sim.run(60 * SECOND)
    assert container(sim).state == "exited"
    assert container(sim).restart_count == 2
    sim.do(ev.StartContainer("app"))
    assert container(sim).restart_count == 0
    assert waits(sim, 2) == [ms(100), ms(200)]


@pytest.mark.parametrize("event", [ev.StopContainer("app"), ev.KillContainer("app")])
@pytest.mark.parametrize("policy", ["always", "unless-stopped", "on-failure"])
def test_a_container_stopped_or_killed_through_the_api_is_left_alone(policy: str, event: ev.Event) -> None:
    sim = running(policy, Behaviour(stop_code=143))
    sim.do(event)
    sim.run(120 * SECOND)
    assert container(sim).state == "exited"
    assert last(sim).state == TaskState.SHUTDOWN
    assert not sim.rotation


def test_a_container_is_signalled_at_once_and_published_until_it_is_dead() -> None:
    sim = running("no", Behaviour(stop_time=3 * SECOND))
    began = sim.now
    sim.do(ev.StopContainer("app"))
    assert sim.said(ins.Signal) == [(began, ins.Signal(last(sim).id, "SIGTERM"))]
    assert last(sim).in_rotation
    sim.run(5 * SECOND)
    assert sim.said(ins.LeaveRotation) == [(began + 3 * SECOND, ins.LeaveRotation(last(sim).id, "cut"))]


def test_a_restart_to_come_is_called_off_by_stop() -> None:
    sim = running("always")
    waits(sim, 4)
    sim.crash(last(sim).id)
    assert container(sim).state == "restarting"
    sim.do(ev.StopContainer("app"))
    sim.run(60 * SECOND)
    assert container(sim).state == "exited"


def test_starting_a_dead_container_makes_a_new_task_and_starting_a_running_one_does_nothing() -> None:
    sim = running()
    assert not sim.do(ev.StartContainer("app"))
    first = last(sim)
    sim.crash(first.id)
    sim.do(ev.StartContainer("app"))
    assert last(sim).id != first.id
    assert last(sim).state == TaskState.RUNNING


def test_an_unhealthy_container_is_not_restarted_stays_in_rotation_and_may_recover() -> None:
    behaviour = Behaviour(probe_time=0, healthy=lambda _task, _now: False)
    sim = Simulation(behaviour)
    check = Healthcheck(test=("HTTP", "/"), interval=SECOND, retries=2)
    sim.do(ev.CreateContainer(app("always", check)))
    assert last(sim).state == TaskState.RUNNING
    sim.run(60 * SECOND)
    assert last(sim).health == HealthStatus.UNHEALTHY
    assert last(sim).in_rotation
    assert not sim.said(ins.Signal)
    behaviour.healthy = lambda _task, _now: True
    sim.run(SECOND)
    assert last(sim).health == HealthStatus.HEALTHY


def test_a_start_that_fails_is_not_retried() -> None:
    sim = Simulation(Behaviour(start_fails=lambda _task: True))
    sim.do(ev.CreateContainer(app("always")))
    sim.run(60 * SECOND)
    assert container(sim).state == "exited"
    assert len(sim.tasks("app")) == 1


def test_removing_kills_at_once_and_forgets_everything() -> None:
    sim = running("always", Behaviour(dies_at_once=True))
    waits(sim, 2)
    sim.do(ev.RemoveContainer("app"))
    assert not sim.orchestrator.containers
    assert not sim.orchestrator.tasks
    assert not sim.processes
    sim.do(ev.CreateContainer(app()))


def test_five_runs_are_remembered() -> None:
    sim = running("always")
    waits(sim, 9, 11 * SECOND)
    assert len(sim.tasks("app")) == 5


def test_a_signal_through_the_api_that_does_not_kill_still_leaves_the_container_stoppable() -> None:
    sim = running("always")
    sim.do(ev.KillContainer("app", "SIGHUP"))
    sim.do(ev.StopContainer("app"))
    sim.run(SECOND)
    assert container(sim).state == "exited"


def test_killing_what_does_not_run_is_refused_with_the_tasks_history() -> None:
    sim = running()
    sim.crash(last(sim).id)
    with pytest.raises(IllegalEvent, match="container app is not running") as caught:
        sim.do(ev.KillContainer("app"))
    assert [step.state for step in caught.value.history][-1] == TaskState.FAILED
    assert "history: new at" in str(caught.value)


@pytest.mark.parametrize("policy", ["sometimes", "always:3", "on-failure:x"])
def test_an_unknown_policy_is_refused_with_the_known_ones(policy: str) -> None:
    with pytest.raises(IllegalEvent, match="on-failure:3"):
        running(policy)


def test_an_engine_that_comes_back_starts_what_was_running_by_its_policy() -> None:
    for policy, state in (("no", "exited"), ("always", "running")):
        sim = running(policy)
        task = last(sim)
        sim.do(ev.NodeDown("n1"))
        assert sim.tasks("app")[0].state == TaskState.ORPHANED
        sim.crash(task.id)
        sim.do(ev.NodeUp("n1"))
        assert container(sim).state == state


def test_an_exit_notice_may_overtake_the_answer_to_start() -> None:
    sim = Simulation(Behaviour(start_time=SECOND))
    sim.do(ev.CreateContainer(app()))
    task = last(sim)
    sim.do(ev.TaskExited(task.id, Exit(code=1)))
    assert last(sim).state == TaskState.FAILED
    assert sim.do(ev.TaskStarted(task.id, 7)) == []
