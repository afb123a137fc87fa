"""A run that ends while a node is cut off, by Ctrl-C or by SIGKILL: the node comes back, and nothing is left."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from breakroom.journal.records import ActionChanged, TrialEnded, UndoDone
from docker_lab.lab import Host
from three_nodes.cluster import Cluster, drill, until
from three_nodes.observer import Observer

pytestmark = pytest.mark.timeout(600)
_LASTS_S = 20


@pytest.fixture
def three_managers(cluster: Cluster) -> Iterator[Cluster]:
    """All three hosts are managers, the first is the leader; workers again afterwards."""
    others = [host.namespace for host in cluster.hosts[1:]]
    cluster.manager.docker("node", "promote", *others)
    words = ("node", "ls", "--format", "{{.ManagerStatus}}")
    until(
        lambda: sorted(cluster.manager.docker(*words).split()) == ["Leader", "Reachable", "Reachable"],
        "three managers",
    )
    yield cluster
    for host in cluster.hosts:
        host.heal()
    cluster.ready()
    until(lambda: _demoted(cluster.manager, others), "one manager")


def test_manager_cut_off_leaves_ours_at_work_and_is_healed_after_ctrl_c(three_managers: Cluster) -> None:
    cluster = three_managers
    before = cluster.world()
    with Observer(cluster.manager, cluster.hosts[1:]) as observer:
        run = cluster.begin(drill([f"partition: {{node: manager, for: {_LASTS_S}s}}"]))
        proved = cluster.in_force(run)
        lost = cluster.host(str(proved.detail["node"]))
        assert _reach(cluster.manager, lost.namespace) == "unreachable"
        ended = cluster.end(run, signal.SIGINT)
        until(lambda: observer.back(lost) is not None, "the node", seconds=30)
    silent, back = observer.silent(lost), observer.back(lost)
    assert silent is not None
    assert back is not None
    assert lost != cluster.manager
    assert [trial.outcome for trial in ended.of(TrialEnded)] == ["aborted"]
    assert [done.ok for done in ended.of(UndoDone)] == [True], ended.of(UndoDone)
    assert abs((back - silent) / 1e9 - _LASTS_S) < 2
    # Two of three managers are a majority: ours answered for as long as the third was cut off. (When that returns it
    # has them elect a leader anew, which takes longer.)
    assert observer.longest_wait(silent, back) < 5
    cluster.must_be(before)


def _demoted(manager: Host, others: list[str]) -> bool:
    """Whether all are workers; those that are not are told to be, again where Swarm was changing them itself."""
    roles = {
        name: manager.docker("node", "inspect", "--format", "{{.Spec.Role}}", name, check=False)
        for name in others
    }
    for name, role in roles.items():
        if role.strip() == "manager":
            manager.docker("node", "demote", name, check=False)
    gone = manager.docker("node", "ls", "--format", "{{.ManagerStatus}}", check=False).split() == ["Leader"]
    return gone and {role.strip() for role in roles.values()} == {"worker"}


def _reach(manager: Host, name: str) -> str:
    words = ("node", "inspect", "--format", "{{.ManagerStatus.Reachability}}", name)
    until(lambda: manager.docker(*words).strip() == "unreachable", "the majority's notice", seconds=30)
    return manager.docker(*words).strip()


def test_node_cut_off_by_a_killed_run_heals_itself_and_cleanup_takes_the_rest(cluster: Cluster) -> None:
    before = cluster.world()
    with Observer(cluster.manager, cluster.hosts[1:]) as observer:
        run = cluster.begin(drill([f"node_loss: {{node: worker, for: {_LASTS_S}s}}"]))
        proved = cluster.in_force(run)
        lost = cluster.host(str(proved.detail["node"]))
        cluster.end(run, signal.SIGKILL)
        assert cluster.world() != before
        until(lambda: observer.back(lost) is not None, "the node", seconds=_LASTS_S + 20)
    silent, back = observer.silent(lost), observer.back(lost)
    assert silent is not None
    assert back is not None
    assert abs((back - silent) / 1e9 - _LASTS_S) < 2
    cluster.ready()
    cleaned = cluster.breakroom("cleanup")
    assert cleaned.code == 0, cleaned.said
    cluster.must_be(before)
    undone = [one for one in cluster.records if isinstance(one, UndoDone)]
    assert [one.ok for one in undone] == [True]
    assert not any(one.stage == "undone" for one in cluster.records if isinstance(one, ActionChanged))
