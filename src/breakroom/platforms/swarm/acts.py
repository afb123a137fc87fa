"""What acts on one task's processes, link and memory, or on a node's network: past Swarm, on whichever node it is.

Used by `service`. On this node the engine is asked where its API can do it (kill, pause); everything else is the
hands' (`python -m breakroom.agent act` as root, a helper container, or the agent on another node), which check
what they did and give it a mark of this run. Nothing here decides whom to act on.
"""

from __future__ import annotations

import os
import signal as signals
import time
from collections.abc import Sequence
from typing import Any, Protocol

from breakroom.platforms.base import Evidence, PlatformError
from breakroom.platforms.docker.connect import Daemon
from breakroom.platforms.docker.front import Front
from breakroom.platforms.docker.names import mark
from breakroom.platforms.swarm.nodes import NodeList
from breakroom.platforms.swarm.tasks import SwarmTask

__all__ = ["NodeHands", "TaskActs"]

_CUT_AFTER_S = 0.5
"""A node that is told to cut itself off waits so long, so that its answer still leaves it."""
_LINK_SECONDS = 3600.0
_KERNEL_WORDS = frozenset({"corrupt", "duplicate"})
_GONE = frozenset({"gone", "not-in-container"})


class NodeHands(Protocol):
    """Acts on a node; `node` is its Swarm id. `platforms.docker.hands` has them."""

    async def act(self, act: dict[str, Any], *, node: str = "") -> dict[str, Any]:
        """Do it and give the answer.

        Raises:
            PlatformError: it cannot be done; its code is the act's own.
        """
        ...

    def reaches(self, node: str) -> bool:
        """Whether there are hands on that node."""
        ...


class TaskActs:
    """The acts of one run. `hands` None: only what this process and the engine can do."""

    def __init__(
        self,
        daemon: Daemon,
        nodes: NodeList,
        *,
        run: str,
        hands: NodeHands | None = None,
        netem: bool = False,
    ) -> None:
        self._daemon = daemon
        self._nodes = nodes
        self._run = run
        self._mark = mark(run)
        self._hands = hands
        self._netem = netem

    async def signal(self, task: SwarmTask, signal: str) -> None:
        """Signal the task's main process.

        Raises:
            ProcessLookupError: it is gone.
            PlatformError: it cannot be reached.
        """
        if self._own(task):
            try:
                os.kill(task.pid or 0, signals.Signals[signal])
            except PermissionError:
                # Not root: a helper container is.
                pass
            else:
                return
        await self._in_task(task, {"act": "signal", "signal": signal})

    async def signal_inside(self, task: SwarmTask, match: str, signal: str) -> tuple[int, ...]:
        """Signal the processes inside whose command line has `match`; their ids."""
        answer = await self._in_task(task, {"act": "signal", "signal": signal, "match": match})
        return tuple(int(pid) for pid in answer.get("pids") or ())

    async def process_state(self, task: SwarmTask) -> str:
        """The state letter of the task's main process; empty: gone."""
        try:
            return str((await self._in_task(task, {"act": "process-state"})).get("state") or "")
        except ProcessLookupError:
            return ""

    async def kill_through_api(self, task: SwarmTask, signal: str) -> None:
        """`docker kill` of its container."""
        self._must_be_here(task, "kill")
        with self._daemon.asking(f"kill the container of task {task.id}"):
            await self._daemon.docker.containers.container(task.container).kill(signal=signal)

    async def pause(self, task: SwarmTask) -> Evidence:
        """`docker pause` of its container, read back."""
        self._must_be_here(task, "pause")
        container = self._daemon.docker.containers.container(task.container)
        with self._daemon.asking(f"pause the container of task {task.id}"):
            await container.pause()
            state = (await container.show())["State"]
        detail = {"container": task.container, "status": state.get("Status")}
        return Evidence(
            holds=bool(state.get("Paused")), t=time.monotonic_ns(), means="freezer", detail=detail
        )

    async def unpause(self, task: SwarmTask) -> None:
        """Let it go on; a container that is gone or does not stand still is left alone."""
        if not self._nodes.is_here(task.node) or not task.container:
            return
        try:
            with self._daemon.asking(f"unpause the container of task {task.id}"):
                await self._daemon.docker.containers.container(task.container).unpause()
        except PlatformError as error:
            if error.code not in {"not-found", "refused", "docker-error"}:
                raise

    async def impair(
        self, tasks: Sequence[SwarmTask], which: str, link: dict[str, Any] | None, front: Front
    ) -> Evidence:
        """Spoil the links: by the kernel where it can, else by breakroom's ingress, where that stands in front.

        Raises:
            PlatformError: `unsupported`: neither can.
        """
        if self._netem and self._hands is not None:
            return await self._impair_by_kernel(tasks, link)
        if link is not None and (front.kind != "breakroom" or _KERNEL_WORDS & link.keys()):
            raise PlatformError(
                "unsupported",
                "this kernel has no netem, and breakroom's ingress cannot do it in its place",
                "`breakroom doctor` says what the kernel has; delay, loss and rate work with the ingress in front",
            )
        front.impair(which, link)
        return Evidence(
            holds=True,
            t=time.monotonic_ns(),
            means="ingress",
            detail={"tasks": [task.id for task in tasks], "link": link or {}},
        )

    async def fill_memory(self, task: SwarmTask, size: int) -> Evidence:
        """Use `size` bytes inside the task's memory limit."""
        act = {"act": "memory-fill", "mark": self._mark, "bytes": size, "within_s": _LINK_SECONDS}
        answer = await self._in_task(task, act)
        detail = {key: value for key, value in answer.items() if key not in {"ok", "at"}}
        return Evidence(holds=True, t=time.monotonic_ns(), means="filler", detail=detail)

    async def free_memory(self, task: SwarmTask) -> None:
        """Take it away; the task may be gone, and its memory with it."""
        if self._hands is None or not task.container:
            return
        act = {"act": "memory-free", "mark": self._mark, "container": task.container}
        await self._hands.act(act, node=task.node)

    async def cut_node(self, node: str, within: int) -> Evidence:
        """Have a node drop all that comes from and goes to the others; it heals itself after `within` ns.

        The proof that it is in effect is what the Swarm sees: the answer of the node itself could no longer come.
        """
        hands = self._hands_on(node, "cut off")
        act = {
            "act": "partition-set",
            "mark": self._mark,
            "scope": "node",
            "within_s": within / 1e9,
            "after_s": _CUT_AFTER_S,
        }
        answer = await hands.act(act, node=node)
        detail = {"node": self._nodes.names.get(node, node), "after_s": _CUT_AFTER_S, **_told(answer)}
        at = time.monotonic_ns() + int(_CUT_AFTER_S * 1e9)
        return Evidence(holds=True, t=at, means="nft", detail=detail)

    async def heal_node(self, node: str) -> None:
        """Connect it again, if it can be reached; else it does so by itself when its time is over."""
        if self._hands is None or not self._hands.reaches(node):
            return
        await self._hands.act({"act": "partition-clear", "mark": self._mark, "scope": "node"}, node=node)

    # --- within -----------------------------------------------------------------------------------------------

    async def _impair_by_kernel(self, tasks: Sequence[SwarmTask], link: dict[str, Any] | None) -> Evidence:
        shown: dict[str, Any] = {}
        for task in tasks:
            if link is None:
                await self._in_task(task, {"act": "link-clear", "mark": self._mark})
            else:
                answer = await self._in_task(task, {"act": "link-set", "mark": self._mark, "link": link})
                shown[task.id] = answer.get("links")
        holds = link is None or (bool(shown) and all(shown.values()))
        return Evidence(holds=holds, t=time.monotonic_ns(), means="netem", detail={"links": shown})

    def _own(self, task: SwarmTask) -> bool:
        """Whether the task's process is one of this machine's, which can be signalled without anybody's help."""
        return self._daemon.local and self._nodes.is_here(task.node) and bool(task.pid)

    async def _in_task(self, task: SwarmTask, act: dict[str, Any]) -> dict[str, Any]:
        hands = self._hands_on(task.node, f"reach task {task.id}")
        try:
            return await hands.act({**act, "container": task.container, "pid": task.pid}, node=task.node)
        except PlatformError as error:
            if error.code in _GONE:
                raise ProcessLookupError(str(error)) from error
            raise

    def _hands_on(self, node: str, doing: str) -> NodeHands:
        name = self._nodes.names.get(node, node)
        if self._hands is None or not self._hands.reaches(node):
            raise PlatformError(
                "unsupported",
                f"cannot {doing}: breakroom has no agent on node {name}",
                "`breakroom images` builds the agent's image; it must be on every node that a drill acts on",
            )
        return self._hands

    def _must_be_here(self, task: SwarmTask, doing: str) -> None:
        if self._nodes.is_here(task.node):
            return
        name = self._nodes.names.get(task.node, task.node)
        raise PlatformError(
            "unsupported",
            f"cannot {doing} the container of task {task.id}: it is on node {name}, whose engine is not ours to ask",
            "run breakroom against that node (DOCKER_HOST) if it is a manager, or use a fault that needs no engine",
        )


def _told(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key in {"means", "within_s", "active"}}
