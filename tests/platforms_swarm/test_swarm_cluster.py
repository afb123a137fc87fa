"""What may be done with a Swarm, judged from what the daemon says of it."""

from __future__ import annotations

import pytest

from breakroom.platforms.base import PlatformError
from breakroom.platforms.swarm.cluster import Cluster, judge, left_services


def test_no_swarm_needs_consent_to_one_and_says_what_it_would_do() -> None:
    verdict = judge(Cluster(state="inactive", name="box"))

    assert verdict.do == "init"
    assert verdict.refusal is not None
    assert verdict.refusal.code == "consent-needed"
    assert "--init-swarm" in verdict.refusal.hint
    for said in (verdict.question, verdict.refusal.hint):
        assert "127.0.0.1:2377" in said
        assert "all" in said  # of the machine's addresses


def test_a_managers_swarm_without_others_services_is_used_unasked() -> None:
    cluster = Cluster(state="active", name="box", manager=True, nodes=1, leftovers=("breakroom-ab12-web",))

    verdict = judge(cluster)

    assert (verdict.do, verdict.question, verdict.refusal) == ("use", "", None)


def test_others_services_need_consent_and_are_named() -> None:
    cluster = Cluster(state="active", name="box", manager=True, services=tuple("abcdefg"))

    verdict = judge(cluster)

    assert verdict.do == "use"
    assert verdict.refusal is not None
    assert verdict.refusal.code == "swarm-in-use"
    assert "a, b, c, d, e and 2 more" in str(verdict.refusal)
    assert "--use-swarm" in verdict.refusal.hint


def test_a_worker_is_told_where_the_managers_are() -> None:
    cluster = Cluster(state="active", name="box", managers=("10.0.0.5:2377",))

    with pytest.raises(PlatformError) as caught:
        judge(cluster)

    assert caught.value.code == "not-a-manager"
    assert "10.0.0.5" in caught.value.hint
    assert "DOCKER_HOST" in caught.value.hint


@pytest.mark.parametrize(
    ("state", "error", "way_out"),
    [
        ("locked", "", "docker swarm unlock"),
        ("pending", "", "docker swarm leave"),
        ("error", "no certificate", "docker info"),
        ("active", "The swarm does not have a leader", "more than half"),
    ],
)
def test_a_swarm_that_cannot_work_says_its_state_and_the_way_out(
    state: str, error: str, way_out: str
) -> None:
    with pytest.raises(PlatformError) as caught:
        judge(Cluster(state=state, name="box", manager=True, error=error))

    assert caught.value.code == "swarm-not-ready"
    assert state in str(caught.value)
    assert error in str(caught.value)
    assert way_out in caught.value.hint


def test_services_of_a_run_under_way_are_not_called_left() -> None:
    ours = [
        ("breakroom-ab12-web", {"breakroom": "1", "breakroom.run": "one-ab12"}),
        ("breakroom-cd34-web", {"breakroom": "1", "breakroom.run": "two-cd34"}),
        ("theirs", {}),
        ("unlabelled", None),
    ]
    assert left_services(ours, {"two-cd34"}) == ("breakroom-ab12-web",)
    assert left_services(ours, set()) == ("breakroom-ab12-web", "breakroom-cd34-web")
