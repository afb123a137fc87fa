"""Answers the main process's requests.

Used by `engine.shell.engine`: one asyncio task for each request. What the core refuses becomes an error reply
with the core's own words; nothing here raises for a user's mistake.
"""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING, Any

from breakroom import __version__
from breakroom.engine import views
from breakroom.engine.core.errors import IllegalEvent
from breakroom.engine.core.events import (
    CreateContainer,
    CreateService,
    Event,
    KillContainer,
    ReplaceContainer,
    RestartContainer,
    RollbackService,
    ScaleService,
    StartContainer,
    StopContainer,
    UpdateService,
)
from breakroom.engine.core.model import HealthStatus, Task
from breakroom.engine.shell import protocol
from breakroom.engine.shell.acts import TaskGoneError
from breakroom.engine.shell.command import CommandError, check_program
from breakroom.engine.shell.ingress_link import IngressError
from breakroom.engine.shell.removal import remove_everything
from breakroom.spec.service import ServiceSpec

if TYPE_CHECKING:
    from breakroom.engine.shell.engine import Engine

__all__ = ["RequestError", "Requests", "task_info"]

_LOOK_SECONDS = 0.005
_HINTS = {
    "port-taken": "choose another published port, or 0 for any free one; or end what listens there",
}

_ACTS = (
    protocol.Pause,
    protocol.Unpause,
    protocol.SignalInside,
    protocol.ProcessState,
    protocol.FillMemory,
    protocol.FreeMemory,
    protocol.ThrottleCpu,
    protocol.UnthrottleCpu,
)


class RequestError(Exception):
    """A request cannot be met; `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class Requests:
    """The request handlers of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._name = ""
        self.runs_as = ""
        self.published: tuple[int, tuple[str, ...]] | None = None

    @property
    def name(self) -> str:
        """The service's or container's name; empty before it was created."""
        return self._name

    async def answer(self, request: protocol.Request) -> None:
        """Do what is asked and send the reply."""
        try:
            result = await self._do(request)
        except RequestError as error:
            reply = protocol.Reply(
                id=request.id, code=error.code, message=str(error), hint=_HINTS.get(error.code, "")
            )
        else:
            reply = protocol.Reply(id=request.id, result=result)
        self._engine.reply(reply)

    async def _do(self, request: protocol.Request) -> Any:
        match request:
            case protocol.Hello():
                return self._hello(request)
            case protocol.Create():
                return await self._create(request)
            case protocol.Tasks():
                now = time.monotonic_ns()
                newest_first = list(self._engine.core.tasks.values())[::-1]
                newest_first.sort(key=lambda task: task.slot)
                return [task_info(task, now) for task in newest_first]
            case protocol.SignalTask(task=task, signal=name):
                return self._signal(task, name)
            case protocol.View(name=name):
                return self._view(name)
            case protocol.Cost():
                return self._engine.cost()
            case protocol.Impair(task=task, link=link):
                return await self._impair(task, link)
            case _ if isinstance(request, _ACTS):
                return await self._act(request)
            case protocol.KillThroughApi(task=task, signal=name) if task and self.runs_as == "service":
                # The orchestrator did not ask for it, so to it this is a failure like any other.
                return self._signal(task, name)
            case protocol.Remove(grace=grace):
                return await remove_everything(self._engine, self, grace)
            case _:
                await self._command(self._event_of(request))
                if isinstance(request, protocol.Restart | protocol.Replace):
                    await self._started_again()

    def _event_of(self, request: protocol.Request) -> Event:
        match request:
            case protocol.Start():
                return StartContainer(self._name)
            case protocol.Stop():
                return StopContainer(self._name)
            case protocol.KillThroughApi(signal=name):
                return KillContainer(self._name, name)
            case protocol.Scale(replicas=replicas):
                return ScaleService(self._name, replicas)
            case protocol.Update(spec=spec):
                self._check(spec)
                return UpdateService(spec)
            case protocol.Rollback():
                return RollbackService(self._name)
            case protocol.Restart():
                return RestartContainer(self._name)
            case protocol.Replace(spec=spec):
                self._check(spec)
                return ReplaceContainer(spec)
            case _:
                raise RequestError("unknown-request", f"the engine cannot do {type(request).__name__}")

    def _hello(self, hello: protocol.Hello) -> dict[str, str]:
        try:
            self._engine.open(hello)
        except OSError as error:
            raise RequestError("ingress-died", f"the ingress cannot be started: {error}") from error
        node = self._engine.node
        assert node is not None
        return {"memory_limit": node.memory.means}

    async def _create(self, request: protocol.Create) -> dict[str, Any]:
        self._check(request.spec)
        try:
            self.published = await self._engine.ingress.publish(request.hosts, request.port)
        except IngressError as error:
            raise RequestError(error.code, str(error)) from error
        self._name = request.spec.name
        self.runs_as = request.runs_as
        create = CreateService if request.runs_as == "service" else CreateContainer
        await self._command(create(request.spec))
        port, hosts = self.published
        return {"port": port, "hosts": hosts}

    def _signal(self, task: str, name: str) -> None:
        node = self._engine.node
        if node is None or not node.signal_from_outside(task, _signal_name(name)):
            raise RequestError("task-gone", f"task {task} has no running process")

    def _view(self, name: str) -> str:
        core, now = self._engine.core, time.monotonic_ns()
        match name:
            case "service-ls":
                return views.as_table(views.service_ls(core), views.ServiceRow)
            case "node-ls":
                return views.as_table(views.node_ls(core, engine_version=__version__), views.NodeRow)
            case "docker-ps":
                return views.as_table(views.docker_ps(core, now), views.ContainerRow)
        if self._name not in core.services:
            raise RequestError(
                "refused", f"there is no service {self._name!r}; a container is seen by docker-ps"
            )
        return views.as_table(views.service_ps(core, self._name, now), views.TaskRow)

    async def _impair(self, task: str, link: dict[str, Any] | None) -> protocol.Witness:
        try:
            return await self._engine.ingress.impair(task, link)
        except IngressError as error:
            raise RequestError(error.code, str(error)) from error

    async def _act(self, request: protocol.Request) -> Any:
        acts = self._engine.acts
        if acts is None:
            raise RequestError("task-gone", "nothing was deployed yet")
        try:
            match request:
                case protocol.Pause(task=task):
                    return await acts.pause(task)
                case protocol.Unpause(task=task):
                    return acts.unpause(task)
                case protocol.SignalInside(task=task, match=match, signal=name):
                    return acts.signal_inside(task, match, _signal_name(name))
                case protocol.FillMemory(task=task, size=size):
                    return await acts.fill(task, size)
                case protocol.FreeMemory(task=task):
                    return acts.free(task)
                case protocol.ThrottleCpu(task=task, share=share):
                    return await acts.throttle(task, share)
                case protocol.UnthrottleCpu(task=task):
                    return acts.unthrottle(task)
                case protocol.ProcessState(task=task):
                    return acts.state(task)
        except TaskGoneError as error:
            raise RequestError("task-gone", str(error)) from error
        except OSError as error:
            raise RequestError("act-failed", f"the kernel refused: {error}") from error

    async def _started_again(self) -> None:
        """Return when the container that is to be started again was, or when that was called off."""
        # The core tells nobody; its task's records tell what became of it.
        while self._name in (known := self._engine.core.containers) and known[self._name].starts_again:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)

    async def _command(self, event: Event) -> None:
        handled: asyncio.Future[IllegalEvent | None] = self._engine.loop.create_future()
        self._engine.feed(event, None, handled.set_result)
        error = await handled
        if error is not None:
            raise RequestError("refused", str(error))

    def _check(self, spec: ServiceSpec) -> None:
        try:
            check_program(spec)
        except CommandError as error:
            raise RequestError("program-missing", str(error)) from error


def _signal_name(name: str) -> str:
    if name not in signal.Signals.__members__:
        raise RequestError("unknown-signal", f"{name} is not a signal; write it as SIGKILL or SIGTERM")
    return name


def task_info(task: Task, now: int) -> protocol.TaskInfo:
    """The task as the main process is told of it."""
    end = task.exit
    return protocol.TaskInfo(
        t=now,
        task=task.id,
        service=task.service,
        slot=task.slot,
        node=task.node,
        state=task.state.word,
        desired=task.desired.word,
        image=task.spec.image,
        version=task.spec_version,
        message=task.message,
        error=task.error,
        exit_code=end.code if end is not None else None,
        signal=end.signal if end is not None else None,
        oom_killed=end.oom_killed if end is not None else False,
        pid=task.pid,
        port=task.port,
        in_rotation=task.in_rotation,
        healthy=None if task.health is HealthStatus.NONE else task.health is HealthStatus.HEALTHY,
    )
