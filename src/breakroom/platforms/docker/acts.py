"""What can be done on purpose to a container, with the evidence that it took effect: the base of `DockerDeployment`.

Signals, links and memory are acted on from outside Docker's API, by `hands` (a root process of this machine, or a
helper container where the daemon is). A signal on a daemon of this machine is sent from here, if we may: it takes a
thousandth of a second instead of a program's start. `docker pause`, `docker kill` and, for CPU time, `docker update`
are Docker's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from breakroom.agent import cgroups, kernel
from breakroom.agent import container as processes
from breakroom.agent.cpu import restored, throttled
from breakroom.agent.errors import ActError
from breakroom.platforms.base import Evidence, PlatformError
from breakroom.platforms.docker.connect import Daemon
from breakroom.platforms.docker.cpu import cpu_evidence, limits_now, local_quota, require_share, set_limits
from breakroom.platforms.docker.direct import ask_directly
from breakroom.platforms.docker.freeze import freeze
from breakroom.platforms.docker.front import Front
from breakroom.platforms.docker.hands import Hands
from breakroom.platforms.docker.lone import LoneContainer
from breakroom.platforms.docker.names import mark

__all__ = ["ContainerActs", "Target"]

Target = tuple[str, int]
"""A container's full id and its main process's pid, as the daemon counts."""
_LASTS_SECONDS = 3600.0
"""What is in force heals itself after this, should breakroom be killed."""
_KERNEL_ONLY = ("corrupt", "duplicate")
_INGRESS_ONLY = ("reset",)


class ContainerActs(LoneContainer):
    """The acts of a deployment whose tasks are starts of one container. A subclass knows the container."""

    def __init__(
        self, daemon: Daemon, hands: Hands | None, run: str, probed: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(daemon)
        self._hands = hands
        self._run = run
        self._probed = probed or {}
        """The hands' own answer to `probe`; what is not in it is tried."""
        self._in_force: dict[str, str] = {}
        """For whom (a task, or `*`) a link is bad, and by what: `netem`, `nft`, `ingress`."""
        self._link: dict[str, Any] | None = None
        """In force by the kernel for every start, also those to come."""
        self._cpu: dict[str, tuple[str, dict[str, int]]] = {}
        """Of each task that has less CPU time: its container, and what that had before."""

    @property
    def front(self) -> Front:
        """What stands before the container."""
        raise NotImplementedError

    @property
    def port(self) -> int:
        """The port that the service listens on, inside."""
        raise NotImplementedError

    @property
    def outside(self) -> tuple[str, int]:
        """Where Docker publishes that port, behind the front; an address that can be reached from here."""
        raise NotImplementedError

    def target(self, task: str) -> Target:
        """The container and process of a task.

        Raises:
            ProcessLookupError: the task has no running process.
        """
        raise NotImplementedError

    # --- processes --------------------------------------------------------------------------------------------

    async def signal_task(self, task: str, signal: str) -> None:
        """Send the task's main process a signal past Docker, as a crash would come.

        Raises:
            ProcessLookupError: the task has no running process.
            PlatformError: `permission-denied`, `unknown-signal`, …
        """
        await self._signal(task, signal, None)

    async def signal_inside(self, task: str, match: str, signal: str) -> tuple[int, ...]:
        """Signal the processes in the container whose command line contains `match`; returns their pids.

        Raises:
            ProcessLookupError: the task has no running process.
        """
        return tuple(await self._signal(task, signal, match))

    async def process_state(self, task: str) -> str:
        """The state letter of the task's main process; empty: gone."""
        try:
            container, pid = self.target(task)
        except ProcessLookupError:
            return ""
        if self.daemon.local:
            return processes.state_of(pid)
        answer = await self._do({"act": "process-state", "container": container, "pid": pid})
        return str(answer.get("state", ""))

    async def pause(self, task: str) -> Evidence:
        """`docker pause`; the evidence is the kernel's freezer where that is of this machine, else Docker's word.

        Raises:
            ProcessLookupError: the task has no running process.
        """
        container, pid = self.target(task)
        await freeze(self.daemon, container, "pause the container")
        frozen = await asyncio.to_thread(_frozen, pid, container) if self.daemon.local else None
        if frozen is not None:
            return Evidence(
                holds=frozen, t=time.monotonic_ns(), means="freezer", detail={"witness": "cgroup"}
            )
        with self.daemon.asking("inspect the container"):
            state = (await self.daemon.docker.containers.container(container).show())["State"]
        return Evidence(
            holds=bool(state.get("Paused")),
            t=time.monotonic_ns(),
            means="freezer",
            detail={"witness": "docker"},
        )

    async def unpause(self, task: str) -> None:
        """`docker unpause`.

        Raises:
            ProcessLookupError: the task has no running process.
        """
        container, _ = self.target(task)
        with self.daemon.asking("unpause the container"):
            await self.daemon.docker.containers.container(container).unpause()

    # --- the link ---------------------------------------------------------------------------------------------

    async def impair(self, task: str, link: dict[str, Any] | None) -> Evidence:
        """Spoil the link to the container: by netem or nft in its own network namespace, or by the ingress.

        netem shapes what the container sends; the ingress both directions. `detail` says which.

        Raises:
            ProcessLookupError: the task has no running process.
            PlatformError: `unsupported`: neither can do that here.
        """
        if link is None:
            return await self._heal(task)
        words = {word: value for word, value in link.items() if value}
        means = "nft" if words.get("partition") or words.get("loss", 0) >= 1 else "netem"
        refused = self._refused_by_kernel(means, words)
        if not refused:
            try:
                evidence = await self._impair_by_kernel(_one(task), words, means)
            except PlatformError as error:
                if error.code != "unsupported":
                    raise
                refused = str(error)
            else:
                self._in_force[task] = means
                self._link = words if task == "*" else self._link
                return evidence
        if any(word in words for word in _KERNEL_ONLY):
            raise PlatformError(
                "unsupported", f"{', '.join(words)}: {refused}", "`breakroom doctor` says what works here"
            )
        self.front.impair(task, words)
        self._in_force[task] = "ingress"
        return Evidence(
            holds=True,
            t=time.monotonic_ns(),
            means="ingress",
            detail={"direction": "both", "kernel": refused},
        )

    async def impair_anew(self, task: str) -> None:
        """A new start has a new network namespace: what is in force for all starts is put there too."""
        if self._link is not None:
            with contextlib.suppress(ProcessLookupError, PlatformError):
                await self._impair_by_kernel(task, self._link, self._in_force.get("*", "netem"))

    # --- memory -----------------------------------------------------------------------------------------------

    async def fill_memory(self, task: str, size: int) -> Evidence:
        """Have `size` bytes more used inside the container's own limit, until `free_memory`.

        Raises:
            ProcessLookupError: the task has no running process.
        """
        container, pid = self.target(task)
        answer = await self._do(
            {
                "act": "memory-fill", "mark": mark(self._run), "container": container, "pid": pid,
                "bytes": size, "within_s": _LASTS_SECONDS,
            }
        )  # fmt: skip
        detail = {key: value for key, value in answer.items() if key not in {"ok", "at"}}
        # Killed for memory is the strongest form of having felt it.
        holds = bool(answer.get("held")) or bool(answer.get("oom_kills")) or answer.get("after") is None
        return Evidence(holds=holds, t=self._when(answer), means="memory-fill", detail=detail)

    async def free_memory(self, task: str) -> None:
        """Take the pressure away; the task may be gone by then."""
        try:
            container, _ = self.target(task)
        except ProcessLookupError:
            return
        await self._do({"act": "memory-free", "mark": mark(self._run), "container": container})

    # --- CPU time ---------------------------------------------------------------------------------------------

    async def throttle_cpu(self, task: str, share: float) -> Evidence:
        """Leave the container `share` of one core; the evidence is the kernel's own quota for it.

        Raises:
            ProcessLookupError: the task has no running process.
            PlatformError: `unsupported`: less than the kernel can, or a daemon without quotas.
        """
        require_share(self.daemon, share)
        container, pid = self.target(task)
        had = self._cpu.get(task) or (container, await limits_now(self.daemon, container))
        self._cpu[task] = had
        await set_limits(self.daemon, container, throttled(had[1], share))
        seen = await self._quota(container, pid)
        return cpu_evidence(share, seen, time.monotonic_ns())

    async def unthrottle_cpu(self, task: str) -> None:
        """Give the container back what it had. Also at a task's end: the limit would be its next start's, too.

        Raises:
            PlatformError: the daemon refuses, or is gone.
        """
        had = self._cpu.get(task)
        if had is None:
            return
        try:
            await set_limits(self.daemon, had[0], restored(had[1]))
        except PlatformError as error:
            if error.code != "not-found":
                raise
        self._cpu.pop(task, None)

    async def _quota(self, container: str, pid: int) -> tuple[int | None, int] | None:
        seen = await local_quota(container, pid) if self.daemon.local else None
        if seen is not None or self._hands is None:
            return seen
        try:
            answer = await self._do({"act": "cpu-quota", "container": container, "pid": pid})
        except PlatformError:
            return None  # it was done all the same, and nobody can say so
        return answer.get("quota_us"), int(answer["period_us"])

    # --- the service itself, and its kernel -------------------------------------------------------------------

    async def request_task(self, task: str, method: str, path: str) -> tuple[int, str]:
        """One HTTP request inside the container, past its published port; without hands, at that port.

        Raises:
            ProcessLookupError: the task has no running process.
            PlatformError: `no-answer`; `unsupported`: no such method or path.
        """
        container, pid = self.target(task)
        if self._hands is None:
            return await ask_directly(*self.outside, method, path)
        act = {"act": "request", "container": container, "pid": pid, "port": self.port}
        answer = await self._do({**act, "method": method, "path": path})
        return int(answer["status"]), str(answer["body"])

    async def oom_kills(self) -> int | None:
        """How many processes the kernel of the daemon's machine has killed for memory, this container's or not."""
        if self.daemon.local:
            with contextlib.suppress(ActError):
                return await asyncio.to_thread(kernel.oom_kills)
        if self._hands is None:
            return None
        try:
            return int((await self._hands.act({"act": "oom-kills"}))["oom_kills"])
        except PlatformError:
            return None

    # --- how --------------------------------------------------------------------------------------------------

    def _refused_by_kernel(self, means: str, words: Mapping[str, Any]) -> str:
        """Why the kernel cannot do it, as far as that is known without trying; empty: try."""
        if any(word in words for word in _INGRESS_ONLY):
            return "only the ingress can reset connections"
        if self._hands is None:
            return "nothing here may act on the container's network"
        tried = self._probed.get(means) or {}
        return "" if tried.get("works", True) else str(tried.get("reason") or f"this kernel has no {means}")

    async def _impair_by_kernel(self, task: str, words: Mapping[str, Any], means: str) -> Evidence:
        container, pid = self.target(task)
        whom = {"mark": mark(self._run), "container": container, "pid": pid}
        if means == "nft":
            answer = await self._do(
                {"act": "partition-set", "scope": "container", "within_s": _LASTS_SECONDS, **whom}
            )
            detail = {"direction": "both", "active": answer.get("active")}
            holds = bool(answer.get("active"))
        else:
            answer = await self._do({"act": "link-set", "link": dict(words), **whom})
            detail = {"direction": "from the container", "links": answer.get("links") or {}}
            holds = bool(answer.get("links"))
        return Evidence(holds=holds, t=self._when(answer), means=means, detail=detail)

    async def _heal(self, task: str) -> Evidence:
        """Take back what was put in force for `task`, and nothing else: another fault may be in force beside it."""
        means = self._in_force.pop(task, "")
        if task == "*":
            self._link = None
        if means == "ingress":
            self.front.impair(task, None)
        elif means and means not in self._in_force.values():
            try:
                container, pid = self.target(_one(task))
            except ProcessLookupError:
                # Its network namespace went with it.
                return Evidence(holds=True, t=time.monotonic_ns(), means="gone")
            act = (
                {"act": "link-clear"}
                if means == "netem"
                else {"act": "partition-clear", "scope": "container"}
            )
            answer = await self._do({**act, "mark": mark(self._run), "container": container, "pid": pid})
            return Evidence(
                holds=True, t=self._when(answer), means=means, detail={"cleared": answer.get("cleared")}
            )
        return Evidence(holds=True, t=time.monotonic_ns(), means=means or "nothing-in-force")

    async def _signal(self, task: str, signal: str, match: str | None) -> list[int]:
        container, pid = self.target(task)
        if self.daemon.local:
            try:
                number = processes.signal_number(signal)
                return processes.send_signal(container, pid, number, match)
            except ActError as error:
                if error.code != "permission-denied" or self._hands is None:
                    raise _refusal(error.code, str(error)) from error
        act: dict[str, Any] = {"act": "signal", "container": container, "pid": pid, "signal": signal}
        answer = await self._do({**act, "match": match} if match else act)
        return [int(one) for one in answer.get("pids") or ()]

    async def _do(self, act: dict[str, Any]) -> dict[str, Any]:
        if self._hands is None:
            raise PlatformError(
                "permission-denied", f"{act['act']}: nothing here may act on the container's processes"
            )
        try:
            return await self._hands.act(act)
        except PlatformError as error:
            raise _refusal(error.code, str(error), error.hint) from error

    def _when(self, answer: dict[str, Any]) -> int:
        """When an act was done, by its own account if that is of this machine's clock."""
        at = answer.get("at") or {}
        if self.daemon.local and isinstance(at.get("monotonic_ns"), int):
            return min(int(at["monotonic_ns"]), time.monotonic_ns())
        return time.monotonic_ns()


def _one(task: str) -> str:
    """The task's name for `target`, where `*` is the start that runs."""
    return "" if task == "*" else task


def _refusal(code: str, message: str, hint: str = "") -> Exception:
    """A refused act as the platform protocol has it."""
    if code in {"gone", "not-in-container"}:
        return ProcessLookupError(message)
    return PlatformError("unsupported" if code == "bad-act" else code, message, hint)


def _frozen(pid: int, container: str) -> bool | None:
    """Whether the kernel has frozen the container; None if it cannot be seen."""
    for controller, name, frozen in (
        ("freezer", "freezer.state", "FROZEN"),
        ("memory", "cgroup.events", "frozen 1"),
    ):
        with contextlib.suppress(ActError, OSError):
            text = Path(cgroups.place_of(pid, container, controller).container / name).read_text()
            return frozen in text
    return None
