from __future__ import annotations

import pytest

from breakroom.engine.core import events as ev
from breakroom.engine.core import instructions as ins
from breakroom.engine.core.lifecycle import DRAIN_TIME
from breakroom.engine.core.model import Desired, HealthStatus, TaskState
from breakroom.spec.service import SECOND, Deploy, Healthcheck, Port, RestartPolicy, ServiceSpec
from engine_core.simulation import Behaviour, Simulation, ms


def web(check: Healthcheck, *, restart: RestartPolicy | None = None, grace: int = 10 * SECOND) -> ServiceSpec:
    policy = restart or RestartPolicy(delay=0)
    return ServiceSpec(
        name="web",
        ports=(Port(target=3000),),
        healthcheck=check,
        stop_grace_period=grace,
        deploy=Deploy(replicas=1, restart_policy=policy),
    )


def every(seconds: int, *, retries: int = 3, start_period: int = 0) -> Healthcheck:
    return Healthcheck(
        test=("HTTP", "/health"),
        interval=seconds * SECOND,
        retries=retries,
        start_period=start_period,
        start_interval=SECOND,
    )


def created(spec: ServiceSpec, behaviour: Behaviour) -> Simulation:
    sim = Simulation(behaviour)
    sim.do(ev.CreateService(spec))
    return sim


def probes(sim: Simulation) -> list[int]:
    return [t for t, _ in sim.said(ins.RunProbe)]


def test_a_task_stays_starting_until_its_first_success_after_one_interval() -> None:
    sim = created(web(every(10)), Behaviour(probe_time=0))
    began = sim.now
    [task] = sim.tasks("web")
    assert (task.state, task.health, task.in_rotation) == (TaskState.STARTING, HealthStatus.STARTING, False)
    sim.run_until(lambda: bool(sim.running("web")))
    assert sim.now - began == 10 * SECOND
    assert sim.tasks("web")[0].health == HealthStatus.HEALTHY


def test_the_interval_counts_from_the_end_of_a_probe_to_the_next_ones_start() -> None:
    sim = created(web(every(10)), Behaviour(probe_time=3 * SECOND))
    began = sim.now
    sim.run(50 * SECOND)
    assert [t - began for t in probes(sim)] == [10 * SECOND, 23 * SECOND, 36 * SECOND, 49 * SECOND]


def test_within_the_start_period_probes_come_every_start_interval_until_healthy() -> None:
    began = 1_000 * SECOND
    behaviour = Behaviour(probe_time=0, healthy=lambda _task, now: now >= began + 4 * SECOND)
    sim = created(web(every(10, start_period=8 * SECOND)), behaviour)
    sim.run(20 * SECOND)
    assert [(t - began) // SECOND for t in probes(sim)] == [1, 2, 3, 4, 14]


def test_failures_within_the_start_period_do_not_count_while_starting() -> None:
    sim = created(
        web(every(10, retries=1, start_period=5 * SECOND)),
        Behaviour(probe_time=0, healthy=lambda _task, _now: False),
    )
    sim.run(4 * SECOND + ms(500))
    reports = [i for _, i in sim.said(ins.HealthReport) if isinstance(i, ins.HealthReport)]
    assert [r.failing_streak for r in reports] == [0, 0, 0, 0]
    assert not sim.said(ins.Signal)
    sim.run(20 * SECOND)
    assert sim.said(ins.Signal)


def test_a_probe_that_began_within_the_start_period_does_not_count_though_it_ends_after() -> None:
    sim = created(
        web(every(10, retries=1, start_period=2 * SECOND)),
        Behaviour(probe_time=5 * SECOND, healthy=lambda _task, _now: False),
    )
    sim.run(6 * SECOND + ms(1))
    [(_, report)] = sim.said(ins.HealthReport)
    assert isinstance(report, ins.HealthReport)
    assert (report.status, report.failing_streak) == (HealthStatus.STARTING, 0)


def test_one_success_ends_a_failing_streak() -> None:
    sim = created(web(every(1, retries=3)), Behaviour(probe_time=0))
    sim.run(SECOND)
    results = iter([False, False, True, False, False, True])
    sim.behaviour.healthy = lambda _task, _now: next(results)
    sim.run(6 * SECOND)
    reports = [i for _, i in sim.said(ins.HealthReport) if isinstance(i, ins.HealthReport)]
    assert [r.failing_streak for r in reports] == [0, 1, 2, 0, 1, 2, 0]
    assert {r.status for r in reports} == {HealthStatus.HEALTHY}


def test_an_unhealthy_task_leaves_rotation_drains_is_stopped_fails_and_is_replaced() -> None:
    behaviour = Behaviour(probe_time=0, stop_code=143, stop_time=SECOND)
    sim = created(web(every(1, retries=2), restart=RestartPolicy(delay=5 * SECOND)), behaviour)
    sim.run(SECOND)
    [task] = sim.running("web")
    behaviour.healthy = lambda t, _now: t.id != task.id
    sim.run(2 * SECOND)
    sick = sim.now
    assert sim.said(ins.LeaveRotation) == [(sick, ins.LeaveRotation(task.id, "drain"))]
    present = sim.orchestrator.tasks[task.id]
    assert (present.state, present.desired) == (TaskState.RUNNING, Desired.RUNNING)
    sim.run(DRAIN_TIME)
    assert sim.said(ins.Signal) == [(sick + DRAIN_TIME, ins.Signal(task.id, "SIGTERM"))]
    sim.run(SECOND)
    ended = sim.orchestrator.tasks[task.id]
    assert ended.state == TaskState.FAILED
    assert ended.error == "task: non-zero exit (143): dockerexec: unhealthy container"
    new = sim.tasks("web")[-1]
    assert (new.state, new.desired) == (TaskState.READY, Desired.READY)
    assert sim.run_until(lambda: bool(sim.running("web"))) == 6 * SECOND


def test_an_unhealthy_task_that_ignores_the_stop_signal_is_killed_after_its_grace() -> None:
    behaviour = Behaviour(probe_time=0, ignores_stop=True, dies_at_once=True)
    sim = created(web(every(1, retries=1), grace=4 * SECOND), behaviour)
    sim.run(SECOND)
    [task] = sim.running("web")
    behaviour.healthy = lambda t, _now: t.id != task.id
    sim.run(SECOND + DRAIN_TIME + 4 * SECOND)
    assert (
        sim.orchestrator.tasks[task.id].error == "task: non-zero exit (137): dockerexec: unhealthy container"
    )


def test_the_trap_an_unhealthy_task_that_exits_with_0_is_complete_and_on_failure_leaves_it() -> None:
    behaviour = Behaviour(probe_time=0, stop_code=0)
    sim = created(web(every(1, retries=1), restart=RestartPolicy(condition="on-failure", delay=0)), behaviour)
    sim.run(SECOND)
    behaviour.healthy = lambda _task, _now: False
    sim.run(60 * SECOND)
    [task] = sim.tasks("web")
    assert (task.state, task.error) == (TaskState.COMPLETE, "")


def test_a_task_that_never_becomes_healthy_is_replaced_again_and_again() -> None:
    behaviour = Behaviour(probe_time=0, stop_code=143, healthy=lambda _task, _now: False)
    sim = created(web(every(1, retries=2)), behaviour)
    sim.run(30 * SECOND)
    assert not sim.said(ins.EnterRotation)
    assert len(sim.said(ins.Start)) > 3
    assert "unhealthy container" in sim.tasks("web")[0].error


def test_a_probe_that_answers_after_the_tasks_end_is_ignored() -> None:
    sim = created(web(every(1)), Behaviour(probe_time=5 * SECOND))
    sim.run(2 * SECOND)
    [task] = sim.tasks("web")
    sim.crash(task.id)
    reports = len(sim.said(ins.HealthReport))
    assert not sim.do(ev.ProbeFinished(task.id, ok=True))
    assert len(sim.said(ins.HealthReport)) == reports


@pytest.mark.parametrize("test", [("NONE",), ("HTTP", "/")])
def test_a_disabled_healthcheck_gates_nothing(test: tuple[str, ...]) -> None:
    sim = created(web(Healthcheck(test=test, disable=test != ("NONE",))), Behaviour())
    assert sim.running("web")
    assert sim.orchestrator.next_deadline() is None
