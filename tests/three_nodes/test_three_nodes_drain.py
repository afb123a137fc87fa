"""A node is drained under load, and gets its availability back."""

from __future__ import annotations

import pytest

from breakroom.journal.records import CleanlinessChecked, RotationChanged, TaskChanged, UndoDone
from three_nodes.cluster import Cluster, drill
from three_nodes.observer import Observer

pytestmark = pytest.mark.timeout(600)


def test_drained_node_loses_its_tasks_and_users_lose_nothing(cluster: Cluster) -> None:
    with Observer(cluster.manager, cluster.hosts[1:]) as observer:
        ended = cluster.run(
            drill(["drain: {node: worker, for: 8s}"], more="  - orchestrated.failed_requests == 0\n")
        )
    ended.must_be_met()
    proved = ended.stage("proved")
    assert proved.tasks
    # Each left the rotation without a cut, a new one came on another node, and Docker saw the same.
    left = [one for one in ended.of(RotationChanged) if one.task in proved.tasks and not one.in_rotation]
    assert {one.reason for one in left} == {"drain"}
    assert len(left) == len(proved.tasks)
    old = {observer.tasks[task].node for task in proved.tasks}
    states = {one.task: one.state for one in ended.of(TaskChanged)}
    new = [task for task in observer.tasks.values() if task.id not in proved.tasks and task.node not in old]
    slots = {observer.tasks[task].slot for task in proved.tasks}
    assert slots <= {task.slot for task in new}
    assert {states[task] for task in proved.tasks} <= {"shutdown", "complete"}
    assert [done.ok for done in ended.of(UndoDone)] == [True]
    assert {one.left for one in ended.of(CleanlinessChecked)} == {()}
