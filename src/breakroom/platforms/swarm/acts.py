"""What acts on one task's processes, link and memory, or on a node's network: past Swarm, on whichever node it is.

Used by `service`. On this node the engine is asked where its API can do it (kill, pause); everything else is the
hands' (`python -m breakroom.agent act` as root, a helper container, or the agent on another node), which check
what they did and give it a mark of this run. Nothing here decides whom to act on.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from breakroom.agent import container as processes
from breakroom.agent import kernel
from breakroom.agent.errors import ActError
from breakroom.platforms.base import Evidence, PlatformError
from breakroom.platforms.docker.connect import Daemon
from breakroom.platforms.docker.direct import ask_directly
from breakroom.platforms.docker.freeze import freeze
from breakroom.platforms.docker.front import Front
from breakroom.platforms.swarm.cpu import TaskCpu
from breakroom.platforms.swarm.hands import SwarmHands
from breakroom.platforms.swarm.nodes import NodeList
from breakroom.platforms.swarm.patience import through_elections
from breakroom.platforms.swarm.reach import refusal
from breakroom.platforms.swarm.tasks import SwarmTask
from breakroom.platforms.swarm.witness import Witness

__all__ = ["TaskActs"]

_T = TypeVar("_T")

_CUT_AFTER_S = 0.5
"""A node that is told to cut itself off waits so long, so that its answer still leaves it."""
_LASTS_SECONDS = 3600.0
"""What is in force heals itself after this, should breakroom be killed."""
_SILENT_SECONDS = 5.0
_LOOK_SECONDS = 0.2
_BACK_NS = 30_000_000_000
_ELECTION_NS = 2_000_000_000
"""An answer that took longer had to wait for a leader."""
_CLEARING: tuple[dict[str, Any], ...] = (
    {"act": "link-clear"},
    {"act": "partition-clear", "scope": "container"},
)
_SETTING = {"link-clear": "link-set", "partition-clear": "partition-set"}
"""The act that an act of clearing takes back."""
_KERNEL_ONLY = ("corrupt", "duplicate")
_INGRESS_ONLY = ("reset",)


class TaskActs(TaskCpu):
    """The acts of one deployment."""

    def __init__(self, daemon: Daemon, nodes: NodeList, *, run: str, hands: SwarmHands) -> None:
        super().__init__(daemon, nodes, run=run, hands=hands)
        self._link: dict[str, Any] | None = None
        """In force by the kernel for every task, also for those to come."""
        self._spoilt: set[str] = set()
        """Which acts of the kernel may have left something on links: `link-set`, `partition-set`."""
        self._healed_at: dict[str, int] = {}
        """When a node that was cut off heals itself, on the journal's clock."""

    # --- processes --------------------------------------------------------------------------------------------

    async def signal(self, task: SwarmTask, signal: str, match: str | None = None) -> tuple[int, ...]:
        """Signal the task's main process, or those inside whose command line has `match`; their pids.

        Raises:
            ProcessLookupError: it is gone.
            PlatformError: it cannot be reached.
        """
        if self._own(task):
            try:
                number = processes.signal_number(signal)
                return tuple(processes.send_signal(task.container, task.pid or 0, number, match))
            except ActError as error:
                if error.code != "permission-denied":
                    raise refusal(error.code, str(error)) from error
        act = {"act": "signal", "signal": signal, **({"match": match} if match else {})}
        answer = await self._in_task(task, act)
        return tuple(int(pid) for pid in answer.get("pids") or ())

    async def process_state(self, task: SwarmTask) -> str:
        """The state letter of the task's main process; empty: gone."""
        if self._own(task):
            return processes.state_of(task.pid or 0)
        try:
            return str((await self._in_task(task, {"act": "process-state"})).get("state") or "")
        except ProcessLookupError:
            return ""

    async def kill_through_api(self, task: SwarmTask, signal: str) -> None:
        """`docker kill` of its container, by the engine of its node."""
        if not self._nodes.is_here(task.node):
            await self._in_task(task, {"act": "docker-kill", "signal": signal})
            return
        with self._daemon.asking(f"kill the container of task {task.id}"):
            await self._daemon.docker.containers.container(task.container).kill(signal=signal)

    async def pause(self, task: SwarmTask) -> Evidence:
        """`docker pause` of its container by the engine of its node, read back."""
        if self._nodes.is_here(task.node):
            container = self._daemon.docker.containers.container(task.container)
            doing = f"pause the container of task {task.id}"
            await freeze(self._daemon, task.container, doing)
            with self._daemon.asking(doing):
                paused = bool((await container.show())["State"].get("Paused"))
        else:
            paused = (await self._in_task(task, {"act": "docker-pause"})).get("status") == "paused"
        return Evidence(holds=paused, t=time.monotonic_ns(), means="freezer", detail={"witness": "docker"})

    async def unpause(self, task: SwarmTask) -> None:
        """Let it go on; a container that is gone or does not stand still is left alone."""
        if not task.container:
            return
        try:
            if not self._nodes.is_here(task.node):
                await self._in_task(task, {"act": "docker-unpause"})
                return
            with self._daemon.asking(f"unpause the container of task {task.id}"):
                await self._daemon.docker.containers.container(task.container).unpause()
        except ProcessLookupError:
            return
        except PlatformError as error:
            if error.code not in {"not-found", "refused", "docker-error", "failed"}:
                raise

    # --- the service itself, and its kernels -------------------------------------------------------------------

    async def request(self, task: SwarmTask, port: int, method: str, path: str) -> tuple[int, str]:
        """One HTTP request inside the task's container; where nobody has hands there, at its own port on its node.

        Raises:
            ProcessLookupError: it is gone.
            PlatformError: `no-answer`; `unsupported`: neither way, or no such method or path.
        """
        own = task.ports.get(port)
        if own and not self._hands.reaches(task.node):
            return await ask_directly(self._reached_at(task.node), own, method, path)
        answer = await self._in_task(task, {"act": "request", "port": port, "method": method, "path": path})
        return int(answer["status"]), str(answer["body"])

    async def was_oom(self, task: SwarmTask) -> bool:
        """Whether the engine of its node, another one, says that memory ran out in it; False if it cannot be asked."""
        try:
            return bool((await self._in_task(task, {"act": "docker-look"})).get("oom_killed"))
        except (ProcessLookupError, PlatformError):
            return False

    async def oom_kills(self) -> int | None:
        """What the kernels of all the Swarm's nodes have counted, those that several nodes share once.

        None as soon as one of them cannot be asked: a sum that lacks a node now and not before would say nothing.
        """
        counted: dict[str, int] = {}
        for node in tuple(self._nodes.rows):
            try:
                answer = await self._hands.act({"act": "oom-kills"}, node=node)
            except PlatformError:
                return await self._own_oom_kills()
            counted[str(answer["at"]["boot"])] = int(answer["oom_kills"])
        return sum(counted.values())

    async def _own_oom_kills(self) -> int | None:
        """Without anybody's help: this machine's kernel, if the whole Swarm is on it."""
        if self._daemon.local and len(self._nodes.rows) == 1:
            with contextlib.suppress(ActError):
                return await asyncio.to_thread(kernel.oom_kills)
        return None

    # --- links ------------------------------------------------------------------------------------------------

    async def impair(
        self, tasks: Sequence[SwarmTask], which: str, link: dict[str, Any] | None, front: Front
    ) -> Evidence:
        """Spoil the links: by the kernel where it can, else by breakroom's ingress, where that stands in front.

        Raises:
            PlatformError: `unsupported`: neither can.
        """
        if link is None:
            return await self._heal(tasks, which, front)
        words = {word: value for word, value in link.items() if value}
        refused = ""
        if not any(word in words for word in _INGRESS_ONLY):
            try:
                evidence = await self._impair_by_kernel(tasks, words)
            except PlatformError as error:
                if error.code != "unsupported":
                    raise
                refused = str(error)
            else:
                self._link = words if which == "*" else None
                return evidence
        if any(word in words for word in _KERNEL_ONLY):
            raise PlatformError(
                "unsupported",
                f"{', '.join(words)}: {refused or 'this needs netem'}",
                "`breakroom doctor` says what works here",
            )
        front.impair(which, words)
        detail = {"direction": "both", **({"kernel": refused} if refused else {})}
        return Evidence(holds=True, t=time.monotonic_ns(), means="ingress", detail=detail)

    async def impair_anew(self, task: SwarmTask) -> None:
        """A new task has a network namespace of its own: what is in force for all tasks is put there too."""
        if self._link is not None:
            with contextlib.suppress(ProcessLookupError, PlatformError):
                await self._impair_by_kernel([task], self._link)

    # --- memory -----------------------------------------------------------------------------------------------

    async def fill_memory(self, task: SwarmTask, size: int) -> Evidence:
        """Use `size` bytes inside the task's memory limit."""
        act = {"act": "memory-fill", "mark": self._mark, "bytes": size, "within_s": _LASTS_SECONDS}
        answer = await self._in_task(task, act)
        detail = {key: value for key, value in answer.items() if key not in {"ok", "at"}}
        # Killed for memory is the strongest form of having felt it.
        holds = bool(answer.get("held")) or bool(answer.get("oom_kills")) or answer.get("after") is None
        return Evidence(holds=holds, t=self._when(task.node, answer), means="memory-fill", detail=detail)

    async def free_memory(self, task: SwarmTask) -> None:
        """Take it away; the task may be gone, and its memory with it."""
        if task.container and self._hands.reaches(task.node):
            act = {"act": "memory-free", "mark": self._mark, "container": task.container}
            await self._hands.act(act, node=task.node)

    # --- nodes ------------------------------------------------------------------------------------------------

    async def cut_node(self, node: str, within: int) -> Evidence:
        """Have a node drop all that comes from and goes to the others; it heals itself after `within` ns.

        The proof is from this side: what listened on the node's address does not answer any more. Where that address
        cannot be reached from here at all, the word of the node itself must do.
        """
        self._need_hands(node, "cut it off")
        address = self._nodes.address(node)
        act = {
            "act": "partition-set",
            "mark": self._mark,
            "scope": "node",
            "within_s": within / 1e9,
            "after_s": _CUT_AFTER_S,
        }
        detail: dict[str, Any] = {"node": self._nodes.names.get(node, node), "within_s": within / 1e9}
        async with Witness(address) as witness:
            # Should the answer not come, it may have been cut off all the same.
            self._healed_at[node] = time.monotonic_ns() + within
            answer = await self._hands.act(act, node=node)
            at = self._when(node, answer) + int(_CUT_AFTER_S * 1e9)
            self._healed_at[node] = at + within
            if not witness.hears:
                return Evidence(
                    holds=True, t=at, means="nft", detail={**detail, "witness": "the node itself"}
                )
            silent = await witness.silence(_CUT_AFTER_S + _SILENT_SECONDS)
        said = "does not answer" if silent is not None else "still answers"
        return Evidence(
            holds=silent is not None,
            t=silent if silent is not None else time.monotonic_ns(),
            means="nft",
            detail={**detail, "witness": f"{address} {said}"},
        )

    async def heal_node(self, node: str) -> None:
        """Connect it again. What is cut off from everybody cannot be told to: then its own time is waited for.

        Raises:
            PlatformError: `not-healed`: it has not come back although its time is over.
        """
        try:
            if self._hands.reaches(node):
                act = {"act": "partition-clear", "mark": self._mark, "scope": "node"}
                await self._hands.act(act, node=node)
        except PlatformError as error:
            if error.code != "agent-silent":
                raise
            await self._back_by_itself(node)
        self._healed_at.pop(node, None)

    async def _back_by_itself(self, node: str) -> None:
        deadline = max(self._healed_at.get(node, 0), time.monotonic_ns()) + _BACK_NS
        while (asked := time.monotonic_ns()) < deadline:
            # A manager that returns has them elect a leader anew: until then they answer nobody, and every node has to
            # register with the new one, for which it has its time from then on.
            await through_elections(self._look_at_nodes)
            if time.monotonic_ns() - asked > _ELECTION_NS:
                deadline = max(deadline, time.monotonic_ns() + _BACK_NS)
            state = str((self._nodes.rows.get(node, {}).get("Status") or {}).get("State") or "")
            over = time.monotonic_ns() >= self._healed_at.get(node, 0)
            # A short cut may not have been noticed; then the node was never anything but ready.
            if state == "ready" and over:
                return
            await asyncio.sleep(_LOOK_SECONDS)
        raise PlatformError(
            "not-healed",
            f"node {self._nodes.names.get(node, node)} has not come back",
            "look at it there: `nft list tables` shows breakroom's table if it is still cut off",
        )

    async def _look_at_nodes(self) -> None:
        with self._daemon.asking("look at the nodes"):
            await self._nodes.refresh()

    # --- within -----------------------------------------------------------------------------------------------

    async def _impair_by_kernel(self, tasks: Sequence[SwarmTask], words: dict[str, Any]) -> Evidence:
        cut = bool(words.get("partition")) or words.get("loss", 0) >= 1
        act: dict[str, Any] = {"act": "link-set", "link": words}
        if cut:
            act = {"act": "partition-set", "scope": "container", "within_s": _LASTS_SECONDS}
        before = act["act"] in self._spoilt
        self._spoilt.add(act["act"])
        try:
            answers = await _each(self._in_task(task, {**act, "mark": self._mark}) for task in tasks)
        except PlatformError as error:
            if error.code == "unsupported" and not before:
                self._spoilt.discard(act["act"])
            raise
        seen = {
            task.id: answer.get("active") if cut else answer.get("links")
            for task, answer in zip(tasks, answers, strict=True)
        }
        at = max(
            (self._when(task.node, answer) for task, answer in zip(tasks, answers, strict=True)),
            default=time.monotonic_ns(),
        )
        holds = bool(seen) and all(seen.values())
        direction = "both" if cut else "from the container"
        return Evidence(
            holds=holds, t=at, means="nft" if cut else "netem", detail={"direction": direction, "tasks": seen}
        )

    async def _heal(self, tasks: Sequence[SwarmTask], which: str, front: Front) -> Evidence:
        self._link = None
        with contextlib.suppress(PlatformError):
            front.impair(which, None)
        acts = [act for act in _CLEARING if _SETTING[act["act"]] in self._spoilt]
        await _each(self._clear(task, acts) for task in tasks if self._hands.reaches(task.node))
        return Evidence(holds=True, t=time.monotonic_ns(), means="cleared")

    async def _clear(self, task: SwarmTask, acts: Sequence[dict[str, Any]]) -> None:
        for act in acts:
            try:
                await self._in_task(task, {**act, "mark": self._mark})
            except ProcessLookupError:
                return  # its network namespace went with it
            except PlatformError as error:
                # A kernel that cannot do it has nothing of it to clear.
                if error.code != "unsupported":
                    raise


async def _each(doing: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    """Do all of them at the same time, so that a fault begins and ends for all tasks at once.

    The first error is raised when all have ended.
    """
    ends = await asyncio.gather(*doing, return_exceptions=True)
    results: list[_T] = []
    for end in ends:
        if isinstance(end, BaseException):
            raise end
        results.append(end)
    return results
