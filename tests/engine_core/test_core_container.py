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


NEW = ServiceSpec(name="app", image="app:2", ports=(Port(target=3000),), restart="always")


def test_replacing_stops_gracefully_and_then_runs_the_other_spec_in_the_same_slot() -> None:
    sim = running("no", Behaviour(stop_time=3 * SECOND))
    began, old = sim.now, last(sim)
    sim.do(ev.ReplaceContainer(NEW))
    assert sim.said(ins.Signal) == [(began, ins.Signal(old.id, "SIGTERM"))]
    assert container(sim).starts_again
    assert container(sim).spec.image == "app:1"
    sim.run(3 * SECOND)
    new = last(sim)
    assert sim.tasks("app")[0].state == TaskState.SHUTDOWN
    assert (new.slot, new.spec_version, new.spec, new.in_rotation) == (1, 2, NEW, True)
    assert (container(sim).version, container(sim).spec, container(sim).starts_again) == (2, NEW, False)
    assert sim.rotation == {new.id}


def test_a_replaced_container_is_another_one_with_its_own_policy_and_count() -> None:
    sim = running("on-failure:2")
    waits(sim, 2)
    before = container(sim)
    sim.do(ev.ReplaceContainer(NEW))
    sim.run(SECOND)
    after = container(sim)
    assert after.id != before.id
    assert after.created > before.created
    assert after.restart_count == 0
    assert waits(sim, 3) == [ms(100), ms(200), ms(400)]


def test_one_that_does_not_hear_is_killed_after_its_grace_and_then_replaced_or_restarted() -> None:
    for event in (ev.ReplaceContainer(NEW), ev.RestartContainer("app")):
        sim = running("no", Behaviour(ignores_stop=True))
        grace = app().stop_grace_period
        old = last(sim)
        sim.do(event)
        sim.run(grace - 1)
        assert last(sim).id == old.id
        sim.run(SECOND)
        assert sim.tasks("app")[0].exit == Exit(code=137, signal=9)
        assert container(sim).state == "running"


def test_a_restart_keeps_the_spec_and_its_number() -> None:
    sim = running()
    sim.do(ev.ReplaceContainer(NEW))
    sim.run(SECOND)
    sim.do(ev.RestartContainer("app"))
    sim.run(SECOND)
    assert [(t.spec.image, t.spec_version) for t in sim.tasks("app")] == [
        ("app:1", 1),
        ("app:2", 2),
        ("app:2", 2),
    ]


@pytest.mark.parametrize("event", [ev.ReplaceContainer(NEW), ev.RestartContainer("app")])
def test_a_container_that_does_not_run_is_started_at_once(event: ev.Event) -> None:
    sim = running()
    sim.crash(last(sim).id)
    sim.do(event)
    assert container(sim).state == "running"
    assert not sim.said(ins.Signal)


@pytest.mark.parametrize("event", [ev.ReplaceContainer(NEW), ev.RestartContainer("app")])
def test_a_restart_to_come_is_called_off_by_a_persons_own(event: ev.Event) -> None:
    sim = running("always")
    waits(sim, 9)
    sim.crash(last(sim).id)
    assert container(sim).state == "restarting"
    sim.do(event)
    assert container(sim).state == "running"
    assert container(sim).restart_count == 0
    sim.run(120 * SECOND)
    assert len(sim.processes) == 1
    assert len([t for t in sim.tasks("app") if not t.state.terminal]) == 1


@pytest.mark.parametrize("when", ["preparing", "starting"])
def test_what_has_not_begun_to_run_is_withdrawn_for_its_successor(when: str) -> None:
    sim = Simulation(Behaviour(prepare_time=SECOND if when == "preparing" else 0, start_time=SECOND))
    sim.do(ev.CreateContainer(app()))
    assert last(sim).state.word == when
    sim.do(ev.ReplaceContainer(NEW))
    sim.run(10 * SECOND)
    assert [t.spec.image for t in sim.tasks("app") if t.state == TaskState.RUNNING] == ["app:2"]
    assert len(sim.processes) == 1


def test_a_stop_calls_a_replacement_off_and_the_old_container_stays() -> None:
    sim = running("always", Behaviour(stop_time=SECOND))
    sim.do(ev.ReplaceContainer(NEW))
    sim.do(ev.StopContainer("app"))
    sim.run(60 * SECOND)
    assert (container(sim).state, container(sim).spec.image) == ("exited", "app:1")
    sim.do(ev.StartContainer("app"))
    assert last(sim).spec_version == 1


def test_a_restart_of_what_is_being_replaced_brings_the_newest_spec() -> None:
    sim = running("no", Behaviour(stop_time=SECOND))
    sim.do(ev.ReplaceContainer(NEW))
    sim.do(ev.RestartContainer("app"))
    sim.run(10 * SECOND)
    assert (last(sim).spec, last(sim).spec_version, len(sim.tasks("app"))) == (NEW, 2, 2)


def test_one_lost_with_its_engine_is_replaced_when_that_is_back() -> None:
    sim = running("no", Behaviour(stop_time=SECOND))
    sim.do(ev.ReplaceContainer(NEW))
    sim.do(ev.NodeDown("n1"))
    assert container(sim).state == "exited"
    sim.run(10 * SECOND)
    assert len(sim.tasks("app")) == 1
    sim.do(ev.NodeUp("n1"))
    assert (last(sim).spec, container(sim).state) == (NEW, "running")


def test_a_removal_ends_a_replacement() -> None:
    sim = running("always", Behaviour(stop_time=SECOND, dies_at_once=True))
    sim.do(ev.ReplaceContainer(NEW))
    sim.do(ev.RemoveContainer("app"))
    sim.run(60 * SECOND)
    assert not sim.orchestrator.tasks
    assert not sim.processes


def test_a_service_is_neither_replaced_nor_restarted_and_a_wrong_policy_changes_nothing() -> None:
    sim = Simulation()
    sim.do(ev.CreateService(ServiceSpec(name="web", image="app:1")))
    for event in (ev.ReplaceContainer(ServiceSpec(name="web")), ev.RestartContainer("web")):
        with pytest.raises(IllegalEvent, match="no such container: web; it is a service"):
            sim.do(event)
        sim.reset_after_error()
    sim.do(ev.CreateContainer(app()))
    with pytest.raises(IllegalEvent, match="on-failure:3"):
        sim.do(ev.ReplaceContainer(app("sometimes")))
    sim.reset_after_error()
    assert (container(sim).state, container(sim).starts_again) == ("running", False)
