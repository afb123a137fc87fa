"""A service in Compose's words as the body that the Swarm API wants (`POST /services/create` and `/update`).

Called by `service`. Pure. Field for field; defaults are written out, so that what a service is does not depend on
the daemon's version.

Two things that Swarm cannot be told through its API before 1.52 (Docker 29): a limit for swap (a task may use as much
swap as memory; `SwapBytes` since then), and before 1.44 a health check's `start_interval`. Both are in docs/swarm.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from breakroom.platforms.docker.names import labels
from breakroom.spec.service import Healthcheck, Port, ServiceSpec, UpdateConfig

__all__ = ["SWAP_API", "PublishMode", "service_body"]

PublishMode = Literal["ingress", "host"]
SWAP_API = (1, 52)
"""The first API version in which a service can limit swap."""
_START_INTERVAL_API = (1, 44)


def service_body(
    spec: ServiceSpec,
    *,
    name: str,
    run: str,
    trial: str,
    publish: PublishMode,
    test: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
    api: tuple[int, int] = (1, 41),
) -> dict[str, Any]:
    """The service's spec for the API.

    Args:
        spec: the service.
        name: its name in the Swarm.
        run: the run's id, for the labels.
        trial: the trial's id, for the labels.
        publish: `ingress` publishes through the routing mesh, `host` on a free port of each task's node.
        test: the health check's test, with nothing in it that Docker does not know; empty: the spec's own.
        environment: added to the spec's own, which goes before it. May hold Swarm's templates (`{{.Task.ID}}`).
        api: the daemon's API version.
    """
    marks = labels("service", run, trial)
    deploy = spec.deploy
    return {
        "Name": name,
        "Labels": {**spec.labels, **marks},
        "TaskTemplate": {
            "ContainerSpec": _container(spec, {**marks}, test, environment or {}, api),
            "Resources": {"Limits": _limits(spec), **_swap(spec, api)},
            "RestartPolicy": {
                "Condition": deploy.restart_policy.condition,
                "Delay": deploy.restart_policy.delay,
                "MaxAttempts": deploy.restart_policy.max_attempts,
                "Window": deploy.restart_policy.window,
            },
            "Placement": {},
        },
        "Mode": {"Replicated": {"Replicas": deploy.replicas}},
        "UpdateConfig": _update(deploy.update_config),
        "RollbackConfig": _rollback(deploy.rollback_config),
        "EndpointSpec": {"Mode": "vip", "Ports": [_port(port, publish) for port in spec.ports]},
    }


def _container(
    spec: ServiceSpec,
    marks: dict[str, str],
    test: tuple[str, ...],
    environment: Mapping[str, str],
    api: tuple[int, int],
) -> dict[str, Any]:
    container: dict[str, Any] = {
        "Image": spec.image,
        "Env": [f"{key}={value}" for key, value in {**environment, **spec.environment}.items()],
        "Labels": {**spec.labels, **marks, "breakroom": "task"},
        "StopSignal": spec.stop_signal,
        "StopGracePeriod": spec.stop_grace_period,
    }
    # Compose's entrypoint and command are what Swarm calls command and args.
    if spec.entrypoint:
        container["Command"] = [_placed(spec, word) for word in spec.entrypoint]
    if spec.command:
        container["Args"] = [_placed(spec, word) for word in spec.command]
    if spec.working_dir:
        container["Dir"] = spec.working_dir
    if spec.healthcheck is not None:
        container["Healthcheck"] = _health(spec.healthcheck, test or spec.healthcheck.test, api)
    return container


def _placed(spec: ServiceSpec, word: str) -> str:
    """The word with `{port}` put in: in a container, the port is the one that is published."""
    return word.replace("{port}", str(spec.target_port)) if spec.ports else word


def _health(check: Healthcheck, test: tuple[str, ...], api: tuple[int, int]) -> dict[str, Any]:
    if check.disable or test[:1] == ("NONE",):
        return {"Test": ["NONE"]}
    return {
        "Test": list(test),
        "Interval": check.interval,
        "Timeout": check.timeout,
        "Retries": check.retries,
        "StartPeriod": check.start_period,
        **({"StartInterval": check.start_interval} if api >= _START_INTERVAL_API else {}),
    }


def _limits(spec: ServiceSpec) -> dict[str, int]:
    limits = spec.deploy.resources.limits
    found: dict[str, int] = {}
    if limits.memory is not None:
        found["MemoryBytes"] = limits.memory
    if limits.cpus is not None:
        found["NanoCPUs"] = round(limits.cpus * 1e9)
    return found


def _swap(spec: ServiceSpec, api: tuple[int, int]) -> dict[str, int]:
    """No swap beside the memory, where a service can say so."""
    limited = spec.deploy.resources.limits.memory is not None
    return {"SwapBytes": 0} if limited and api >= SWAP_API else {}


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
    body = _update(config)
    if config.failure_action == "rollback":
        # A rollback that fails cannot be rolled back: Swarm knows only these two.
        body["FailureAction"] = "pause"
    return body


def _port(port: Port, publish: PublishMode) -> dict[str, Any]:
    body: dict[str, Any] = {"Protocol": "tcp", "TargetPort": port.target, "PublishMode": publish}
    if publish == "ingress" and port.published:
        body["PublishedPort"] = port.published
    return body
