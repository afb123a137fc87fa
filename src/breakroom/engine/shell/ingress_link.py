"""The engine's end of the ingress: starts that process, tells it who is in rotation, hears what it did.

Used by `engine.shell.engine`. Messages are JSON lines over a socket pair; the ingress ends when it sees the
end of file. Leaving rotation is written to the kernel within the call, so that a crashed task gets no further
connection.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from breakroom.engine.shell import protocol
from breakroom.engine.shell.channel import LineChannel
from breakroom.engine.shell.processes import Children, Ended, kill_group
from breakroom.engine.shell.pulse import Pulse, Stretch
from breakroom.ingress import messages
from breakroom.ingress.link import LinkSpec

__all__ = ["IngressError", "IngressLink"]

_START_SECONDS = 20.0
_END_SECONDS = 1.0
_ANSWER_SECONDS = 10.0


class IngressError(Exception):
    """The ingress could not publish. `code` is its own: `port-taken`, …; `ingress-died` if it ended."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class IngressLink:
    """One ingress process.

    `on_event` gets every pushed message but the answers to `publish`; `on_death` is called if the process ends unasked,
    `on_still` when it stood still.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        children: Children,
        *,
        on_event: Callable[[messages.Event], None],
        on_death: Callable[[Ended], None],
        on_still: Callable[[Stretch], None] = lambda _stretch: None,
    ) -> None:
        self._loop = loop
        self._pulse = Pulse(loop, ask=lambda n: self._send(messages.Ping(number=n)), tell=on_still)
        self._children = children
        self._on_event = on_event
        self._on_death = on_death
        self._published: asyncio.Future[messages.Published | messages.Error] | None = None
        self._ended: asyncio.Future[Ended] = loop.create_future()
        self._channel: LineChannel | None = None
        self._closing = False
        self._stats: deque[asyncio.Future[messages.StatsReport]] = deque()
        self._inside: set[str] = set()
        self._cut: set[str] = set()
        self.pid: int | None = None

    def start(self, env: Mapping[str, str]) -> None:
        """Start the process.

        Raises:
            OSError: it cannot be started.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", "-m", "breakroom.ingress", "--control-fd", str(theirs.fileno())]
            self.pid = self._children.spawn(
                command,
                env=env,
                on_exit=self._exited,
                # What it complains of goes where the engine's own complaints go.
                output=sys.stderr.fileno(),
                pass_fds=(theirs.fileno(),),
            )
        self._channel = LineChannel(self._loop, ours, self._received, lambda: None)

    async def publish(self, hosts: tuple[str, ...], port: int) -> tuple[int, tuple[str, ...]]:
        """Publish the service's port; 0 takes a free one. Returns the port and the hosts that it is open on.

        Raises:
            IngressError: it cannot be.
        """
        self._published = self._loop.create_future()
        self._send(messages.Publish(hosts=hosts, port=port))
        try:
            async with asyncio.timeout(_START_SECONDS):
                answer = await self._published
        except TimeoutError:
            raise IngressError(
                "ingress-silent", f"the ingress did not answer within {_START_SECONDS:g} s"
            ) from None
        if isinstance(answer, messages.Error):
            raise IngressError(answer.code, answer.message)
        self._pulse.start()
        return answer.port, answer.hosts

    def enter(self, task: str, host: str, port: int, pid: int) -> None:
        """Send the task new connections, until its process `pid` ends or it is told to leave."""
        self._inside.add(task)
        self._send(messages.Enter(task=task, host=host, port=port, pid=pid))

    def leave(self, task: str, how: Literal["drain", "cut"]) -> None:
        """Send it no more; nothing is sent for a task that `cut_at_once` has cut already."""
        self._inside.discard(task)
        if task in self._cut:
            self._cut.discard(task)
            return
        self._send(messages.Leave(task=task, how=how))

    def cut_at_once(self, task: str) -> None:
        """Cut a task that was seen to be dead, before anything else is done about it.

        Each moment in which the ingress still believes in a dead task costs the connections that it sends there, so it
        hears of the end even before the core does; the core's own instruction then has nothing left to do.
        """
        if task in self._inside:
            self._inside.discard(task)
            self._cut.add(task)
            self._send(messages.Leave(task=task, how="cut"))

    async def impair(self, task: str, link: dict[str, Any] | None) -> protocol.Witness:
        """Spoil the link to a task (`*`: to all), or with None heal it; the words are those of `ingress.link.LinkSpec`.

        Returns:
            Whether the ingress says of itself that it treats the task's connections so.

        Raises:
            IngressError: there is no such impairment, or the ingress does not answer.
        """
        try:
            spec = None if link is None else msgspec.convert(link, LinkSpec)
        except msgspec.ValidationError as error:
            raise IngressError("bad-link", f"this is no link impairment: {error}") from error
        self._send(messages.Impair(task=task, link=spec))
        report = await self._ask_stats()
        links = {name: traffic.link for name, traffic in report.tasks.items()}
        if task == "*":
            holds = report.link == spec and all(links.get(inside) == spec for inside in self._inside)
        else:
            holds = task in links and links[task] == (report.link if spec is None else spec)
        return protocol.Witness(holds=holds, t=time.monotonic_ns(), means="ingress")

    async def _ask_stats(self) -> messages.StatsReport:
        asked: asyncio.Future[messages.StatsReport] = self._loop.create_future()
        self._stats.append(asked)
        self._send(messages.Stats())
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await asked
        except TimeoutError:
            raise IngressError(
                "ingress-silent", f"the ingress did not answer within {_ANSWER_SECONDS:g} s"
            ) from None

    async def close(self) -> None:
        """End the process and wait until it is gone."""
        self._closing = True
        self._pulse.stop()
        if self._channel is not None:
            await self._channel.drained()
            self._channel.close()
        if self.pid is None:
            return
        try:
            async with asyncio.timeout(_END_SECONDS):
                await asyncio.shield(self._ended)
        except TimeoutError:
            kill_group(self.pid)
            await asyncio.shield(self._ended)

    def _send(self, message: messages.Command) -> None:
        if self._channel is not None:
            self._channel.send(messages.encode(message))

    def _received(self, line: bytes) -> None:
        message = messages.decode_event(line)
        waiting = self._published
        if isinstance(message, messages.Published | messages.Error) and waiting and not waiting.done():
            waiting.set_result(message)
        elif isinstance(message, messages.Pong):
            self._pulse.answered(message.number, message.t)
        elif isinstance(message, messages.StatsReport) and self._stats:
            asked = self._stats.popleft()
            if not asked.done():
                asked.set_result(message)
        else:
            self._on_event(message)

    def _exited(self, ended: Ended) -> None:
        self._pulse.stop()
        self._ended.set_result(ended)
        if self._published is not None and not self._published.done():
            text = f"the ingress ended with status {ended.returncode} before it published the port"
            self._published.set_exception(IngressError("ingress-died", text))
        elif not self._closing:
            self._on_death(ended)
