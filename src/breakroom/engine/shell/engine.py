"""The engine process: requests from the main process on one side, the core and the node on the other.

Run by `engine.__main__`. It lives as long as its control socket: at its end, or at SIGTERM, every replica and
descendant is killed, groups are removed and the process ends, without asking the core.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from breakroom.engine.core.errors import IllegalEvent
from breakroom.engine.core.events import AddNode, Event
from breakroom.engine.core.instructions import HealthReport, Instruction, TaskReport, UpdateReport
from breakroom.engine.core.orchestrator import Orchestrator
from breakroom.engine.shell import procfs, protocol
from breakroom.engine.shell.acts import Acts
from breakroom.engine.shell.background import Background
from breakroom.engine.shell.channel import LineChannel
from breakroom.engine.shell.command import MARKER
from breakroom.engine.shell.driver import Done, Driver
from breakroom.engine.shell.ingress_link import IngressLink
from breakroom.engine.shell.node import Node
from breakroom.engine.shell.processes import Children, Ended
from breakroom.engine.shell.pulse import Stretch
from breakroom.engine.shell.requests import Requests, task_info
from breakroom.engine.shell.stats import Row, Sampler
from breakroom.ingress import messages

__all__ = ["Engine", "serve"]

_NODE = "local"
_DEATH_SECONDS = 0.9
_BACKLOG_LIMIT = 4 << 20


class Engine:
    """Everything of one engine process. `ended` is resolved when it is to exit."""

    def __init__(self, loop: asyncio.AbstractEventLoop, control: socket.socket) -> None:
        self.loop = loop
        self.born = time.monotonic_ns()
        self.background = Background(loop)
        self.children = Children(loop, self._after_ends)
        self.ingress = IngressLink(
            loop,
            self.children,
            on_event=self._ingress_event,
            on_death=self._ingress_died,
            on_still=self._ingress_still,
        )
        self.core = Orchestrator()
        self.driver = Driver(loop, self.core, carry_out=self._carry_out, refused=self._refused)
        self.sampler = Sampler(loop, self._sample, self._push_stats)
        self.node: Node | None = None
        self.acts: Acts | None = None
        self.marker = ""
        self._channel = LineChannel(loop, control, self._request, self.die)
        self._requests = Requests(self)
        self._lacked = False
        loop.add_signal_handler(signal.SIGTERM, self.die)
        loop.set_exception_handler(self._failed)

    def open(self, hello: protocol.Hello) -> None:
        """Become able to run tasks."""
        self.marker = hello.marker
        self.node = Node(
            self.loop,
            marker=hello.marker,
            logs=Path(hello.logs),
            ingress=self.ingress,
            children=self.children,
            feed=self.driver.feed,
            log_over=self._log_over,
            lacking=self._lacking,
            memory_means=hello.memory,
        )
        self.acts = Acts(self.node)
        self.ingress.start({**os.environ, MARKER: hello.marker})
        self.feed(AddNode(_NODE, hello.hostname))
        self.sampler.start()

    def feed(self, event: Event, t: int | None = None, done: Done | None = None) -> None:
        """Give the core an event."""
        self.driver.feed(event, t, done)

    def reply(self, message: protocol.Pushed) -> None:
        """Answer the main process, which waits for it, at once; what was pushed before goes before it."""
        self._channel.send(protocol.encode(message))

    def push(self, message: protocol.Pushed) -> None:
        """Tell the main process, after what the loop is about."""
        self._channel.post(protocol.encode(message))

    def problem(self, severity: Any, code: str, **params: Any) -> None:
        """Tell the main process what a reader of the results must know."""
        self.push(protocol.EngineProblem(t=time.monotonic_ns(), severity=severity, code=code, params=params))

    def cost(self) -> list[protocol.CostOf]:
        """What this process and the ingress have used so far."""
        now = time.monotonic_ns()
        found = []
        for name, pid in (("engine", os.getpid()), ("ingress", self.ingress.pid)):
            usage = procfs.usage_of(pid) if pid is not None else None
            if usage is not None:
                found.append(
                    protocol.CostOf(
                        t=now,
                        process=name,
                        cpu_user_ns=usage.cpu_user_ns,
                        cpu_system_ns=usage.cpu_system_ns,
                        max_rss_bytes=usage.max_rss_bytes,
                        wall_ns=now - self.born,
                    )
                )
        return found

    def die(self) -> None:
        """Kill everything and end this process at once: nobody is left to run it for.

        Whatever fails on the way (without descriptors not even /proc can be read), the process ends: the kernel then
        kills its replicas, and the main process what is left by its mark.
        """
        try:
            # What was posted says why, and must not wait for what may fail.
            self._channel.flush()
            self._kill_everything()
        finally:
            sys.stderr.flush()
            os._exit(0)

    def _kill_everything(self) -> None:
        if self.node is not None:
            # Who may use no CPU time would be slow to die.
            self.node.throttle.close()
        self.children.kill_everything(_DEATH_SECONDS)
        if sys.platform != "linux" and self.marker:
            # Without a subreaper, daemons of tasks are not below this process; they still carry its mark.
            procfs.kill_marked(MARKER, self.marker)
        if self.node is not None:
            self.node.memory.close()
            self.node.freezer.close()
            self.node.throttle.tidy()

    # --- from the core ----------------------------------------------------------------------------------------

    def _carry_out(self, instruction: Instruction, now: int) -> None:
        assert self.node is not None
        match instruction:
            case TaskReport(task):
                self.push(task_info(task, now))
            case HealthReport(task_id, status, ok, streak, output):
                self.push(
                    protocol.Health(
                        t=now,
                        task=task_id,
                        status=status.value,  # type: ignore[arg-type]  # a probed task's health is never "none"
                        ok=ok,
                        failing_streak=streak,
                        duration_ns=self.node.probe_duration(task_id),
                        output=output,
                    )
                )
            case UpdateReport(service, state, message):
                self.push(protocol.UpdateState(t=now, service=service, state=state, message=message))
            case _:
                self.node.carry_out(instruction)

    def _refused(self, error: IllegalEvent) -> None:
        self.problem("warning", "engine-illegal-event", message=str(error))

    # --- from the machine -------------------------------------------------------------------------------------

    def _after_ends(self) -> None:
        if self.node is not None:
            self.node.tidy_up()

    def _log_over(self, task: str, file: str, tail: str) -> None:
        self.push(protocol.Log(t=time.monotonic_ns(), task=task, file=file, tail=tail))

    def _lacking(self, message: str) -> None:
        # Once: what follows is of the same kind, and there may be much of it.
        if not self._lacked:
            self._lacked = True
            self.problem("error", "engine-limited", message=message)

    def _sample(self) -> list[Row]:
        return list(self.node.sample()) if self.node is not None else []

    def _push_stats(self, t: int, rows: tuple[Row, ...]) -> None:
        # Stats may be lost if the main process is stalled; events may not.
        if self._channel.backlog < _BACKLOG_LIMIT:
            self.push(protocol.Stats(t=t, rows=rows))

    # --- from the ingress -------------------------------------------------------------------------------------

    def _ingress_event(self, message: messages.Event) -> None:
        match message:
            case messages.Rotation():
                self.push(
                    protocol.Rotation(
                        t=message.t,
                        task=message.task,
                        in_rotation=message.in_rotation,
                        reason=message.reason,
                        open_connections=message.open_connections,
                        refused_connections=message.refused_connections,
                        total_connections=message.total_connections,
                    )
                )
            case messages.Error(code=code, message=text):
                self.problem("warning", f"ingress-{code}", message=text)
            case _:
                pass

    def _ingress_died(self, ended: Ended) -> None:
        self.problem("error", "ingress-died", message=f"the ingress ended with status {ended.returncode}")

    def _ingress_still(self, stretch: Stretch) -> None:
        self.push(
            protocol.Stalled(
                t=stretch.t,
                part="ingress",
                since=stretch.since,
                still_ns=stretch.still_ns,
                longest_ns=stretch.longest_ns,
            )
        )

    # --- from the main process --------------------------------------------------------------------------------

    def _request(self, line: bytes) -> None:
        request = protocol.decode_request(line)
        if isinstance(request, protocol.Ping):
            self.reply(protocol.Pong(id=request.id, t=time.monotonic_ns()))
            return
        self.background.start(self._requests.answer(request), name=f"{type(request).__name__} {request.id}")

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # A mistake of ours. Going on with a core in doubt would give wrong numbers: say it, and end.
        loop.default_exception_handler(context)
        error = context.get("exception")
        self.problem("error", "engine-failed", message=f"{context.get('message')}: {error!r}")
        self.die()


def serve(control_fd: int) -> None:
    """Run an engine on the inherited control socket; does not return."""
    loop = _new_loop()
    asyncio.set_event_loop(loop)
    procfs.become_subreaper()
    # The end of the control socket is the main notice of our parent's death; this one needs no socket.
    if sys.platform == "linux":
        procfs.tie_to_parent(os.getppid(), signal.SIGTERM)
    Engine(loop, socket.socket(fileno=control_fd))
    loop.run_forever()


def _new_loop() -> asyncio.AbstractEventLoop:
    import uvloop

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory()
