"""A service in Compose's words as the body that the Swarm API wants (`POST /services/create` and `/update`).

Called by `service`. Pure. Defaults are written out, so that what a service is does not depend on the daemon's version.

Two things that Swarm cannot be told: a limit for swap (it gives a task as much swap as memory; `watcher` mends that for
the containers of this node), and before API 1.44 a health check's `start_interval`. Both are in docs/swarm.md.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from breakroom.platforms.docker.names import OWNER, labels
from breakroom.platforms.docker.translate import (
    environment,
    healthcheck,
    nano_cpus,
    require_image_and_port,
    words,
)
from breakroom.spec.service import Port, ServiceSpec, UpdateConfig

__all__ = ["TASK_ID", "PublishMode", "service_body"]

PublishMode = Literal["ingress", "host"]
TASK_ID = "{{.Task.ID}}"
"""Swarm's template for a task's own id, filled in as the container is made."""


def service_body(
    spec: ServiceSpec, *, name: str, run: str, trial: str, publish: PublishMode, api: tuple[int, int]
) -> dict[str, Any]:
    """The service's spec for the API.

    Args:
        spec: the service.
        name: its name in the Swarm.
        run: the run's id, for the labels.
        trial: the trial's id, for the labels.
        publish: `ingress` publishes through the routing mesh, `host` on a free port of each task's node as well.
        api: the daemon's API version.

    Raises:
        PlatformError: `unsupported`: the service names no image, or no port.
    """
    require_image_and_port(spec, "Swarm")
    deploy, marks = spec.deploy, labels("service", run, trial)
    policy = deploy.restart_policy
    return {
        "Name": name,
        "Labels": {**spec.labels, **marks},
        "TaskTemplate": {
            "ContainerSpec": _container(spec, {**marks, OWNER: "task"}, api),
            "Resources": {"Limits": _limits(spec)},
            "RestartPolicy": {
                "Condition": policy.condition,
                "Delay": policy.delay,
                "MaxAttempts": policy.max_attempts,
                "Window": policy.window,
            },
            "Placement": {},
            "ForceUpdate": 0,
        },
        "Mode": {"Replicated": {"Replicas": deploy.replicas}},
        "UpdateConfig": _update(deploy.update_config),
        "RollbackConfig": _rollback(deploy.rollback_config),
        "EndpointSpec": {"Mode": "vip", "Ports": _ports(spec, publish)},
    }


def _container(spec: ServiceSpec, marks: dict[str, str], api: tuple[int, int]) -> dict[str, Any]:
    told = environment(spec, BREAKROOM_TASK_ID=TASK_ID)
    container: dict[str, Any] = {
        "Image": spec.image,
        "Env": [f"{key}={value}" for key, value in told.items()],
        "Labels": {**spec.labels, **marks},
        "StopSignal": spec.stop_signal,
        "StopGracePeriod": spec.stop_grace_period,
    }
    # Compose's entrypoint and command are what Swarm calls command and args.
    if spec.entrypoint:
        container["Command"] = words(spec, spec.entrypoint)
    if spec.command:
        container["Args"] = words(spec, spec.command)
    if spec.working_dir:
        container["Dir"] = spec.working_dir
    if spec.healthcheck is not None:
        container["Healthcheck"] = healthcheck(spec, api=api)
    return container


def _limits(spec: ServiceSpec) -> dict[str, int]:
    memory, cpus = spec.deploy.resources.limits.memory, nano_cpus(spec)
    return {**({"MemoryBytes": memory} if memory else {}), **({"NanoCPUs": cpus} if cpus else {})}


def _update(config: UpdateConfig) -> dict[str, Any]:
    return {
        "Parallelism": config.parallelism,
        "Delay": config.delay,
        "Monitor": config.monitor,
        "FailureAction": config.failure_action,
        "MaxFailureRatio": config.max_failure_ratio,
        "Order": config.order,
    }


def _rollback(config: UpdateConfig) -> dict[str, Any]:
    # A rollback that fails cannot be rolled back: Swarm knows `pause` and `continue` only.
    action = "pause" if config.failure_action == "rollback" else config.failure_action
    return {**_update(config), "FailureAction": action}


def _ports(spec: ServiceSpec, publish: PublishMode) -> list[dict[str, Any]]:
    """The published ports. Behind breakroom's ingress the mesh publishes them too, on a port that nobody is told of.

    Only a task that is attached to the mesh's network is stopped as published tasks are: 2 s after it left rotation.
    One with ports in host mode alone gets its stop signal at once (tests/contract, `drain-2s`).
    """
    ports = [_port(port, publish) for port in spec.ports]
    if publish == "host":
        ports += [_port(replace(port, published=0), "ingress") for port in spec.ports]
    return ports


def _port(port: Port, publish: PublishMode) -> dict[str, Any]:
    body: dict[str, Any] = {"Protocol": "tcp", "TargetPort": port.target, "PublishMode": publish}
    if publish == "ingress" and port.published:
        body["PublishedPort"] = port.published
    return body
