"""A node is lost under load: outage, detection, re-placement and recovery, compared with what others saw of it."""

from __future__ import annotations

import pytest

from breakroom.journal.records import CleanlinessChecked, RotationChanged, TaskChanged, UndoDone
from breakroom.platforms.docker.clock import parse_time
from three_nodes.cluster import Cluster, drill
from three_nodes.observer import Observer

pytestmark = pytest.mark.timeout(600)
_LASTS_S = 25
_WITNESS_S = 0.7
"""Tolerance between two who ask a node every 50 ms, on a machine with other things to do."""
_TOLD_S = 1.5
"""Tolerance between two who ask the manager every 100 and 300 ms."""


def test_lost_node_is_measured_as_others_see_it(cluster: Cluster) -> None:
    with Observer(cluster.manager, cluster.hosts[1:]) as observer:
        ended = cluster.run(drill([f"node_loss: {{node: worker, for: {_LASTS_S}s}}"]))
    ended.must_be_met()
    proved = ended.stage("proved")
    lost = cluster.host(str(proved.detail["node"]))
    silent, back = observer.silent(lost), observer.back(lost)
    assert silent is not None
    assert back is not None

    # The fault's own time: when the node really went silent; and it was silent for as long as the drill says.
    assert proved.proved_t is not None
    assert abs(proved.proved_t - silent) / 1e9 < _WITNESS_S
    assert abs((back - silent) / 1e9 - _LASTS_S) < 2
    assert (ended.stage("undone").t - back) / 1e9 > -_WITNESS_S
    assert [done.ok for done in ended.of(UndoDone)] == [True]

    # Detection: when the manager called the node down. Heartbeats every 5 s, three of them missed.
    down = observer.called(lost.namespace, "down", silent)
    assert down is not None
    phases = {phase["name"]: phase["at_s"] for phase in ended.trial["recovery"]}
    assert abs(proved.proved_t / 1e9 + phases["detected"] - down / 1e9) < _TOLD_S
    assert 5 < phases["detected"] < 25

    # Re-placement: as many new tasks as were lost, in the same slots, on other nodes, created when Docker says so.
    slots = {task.task: task.slot for task in ended.of(TaskChanged)}
    assert proved.tasks
    new = [
        task
        for task in observer.tasks.values()
        if task.id not in proved.tasks and min(task.states.values()) > down - 1e9
    ]
    assert sorted(task.slot for task in new) == sorted(slots[task] for task in proved.tasks)
    node = {task.node for task in observer.tasks.values() if task.id in proved.tasks}
    assert len(node) == 1
    assert node.isdisjoint(task.node for task in new)
    clock = ended.records[0]
    created = max(parse_time(task.created) or 0 for task in new) - clock.unix_ns + clock.t  # type: ignore[union-attr]
    assert abs(proved.proved_t + phases["replaced"] * 1e9 - created) / 1e9 < 0.2
    running = max(task.states["running"] for task in new)
    assert abs(proved.proved_t / 1e9 + phases["in_rotation"] - running / 1e9) < _TOLD_S
    order = ("fault", "detected", "replaced", "running", "in_rotation", "full_capacity", "stable")
    assert [phases[name] for name in order] == sorted(phases[name] for name in order)

    # Users were sent to the lost replicas until then, and the node that returned got nothing back.
    left = {one.task: one.t for one in ended.of(RotationChanged) if not one.in_rotation}
    assert all(abs(left[task] - down) / 1e9 < _TOLD_S for task in proved.tasks)
    assert phases["first_error"] is not None
    assert phases["first_success"] >= phases["first_error"]
    assert {one.left for one in ended.of(CleanlinessChecked)} == {()}
