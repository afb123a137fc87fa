"""What can be done to tasks on the local platform on purpose: each act as a request to the engine, with its evidence.

Base class of `platforms.local.LocalDeployment`. The engine reads every act back from the kernel or the ingress; here
its words become the protocol's. What one machine cannot do at all is refused with the reason, and said before by
`capabilities` (`CANNOT`).
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from breakroom.engine.shell import protocol
from breakroom.i18n.terms import N_
from breakroom.platforms.base import Availability, Evidence, NodeView, PlatformError, TaskView
from breakroom.platforms.one_request import ask_once

__all__ = ["CANNOT", "Ask", "LocalActs"]

_KERNEL_ONLY = ("corrupt", "duplicate")
_ONE_NODE = N_(
    "the local platform is one node; there is no other that its tasks could move to or be cut off from"
)
_PACKETS = N_(
    "the local platform spoils connections in its ingress, which sees a byte stream and no packets; "
    "this needs the kernel's netem (platforms docker and swarm)"
)

CANNOT = {
    "drain": _ONE_NODE,
    "node_loss": _ONE_NODE,
    "partition.node": _ONE_NODE,
    "network.corrupt": _PACKETS,
    "network.duplicate": _PACKETS,
}
"""Timeline actions that are not to be had here, with the reason (`Capabilities.cannot`)."""


class Ask(Protocol):
    """Asks the engine; see `EngineClient.ask`."""

    async def __call__(self, make: Callable[[int], protocol.Request], *, within: float = ...) -> Any:
        """Send the request that `make` builds from its id, and return the reply's result."""
        ...


class LocalActs:
    """The acts of a local deployment."""

    _kernel_kills = False
    """Whether memory limits are the kernel's to enforce."""

    async def _ask(self, make: Callable[[int], protocol.Request]) -> Any:
        raise NotImplementedError

    async def tasks(self) -> list[TaskView]:
        """All tasks of the present history."""
        raise NotImplementedError

    async def _ask_of_task(self, make: Callable[[int], protocol.Request]) -> Any:
        """As `_ask`; a task without a process is a `ProcessLookupError`."""
        try:
            return await self._ask(make)
        except PlatformError as error:
            if error.code == "task-gone":
                raise ProcessLookupError(str(error)) from error
            raise

    async def signal_task(self, task: str, signal: str) -> None:
        """Send the task's main process a signal from outside the orchestrator, as a crash would come.

        Raises:
            ProcessLookupError: the task has no running process.
            PlatformError: `unknown-signal`, or the engine is dead.
        """
        await self._ask_of_task(lambda n: protocol.SignalTask(id=n, task=task, signal=signal))

    async def kill_through_api(self, signal: str = "SIGKILL", *, task: str = "") -> None:
        """Kill through the platform's API (`docker kill`), which is not a crash: no container policy revives it.

        Raises:
            ProcessLookupError: the service's task has no running process.
            PlatformError: `refused`: the container does not run.
        """
        await self._ask_of_task(lambda n: protocol.KillThroughApi(id=n, signal=signal, task=task))

    async def signal_inside(self, task: str, match: str, signal: str) -> tuple[int, ...]:
        """Signal the processes of the task whose command line contains `match`; returns their pids.

        Raises:
            ProcessLookupError: the task has no running process.
        """
        pids = await self._ask_of_task(
            lambda n: protocol.SignalInside(id=n, task=task, match=match, signal=signal)
        )
        return tuple(pids)

    async def process_state(self, task: str) -> str:
        """The state letter of the task's main process; empty: gone."""
        return str(await self._ask(lambda n: protocol.ProcessState(id=n, task=task)))

    async def pause(self, task: str) -> Evidence:
        """Freeze the task's processes: by a version 2 control group, or where there is none by SIGSTOP to each.

        Raises:
            ProcessLookupError: the task has no running process.
        """
        return _evidence(await self._ask_of_task(lambda n: protocol.Pause(id=n, task=task)))

    async def unpause(self, task: str) -> None:
        """Let them go on.

        Raises:
            ProcessLookupError: the task has no running process.
        """
        await self._ask_of_task(lambda n: protocol.Unpause(id=n, task=task))

    async def impair(self, task: str, link: dict[str, Any] | None) -> Evidence:
        """Spoil the link to a task (`*`: to all), in the words of `ingress.link.LinkSpec`; None heals it.

        Raises:
            PlatformError: `unsupported`: the ingress cannot do that; `bad-link`: it is no impairment.
        """
        for word in _KERNEL_ONLY:
            if link is not None and link.get(word):
                raise PlatformError("unsupported", f"{word}: {_PACKETS}")
        words = None if link is None else {k: v for k, v in link.items() if k not in _KERNEL_ONLY}
        return _evidence(await self._ask(lambda n: protocol.Impair(id=n, task=task, link=words)))

    async def fill_memory(self, task: str, size: int) -> Evidence:
        """Have `size` bytes more used inside the task's own memory limit, until `free_memory`.

        A task that was killed for memory meanwhile has felt it: the evidence holds.

        Raises:
            ProcessLookupError: the task has no running process.
        """
        return _evidence(await self._ask_of_task(lambda n: protocol.FillMemory(id=n, task=task, size=size)))

    async def free_memory(self, task: str) -> None:
        """Take the pressure away; the task may be gone by then."""
        await self._ask(lambda n: protocol.FreeMemory(id=n, task=task))

    async def throttle_cpu(self, task: str, share: float) -> Evidence:
        """Let the task's processes have only `share` of one core: by the kernel's quota, or by stopping them in turn.

        It ends with the task, and before a stop; a replacement is not bounded.

        Raises:
            ProcessLookupError: the task has no running process.
        """
        return _evidence(
            await self._ask_of_task(lambda n: protocol.ThrottleCpu(id=n, task=task, share=share))
        )

    async def unthrottle_cpu(self, task: str) -> None:
        """Let them have what they had before; the task may be gone by then."""
        await self._ask(lambda n: protocol.UnthrottleCpu(id=n, task=task))

    async def request_task(self, task: str, method: str, path: str) -> tuple[int, str]:
        """Send the task itself one HTTP request, past the ingress. Returns status and body.

        Raises:
            ProcessLookupError: the task has no running process.
            PlatformError: `no-answer`: it did not answer within 2 s.
        """
        view = next((view for view in await self.tasks() if view.id == task), None)
        if view is None or view.port is None or view.state not in {"starting", "running"}:
            raise ProcessLookupError(f"task {task} has no running process")
        return await ask_once("127.0.0.1", view.port, method, path)

    async def oom_kills(self) -> int | None:
        """How many processes the kernel has killed for memory since it started; None where it does not do that here."""
        return await asyncio.to_thread(_kernel_oom_kills) if self._kernel_kills else None

    async def nodes(self) -> list[NodeView]:
        """This machine."""
        return [
            NodeView(
                id="local", name="local", role="manager", status="ready", availability="active",
                address="127.0.0.1", leader=True, here=True,
            )
        ]  # fmt: skip

    async def set_availability(self, node: str, availability: Availability) -> Evidence:
        """Refused: there is one node.

        Raises:
            PlatformError: `unsupported`, always.
        """
        raise PlatformError("unsupported", f"{node} cannot be made {availability}: {_ONE_NODE}")

    async def cut_node(self, node: str, within: int) -> Evidence:
        """Refused: there is one node.

        Raises:
            PlatformError: `unsupported`, always.
        """
        raise PlatformError("unsupported", f"{node} cannot be cut off (for {within / 1e9:g} s): {_ONE_NODE}")

    async def heal_node(self, node: str) -> None:
        """Nothing was cut."""

    def undo_args(self, subject: str) -> dict[str, str]:
        """Which task or node it is. Nothing of a local deployment outlives its engine, so nobody has to find it."""
        return {"platform": "local", "subject": subject}


def _evidence(result: Any) -> Evidence:
    witness = msgspec.convert(result, protocol.Witness)
    return Evidence(**{f.name: getattr(witness, f.name) for f in dataclasses.fields(Evidence)})


def _kernel_oom_kills() -> int | None:
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
