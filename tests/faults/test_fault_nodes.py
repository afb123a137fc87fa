"""Which node a fault on nodes aims at: by name, or chosen by the seed among those with replicas."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Literal

import pytest

from breakroom.faults.base import FaultContext, FaultError
from breakroom.faults.nodes import choose_node, tasks_on
from breakroom.platforms.base import Availability, NodeView, TaskView


def _node(
    name: str,
    role: Literal["manager", "worker"] = "worker",
    *,
    here: bool = False,
    availability: Availability = "active",
    status: str = "ready",
) -> NodeView:
    return NodeView(
        id=f"id-{name}", name=name, role=role, status=status, availability=availability, here=here
    )


@dataclass
class Cluster:
    """What the choice asks a deployment for."""

    known: list[NodeView]
    busy: tuple[str, ...] = ()

    async def nodes(self) -> list[NodeView]:
        return self.known

    async def tasks(self) -> list[TaskView]:
        return [
            TaskView(
                id=f"task-on-{node}",
                slot=slot,
                node=node,
                state="running",
                desired="running",
                in_rotation=True,
                healthy=None,
                pid=None,
                version=1,
            )
            for slot, node in enumerate(self.busy, start=1)
        ]


def _ctx(cluster: Cluster, seed: int = 1) -> FaultContext:
    return FaultContext(
        trial="t",
        deployment=cluster,  # type: ignore[arg-type]  # only what the choice uses of a deployment
        emit=lambda _record: None,
        now=lambda: 0,
        wait_for=None,  # type: ignore[arg-type]  # nothing is waited for
        choose=random.Random(seed),
        keep=lambda _undo: None,
        memory_of=lambda _task: None,
        memory_limit=None,
        longest=1,
        runs_as="service",
        releases=[],
        wanted=lambda: 3,
        want=lambda _replicas: None,
    )


def _choose(cluster: Cluster, wanted: str, *, reachable: bool = True, seed: int = 1) -> str:
    return asyncio.run(choose_node(_ctx(cluster, seed), wanted, "drain", reachable=reachable)).name


THREE = [_node("a", "manager", here=True), _node("b"), _node("c")]


def test_a_node_is_named_by_its_name_or_id() -> None:
    assert _choose(Cluster(THREE), "b") == "b"
    assert _choose(Cluster(THREE), "id-c") == "c"
    assert _choose(Cluster(THREE), "a") == "a"


def test_a_node_with_replicas_goes_before_one_without() -> None:
    for seed in range(5):
        assert _choose(Cluster(THREE, busy=("a", "c")), "any", seed=seed) == "c"
        assert _choose(Cluster(THREE, busy=("id-b",)), "worker", seed=seed) == "b"


def test_the_seed_chooses_among_equals() -> None:
    cluster = Cluster(THREE, busy=("b", "c"))
    assert {_choose(cluster, "worker", seed=seed) for seed in range(20)} == {"b", "c"}
    assert _choose(cluster, "worker", seed=3) == _choose(cluster, "worker", seed=3)


def test_nodes_that_are_away_already_are_not_chosen() -> None:
    cluster = Cluster([_node("a", here=True), _node("b", availability="drain"), _node("c", status="down")])
    assert _choose(cluster, "any") == "a"


def test_the_node_that_breakroom_talks_to_is_never_cut_off() -> None:
    with pytest.raises(FaultError, match="breakroom itself talks to"):
        _choose(Cluster(THREE), "a", reachable=False)
    with pytest.raises(FaultError, match="breakroom itself talks to"):
        _choose(Cluster(THREE), "manager", reachable=False)
    assert _choose(Cluster(THREE, busy=("a",)), "any", reachable=False) in {"b", "c"}


def test_a_node_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(FaultError, match=r"no node 'd'.*a \(manager, active\), b \(worker, active\)"):
        _choose(Cluster(THREE), "d")


def test_the_replicas_of_a_node_are_found_by_its_name_or_id() -> None:
    cluster = Cluster(THREE, busy=("b", "id-b", "c"))
    assert asyncio.run(tasks_on(_ctx(cluster), THREE[1])) == ("task-on-b", "task-on-id-b")
