"""Making a container and its front, so that either both are there or neither.

Used by `deployment`. The container's port outside is chosen here and fixed: Docker would choose another one at each
restart. A container that takes the place of another (`create_another`) keeps front and port.
"""

from __future__ import annotations

import contextlib
import re
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from breakroom.engine.shell.ports import NoFreePortError, PortPool
from breakroom.journal.records import Problem
from breakroom.platforms.base import Emit, Endpoint, PlatformError
from breakroom.platforms.docker.connect import Daemon
from breakroom.platforms.docker.errors import image_missing
from breakroom.platforms.docker.front import Front, FrontKind, IngressFront, NativeFront, hosts_of
from breakroom.platforms.docker.images import normal_name
from breakroom.platforms.docker.names import object_name
from breakroom.platforms.docker.overview import who_has
from breakroom.platforms.docker.translate import START_INTERVAL_API, container_body
from breakroom.platforms.local_images import known_images
from breakroom.spec.service import ServiceSpec

__all__ = [
    "Made",
    "create",
    "create_another",
    "explained",
    "is_course_image",
    "require_image",
    "stop_signal_number",
]

_NO_PROGRAM = re.compile(
    r"executable file not found|no such file or directory|exec format error", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A container that was created, not yet started. `outside`: where Docker publishes its port."""

    id: str
    name: str
    outside: tuple[str, int]
    front: Front


async def create(
    daemon: Daemon,
    spec: ServiceSpec,
    *,
    run: str,
    trial: str,
    front: FrontKind,
    ports: PortPool,
    logs: Path,
    emit: Emit,
) -> Made:
    """Open the front and create the container. `logs`: the trial's directory for logs.

    Raises:
        PlatformError: `image-missing`, `port-taken`, `unsupported`, or a code of `errors`. Nothing is left.
    """
    own = spec.ports[:1]
    wanted = own[0].published if own else 0
    host_ip = own[0].host_ip if own else ""
    fixed = front == "native" and wanted > 0
    outside = (_address(daemon, host_ip if front == "native" else ""), wanted if fixed else _free(ports))
    name = object_name(run, *trial.split("/"))
    standing: Front | None = None
    try:
        body = _body(daemon, spec, outside, run=run, trial=trial)
        standing = await _front(daemon, front, outside, host_ip, wanted, trial=trial, logs=logs, emit=emit)
        identity, warnings = await _create(daemon, name, body)
    except BaseException as error:
        if standing is not None:
            await standing.close()
        if not fixed:
            ports.give_back(outside[1])
        if isinstance(error, PlatformError):
            raise await explained(error, daemon, spec, wanted) from error
        raise
    _say(daemon, spec, warnings, trial, emit)
    return Made(id=identity, name=name, outside=outside, front=standing)


async def create_another(
    daemon: Daemon, made: Made, spec: ServiceSpec, *, run: str, trial: str, emit: Emit
) -> Made:
    """Create a container of the same name, port and front; the one before must be gone.

    Raises:
        PlatformError: as `create`.
    """
    try:
        body = _body(daemon, spec, made.outside, run=run, trial=trial)
        identity, warnings = await _create(daemon, made.name, body)
    except PlatformError as error:
        raise await explained(error, daemon, spec, made.outside[1]) from error
    _say(daemon, spec, warnings, trial, emit)
    return replace(made, id=identity)


def is_course_image(image: str) -> bool:
    """Whether the image is one that `breakroom images` builds."""
    return normal_name(image) in known_images()


async def require_image(daemon: Daemon, spec: ServiceSpec) -> None:
    """See that the daemon has the service's image.

    Raises:
        PlatformError: `image-missing`, or the daemon is gone.
    """
    try:
        with daemon.asking(f"look at image {spec.image}"):
            await daemon.docker.images.inspect(spec.image)
    except PlatformError as error:
        if error.code not in {"image-missing", "not-found"}:
            raise
        raise image_missing(spec.image, course=is_course_image(spec.image)) from error


async def explained(error: PlatformError, daemon: Daemon, spec: ServiceSpec, port: int) -> PlatformError:
    """The same error with what the user needs to mend it: the image's name, who holds the port, the program."""
    if error.code == "image-missing":
        return image_missing(spec.image, course=is_course_image(spec.image))
    if error.code == "port-taken":
        holder = await who_has(daemon, port) if port else ""
        what = f"port {port} is taken by {holder}" if holder else str(error)
        return PlatformError("port-taken", what, "end what holds it, or publish another port")
    if _NO_PROGRAM.search(str(error)) and error.code != "not-found":
        words = " ".join((*spec.entrypoint, *spec.command)) or "its own command"
        hint = f"image {spec.image} must contain what is to be run: {words}"
        return PlatformError("program-missing", str(error), hint)
    return error


def stop_signal_number(spec: ServiceSpec) -> str:
    """The number of the stop signal, as Docker's `kill` event tells it."""
    with contextlib.suppress(KeyError):
        return str(int(signal.Signals[spec.stop_signal]))
    return ""


def _body(
    daemon: Daemon, spec: ServiceSpec, outside: tuple[str, int], *, run: str, trial: str
) -> dict[str, Any]:
    """What Docker is asked for: the first port is published at `outside`, others as the drill says."""
    published = {
        port.target: (port.host_ip or _address(daemon, ""), port.published) for port in spec.ports[1:]
    }
    if spec.ports:
        published[spec.ports[0].target] = outside
    return container_body(spec, run=run, trial=trial, published=published, api=daemon.api)


async def _create(daemon: Daemon, name: str, body: dict[str, Any]) -> tuple[str, list[str]]:
    """The new container's id, and Docker's warnings."""
    with daemon.asking(f"create container {name}"):
        answer = await daemon.docker._query_json(  # noqa: SLF001  # `create` keeps Docker's warnings to itself
            "containers/create", "POST", data=body, params={"name": name}
        )
    return str(answer["Id"]), list(answer.get("Warnings") or ())


async def _front(
    daemon: Daemon,
    kind: FrontKind,
    outside: tuple[str, int],
    host_ip: str,
    wanted: int,
    *,
    trial: str,
    logs: Path,
    emit: Emit,
) -> Front:
    if kind == "breakroom":
        return await IngressFront.start(
            trial=trial, emit=emit, directory=logs, hosts=hosts_of(host_ip), port=wanted
        )
    address = outside[0] if outside[0] not in {"0.0.0.0", "::"} else daemon.node_address  # noqa: S104
    return NativeFront(trial, Endpoint(host=address, port=outside[1]), emit)


def _address(daemon: Daemon, host_ip: str) -> str:
    """Where Docker is to publish a port: as the drill says, else on loopback, or for us to reach it from afar."""
    if host_ip:
        return host_ip
    return "127.0.0.1" if daemon.node_address == "127.0.0.1" else "0.0.0.0"  # noqa: S104  # of another machine


def _free(ports: PortPool) -> int:
    try:
        return ports.take()
    except NoFreePortError as error:
        raise PlatformError("port-taken", str(error)) from error


def _say(daemon: Daemon, spec: ServiceSpec, warnings: list[str], trial: str, emit: Emit) -> None:
    """What differs from what was asked for, in the journal."""
    now = time.monotonic_ns()
    for warning in warnings:
        emit(
            Problem(
                t=now, trial=trial, severity="note", code="docker-warning", params={"message": str(warning)}
            )
        )
    check = spec.healthcheck
    if check is not None and spec.has_healthcheck and check.start_period and daemon.api < START_INTERVAL_API:
        emit(
            Problem(
                t=now,
                trial=trial,
                severity="note",
                code="no-start-interval",
                params={"version": str(daemon.version.get("Version", "")), "seconds": check.interval / 1e9},
            )
        )
