"""The shared plan proves that contenders were treated alike."""

from __future__ import annotations

import dataclasses
import json

import pytest

from breakroom.spec.drill import Drill, ProbeSpec
from breakroom.spec.loader import load_drill
from breakroom.spec.plan import plan_digest, shared_plan, to_builtins


@pytest.fixture
def drill() -> Drill:
    return load_drill("kill", pace="quick", env={})


def test_all_contenders_of_kill_share_one_plan(drill: Drill) -> None:
    digests = {plan_digest(shared_plan(drill, c, 7, "sha256:x")) for c in drill.contenders}
    assert len(digests) == 1


def test_the_way_of_deploying_is_no_part_of_the_plan(drill: Drill) -> None:
    text = json.dumps(shared_plan(drill, drill.contenders[0], 7, ""))
    assert not any(word in text for word in ("replicas", "restart", "healthcheck", "operator"))


@pytest.mark.parametrize("change", ["seed", "digest", "probe", "environment", "limits", "command"])
def test_a_difference_in_what_must_be_the_same_changes_the_digest(change: str, drill: Drill) -> None:
    contender = drill.contenders[0]
    before = plan_digest(shared_plan(drill, contender, 7, "sha256:x"))
    seed, digest, service = 7, "sha256:x", contender.service
    if change == "seed":
        seed = 8
    elif change == "digest":
        digest = "sha256:y"
    elif change == "probe":
        drill = dataclasses.replace(drill, probe=ProbeSpec(rate=51.0))
    elif change == "environment":
        service = dataclasses.replace(service, environment={**service.environment, "CONCURRENCY": "13"})
    elif change == "command":
        service = dataclasses.replace(service, command=("other",))
    else:
        limits = dataclasses.replace(service.deploy.resources.limits, memory=1 << 30)
        resources = dataclasses.replace(service.deploy.resources, limits=limits)
        service = dataclasses.replace(
            service, deploy=dataclasses.replace(service.deploy, resources=resources)
        )
    contender = dataclasses.replace(contender, service=service)
    assert plan_digest(shared_plan(drill, contender, seed, digest)) != before


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert plan_digest({"a": 1, "b": {"c": 2, "d": 3}}) == plan_digest({"b": {"d": 3, "c": 2}, "a": 1})


def test_the_digest_is_that_of_canonical_json() -> None:
    # printf '{"a":"é","b":[1,2.5]}' | sha256sum
    assert (
        plan_digest({"b": [1, 2.5], "a": "é"})
        == "123b424b7606d08d0756074e1f76051117423e1a66a03e02f56fd334de63705b"
    )


def test_a_drill_becomes_plain_data_that_json_gives_back_unchanged(drill: Drill) -> None:
    plain = to_builtins(drill)
    assert json.loads(json.dumps(plain)) == plain
    assert plain["timeline"] == [{"at": 0, "kill": {"tasks": 1, "signal": "SIGKILL"}}]
    assert plain["contenders"][0]["service"]["image"] == "improved-app:latest"
