"""A service in Compose's words as the body that the Engine API wants (`POST /containers/create`).

Called by `deployment`; all but `container_body` by the platform `swarm` too, whose tasks are containers as well. Pure.
Defaults are written out where Docker's have changed over its versions.

breakroom's own test `["HTTP", "/health"]` becomes a shell line for inside the container: curl if the image has it,
else python3, else wget. curl and python3 take any status from 200 to 399 for success and follow no redirect, as on
the local platform; wget follows redirects, and what counts is where they end.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from breakroom.engine.core.container import parse_policy
from breakroom.platforms.base import PlatformError, require_port
from breakroom.platforms.docker.names import labels
from breakroom.spec.service import Healthcheck, ServiceSpec

__all__ = [
    "START_INTERVAL_API",
    "container_body",
    "environment",
    "health_test",
    "healthcheck",
    "nano_cpus",
    "require_image_and_port",
    "words",
]

START_INTERVAL_API = (1, 44)
"""The first API version (Docker 25) in which a health check has `start_interval`; older ones wait `interval`."""
_PYTHON_GET = (
    "import http.client as h,sys;"
    "c=h.HTTPConnection({host},{port},timeout={timeout:g});c.request('GET',{path});a=c.getresponse();"
    "print(a.status,a.reason,a.read(2000).decode('utf8','replace'));sys.exit(not 200<=a.status<400)"
)


def container_body(
    spec: ServiceSpec,
    *,
    run: str,
    trial: str,
    published: Mapping[int, tuple[str, int]],
    api: tuple[int, int],
) -> dict[str, Any]:
    """The body for `POST /containers/create`.

    Args:
        spec: the service; of `deploy` only the limits are a container's.
        run: the run's id, for the labels.
        trial: the trial's id, for the labels.
        published: target port → (address, port) outside.
        api: the daemon's API version.

    Raises:
        PlatformError: `unsupported`: the service names no image; `port-missing`: it publishes none.
    """
    require_image_and_port(spec, "Docker")
    body: dict[str, Any] = {
        "Image": spec.image,
        "Env": [f"{name}={value}" for name, value in environment(spec).items()],
        "Labels": {**spec.labels, **labels("container", run, trial)},
        "ExposedPorts": {f"{port.target}/tcp": {} for port in spec.ports},
        "StopSignal": spec.stop_signal,
        # Whole seconds are all that the API knows; a part of one counts as one.
        "StopTimeout": -(-spec.stop_grace_period // 1_000_000_000),
        "HostConfig": _host(spec, published),
    }
    if spec.entrypoint:
        body["Entrypoint"] = words(spec, spec.entrypoint)
    if spec.command:
        body["Cmd"] = words(spec, spec.command)
    if spec.working_dir:
        body["WorkingDir"] = spec.working_dir
    if spec.healthcheck is not None:
        body["Healthcheck"] = healthcheck(spec, api=api)
    return body


def require_image_and_port(spec: ServiceSpec, engine: str) -> None:
    """Refuse what no container can be made of, or nobody could reach. `engine`: who would run it, for the message.

    Raises:
        PlatformError: `unsupported`: the service names no image; `port-missing`: it publishes none.
    """
    if not spec.image:
        raise PlatformError(
            "unsupported",
            f"service {spec.name} names no image, and {engine} runs images only",
            "give it an `image`, or run with `--platform local`, which runs commands",
        )
    require_port(spec)


def environment(spec: ServiceSpec, **told: str) -> dict[str, str]:
    """What the task is told, then the service's own environment, which goes before it.

    Unlike on the local platform a `PORT` of the user's is left alone: every container has its ports for itself.

    Args:
        spec: the service.
        told: more that it is told, such as `BREAKROOM_TASK_ID`.
    """
    port = {"PORT": str(spec.target_port)} if spec.ports else {}
    return {**port, **told, **spec.environment}


def words(spec: ServiceSpec, line: tuple[str, ...]) -> list[str]:
    """A command's words with `{port}` and `{python}` filled in, as inside a container."""
    port = str(spec.target_port) if spec.ports else "0"
    return [word.replace("{port}", port).replace("{python}", "python3") for word in line]


def nano_cpus(spec: ServiceSpec) -> int:
    """The limit of cores in billionths, as Docker counts them; 0: none."""
    cpus = spec.deploy.resources.limits.cpus
    return round(cpus * 1e9) if cpus is not None else 0


def healthcheck(spec: ServiceSpec, *, api: tuple[int, int]) -> dict[str, Any]:
    """The service's health check; it must have one.

    Args:
        spec: the service.
        api: the daemon's version; an old one would refuse or ignore `StartInterval`.
    """
    check = spec.healthcheck
    assert check is not None, "asked only where there is one"
    if not spec.has_healthcheck:
        return {"Test": ["NONE"]}
    return {
        "Test": list(health_test(spec)),
        "Interval": check.interval,
        "Timeout": check.timeout,
        "Retries": check.retries,
        "StartPeriod": check.start_period,
        **({"StartInterval": check.start_interval} if api >= START_INTERVAL_API else {}),
    }


def health_test(spec: ServiceSpec) -> tuple[str, ...]:
    """The health check's test in words that Docker knows; empty without a health check."""
    check = spec.healthcheck
    if check is None or not check.test:
        return ()
    kind, *rest = check.test
    if kind == "HTTP":
        return ("CMD-SHELL", _get(spec, check, rest[0] if rest else "/"))
    return (kind, *words(spec, tuple(rest)))


def _get(spec: ServiceSpec, check: Healthcheck, target: str) -> str:
    """A shell line that GETs the path (or URL) from inside the container.

    `exec` lets the program take the shell's place, so that Docker's kill at the timeout reaches it.
    """
    parts = urlsplit(target)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    port = parts.port or (spec.target_port if spec.ports else 80)
    # The host of a URL is the container itself, by whatever name; one address avoids a look-up of `localhost`.
    seconds = max(1, -(-check.timeout // 1_000_000_000))
    url = shlex.quote(f"http://127.0.0.1:{port}{path}")
    python = _PYTHON_GET.format(
        host="'127.0.0.1'", port=port, timeout=check.timeout / 1e9, path=json.dumps(path)
    )
    return (
        f"if command -v curl >/dev/null; then exec curl -fsS -m {seconds} {url}; "
        f"elif command -v python3 >/dev/null; then exec python3 -ISc {shlex.quote(python)}; "
        f"else exec wget -q -T {seconds} -O - {url}; fi"
    )


def _host(spec: ServiceSpec, published: Mapping[int, tuple[str, int]]) -> dict[str, Any]:
    policy, retries = parse_policy(spec.restart)
    memory = spec.deploy.resources.limits.memory
    host: dict[str, Any] = {
        "RestartPolicy": {"Name": policy, "MaximumRetryCount": retries},
        "PortBindings": {
            f"{target}/tcp": [{"HostIp": address, "HostPort": str(port)}]
            for target, (address, port) in published.items()
        },
        "NanoCpus": nano_cpus(spec),
        "AutoRemove": False,
    }
    if memory is not None:
        # Without a word about swap a container may use as much of it as memory, and is killed far too late.
        host |= {"Memory": memory, "MemorySwap": memory}
    return host
