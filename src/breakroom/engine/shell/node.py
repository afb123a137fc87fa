"""The machine that tasks run on: carries out each instruction of the core with real processes, and reports back.

Used by `engine.shell.engine` alone. It decides nothing: what it observes it hands to `feed` as events. For
the exception that is the operating system's own: when a task's main process ends, everything that it left
behind is killed, as the end of a container's first process ends the container.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from breakroom.engine.core.events import (
    Event,
    ProbeFinished,
    TaskExited,
    TaskPrepared,
    TaskRejected,
    TaskStarted,
    TaskStartFailed,
)
from breakroom.engine.core.instructions import (
    EnterRotation,
    Forget,
    Instruction,
    LeaveRotation,
    Prepare,
    RunProbe,
    Signal,
    Start,
)
from breakroom.engine.core.model import Exit, Task
from breakroom.engine.shell import procfs
from breakroom.engine.shell.background import Background
from breakroom.engine.shell.command import (
    CommandError,
    check_program,
    command_line,
    localize,
    task_environment,
)
from breakroom.engine.shell.freezer import Freezer
from breakroom.engine.shell.ingress_link import IngressLink
from breakroom.engine.shell.limits import machine_lacks
from breakroom.engine.shell.memory import MemoryLimits
from breakroom.engine.shell.ports import NoFreePortError, PortPool
from breakroom.engine.shell.pressure import Pressure
from breakroom.engine.shell.probes import ProbeResult, probe_command, probe_http
from breakroom.engine.shell.processes import Children, Ended, ignore_exit, kill_group
from breakroom.engine.shell.spares import Spares
from breakroom.engine.shell.stats import Row
from breakroom.engine.shell.throttle import Throttle

__all__ = ["Feed", "Node"]

Feed = Callable[[Event, int | None], None]
"""Takes an event and when it happened (None: now)."""

_LOG_TAIL = 4096


@dataclass(slots=True)
class _Place:
    """What is kept for one task from Prepare to Forget."""

    task: Task
    port: int
    pid: int | None = None
    ended: bool = False
    probe: asyncio.Task[None] | None = None
    probe_ns: int = 0
    held: Task | None = None
    """Its probe is due, but it is frozen."""
    oom: bool = False
    adopted: set[int] = field(default_factory=set)


class Node:
    """Runs tasks.

    `log_over` is told of each task that has ended, with the tail of its log; `lacking` of what this machine ran out of.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        marker: str,
        logs: Path,
        ingress: IngressLink,
        children: Children,
        feed: Feed,
        log_over: Callable[[str, str, str], None],
        lacking: Callable[[str], None] = lambda _message: None,
        memory_means: str = "",
    ) -> None:
        self._loop = loop
        self.marker = marker
        self._logs = logs
        self._ingress = ingress
        self._children = children
        self._feed = feed
        self._log_over = log_over
        self._lacking = lacking
        self._places: dict[str, _Place] = {}
        self._running: dict[int, str] = {}
        self._just_ended: list[str] = []
        self._background = Background(loop)
        self._idle = asyncio.Event()
        self._idle.set()
        self.ports = PortPool()
        self.memory = MemoryLimits(loop, processes=self.processes_of, kill=self.kill, means=memory_means)
        self._spares = Spares(loop, children, self.memory)
        groups = memory_means != "rss-watch"
        self.freezer = Freezer(
            processes=self.processes_of, limit_group=self.memory.unified_group, groups=groups
        )
        self.throttle = Throttle(loop, processes=self.processes_of, freezer=self.freezer, groups=groups)
        self.pressure = Pressure(children)

    # --- instructions -----------------------------------------------------------------------------------------

    def carry_out(self, instruction: Instruction) -> None:
        """Do what the core asked for. Reports are not this class's concern and are passed over."""
        match instruction:
            case Prepare(task):
                self._prepare(task)
            case Start(task):
                self._start(task)
            case Signal(task_id, name):
                self._signal(task_id, name)
            case RunProbe(task):
                self._probe(task)
            case EnterRotation(task):
                place = self._places[task.id]
                self._ingress.enter(task.id, "127.0.0.1", place.port, place.pid or 0)
            case LeaveRotation(task_id, how):
                self._ingress.leave(task_id, how)
            case Forget(task_id):
                self._forget(task_id)
            case _:
                pass

    def _prepare(self, task: Task) -> None:
        try:
            check_program(task.spec)
            port = self.ports.take()
        except CommandError as error:
            self._feed(TaskRejected(task.id, str(error)), None)
            return
        except (NoFreePortError, OSError) as error:
            self._lacking(f"{task.id} could be given no port: {error}")
            self._feed(TaskRejected(task.id, str(error)), None)
            return
        self._places[task.id] = _Place(task, port)
        self._feed(TaskPrepared(task.id, port), None)

    def _start(self, task: Task) -> None:
        place = self._places[task.id]
        limit = task.spec.deploy.resources.limits.memory
        try:
            pid, in_group = self._spawn(task, place.port, limit)
        except OSError as error:
            self.memory.ended(task.id)
            self.memory.tidy()
            self.ports.give_back(place.port)
            program = command_line(task.spec, place.port)[0]
            if lacked := machine_lacks(error):
                self._lacking(f"{task.id} could not be started: {lacked}")
            self._feed(TaskStartFailed(task.id, f"cannot run {program}: {error.strerror or error}"), None)
            return
        place.pid = pid
        self._running[pid] = task.id
        self._idle.clear()
        if limit is not None and not in_group:
            self.memory.watch(task.id, limit)
        self._feed(TaskStarted(task.id, pid), None)

    def _spawn(self, task: Task, port: int, limit: int | None) -> tuple[int, bool]:
        """Start the task's process: its pid, and whether a control group limits its memory."""
        command = command_line(task.spec, port)
        env = task_environment(task, port, self.marker)

        def on_exit(ended: Ended) -> None:
            self._exited(task.id, ended)

        spare = self._spares.take(limit)
        if spare is not None:
            if spare.group is not None:
                self.memory.assign(task.id, spare.group)
            self._children.adopt(spare.parked, ignore_exit)
            # Somebody may have killed the spare a moment ago; then the task is started the long way.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                spare.parked.become(command, env=env, cwd=task.spec.working_dir, log=self.log_file(task.id))
                self._children.adopt(spare.parked, on_exit)
                return spare.parked.pid, spare.group is not None
            self.memory.ended(task.id)
        group = self.memory.make_group(limit) if limit is not None else None
        if group is not None:
            self.memory.assign(task.id, group)
        log = os.open(self.log_file(task.id), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            pid = self._children.spawn(
                command,
                env=env,
                cwd=task.spec.working_dir or None,
                output=log,
                cgroup_fd=group.procs_fd if group is not None else None,
                on_exit=on_exit,
            )
        finally:
            os.close(log)
        return pid, group is not None

    def _signal(self, task: str, name: str) -> None:
        place = self._places.get(task)
        if place is None or place.pid is None or place.ended:
            return
        if name == "SIGKILL":
            self.kill(task)
        else:
            os.kill(place.pid, signal.Signals[name])
            self.throttle.signalled(task, place.pid, name)
            # Who is to stop must be able to (moby `killWithSignal` resumes a paused container).
            self.thaw(task)
            if name == place.task.spec.stop_signal:
                self.throttle.lift(task)

    def kill(self, task: str) -> None:
        """SIGKILL all processes of a task, those included that made sessions of their own."""
        place = self._places[task]
        if place.pid is None or place.ended:
            return
        self.throttle.lift(task)
        others = set(self.processes_of(task)) - {place.pid}
        kill_group(place.pid)
        for pid in others:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def _forget(self, task: str) -> None:
        place = self._places.pop(task, None)
        if place is not None:
            self.ports.give_back(place.port)

    # --- ends -------------------------------------------------------------------------------------------------

    def _exited(self, task: str, ended: Ended) -> None:
        self._ingress.cut_at_once(task)
        place = self._places[task]
        place.ended = True
        del self._running[ended.pid]
        self.throttle.ended(task)
        self.freezer.ended(task)
        self.pressure.free(task)
        oom = place.oom = self.memory.ended(task)
        number = -ended.returncode if ended.returncode < 0 else None
        code = 128 + number if number is not None else ended.returncode
        self._feed(TaskExited(task, Exit(code=code, signal=number, oom_killed=oom)), ended.t)
        if place.probe is not None:
            place.probe.cancel()
        self._just_ended.append(task)
        if not self._running:
            self._idle.set()

    def tidy_up(self) -> None:
        """After ends were dealt with: kill orphans of ended tasks, free their ports and groups, close their logs."""
        self._deal_with_orphans()
        ended, self._just_ended = self._just_ended, []
        for task in ended:
            place = self._places.get(task)
            if place is not None:
                self.ports.give_back(place.port)
            self._log_over(task, self.log_file(task).name, self._log_tail(task))
        self.memory.tidy()
        self.freezer.tidy()
        self.throttle.tidy()

    def _deal_with_orphans(self) -> None:
        for pid in self._children.orphans():
            owner = self._owner_of(pid)
            place = self._places.get(owner) if owner else None
            if place is not None and not place.ended:
                place.adopted.add(pid)
            elif owner:
                # It, and by its end its own children, come back here until none is left.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _owner_of(self, pid: int) -> str | None:
        """The task that a process comes from: by its session, else by the environment that it was started with.

        None where neither tells: such a process is left alone until the engine's end, lest a running task's be killed.
        """
        session = procfs.session_of(pid)
        if session in self._running:
            return self._running[session]
        environment = procfs.environment_of(pid)
        if environment.get("BREAKROOM_MARKER") != self.marker:
            return None
        return environment.get("BREAKROOM_TASK_ID")

    # --- probes -----------------------------------------------------------------------------------------------

    def _probe(self, task: Task) -> None:
        place = self._places[task.id]
        if place.probe is not None and not place.probe.done():
            # The core waits for an answer before it asks again; two at once would be its mistake.
            raise RuntimeError(f"a probe of task {task.id} is still running")
        if self.freezer.frozen(task.id):
            place.held = task
            return
        place.probe = self._background.start(self._probe_once(place, task), name=f"probe {task.id}")

    def hold_probe(self, task: str) -> None:
        """The task is about to be frozen: a probe that runs is called off, and made when it goes on."""
        place = self._places[task]
        if place.probe is not None and not place.probe.done():
            place.probe.cancel()
            place.held = place.task

    def thaw(self, task: str) -> None:
        """Let a frozen task go on, and make the probe that waited; harmless if it was not frozen."""
        place = self._places.get(task)
        self.freezer.thaw(task)
        if place is not None and place.held is not None and not place.ended:
            held, place.held = place.held, None
            place.probe = self._background.start(self._probe_once(place, held), name=f"probe {task}")

    async def _probe_once(self, place: _Place, task: Task) -> None:
        result = await self._run_test(task, place.port)
        if place.ended:
            return
        place.probe = None
        place.probe_ns = result.duration_ns
        if result.lacked:
            self._lacking(f"{task.id} could not be probed: {result.lacked}")
        self._feed(ProbeFinished(task.id, result.ok, result.output), result.t)

    async def _run_test(self, task: Task, port: int) -> ProbeResult:
        check = task.spec.healthcheck
        assert check is not None
        ports = {published.target: port for published in task.spec.ports[:1]}
        kind, *words = check.test
        words = [localize(word, ports) for word in words]
        timeout_s = check.timeout / 1e9
        if kind == "HTTP":
            return await probe_http(words[0], port, timeout_s=timeout_s)
        argv = ["/bin/sh", "-c", words[0]] if kind == "CMD-SHELL" else words
        env = task_environment(task, port, self.marker)
        cwd = task.spec.working_dir or None
        return await probe_command(self._children, argv, env=env, cwd=cwd, timeout_s=timeout_s)

    # --- looking ----------------------------------------------------------------------------------------------

    def signal_from_outside(self, task: str, name: str) -> bool:
        """Send a running task's main process a signal behind the core's back. False if it does not run."""
        place = self._places.get(task)
        if place is None or place.pid is None or place.ended:
            return False
        if name == "SIGKILL":
            self.throttle.lift(task)
        # The pid cannot be another's: it is waited for in this very thread only.
        os.kill(place.pid, signal.Signals[name])
        self.throttle.signalled(task, place.pid, name)
        return True

    def stop(self, task: str) -> None:
        """Send a running task its stop signal now, whatever the core is waiting for."""
        self._signal(task, self._places[task].task.spec.stop_signal)

    async def all_stopped(self) -> None:
        """Return when no task's main process runs."""
        await self._idle.wait()

    def running(self) -> dict[str, int]:
        """Task → pid of its main process, of all that run."""
        return {task: pid for pid, task in self._running.items()}

    def probe_duration(self, task: str) -> int:
        """How long the task's last probe took, in ns."""
        place = self._places.get(task)
        return place.probe_ns if place is not None else 0

    def task(self, task: str) -> Task:
        """The task as it was prepared."""
        return self._places[task].task

    def adopt(self, task: str, pid: int) -> None:
        """A process that was started for the task counts as one of its own."""
        self._places[task].adopted.add(pid)

    def disown(self, task: str, pid: int) -> None:
        """It does not any more."""
        if task in self._places:
            self._places[task].adopted.discard(pid)

    def died_of_memory(self, task: str) -> bool:
        """Whether the task has ended because it reached its memory limit."""
        place = self._places.get(task)
        return place is not None and place.oom

    def processes_of(self, task: str) -> Iterator[int]:
        """All pids of a task, as far as they can be found by parenthood."""
        place = self._places[task]
        if place.pid is None or place.ended:
            return
        for root in (place.pid, *place.adopted):
            yield root
            yield from procfs.descendants_of(root)

    def sample(self) -> Iterator[Row]:
        """What each running task uses now."""
        for pid, task in self._running.items():
            limit = self._places[task].task.spec.deploy.resources.limits.memory
            pids = tuple(self.processes_of(task))
            yield task, self.memory.used(task, pids), limit, sum(map(procfs.cpu_ns, pids or (pid,)))

    def log_file(self, task: str) -> Path:
        """Where a task's output goes."""
        return self._logs / f"{task}.log"

    def _log_tail(self, task: str) -> str:
        try:
            with self.log_file(task).open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL))
                return log.read().decode(errors="replace")
        except OSError:
            return ""

    async def close(self) -> None:
        """Cancel the probes, dismiss the spares."""
        self._spares.close()
        await self._background.cancel_all()
