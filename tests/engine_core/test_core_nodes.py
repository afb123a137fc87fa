from __future__ import annotations

from collections import Counter

import pytest

from breakroom.engine.core import events as ev
from breakroom.engine.core import instructions as ins
from breakroom.engine.core.lifecycle import DRAIN_TIME
from breakroom.engine.core.model import Availability, Desired, TaskState
from breakroom.engine.core.orchestrator import IllegalEvent
from breakroom.spec.service import SECOND, Deploy, Port, RestartPolicy, ServiceSpec
from engine_core.simulation import Behaviour, Simulation


def web(replicas: int, name: str = "web", *, delay: int = 5 * SECOND) -> ServiceSpec:
    return ServiceSpec(
        name=name,
        ports=(Port(target=3000),),
        deploy=Deploy(replicas=replicas, restart_policy=RestartPolicy(delay=delay)),
    )


def spread(sim: Simulation, name: str = "web") -> dict[str, int]:
    return dict(Counter(task.node for task in sim.running(name)))


def slots(sim: Simulation) -> list[int]:
    return [task.slot for task in sim.running("web")]


def created(replicas: int, nodes: int = 3, behaviour: Behaviour | None = None) -> Simulation:
    sim = Simulation(behaviour, nodes)
    sim.do(ev.CreateService(web(replicas)))
    return sim


def test_tasks_are_spread_over_the_nodes() -> None:
    assert spread(created(6)) == {"n1": 2, "n2": 2, "n3": 2}


def test_fewest_tasks_of_the_service_come_before_fewest_tasks() -> None:
    sim = created(1, nodes=2)
    sim.do(ev.CreateService(web(2, "other")))
    assert spread(sim, "other") == {"n1": 1, "n2": 1}
    sim.do(ev.CreateService(web(1, "third")))
    assert spread(sim, "third") == {"n2": 1}
    sim.do(ev.SetAvailability("n1", Availability.PAUSE))
    sim.do(ev.CreateService(web(9, "fourth")))
    sim.do(ev.SetAvailability("n1", Availability.ACTIVE))
    sim.do(ev.ScaleService("web", 2))
    assert spread(sim) == {"n1": 1, "n2": 1}


def test_a_paused_node_gets_no_new_task_and_keeps_its_own() -> None:
    sim = created(3)
    sim.do(ev.SetAvailability("n1", Availability.PAUSE))
    sim.do(ev.ScaleService("web", 9))
    assert spread(sim) == {"n1": 1, "n2": 4, "n3": 4}


def test_a_drained_node_loses_its_tasks_gracefully_and_without_restart_delay() -> None:
    sim = created(3)
    [moved] = [t for t in sim.running("web") if t.node == "n2"]
    out = sim.do(ev.SetAvailability("n2", Availability.DRAIN))
    assert ins.LeaveRotation(moved.id, "drain") in out
    took = sim.run_until(lambda: sim.converged("web"))
    assert took == DRAIN_TIME + sim.behaviour.stop_time
    assert "n2" not in spread(sim)


def test_a_lost_nodes_tasks_are_cut_orphaned_and_replaced_after_the_delay() -> None:
    sim = created(6)
    lost = [t.id for t in sim.running("web") if t.node == "n3"]
    out = sim.do(ev.NodeDown("n3"))
    assert out[:2] == [ins.LeaveRotation(task, "cut") for task in lost]
    assert {sim.orchestrator.tasks[t].state for t in lost} == {TaskState.ORPHANED}
    assert sim.run_until(lambda: sim.converged("web")) == 5 * SECOND
    assert spread(sim) == {"n1": 3, "n2": 3}


def test_a_node_that_returns_gets_nothing_back_and_its_left_over_processes_are_ended() -> None:
    sim = created(6)
    lost = {t.id for t in sim.running("web") if t.node == "n3"}
    sim.do(ev.NodeDown("n3"))
    sim.run(10 * SECOND)
    assert lost <= set(sim.processes)
    sim.do(ev.NodeUp("n3"))
    assert spread(sim) == {"n1": 3, "n2": 3}
    sim.run(SECOND)
    assert not lost & set(sim.processes)


def test_a_start_that_was_under_way_when_the_node_was_lost_is_ended_when_it_is_known() -> None:
    sim = created(1, nodes=1, behaviour=Behaviour(start_time=SECOND))
    sim.do(ev.NodeDown("n1"))
    sim.do(ev.NodeUp("n1"))
    [orphan] = [t for t in sim.tasks("web") if t.state == TaskState.ORPHANED]
    sim.run(SECOND)
    assert ins.Signal(orphan.id, "SIGTERM") in [i for _, i in sim.said(ins.Signal)]
    sim.run(SECOND)
    assert orphan.id not in sim.processes


def test_without_a_suitable_node_a_task_is_pending_and_says_why() -> None:
    sim = created(1, nodes=2)
    sim.do(ev.SetAvailability("n1", Availability.DRAIN))
    sim.do(ev.NodeDown("n2"))
    sim.run(10 * SECOND)
    pending = sim.tasks("web")[-1]
    assert (pending.state, pending.desired) == (TaskState.PENDING, Desired.RUNNING)
    assert pending.error == "no suitable node (2 nodes not available for new tasks)"
    assert pending.message == "pending task scheduling: node-1 is drained, node-2 is down"


def test_a_pending_task_is_placed_when_a_node_joins() -> None:
    sim = created(2, nodes=0)
    assert [t.error for t in sim.tasks("web")] == ["no suitable node"] * 2
    sim.do(ev.AddNode("n9", "node-9"))
    assert spread(sim) == {"n9": 2}


def test_a_node_where_the_service_keeps_failing_is_taken_last() -> None:
    sim = created(0, nodes=2, behaviour=Behaviour(rejects=lambda task: task.node == "n1"))
    sim.do(ev.UpdateService(web(1, delay=SECOND)))
    sim.run(30 * SECOND)
    assert spread(sim) == {"n2": 1}
    sim.do(ev.ScaleService("web", 4))
    sim.run(30 * SECOND)
    assert spread(sim) == {"n2": 4}


def test_scaling_up_fills_the_lowest_free_slots() -> None:
    sim = created(5, nodes=1)
    sim.do(ev.ScaleService("web", 2))
    sim.run(10 * SECOND)
    assert slots(sim) == [1, 2]
    sim.do(ev.ScaleService("web", 4))
    assert slots(sim) == [1, 2, 3, 4]


def test_scaling_down_keeps_running_slots() -> None:
    sim = created(4, nodes=1)
    sim.crash(sim.running("web")[0].id)
    sim.do(ev.ScaleService("web", 3))
    assert slots(sim) == [2, 3, 4]


def test_scaling_down_takes_from_the_fullest_node_then_the_highest_slot() -> None:
    sim = created(1, nodes=1)
    sim.do(ev.ScaleService("web", 4))
    sim.do(ev.AddNode("n2", "node-2"))
    sim.do(ev.ScaleService("web", 6))
    assert {t.slot: t.node for t in sim.running("web")} == {
        1: "n1",
        2: "n1",
        3: "n1",
        4: "n1",
        5: "n2",
        6: "n2",
    }
    sim.do(ev.ScaleService("web", 4))
    assert slots(sim) == [1, 2, 5, 6]
    sim.do(ev.ScaleService("web", 3))
    assert slots(sim) == [1, 2, 5]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (ev.AddNode("n1", "again"), "has joined already"),
        (ev.NodeUp("n1"), "is up already"),
        (ev.NodeDown("n7"), "n7 not found"),
        (ev.SetAvailability("n7", Availability.DRAIN), "n7 not found"),
        (ev.ScaleService("web", -1), "must be 0 or more"),
        (ev.ScaleService("nobody", 1), "service nobody not found"),
        (ev.RemoveService("nobody"), "service nobody not found"),
        (ev.CreateService(web(1)), "in use by a service"),
        (ev.StartContainer("nobody"), "no such container: nobody"),
        (ev.TaskStarted("abc", 1), "there never was a task abc"),
    ],
)
def test_an_impossible_event_is_refused_with_its_reason(event: ev.Event, reason: str) -> None:
    sim = created(1)
    with pytest.raises(IllegalEvent, match=reason):
        sim.do(event)


def test_a_second_answer_is_refused_and_changes_nothing() -> None:
    sim = created(2)
    before = dict(sim.orchestrator.tasks)
    task = sim.running("web")[0]
    for event in (
        ev.TaskStarted(task.id, 1),
        ev.TaskPrepared(task.id, 1),
        ev.TaskRejected(task.id, "no"),
        ev.ProbeFinished(task.id, ok=True),
    ):
        with pytest.raises(IllegalEvent) as caught:
            sim.orchestrator.handle(event, sim.now + SECOND)
        assert caught.value.task == task
        assert caught.value.history == task.history
    assert dict(sim.orchestrator.tasks) == before
    # Not even the time: the next event may still be earlier than the refused one.
    out = sim.orchestrator.handle(ev.ScaleService("web", 3), sim.now)
    assert [i.task.created for i in out if isinstance(i, ins.Prepare)] == [sim.now]


def test_a_time_before_an_earlier_one_counts_as_that_one() -> None:
    sim = created(1)
    out = sim.orchestrator.handle(ev.ScaleService("web", 2), sim.now - SECOND)
    assert [i.task.created for i in out if isinstance(i, ins.Prepare)] == [sim.now]
