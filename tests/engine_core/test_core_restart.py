from __future__ import annotations

import pytest

from breakroom.engine.core import events as ev
from breakroom.engine.core import instructions as ins
from breakroom.engine.core.lifecycle import DRAIN_TIME
from breakroom.engine.core.model import Availability, Desired, Exit, Task, TaskState
from breakroom.spec.service import SECOND, Deploy, Port, RestartPolicy, ServiceSpec
from engine_core.simulation import Behaviour, Simulation, ms


def web(
    *,
    replicas: int = 3,
    restart: RestartPolicy | None = None,
    grace: int = 10 * SECOND,
) -> ServiceSpec:
    return ServiceSpec(
        name="web",
        image="app:1",
        ports=(Port(target=3000, published=8080),),
        stop_grace_period=grace,
        deploy=Deploy(replicas=replicas, restart_policy=restart or RestartPolicy()),
    )


def started(spec: ServiceSpec, behaviour: Behaviour | None = None, nodes: int = 1) -> Simulation:
    sim = Simulation(behaviour, nodes)
    sim.do(ev.CreateService(spec))
    sim.run_until(lambda: sim.converged("web"))
    return sim


def in_slot(sim: Simulation, slot: int) -> list[Task]:
    return sim.orchestrator.tasks_in_slot("web", slot)


def test_a_task_without_healthcheck_is_in_rotation_as_soon_as_it_has_started() -> None:
    sim = Simulation()
    sim.do(ev.CreateService(web(replicas=1)))
    [task] = sim.tasks("web")
    assert task.state == TaskState.RUNNING
    assert task.in_rotation
    assert [step.state.word for step in task.history] == [
        "new",
        "assigned",
        "accepted",
        "preparing",
        "ready",
        "starting",
        "running",
    ]


def test_a_crash_cuts_rotation_first_and_prepares_the_replacement_in_the_same_call() -> None:
    sim = started(web(restart=RestartPolicy(delay=0)))
    victim = sim.running("web")[1]
    before = sim.now
    out = sim.crash(victim.id)
    assert out[0] == ins.LeaveRotation(victim.id, "cut")
    prepared = [i.task for i in out if isinstance(i, ins.Prepare)]
    assert [(t.service, t.slot, t.desired) for t in prepared] == [("web", 2, Desired.RUNNING)]
    assert sim.now == before
    assert sim.converged("web")


@pytest.mark.parametrize("delay", [1, ms(5), 5 * SECOND, 90 * SECOND])
def test_a_replacement_is_ready_during_the_delay_and_starts_when_it_is_over(delay: int) -> None:
    sim = started(web(restart=RestartPolicy(delay=delay)))
    sim.crash(sim.running("web")[0].id)
    old, new = in_slot(sim, 1)
    assert (old.state, old.desired) == (TaskState.FAILED, Desired.SHUTDOWN)
    assert old.error == "task: non-zero exit (137)"
    assert (new.state, new.desired) == (TaskState.READY, Desired.READY)
    assert sim.run_until(lambda: sim.converged("web")) == delay


def test_the_default_delay_is_waited_before_every_restart_without_backoff() -> None:
    sim = started(web(replicas=1))
    for _ in range(4):
        sim.crash(sim.running("web")[0].id)
        assert sim.run_until(lambda: sim.converged("web")) == 5 * SECOND


@pytest.mark.parametrize(
    ("condition", "code", "replaced"),
    [
        ("any", 0, True),
        ("any", 1, True),
        ("on-failure", 0, False),
        ("on-failure", 1, True),
        ("none", 0, False),
        ("none", 1, False),
    ],
)
def test_the_condition_decides_by_how_the_task_ended(condition: str, code: int, *, replaced: bool) -> None:
    policy = RestartPolicy(condition=condition, delay=0)  # type: ignore[arg-type]  # one of the three by the table
    sim = started(web(replicas=1, restart=policy))
    sim.crash(sim.running("web")[0].id, code=code, signal=None)
    tasks = in_slot(sim, 1)
    assert tasks[0].state == (TaskState.COMPLETE if code == 0 else TaskState.FAILED)
    assert tasks[0].desired == Desired.SHUTDOWN
    assert (len(tasks) == 2) is replaced


def test_max_attempts_counts_each_slot_by_itself() -> None:
    sim = started(web(replicas=2, restart=RestartPolicy(delay=0, max_attempts=2)))
    for _ in range(3):
        sim.crash(in_slot(sim, 1)[-1].id)
    assert [t.state for t in in_slot(sim, 1)] == [TaskState.FAILED] * 3
    sim.crash(in_slot(sim, 2)[-1].id)
    assert in_slot(sim, 2)[-1].state == TaskState.RUNNING


def test_attempts_outside_the_window_do_not_count() -> None:
    sim = started(web(replicas=1, restart=RestartPolicy(delay=0, max_attempts=1, window=10 * SECOND)))
    for _ in range(3):
        sim.crash(in_slot(sim, 1)[-1].id)
        assert in_slot(sim, 1)[-1].state == TaskState.RUNNING
        sim.run(10 * SECOND)
    sim.crash(in_slot(sim, 1)[-1].id)
    sim.run(SECOND)
    sim.crash(in_slot(sim, 1)[-1].id)
    assert in_slot(sim, 1)[-1].state == TaskState.FAILED


def test_a_new_spec_resets_the_attempts() -> None:
    policy = RestartPolicy(delay=0, max_attempts=1)
    sim = started(web(replicas=1, restart=policy))
    sim.crash(in_slot(sim, 1)[-1].id)
    sim.crash(in_slot(sim, 1)[-1].id)
    assert not sim.running("web")
    spec = ServiceSpec(
        name="web",
        image="app:2",
        ports=(Port(target=3000),),
        deploy=Deploy(replicas=1, restart_policy=policy),
    )
    sim.do(ev.UpdateService(spec))
    sim.run_until(lambda: sim.converged("web"))
    sim.crash(in_slot(sim, 1)[-1].id)
    assert in_slot(sim, 1)[-1].state == TaskState.RUNNING


def test_a_rejected_task_is_retried_once_in_each_delay() -> None:
    behaviour = Behaviour()
    sim = started(web(replicas=1, restart=RestartPolicy(delay=SECOND)), behaviour)
    behaviour.rejects = lambda _task: True
    sim.crash(in_slot(sim, 1)[-1].id)
    made = len(sim.said(ins.Prepare))
    sim.run(10 * SECOND)
    assert in_slot(sim, 1)[-1].error == "no such program"
    assert len(sim.said(ins.Prepare)) - made == 10
    behaviour.rejects = lambda _task: False
    sim.run_until(lambda: sim.converged("web"), limit=2 * SECOND)


def test_an_error_while_starting_is_failed_and_one_while_preparing_is_rejected() -> None:
    sim = Simulation(Behaviour(start_fails=lambda t: t.slot == 1, rejects=lambda t: t.slot == 2))
    sim.do(ev.CreateService(web(replicas=2)))
    failed, rejected = in_slot(sim, 1)[0], in_slot(sim, 2)[0]
    assert (failed.state, failed.error) == (TaskState.FAILED, "starting container failed: permission denied")
    assert (rejected.state, rejected.error) == (TaskState.REJECTED, "no such program")


def test_a_replacement_waits_until_the_unhealthy_or_moved_task_has_stopped() -> None:
    sim = started(web(replicas=2, restart=RestartPolicy(delay=0)), Behaviour(stop_time=4 * SECOND), nodes=2)
    moved = next(t for t in sim.running("web") if t.node == "n1")
    sim.do(ev.SetAvailability("n1", Availability.DRAIN))
    new = in_slot(sim, moved.slot)[-1]
    assert (new.node, new.state, new.desired) == ("n2", TaskState.READY, Desired.READY)
    assert sim.run_until(lambda: sim.converged("web")) == DRAIN_TIME + 4 * SECOND


def test_a_replacement_waits_at_most_a_minute_for_the_old_task() -> None:
    behaviour = Behaviour(ignores_stop=True)
    sim = started(web(replicas=1, grace=120 * SECOND), behaviour, nodes=2)
    sim.do(ev.SetAvailability("n1", Availability.DRAIN))
    new = in_slot(sim, 1)[-1].id
    took = sim.run_until(lambda: sim.orchestrator.tasks[new].state == TaskState.RUNNING)
    assert took == 60 * SECOND
    assert in_slot(sim, 1)[0].state == TaskState.RUNNING


def test_a_graceful_stop_drains_two_seconds_then_signals_then_kills_after_grace() -> None:
    sim = started(web(replicas=1, grace=3 * SECOND), Behaviour(ignores_stop=True))
    [task] = sim.running("web")
    began = sim.now
    sim.do(ev.ScaleService("web", 0))
    sim.run(60 * SECOND)
    story = [
        (t - began, i)
        for t, i in sim.log
        if t >= began and isinstance(i, ins.LeaveRotation | ins.Signal | ins.Forget)
    ]
    assert story == [
        (0, ins.LeaveRotation(task.id, "drain")),
        (2 * SECOND, ins.Signal(task.id, "SIGTERM")),
        (5 * SECOND, ins.Signal(task.id, "SIGKILL")),
        (5 * SECOND + ms(1), ins.Forget(task.id)),
    ]


def test_a_task_asked_to_stop_ends_as_shutdown_whatever_its_exit_code() -> None:
    sim = started(web(replicas=1), Behaviour(stop_code=143))
    [task] = sim.running("web")
    reports: list[Task] = []
    sim.do(ev.RemoveService("web"))
    sim.run(10 * SECOND)
    reports = [i.task for _, i in sim.log if isinstance(i, ins.TaskReport) and i.task.id == task.id]
    assert reports[-1].state == TaskState.SHUTDOWN
    assert reports[-1].error == ""
    assert reports[-1].exit == Exit(code=143)


def test_a_service_without_ports_is_stopped_without_draining() -> None:
    spec = ServiceSpec(name="web", command=("worker",), deploy=Deploy(replicas=1))
    sim = started(spec)
    sim.do(ev.ScaleService("web", 0))
    assert sim.said(ins.Signal)[-1][0] == sim.now


def test_a_slot_remembers_five_tasks_and_forgets_the_oldest() -> None:
    sim = started(web(replicas=1, restart=RestartPolicy(delay=0)))
    ids = []
    for _ in range(8):
        ids.append(in_slot(sim, 1)[-1].id)
        sim.crash(ids[-1])
    assert len(in_slot(sim, 1)) == 5
    forgotten = [i.task for _, i in sim.said(ins.Forget) if isinstance(i, ins.Forget)]
    assert forgotten == ids[:4]


def test_a_stop_that_comes_while_the_start_is_under_way_signals_when_it_has_started() -> None:
    sim = Simulation(Behaviour(start_time=SECOND))
    sim.do(ev.CreateService(web(replicas=1)))
    sim.do(ev.ScaleService("web", 0))
    assert not sim.said(ins.Signal)
    sim.run(SECOND)
    assert not sim.said(ins.EnterRotation)
    sim.run(2 * SECOND)
    assert sim.said(ins.Signal)[0][0] == sim.now
    sim.run(SECOND)
    assert not sim.tasks("web")


def test_half_of_two_hundred_replicas_dying_at_once_touch_only_themselves() -> None:
    sim = Simulation(check=False)
    sim.do(ev.CreateService(web(replicas=200, restart=RestartPolicy(delay=0))))
    assert len(sim.running("web")) == 200
    sizes = [len(sim.crash(task.id)) for task in sim.running("web")[::2]]
    assert max(sizes) == min(sizes) == 4
    assert sim.converged("web")
