from __future__ import annotations

from dataclasses import replace

import pytest

from breakroom.engine.core import events as ev
from breakroom.engine.core import instructions as ins
from breakroom.engine.core.lifecycle import DRAIN_TIME
from breakroom.engine.core.model import TaskState
from breakroom.engine.core.orchestrator import IllegalEvent
from breakroom.spec.service import SECOND, Deploy, Healthcheck, Port, RestartPolicy, ServiceSpec, UpdateConfig
from engine_core.simulation import Behaviour, Simulation, ms

STOP = ms(10)


def web(
    image: str = "app:1",
    *,
    replicas: int = 3,
    update: UpdateConfig | None = None,
    rollback: UpdateConfig | None = None,
    health: Healthcheck | None = None,
) -> ServiceSpec:
    return ServiceSpec(
        name="web",
        image=image,
        ports=(Port(target=3000),),
        healthcheck=health,
        deploy=Deploy(
            replicas=replicas,
            restart_policy=RestartPolicy(delay=SECOND),
            update_config=update or UpdateConfig(),
            rollback_config=rollback or UpdateConfig(),
        ),
    )


def started(spec: ServiceSpec, behaviour: Behaviour | None = None) -> Simulation:
    sim = Simulation(behaviour or Behaviour(stop_time=STOP))
    sim.do(ev.CreateService(spec))
    sim.run_until(lambda: sim.converged("web"))
    return sim


def update_story(sim: Simulation) -> list[tuple[str, str]]:
    return [(i.state, i.message) for _, i in sim.said(ins.UpdateReport) if isinstance(i, ins.UpdateReport)]


def first_start(sim: Simulation, image: str) -> dict[int, int]:
    """Slot → when the first task of the image was started."""
    found: dict[int, int] = {}
    for t, instruction in sim.said(ins.Start):
        if isinstance(instruction, ins.Start) and instruction.task.spec.image == image:
            found.setdefault(instruction.task.slot, t)
    return found


def images(sim: Simulation) -> set[str]:
    return {task.spec.image for task in sim.running("web")}


def bad(sim: Simulation, image: str = "app:2", after: int = 0) -> None:
    sim.behaviour.crashes_after = lambda task: after if task.spec.image == image else None


def test_one_slot_after_another_is_stopped_then_started_and_the_last_delay_is_waited_too() -> None:
    update = UpdateConfig(delay=7 * SECOND, monitor=3 * SECOND)
    sim = started(web(update=update))
    began = sim.now
    sim.do(ev.UpdateService(web("app:2", update=update)))
    took = sim.run_until(lambda: sim.converged("web"))
    step = DRAIN_TIME + STOP
    at = first_start(sim, "app:2")
    assert [at[slot] - began for slot in (1, 2, 3)] == [
        step,
        2 * step + 7 * SECOND,
        3 * step + 14 * SECOND,
    ]
    assert took == 3 * (step + 7 * SECOND) + 3 * SECOND
    assert update_story(sim) == [("updating", "update in progress"), ("completed", "update completed")]


def test_parallelism_is_a_number_of_independent_workers() -> None:
    update = UpdateConfig(parallelism=2, monitor=0)
    sim = started(web(replicas=4, update=update), Behaviour(stop_time=STOP))
    sim.behaviour.start_time = SECOND
    began = sim.now
    sim.do(ev.UpdateService(web("app:2", replicas=4, update=update)))
    sim.run_until(lambda: sim.converged("web"))
    at = sorted(t - began for t in first_start(sim, "app:2").values())
    step = DRAIN_TIME + STOP
    assert at == [step, step, 2 * step + SECOND, 2 * step + SECOND]


def test_parallelism_zero_replaces_all_at_once() -> None:
    update = UpdateConfig(parallelism=0)
    sim = started(web(update=update))
    sim.do(ev.UpdateService(web("app:2", update=update)))
    assert not sim.running("web")


def test_start_first_stops_the_old_task_only_when_the_new_one_is_healthy() -> None:
    update = UpdateConfig(order="start-first", monitor=0)
    health = Healthcheck(test=("HTTP", "/"), interval=4 * SECOND)
    sim = started(web(replicas=1, update=update, health=health))
    began = sim.now
    [old] = sim.running("web")
    sim.do(ev.UpdateService(web("app:2", replicas=1, update=update, health=health)))
    assert sim.running("web") == [old]
    sim.run_until(lambda: images(sim) == {"app:2"})
    # A probe takes a millisecond in the simulation; the first one comes after one interval.
    assert sim.now - began == 4 * SECOND + ms(1)
    drained = [t for t, i in sim.said(ins.LeaveRotation) if i == ins.LeaveRotation(old.id, "drain")]
    assert drained == [sim.now]


@pytest.mark.parametrize("when", [0, 3 * SECOND])
def test_a_failure_before_or_within_monitor_pauses_the_update_by_default(when: int) -> None:
    sim = started(web(update=UpdateConfig(monitor=3 * SECOND)))
    bad(sim, after=when)
    sim.do(ev.UpdateService(web("app:2", update=UpdateConfig(monitor=3 * SECOND))))
    sim.run_until(lambda: sim.orchestrator.services["web"].update_state == "paused")
    [failed] = [
        i.task.id
        for _, i in sim.said(ins.TaskReport)
        if isinstance(i, ins.TaskReport) and i.task.state == TaskState.FAILED
    ][:1]
    assert update_story(sim)[-1] == (
        "paused",
        f"update paused due to failure or early termination of task {failed}",
    )


def test_a_failure_after_monitor_does_not_count() -> None:
    update = UpdateConfig(monitor=3 * SECOND, parallelism=0)
    sim = started(web(update=update))
    bad(sim, after=4 * SECOND)
    sim.do(ev.UpdateService(web("app:2", update=update)))
    sim.run(30 * SECOND)
    assert sim.orchestrator.services["web"].update_state == "completed"


def test_a_paused_update_leaves_the_other_slots_alone_and_goes_on_when_asked_again() -> None:
    # Without a healthcheck and a delay, the worker is at the second slot before the first one's task has crashed.
    update = UpdateConfig(delay=10 * SECOND)
    sim = started(web(update=update))
    bad(sim)
    sim.do(ev.UpdateService(web("app:2", update=update)))
    sim.run(120 * SECOND)
    assert sim.orchestrator.services["web"].update_state == "paused"
    assert [t.slot for t in sim.running("web")] == [2, 3]
    sim.behaviour.crashes_after = lambda _task: None
    sim.do(ev.UpdateService(web("app:2", update=update)))
    sim.run_until(lambda: sim.converged("web"))
    assert images(sim) == {"app:2"}


def test_failures_up_to_the_ratio_are_borne() -> None:
    update = UpdateConfig(max_failure_ratio=0.34, parallelism=0, monitor=0)
    sim = started(web(update=update))
    sim.behaviour.start_fails = lambda task: task.spec.image == "app:2" and task.slot == 1
    sim.do(ev.UpdateService(web("app:2", update=update)))
    sim.run_until(lambda: sim.orchestrator.services["web"].update_state == "completed")
    sim.do(ev.UpdateService(web("app:1", update=update)))
    sim.run_until(lambda: sim.converged("web"))
    sim.behaviour.start_fails = lambda task: task.spec.image == "app:3" and task.slot <= 2
    sim.do(ev.UpdateService(web("app:3", update=update)))
    sim.run(10 * SECOND)
    assert sim.orchestrator.services["web"].update_state == "paused"


def test_continue_goes_on_whatever_fails() -> None:
    update = UpdateConfig(failure_action="continue", monitor=SECOND)
    sim = started(web(update=update))
    sim.behaviour.start_fails = lambda task: task.spec.image == "app:2"
    sim.do(ev.UpdateService(web("app:2", update=update)))
    sim.run_until(lambda: sim.orchestrator.services["web"].update_state == "completed")
    assert not sim.running("web")


def test_rollback_goes_back_to_the_previous_spec_by_its_own_config() -> None:
    update = UpdateConfig(failure_action="rollback")
    rollback = UpdateConfig(parallelism=0, monitor=2 * SECOND)
    sim = started(web(update=update, rollback=rollback))
    bad(sim)
    sim.do(ev.UpdateService(web("app:2", update=update, rollback=rollback)))
    sim.run_until(lambda: sim.converged("web"))
    states = [state for state, _ in update_story(sim)]
    assert states == ["updating", "rollback_started", "rollback_completed"]
    assert update_story(sim)[1][1].startswith(
        "update rolled back due to failure or early termination of task "
    )
    assert update_story(sim)[2][1] == "rollback completed"
    assert images(sim) == {"app:1"}
    assert sim.orchestrator.services["web"].spec_version == 1
    assert not sim.orchestrator.services["web"].can_roll_back


def test_a_failing_rollback_pauses() -> None:
    update = UpdateConfig(failure_action="rollback")
    sim = started(web(update=update, rollback=update))
    sim.behaviour.crashes_after = lambda _task: 0
    sim.do(ev.UpdateService(web("app:2", update=update, rollback=update)))
    sim.run(60 * SECOND)
    state, message = update_story(sim)[-1]
    assert state == "rollback_paused"
    assert message.startswith("rollback paused due to failure or early termination of task ")


def test_a_rollback_by_hand_changes_places_of_the_two_specs() -> None:
    sim = started(web())
    with pytest.raises(IllegalEvent, match="does not have a previous spec"):
        sim.do(ev.RollbackService("web"))
    sim.reset_after_error()
    sim.do(ev.UpdateService(web("app:2")))
    sim.run_until(lambda: sim.converged("web"))
    for image in ("app:1", "app:2"):
        sim.do(ev.RollbackService("web"))
        assert update_story(sim)[-1] == ("rollback_started", "manually requested rollback")
        sim.run_until(lambda: sim.converged("web"))
        assert images(sim) == {image}


def test_a_rollback_keeps_healthy_tasks_of_the_spec_it_goes_back_to() -> None:
    update = UpdateConfig(failure_action="rollback", order="start-first")
    sim = started(web(update=update, rollback=update))
    before = {t.id for t in sim.running("web")}
    bad(sim)
    health = Healthcheck(test=("HTTP", "/"), interval=SECOND)
    sim.do(ev.UpdateService(web("app:2", update=update, rollback=update, health=health)))
    sim.run_until(lambda: sim.converged("web"))
    assert {t.id for t in sim.running("web")} == before


def test_replicas_alone_are_a_scale_not_an_update() -> None:
    sim = started(web())
    sim.do(ev.UpdateService(web(replicas=5)))
    service = sim.orchestrator.services["web"]
    assert (service.spec_version, service.update_state, len(service.slots)) == (1, "", 5)


def test_a_changed_update_config_replaces_no_task() -> None:
    sim = started(web())
    before = {t.id for t in sim.running("web")}
    sim.do(ev.UpdateService(web(update=UpdateConfig(parallelism=3))))
    assert {t.id for t in sim.running("web")} == before
    assert sim.orchestrator.services["web"].spec_version == 2


def test_scaling_in_the_midst_of_an_update_brings_new_slots_of_the_new_spec() -> None:
    sim = started(web())
    sim.do(ev.UpdateService(web("app:2")))
    sim.do(ev.ScaleService("web", 5))
    assert [t.spec.image for t in sim.running("web") if t.slot > 3] == ["app:2", "app:2"]
    sim.do(ev.ScaleService("web", 2))
    sim.run_until(lambda: sim.converged("web"))
    assert images(sim) == {"app:2"}
    assert update_story(sim)[-1][0] == "completed"


def test_an_update_to_the_same_tasks_as_before_is_done_without_replacing_them() -> None:
    sim = started(web())
    keep = {t.id for t in sim.running("web")[1:]}
    sim.do(ev.UpdateService(web("app:2")))
    sim.do(ev.UpdateService(web("app:1")))
    sim.run_until(lambda: sim.converged("web"))
    assert keep < {t.id for t in sim.running("web")}


def test_a_slot_that_ended_for_good_is_revived_by_an_update() -> None:
    spec = web()
    once = replace(spec.deploy, restart_policy=RestartPolicy(condition="none"))
    sim = started(replace(spec, deploy=once))
    sim.crash(sim.running("web")[0].id)
    assert len(sim.running("web")) == 2
    sim.do(ev.UpdateService(replace(spec, image="app:2", deploy=once)))
    sim.run_until(lambda: sim.converged("web"))
    assert len(sim.running("web")) == 3


def test_a_new_task_waits_until_every_older_one_of_its_slot_has_stopped() -> None:
    health = Healthcheck(test=("HTTP", "/"), interval=60 * SECOND)
    sim = Simulation(Behaviour(stop_time=5 * SECOND))
    sim.do(ev.CreateService(web(replicas=1)))
    first = UpdateConfig(order="start-first")
    sim.do(ev.UpdateService(web("app:2", replicas=1, update=first, health=health)))
    [one, two] = sim.tasks("web")
    sim.do(ev.UpdateService(web("app:3", replicas=1)))
    sim.crash(two.id)
    three = sim.tasks("web")[-1]
    assert (three.spec.image, three.state) == ("app:3", TaskState.READY)
    sim.run_until(lambda: one.id not in sim.processes)
    assert [t.id for t in sim.running("web")] == [three.id]


def test_a_start_first_task_that_is_still_coming_up_is_kept_beside_the_old_one_by_the_next_update() -> None:
    health = Healthcheck(test=("HTTP", "/"), interval=4 * SECOND)
    first = UpdateConfig(order="start-first", monitor=0)
    sim = started(web(replicas=1, update=first, health=health))
    [old] = sim.running("web")
    sim.do(ev.UpdateService(web("app:2", replicas=1, update=first, health=health)))
    coming = sim.tasks("web")[-1]
    other = UpdateConfig(order="start-first", monitor=SECOND)
    sim.do(ev.UpdateService(web("app:2", replicas=1, update=other, health=health)))
    assert sim.running("web") == [old]
    sim.run_until(lambda: sim.converged("web"))
    assert [t.id for t in sim.running("web")] == [coming.id]


def test_an_update_that_replaces_another_goes_on_with_the_slot_that_is_down() -> None:
    sim = started(web())
    sim.do(ev.UpdateService(web("app:2")))
    sim.run(3 * SECOND)
    assert [t.slot for t in sim.running("web")] == [1, 3]
    sim.do(ev.UpdateService(web("app:3")))
    sim.run(ms(1))
    assert [t.slot for t in sim.running("web")] == [1, 3]
    sim.run_until(lambda: sim.converged("web"))
    assert images(sim) == {"app:3"}


def test_a_rollback_revives_a_slot_that_had_ended_for_good() -> None:
    update = UpdateConfig(failure_action="rollback")
    spec = web(update=update)
    spec = replace(spec, deploy=replace(spec.deploy, restart_policy=RestartPolicy(condition="none")))
    sim = started(spec)
    bad(sim)
    sim.do(ev.UpdateService(replace(spec, image="app:2")))
    sim.crash(next(t.id for t in sim.running("web") if t.slot == 3))
    sim.run_until(lambda: sim.orchestrator.services["web"].update_state == "rollback_completed")
    assert [(t.slot, t.spec.image) for t in sim.running("web")] == [(1, "app:1"), (2, "app:1"), (3, "app:1")]


def test_a_start_first_update_that_bears_failures_ends_by_stopping_the_old_task_all_the_same() -> None:
    update = UpdateConfig(order="start-first", failure_action="continue", monitor=SECOND)
    sim = started(web(replicas=1, update=update))
    [old] = sim.running("web")
    sim.behaviour.start_fails = lambda task: task.spec.image == "app:2"
    sim.do(ev.UpdateService(web("app:2", replicas=1, update=update)))
    assert sim.running("web") == [old]
    sim.run_until(lambda: sim.orchestrator.services["web"].update_state == "completed")
    assert not sim.orchestrator.tasks[old.id].wanted


def test_a_paused_start_first_update_keeps_the_old_task_even_if_the_new_one_comes_up_later() -> None:
    update = UpdateConfig(order="start-first")
    sim = started(web(replicas=1, update=update))
    [old] = sim.running("web")
    sim.behaviour.start_fails = lambda task: task.spec.image == "app:2"
    sim.do(ev.UpdateService(web("app:2", replicas=1, update=update)))
    sim.behaviour.start_fails = lambda _task: False
    sim.run(30 * SECOND)
    assert sim.orchestrator.services["web"].update_state == "paused"
    assert old in sim.running("web")


def test_a_scale_is_an_update_of_the_spec_and_a_rollback_brings_the_number_back() -> None:
    sim = started(web(replicas=2))
    sim.do(ev.UpdateService(web("app:2", replicas=2)))
    sim.run_until(lambda: sim.converged("web"))
    sim.do(ev.ScaleService("web", 3))
    sim.run_until(lambda: sim.converged("web"))
    sim.do(ev.RollbackService("web"))
    sim.run_until(lambda: sim.converged("web"))
    assert sim.orchestrator.services["web"].slots == (1, 2)
    assert images(sim) == {"app:2"}
    assert [state for state, _ in update_story(sim)][-2:] == ["rollback_started", "rollback_completed"]


def test_scaling_in_an_update_begins_it_anew_and_cuts_the_delay_between_slots_short() -> None:
    update = UpdateConfig(delay=60 * SECOND, monitor=0)
    sim = started(web(replicas=2, update=update))
    sim.do(ev.UpdateService(web("app:2", replicas=2, update=update)))
    sim.run_until(lambda: len(first_start(sim, "app:2")) == 1)
    began = sim.now
    sim.do(ev.ScaleService("web", 3))
    sim.run_until(lambda: {1, 2} <= set(first_start(sim, "app:2")))
    assert sim.now - began < 10 * SECOND
    sim.run_until(lambda: sim.converged("web"))
    assert images(sim) == {"app:2"}
    assert [state for state, _ in update_story(sim)] == ["updating", "updating", "completed"]


def test_the_same_spec_in_an_update_leaves_it_as_it_is() -> None:
    update = UpdateConfig(delay=60 * SECOND, monitor=0)
    sim = started(web(replicas=2, update=update))
    sim.do(ev.UpdateService(web("app:2", replicas=2, update=update)))
    sim.run_until(lambda: len(first_start(sim, "app:2")) == 1)
    began = sim.now
    sim.do(ev.UpdateService(web("app:2", replicas=2, update=update)))
    sim.run_until(lambda: len(first_start(sim, "app:2")) == 2)
    assert sim.now - began >= 60 * SECOND
