"""A service's words as the Swarm API has them."""

from __future__ import annotations

import pytest

from breakroom.platforms.base import PlatformError
from breakroom.platforms.swarm.translate import service_body
from breakroom.spec.service import Deploy, Healthcheck, Port, RestartPolicy, ServiceSpec, UpdateConfig

SECOND = 1_000_000_000
API = (1, 41)


def body(spec: ServiceSpec, *, publish: str = "host", api: tuple[int, int] = API) -> dict:  # type: ignore[type-arg]  # JSON
    return service_body(spec, name="n", run="r-ab12", trial="t/o/1", publish=publish, api=api)  # type: ignore[arg-type]


SPEC = ServiceSpec(
    name="web",
    image="improved-app:v2",
    entrypoint=("python3",),
    command=("serve.py", "{port}"),
    environment={"A": "1"},
    working_dir="/srv",
    ports=(Port(target=3000, published=8080),),
    healthcheck=Healthcheck(test=("CMD-SHELL", "curl -f http://localhost:3000/health"), interval=2 * SECOND),
    stop_grace_period=3 * SECOND,
    stop_signal="SIGINT",
    labels={"team": "a"},
    deploy=Deploy(
        replicas=3,
        restart_policy=RestartPolicy(condition="on-failure", delay=SECOND, max_attempts=2, window=9 * SECOND),
        update_config=UpdateConfig(
            parallelism=2,
            delay=4 * SECOND,
            monitor=6 * SECOND,
            failure_action="rollback",
            max_failure_ratio=0.3,
            order="start-first",
        ),
        rollback_config=UpdateConfig(parallelism=0, failure_action="rollback"),
    ),
)


def test_what_a_task_runs_is_said_in_swarms_words() -> None:
    container = body(SPEC)["TaskTemplate"]["ContainerSpec"]

    assert container["Image"] == "improved-app:v2"
    assert container["Command"] == ["python3"]
    assert container["Args"] == ["serve.py", "3000"]
    assert container["Dir"] == "/srv"
    assert {"A=1", "PORT=3000", "BREAKROOM_TASK_ID={{.Task.ID}}"} <= set(container["Env"])
    assert (container["StopSignal"], container["StopGracePeriod"]) == ("SIGINT", 3 * SECOND)
    assert container["Healthcheck"]["Test"] == ["CMD-SHELL", "curl -f http://localhost:3000/health"]
    assert container["Healthcheck"]["Interval"] == 2 * SECOND


def test_every_option_of_updates_and_restarts_arrives() -> None:
    made = body(SPEC)

    assert made["TaskTemplate"]["RestartPolicy"] == {
        "Condition": "on-failure",
        "Delay": SECOND,
        "MaxAttempts": 2,
        "Window": 9 * SECOND,
    }
    assert made["UpdateConfig"] == {
        "Parallelism": 2,
        "Delay": 4 * SECOND,
        "Monitor": 6 * SECOND,
        "FailureAction": "rollback",
        "MaxFailureRatio": 0.3,
        "Order": "start-first",
    }
    # Swarm knows no rollback of a rollback.
    assert made["RollbackConfig"]["FailureAction"] == "pause"
    assert made["Mode"] == {"Replicated": {"Replicas": 3}}


def test_service_and_tasks_bear_the_runs_marks_beside_the_users_labels() -> None:
    made = body(SPEC)

    assert made["Labels"] == {
        "team": "a",
        "breakroom": "service",
        "breakroom.run": "r-ab12",
        "breakroom.trial": "t/o/1",
    }
    assert made["TaskTemplate"]["ContainerSpec"]["Labels"]["breakroom"] == "task"


def test_the_mesh_publishes_the_wanted_port_and_host_mode_a_free_one() -> None:
    (by_mesh,) = body(SPEC, publish="ingress")["EndpointSpec"]["Ports"]
    by_host = [port for port in body(SPEC)["EndpointSpec"]["Ports"] if port["PublishMode"] == "host"]

    assert by_mesh["PublishedPort"] == 8080
    assert [port["TargetPort"] for port in by_host] == [3000]
    assert all("PublishedPort" not in port for port in by_host)


def test_start_interval_is_said_only_to_those_who_know_it() -> None:
    old = body(SPEC)["TaskTemplate"]["ContainerSpec"]["Healthcheck"]
    new = body(SPEC, api=(1, 44))["TaskTemplate"]["ContainerSpec"]["Healthcheck"]

    assert "StartInterval" not in old
    assert new["StartInterval"] == 5 * SECOND


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        (ServiceSpec(name="web", ports=(Port(target=80),)), "unsupported"),
        (ServiceSpec(name="web", image="x"), "port-missing"),
    ],
)
def test_a_service_without_image_or_port_is_refused(spec: ServiceSpec, code: str) -> None:
    with pytest.raises(PlatformError) as caught:
        body(spec)

    assert caught.value.code == code
    assert caught.value.hint
