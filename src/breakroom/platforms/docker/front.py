"""What stands before a service's tasks: Docker's own published port, or breakroom's ingress.

Used by the platforms `docker` and `swarm`. A deployment tells its front which tasks are in rotation; the front writes
the `RotationChanged` records. `NativeFront` only writes them: Docker moves the connections by itself, so its records
are derived from the tasks' states, and capabilities say so. `IngressFront` runs `python -m breakroom.ingress`, which
moves the connections, can spoil a task's link, and tells the changes itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from breakroom.engine.shell.channel import LineChannel
from breakroom.engine.shell.pulse import Pulse, Stretch
from breakroom.ingress import messages
from breakroom.ingress.link import LinkSpec
from breakroom.journal.records import Problem, RotationChanged, ToolCost
from breakroom.platforms.base import Emit, Endpoint, PlatformError
from breakroom.platforms.stalled import part_stalled

__all__ = ["LOOPBACK", "Front", "FrontKind", "IngressFront", "NativeFront", "hosts_of", "taken"]

FrontKind = Literal["native", "breakroom"]
LOOPBACK = ("127.0.0.1", "::1")
_START_SECONDS = 20.0
_ANSWER_SECONDS = 5.0
_END_SECONDS = 2.0
_TAIL = 500


class Front(Protocol):
    """What a deployment tells the way to its tasks."""

    kind: FrontKind
    endpoint: Endpoint

    def enter(self, task: str, *, host: str, port: int, pid: int = 0, t: int | None = None) -> None:
        """The task is ready for requests at host and port; `pid`: its process, if that is of this machine."""
        ...

    def leave(self, task: str, how: Literal["drain", "cut"], *, t: int | None = None) -> None:
        """It gets no more of them. Harmless if it was never in, or has left."""
        ...

    def impair(self, task: str, link: dict[str, Any] | None) -> None:
        """Spoil the link to a task (`*`: to all); None heals it.

        Raises:
            PlatformError: `unsupported`: this front cannot, or not in that way.
        """
        ...

    async def cost(self) -> None:
        """Write what it has used so far into the journal, if it is a process of ours."""
        ...

    async def close(self) -> tuple[str, ...]:
        """End it; returns what of it is still there."""
        ...


@dataclass(slots=True)
class NativeFront:
    """Docker's own port. Rotation is as the deployment sees it; `t` of a record is the platform's time of it."""

    trial: str
    endpoint: Endpoint
    emit: Emit
    kind: FrontKind = "native"
    _inside: set[str] = field(default_factory=set)

    def enter(self, task: str, *, host: str, port: int, pid: int = 0, t: int | None = None) -> None:  # noqa: ARG002
        """The task has begun to get requests."""
        if task not in self._inside:
            self._inside.add(task)
            self._write(task, t, in_rotation=True)

    def leave(self, task: str, how: Literal["drain", "cut"], *, t: int | None = None) -> None:
        """The task gets no more of them."""
        if task in self._inside:
            self._inside.discard(task)
            self._write(task, t, in_rotation=False, reason=how)

    def impair(self, task: str, link: dict[str, Any] | None) -> None:
        """Docker's port cannot.

        Raises:
            PlatformError: `unsupported`, unless there is nothing to do.
        """
        if link is not None:
            raise PlatformError(
                "unsupported",
                f"Docker's own port cannot spoil the link to {task}, and this kernel has no netem",
                "`breakroom doctor` says what the kernel has",
            )

    async def cost(self) -> None:
        """It costs breakroom nothing."""

    async def close(self) -> tuple[str, ...]:
        """Docker closes it with the container."""
        return ()

    def _write(self, task: str, t: int | None, *, in_rotation: bool, reason: str = "") -> None:
        at = time.monotonic_ns() if t is None else t
        self.emit(RotationChanged(t=at, trial=self.trial, task=task, in_rotation=in_rotation, reason=reason))


class IngressFront:
    """breakroom's ingress in a process of its own. Made by `start`."""

    kind: FrontKind = "breakroom"
    endpoint: Endpoint

    def __init__(self, trial: str, emit: Emit, log: Path) -> None:
        self._trial = trial
        self._emit = emit
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._channel: LineChannel | None = None
        self._watch: asyncio.Task[None] | None = None
        self._published: asyncio.Future[messages.Published] | None = None
        self._report: asyncio.Future[messages.StatsReport] | None = None
        self._inside: set[str] = set()
        self._told: dict[str, tuple[bool, str]] = {}
        self._hosts: tuple[str, ...] = ()
        self._closing = False
        self._pulse = Pulse(
            asyncio.get_running_loop(),
            ask=lambda n: self._send(messages.Ping(number=n)),
            tell=self._stood_still,
        )

    @classmethod
    async def start(
        cls, *, trial: str, emit: Emit, directory: Path, hosts: tuple[str, ...] = LOOPBACK, port: int = 0
    ) -> IngressFront:
        """Start the process and publish the port (0: a free one). Its complaints go to `directory/ingress.log`.

        Raises:
            PlatformError: `port-taken`, `bind-failed`, `ingress-failed`, `ingress-silent`. Nothing is left.
        """
        front = cls(trial, emit, directory / "ingress.log")
        try:
            await front._open(hosts, port)
        except BaseException:
            # Cancellation too: nobody else knows of the process.
            await front.close()
            raise
        return front

    @property
    def pid(self) -> int:
        """The ingress's pid."""
        assert self._process is not None
        return self._process.pid

    def enter(self, task: str, *, host: str, port: int, pid: int = 0, t: int | None = None) -> None:  # noqa: ARG002
        """Give the task its share of new connections, until it leaves or its process `pid` ends."""
        if task not in self._inside:
            self._inside.add(task)
            self._send(messages.Enter(task=task, host=host, port=port, pid=pid))

    def leave(self, task: str, how: Literal["drain", "cut"], *, t: int | None = None) -> None:  # noqa: ARG002
        """Give it no more; nothing is sent for a task that the ingress itself has seen dying."""
        if task in self._inside:
            self._inside.discard(task)
            self._send(messages.Leave(task=task, how=how))

    def impair(self, task: str, link: dict[str, Any] | None) -> None:
        """Spoil the link to a task, in the words of `ingress.link.LinkSpec`.

        Raises:
            PlatformError: `unsupported`: there is no such impairment.
        """
        try:
            spec = None if link is None else msgspec.convert(link, LinkSpec)
        except msgspec.ValidationError as error:
            raise PlatformError(
                "unsupported", f"breakroom's ingress cannot spoil a link so: {error}"
            ) from error
        self._send(messages.Impair(task=task, link=spec))

    async def cost(self) -> None:
        """Ask the process what it has used; nothing is written if it does not answer."""
        if self._channel is None or self._closing:
            return
        self._report = asyncio.get_running_loop().create_future()
        self._send(messages.Stats())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER_SECONDS):
                said = await self._report
            self._emit(
                ToolCost(
                    t=time.monotonic_ns(),
                    trial=self._trial,
                    process="ingress",
                    cpu_user_ns=said.cpu_user_ns,
                    cpu_system_ns=said.cpu_system_ns,
                    max_rss_bytes=said.max_rss_bytes,
                    wall_ns=said.wall_ns,
                )
            )

    async def close(self) -> tuple[str, ...]:
        """End the process and look whether it and its port are gone. May be called again."""
        self._closing = True
        self._pulse.stop()
        channel, self._channel = self._channel, None
        if channel is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_SECONDS):
                    await channel.drained()
            channel.close()
        process = self._process
        if process is None:
            return ()
        if self._watch is not None:
            done, _ = await asyncio.wait([self._watch], timeout=_END_SECONDS)
            if not done:
                _kill(process)
                await asyncio.wait([self._watch], timeout=_END_SECONDS)
        left = [] if process.returncode is not None else [f"process {process.pid} (ingress)"]
        return (*left, *taken(self._hosts, self.endpoint.port if self._hosts else 0))

    async def _open(self, hosts: tuple[str, ...], port: int) -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-P", "-m", "breakroom.ingress", "--control-fd", str(theirs.fileno())]
        try:
            with theirs, self._log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
        except OSError as error:
            ours.close()
            raise PlatformError("ingress-failed", f"the ingress cannot be started: {error}") from error
        self._channel = LineChannel(loop, ours, self._received, lambda: None)
        self._published = loop.create_future()
        self._watch = loop.create_task(self._ended(self._process), name=f"ingress of {self._trial}")
        self._send(messages.Publish(hosts=hosts, port=port))
        try:
            async with asyncio.timeout(_START_SECONDS):
                answer = await self._published
        except TimeoutError:
            text = f"the ingress did not answer within {_START_SECONDS:g} s"
            raise PlatformError("ingress-silent", text) from None
        self._hosts = answer.hosts
        self.endpoint = Endpoint(host=answer.hosts[0], port=answer.port)
        self._pulse.start()

    def _stood_still(self, stretch: Stretch) -> None:
        self._emit(part_stalled(self._trial, "ingress", stretch))

    def _send(self, message: messages.Command) -> None:
        if self._channel is not None:
            self._channel.send(messages.encode(message))

    def _received(self, line: bytes) -> None:
        message = messages.decode_event(line)
        publishing = self._published is not None and not self._published.done()
        match message:
            case messages.Published() if publishing:
                assert self._published is not None
                self._published.set_result(message)
            case messages.Error(code=code, message=text) if publishing:
                assert self._published is not None
                hint = ""
                if code == "port-taken":
                    # The ingress's own words have the way out in them; here it is apart.
                    text, hint = text.partition(";")[0], "publish another port, or end what holds this one"
                self._published.set_exception(PlatformError(code, text, hint))
            case messages.Error(code=code, message=text):
                self._problem("warning", f"ingress-{code}", text)
            case messages.Rotation():
                self._rotated(message)
            case messages.Pong(number=number, t=t):
                self._pulse.answered(number, t)
            case messages.StatsReport():
                if self._report is not None and not self._report.done():
                    self._report.set_result(message)
            case _:
                pass

    def _rotated(self, message: messages.Rotation) -> None:
        if not message.in_rotation and message.reason == "cut":
            self._inside.discard(message.task)
        # A cut of ours that crosses the ingress's own on the way is answered once more, and says nothing new.
        news = (message.in_rotation, message.reason)
        if self._told.get(message.task) == news:
            return
        self._told[message.task] = news
        self._emit(
            RotationChanged(
                t=message.t,
                trial=self._trial,
                task=message.task,
                in_rotation=message.in_rotation,
                reason=message.reason,
                open_connections=message.open_connections,
                refused_connections=message.refused_connections,
                total_connections=message.total_connections,
            )
        )

    async def _ended(self, process: asyncio.subprocess.Process) -> None:
        status = await process.wait()
        self._pulse.stop()
        if self._closing:
            return
        text = f"the ingress ended with status {status}{self._last_words()}"
        if self._published is not None and not self._published.done():
            self._published.set_exception(PlatformError("ingress-failed", text))
        else:
            self._problem("error", "ingress-died", text)

    def _problem(self, severity: Literal["warning", "error"], code: str, text: str) -> None:
        self._emit(
            Problem(
                t=time.monotonic_ns(),
                trial=self._trial,
                severity=severity,
                code=code,
                params={"message": text},
            )
        )

    def _last_words(self) -> str:
        try:
            said = self._log.read_text(encoding="utf-8", errors="replace")[-_TAIL:].strip()
        except OSError:
            return ""
        return f"; it said: {said}" if said else ""


def hosts_of(host_ip: str) -> tuple[str, ...]:
    """The addresses to publish on for a port's `host_ip`: what it says, or loopback."""
    return (host_ip,) if host_ip else LOOPBACK


def _kill(process: asyncio.subprocess.Process) -> None:
    # Not by `process.kill`: it reaps a child that has just ended, behind the back of asyncio's watcher.
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


def taken(hosts: tuple[str, ...], port: int) -> list[str]:
    """Which of these addresses something still listens on."""
    left = []
    for host in hosts:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((host, port))
            except OSError:
                left.append(f"port {port} on {host}")
    return left
