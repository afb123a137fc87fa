"""A real Swarm, straight: the Engine API's own words as journal records, with nothing of breakroom between.

The contract's second witness: what `platforms.swarm` reports is one reading of a Swarm, this is another, so that a
disagreement tells whose mistake it is. Used by the player as stage `raw`. One node, its daemon on this machine. It
has no ingress, so it knows nothing of rotation.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal as signals
import subprocess
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import aiodocker
from msgspec import structs

from breakroom.journal.records import TaskChanged, UpdateChanged
from breakroom.platforms.base import Emit, Endpoint, PlatformError, TaskView
from breakroom.spec.drill import Contender
from breakroom.spec.service import ServiceSpec, UpdateConfig

__all__ = ["RawDeployment", "RawSwarm"]

_POLL_SECONDS = 0.05


class RawSwarm:
    """Creates services on the Swarm that DOCKER_HOST names."""

    def __init__(self) -> None:
        self.docker = aiodocker.Docker(url=os.environ["DOCKER_HOST"])

    async def deploy(self, contender: Contender, *, trial: str, directory: Path, emit: Emit) -> RawDeployment:
        """Create the service."""
        assert contender.runs_as == "service"
        deployment = RawDeployment(self.docker, contender.service, trial, emit)
        await deployment.create()
        return deployment

    async def close(self) -> None:
        """Close the client."""
        await self.docker.close()


class RawDeployment:
    """One service, polled."""

    def __init__(self, docker: aiodocker.Docker, spec: ServiceSpec, trial: str, emit: Emit) -> None:
        self.endpoint = Endpoint(host="127.0.0.1", port=0)
        self._docker = docker
        self._spec = spec
        self._trial = trial
        self._emit = emit
        self._name = f"{spec.name}-{os.getpid()}"
        self._id = ""
        self._seen: dict[str, tuple[Any, ...]] = {}
        self._last: dict[str, TaskChanged] = {}
        self._update: tuple[str, str] = ("", "")
        self._rows: list[dict[str, Any]] = []
        self._poll: asyncio.Task[None] | None = None

    async def create(self) -> None:
        """Create it and begin to look."""
        answer = await self._ask("services/create", "POST", data=_body(self._name, self._spec))
        self._id = answer["ID"]
        self._poll = asyncio.get_running_loop().create_task(self._watch(), name=f"poll {self._name}")

    async def _ask(self, path: str, method: str = "GET", **words: Any) -> Any:
        try:
            return await self._docker._query_json(path, method=method, **words)
        except aiodocker.DockerError as error:
            raise PlatformError("engine", str(error)) from error

    async def _watch(self) -> None:
        while True:
            await self._look()
            await asyncio.sleep(_POLL_SECONDS)

    async def _look(self) -> None:
        filters = aiodocker.utils.clean_filters({"service": self._name})
        self._rows = await self._ask("tasks", params={"filters": filters})
        for row in sorted(self._rows, key=lambda r: int(r["Version"]["Index"])):
            record = _record(row, self._trial)
            key = (record.state, record.desired, record.error, record.message)
            if self._seen.get(record.task) != key:
                self._seen[record.task] = key
                self._last[record.task] = record
                self._emit(record)
        present = {row["ID"] for row in self._rows}
        for task, record in list(self._last.items()):
            if task not in present and record.desired in {"ready", "running"}:
                # Swarm has forgotten it between two looks: its slot was taken away.
                self._last[task] = structs.replace(record, t=time.monotonic_ns(), desired="remove")
                self._emit(self._last[task])
        service = await self._ask(f"services/{self._id}")
        status = service.get("UpdateStatus") or {}
        update = (status.get("State", ""), status.get("Message", ""))
        if update != self._update:
            self._update = update
            if update[0]:
                self._emit(
                    UpdateChanged(
                        t=time.monotonic_ns(),
                        trial=self._trial,
                        service=self._spec.name,
                        state=update[0],
                        message=update[1],
                    )
                )

    async def tasks(self) -> list[TaskView]:
        """The present history."""
        await self._look()
        views = []
        for row in sorted(self._rows, key=lambda r: (r.get("Slot", 0), r["CreatedAt"]), reverse=True):
            record = _record(row, self._trial)
            views.append(
                TaskView(
                    id=record.task,
                    slot=record.slot,
                    node=record.node,
                    state=record.state,
                    desired=record.desired,
                    in_rotation=False,
                    healthy=None,
                    pid=record.pid,
                    version=record.version,
                    container=row["Status"].get("ContainerStatus", {}).get("ContainerID", ""),
                )
            )
        return sorted(views, key=lambda view: view.slot)

    async def signal_task(self, task: str, signal: str) -> None:
        """Signal the container's first process from the host."""
        info = await self._ask(f"containers/{await self._container(task)}/json")
        os.kill(info["State"]["Pid"], signals.Signals[signal])

    async def kill_through_api(self, signal: str = "SIGKILL", *, task: str = "") -> None:
        """`docker kill`."""
        async with self._docker._query(
            f"containers/{await self._container(task)}/kill", method="POST", params={"signal": signal}
        ):
            pass

    async def _container(self, task: str) -> str:
        return next(view.container for view in await self.tasks() if view.id == task)

    async def scale(self, replicas: int) -> None:
        """Change the number."""

        def change(body: dict[str, Any]) -> None:
            body["Mode"]["Replicated"]["Replicas"] = replicas

        await self._change(change)

    async def update(self, service: ServiceSpec) -> None:
        """Another spec."""
        self._spec = service

        def change(body: dict[str, Any]) -> None:
            body.clear()
            body.update(_body(self._name, service))

        await self._change(change)

    async def rollback(self) -> None:
        """`service rollback`."""
        await self._change(lambda _body: None, rollback="previous")

    async def _change(self, change: Any, **params: str) -> None:
        now = await self._ask(f"services/{self._id}")
        body = now["Spec"]
        change(body)
        version = now["Version"]["Index"]
        await self._ask(
            f"services/{self._id}/update", "POST", params={"version": version, **params}, data=body
        )

    async def overview(self) -> str:
        """`docker service ps`."""
        return await self._cli("service", "ps", self._name)

    async def service_ls(self) -> str:
        """`docker service ls`."""
        return await self._cli("service", "ls")

    async def _cli(self, *words: str) -> str:
        done = await asyncio.to_thread(
            subprocess.run, ["docker", *words], capture_output=True, text=True, check=True
        )
        return done.stdout

    async def remove(self) -> tuple[str, ...]:
        """Remove it; wait for its containers."""
        if self._poll is not None:
            self._poll.cancel()
            with contextlib.suppress(asyncio.CancelledError, PlatformError):
                await self._poll
        async with self._docker._query(f"services/{self._id}", method="DELETE"):
            pass
        return ()


def _record(row: dict[str, Any], trial: str) -> TaskChanged:
    status = row["Status"]
    container = status.get("ContainerStatus") or {}
    unix = _unix_ns(status["Timestamp"])
    return TaskChanged(
        t=unix - (time.time_ns() - time.monotonic_ns()),
        trial=trial,
        task=row["ID"],
        service="",
        slot=row.get("Slot", 0),
        node=row.get("NodeID", ""),
        state=status["State"],
        desired=row["DesiredState"],
        image=row["Spec"]["ContainerSpec"]["Image"],
        message=status.get("Message", ""),
        error=status.get("Err", ""),
        exit_code=container.get("ExitCode"),
        pid=container.get("PID") or None,
        platform_unix_ns=unix,
    )


def _unix_ns(text: str) -> int:
    whole, _, rest = text.rstrip("Z").partition(".")
    second = int(datetime.fromisoformat(f"{whole}+00:00").timestamp())
    return second * 1_000_000_000 + int(f"{rest or '0':0<9}"[:9])


def _config(config: UpdateConfig) -> dict[str, Any]:
    return {
        "Parallelism": config.parallelism,
        "Delay": config.delay,
        "Monitor": config.monitor,
        "FailureAction": config.failure_action,
        "MaxFailureRatio": config.max_failure_ratio,
        "Order": config.order,
    }


def _body(name: str, spec: ServiceSpec) -> dict[str, Any]:
    env = {
        "BREAKROOM_TASK_ID": "{{.Task.ID}}",
        "BREAKROOM_TASK_SLOT": "{{.Task.Slot}}",
        **spec.environment,
    }
    check = spec.healthcheck
    policy = spec.deploy.restart_policy
    container: dict[str, Any] = {
        "Image": spec.image,
        "Args": list(spec.command),
        "Env": [f"{key}={value}" for key, value in env.items()],
        "StopGracePeriod": spec.stop_grace_period,
    }
    if check is not None:
        container["Healthcheck"] = {
            "Test": list(check.test), "Interval": check.interval, "Timeout": check.timeout,
            "Retries": check.retries, "StartPeriod": check.start_period,
        }  # fmt: skip
    deploy = spec.deploy
    return {
        "Name": name,
        "TaskTemplate": {
            "ContainerSpec": container,
            "RestartPolicy": {
                "Condition": policy.condition, "Delay": policy.delay,
                "MaxAttempts": policy.max_attempts, "Window": policy.window,
            },
        },
        "Mode": {"Replicated": {"Replicas": deploy.replicas}},
        "UpdateConfig": _config(deploy.update_config),
        "RollbackConfig": _config(deploy.rollback_config),
        # Through the mesh, whether or not the kernel can carry it: what a user's service does.
        "EndpointSpec": {"Ports": [{"TargetPort": 3000, "Protocol": "tcp", "PublishMode": "ingress"}]},
    }  # fmt: skip
