"""A shell that exists only in virtual time: carries out the core's instructions and checks its promises all along.

Used by the tests of the core. It plays the processes: how long preparing, starting, probing and stopping take,
whether a program answers SIGTERM, whether probes succeed. After every event `Checker` looks at everything that must
always hold. Nothing here is random by itself: the tests decide, by hand or through hypothesis.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from breakroom.engine.core import events as ev
from breakroom.engine.core import instructions as ins
from breakroom.engine.core.history import HISTORY_LIMIT
from breakroom.engine.core.model import Exit, Task, TaskState
from breakroom.engine.core.orchestrator import Orchestrator
from breakroom.engine.core.transitions import TRANSITIONS
from breakroom.spec.service import SECOND, ServiceSpec

__all__ = ["Behaviour", "Checker", "SimulatedProcess", "Simulation", "ms"]


def ms(milliseconds: float) -> int:
    """Milliseconds as nanoseconds."""
    return round(milliseconds * 1_000_000)


@dataclass
class Behaviour:
    """How the programs of the simulation behave. A test changes fields, or the functions for single tasks."""

    prepare_time: int = 0
    start_time: int = 0
    """Between `Start` and `TaskStarted`; 0 answers within the same step, as the shell does."""
    probe_time: int = ms(1)
    stop_time: int = ms(10)
    """From the stop signal to the exit."""
    stop_code: int = 0
    ignores_stop: bool = False
    rejects: Callable[[Task], bool] = lambda _task: False
    start_fails: Callable[[Task], bool] = lambda _task: False
    crashes_after: Callable[[Task], int | None] = lambda _task: None
    """How long after its start the process dies by itself with code 1; None: never."""
    healthy: Callable[[Task, int], bool] = lambda _task, _now: True
    answers_nested: bool = False
    """Whether an immediate answer is brought in the midst of an event's instructions, instead of after the last."""
    dies_at_once: bool = False
    """Whether the kernel delivers an exit within the step in which a SIGKILL was sent."""


@dataclass
class SimulatedProcess:
    """A process that runs in the simulation."""

    task: str
    pid: int
    spec: ServiceSpec
    stopping: bool = False


@dataclass(order=True)
class _Due:
    at: int
    number: int
    action: Callable[[], None] = field(compare=False)


class Checker:
    """What must hold after every event, whatever happens."""

    def __init__(self, simulation: Simulation) -> None:
        self._sim = simulation
        self._seen: dict[str, Task] = {}
        self._steps = {(source, rule.target) for rule in TRANSITIONS for source in rule.sources}

    def check(self) -> None:
        orchestrator = self._sim.orchestrator
        deadline = orchestrator.next_deadline()
        assert deadline is None or deadline > self._sim.now, "a timer was left in the past"
        tasks = dict(orchestrator.tasks)
        for task in tasks.values():
            if self._seen.get(task.id) is not task or task.in_rotation:
                self._check_task(task)
        self._check_slots(tasks)
        for gone in self._seen.keys() - tasks.keys():
            assert gone in self._sim.forgotten, f"{gone} vanished without Forget"
            assert gone not in self._sim.processes, f"{gone} was forgotten while its process runs"
        self._check_services(tasks)
        self._seen = tasks

    def _check_task(self, task: Task) -> None:
        old = self._seen.get(task.id)
        if old is not None and old is not task:
            assert task.state >= old.state, f"{task.id} went back from {old.state} to {task.state}"
            assert task.desired >= old.desired, f"{task.id} is wanted again"
            assert not old.state.terminal or task.state == old.state, f"{task.id} left a terminal state"
            assert task.history[: len(old.history)] == old.history, f"{task.id}'s history was rewritten"
        states = [step.state for step in task.history]
        assert states[-1] == task.state
        assert all(pair in self._steps for pair in itertools.pairwise(states)), states
        in_ingress = task.id in self._sim.rotation
        assert task.in_rotation == in_ingress, f"{task.id}: the ingress and the core disagree"
        if task.in_rotation:
            assert task.state == TaskState.RUNNING, f"{task.id} is {task.state.word} and in rotation"
            alive = task.id in self._sim.processes or task.id in self._sim.exiting
            assert alive, f"{task.id} is dead and in rotation"

    def _check_slots(self, tasks: dict[str, Task]) -> None:
        by_slot: dict[tuple[str, int], list[Task]] = {}
        for task in tasks.values():
            by_slot.setdefault((task.service, task.slot), []).append(task)
        for (service, slot), members in by_slot.items():
            ended = [t for t in members if t.state.terminal and not t.wanted and not t.alive]
            living = len(members) - len(ended)
            assert len(ended) <= max(0, HISTORY_LIMIT - living), (
                f"{service}.{slot} keeps {len(members)} tasks"
            )
            wanted = [t for t in members if t.wanted]
            if members[0].container:
                assert len(wanted) <= 1, f"container {service} has {len(wanted)} wanted runs"
                up = [t for t in members if t.alive and t.state != TaskState.ORPHANED]
                assert len(up) <= 1, f"container {service} has {len(up)} processes at once"
            elif len(wanted) > 1:
                record = self._sim.orchestrator.services[service]
                clean = [t for t in wanted if self._sim.orchestrator.up_to_date(t)]
                orders = {
                    record.spec.deploy.update_config.order,
                    record.spec.deploy.rollback_config.order,
                    *self._sim.orders.get(service, set()),
                }
                assert "start-first" in orders, f"{service}.{slot} has {len(wanted)} wanted tasks"
                assert len(clean) <= 1, f"{service}.{slot} has {len(clean)} up-to-date tasks"

    def _check_services(self, tasks: dict[str, Task]) -> None:
        for service in self._sim.orchestrator.services.values():
            slots = {t.slot for t in tasks.values() if t.service == service.name and t.wanted}
            if not service.removing:
                assert len(service.slots) == service.spec.deploy.replicas
                assert slots <= set(service.slots), (
                    "a task is wanted in a slot that the service does not have"
                )
            else:
                assert not slots


class Simulation:
    """An orchestrator with a simulated shell under virtual time.

    `do` brings an event and carries out what follows at this moment; `run` lets time pass. `log` has every
    instruction with its time.
    """

    def __init__(self, behaviour: Behaviour | None = None, nodes: int = 1, *, check: bool = True) -> None:
        self.orchestrator = Orchestrator()
        self.behaviour = behaviour or Behaviour()
        self.now = 1_000 * SECOND
        self.log: list[tuple[int, ins.Instruction]] = []
        self.processes: dict[str, SimulatedProcess] = {}
        self.exiting: set[str] = set()
        """Tasks whose process is gone, but whose exit notice still waits behind other instructions."""
        self.rotation: set[str] = set()
        self.forgotten: set[str] = set()
        self.orders: dict[str, set[str]] = {}
        self.watchers: list[Callable[[], None]] = []
        self._busy = False
        self._answers: deque[ev.Event] = deque()
        self._due: list[_Due] = []
        self._number = 0
        self._pid = 100
        self._probing: set[str] = set()
        self._checker = Checker(self) if check else None
        for number in range(1, nodes + 1):
            self.do(ev.AddNode(f"n{number}", f"node-{number}"))

    # --- driving ------------------------------------------------------------------------------------------------

    def do(self, event: ev.Event) -> list[ins.Instruction]:
        """Bring an event now; returns the instructions of this very event, without those that answers caused."""
        if self._busy:
            # An answer to an instruction that is being carried out.
            if self.behaviour.answers_nested:
                return self._step(event)
            self._answers.append(event)
            return []
        self._busy = True
        out = self._step(event)
        while self._answers:
            self._step(self._answers.popleft())
        self._busy = False
        self._look()
        return out

    def reset_after_error(self) -> None:
        """An event was refused: nothing of it is under way."""
        self._busy = False

    def _step(self, event: ev.Event) -> list[ins.Instruction]:
        if isinstance(event, ev.CreateService | ev.UpdateService):
            deploy = event.spec.deploy
            known = self.orders.setdefault(event.spec.name, set())
            known |= {deploy.update_config.order, deploy.rollback_config.order}
        if isinstance(event, ev.TaskExited):
            self.exiting.discard(event.task)
        out = self.orchestrator.handle(event, self.now)
        for instruction in out:
            self.log.append((self.now, instruction))
            self._carry_out(instruction)
        if not self.behaviour.answers_nested:
            self._look()
        return out

    def _look(self) -> None:
        if self._checker is not None:
            self._checker.check()
        for watcher in self.watchers:
            watcher()

    def run(self, duration: int) -> None:
        """Let time pass."""
        end = self.now + duration
        while True:
            deadline = self.orchestrator.next_deadline()
            soonest = min((t for t in (deadline, self._next_due()) if t is not None), default=None)
            if soonest is None or soonest > end:
                break
            self.now = max(self.now, soonest)
            if self._due and self._due[0].at <= self.now:
                heapq.heappop(self._due).action()
            else:
                self.do(ev.Tick())
        self.now = end

    def run_until(self, condition: Callable[[], bool], limit: int = 600 * SECOND) -> int:
        """Let time pass until the condition holds; returns how long it took.

        Raises:
            AssertionError: it did not come to hold within `limit`.
        """
        began = self.now
        while not condition():
            deadline = self.orchestrator.next_deadline()
            soonest = min((t for t in (deadline, self._next_due()) if t is not None), default=None)
            assert soonest is not None, "nothing more will ever happen, and the condition does not hold"
            assert soonest - began <= limit, "the condition did not come to hold in time"
            self.run(max(0, soonest - self.now))
        return self.now - began

    # --- faults -------------------------------------------------------------------------------------------------

    def crash(self, task: str, code: int = 137, signal: int | None = 9) -> list[ins.Instruction]:
        """Kill a task's process from outside."""
        del self.processes[task]
        return self.do(ev.TaskExited(task, Exit(code=code, signal=signal)))

    # --- looking ------------------------------------------------------------------------------------------------

    def tasks(self, service: str, state: TaskState | None = None) -> list[Task]:
        """A service's tasks, all or those in a state."""
        tasks = self.orchestrator.tasks_of(service)
        return [task for task in tasks if state is None or task.state == state]

    def running(self, service: str) -> list[Task]:
        """Tasks that run, are wanted, and are in rotation."""
        return [task for task in self.tasks(service, TaskState.RUNNING) if task.wanted and task.in_rotation]

    def said(self, kind: type[ins.Instruction]) -> list[tuple[int, ins.Instruction]]:
        """The instructions of a kind so far, with their times."""
        return [(t, instruction) for t, instruction in self.log if isinstance(instruction, kind)]

    def converged(self, service: str) -> bool:
        """Whether exactly the spec's replicas run, all of the newest spec, and nothing else is left running."""
        record = self.orchestrator.services[service]
        live = [t for t in self.tasks(service) if not t.state.terminal]
        running = self.running(service)
        return (
            len(running) == len(live) == record.spec.deploy.replicas
            and all(self.orchestrator.up_to_date(t) for t in running)
            and record.update_state not in {"updating", "rollback_started"}
        )

    # --- carrying out -------------------------------------------------------------------------------------------

    def _next_due(self) -> int | None:
        return self._due[0].at if self._due else None

    def later(self, delay: int, action: Callable[[], None]) -> None:
        """Do something after a while."""
        self._number += 1
        heapq.heappush(self._due, _Due(self.now + delay, self._number, action))

    def _soon(self, delay: int, action: Callable[[], None]) -> None:
        if delay:
            self.later(delay, action)
        else:
            action()

    def _carry_out(self, instruction: ins.Instruction) -> None:
        match instruction:
            case ins.Prepare(task):
                self._soon(self.behaviour.prepare_time, lambda: self._prepare(task))
            case ins.Start(task):
                self._soon(self.behaviour.start_time, lambda: self._start(task))
            case ins.Signal(task_id, signal):
                self._signal(task_id, signal)
            case ins.RunProbe(task):
                assert task.id not in self._probing, "two probes of one task at once"
                self._probing.add(task.id)
                self.later(self.behaviour.probe_time, lambda: self._probe(task))
            case ins.EnterRotation(task):
                assert task.port is not None
                assert task.id not in self.rotation
                self.rotation.add(task.id)
            case ins.LeaveRotation(task_id):
                self.rotation.remove(task_id)
            case ins.Forget(task_id):
                assert task_id not in self.forgotten
                self.forgotten.add(task_id)
            case _:
                pass

    def _prepare(self, task: Task) -> None:
        if self.behaviour.rejects(task):
            self.do(ev.TaskRejected(task.id, "no such program"))
        else:
            self.do(ev.TaskPrepared(task.id, 40_000 + task.slot))

    def _start(self, task: Task) -> None:
        if self.behaviour.start_fails(task):
            self.do(ev.TaskStartFailed(task.id, "permission denied"))
            return
        self._pid += 1
        self.processes[task.id] = SimulatedProcess(task.id, self._pid, task.spec)
        after = self.behaviour.crashes_after(task)
        if after is not None:
            self.later(after, lambda: self._end(task.id, Exit(code=1)))
        self.do(ev.TaskStarted(task.id, self._pid))

    def _signal(self, task_id: str, signal: str) -> None:
        process = self.processes.get(task_id)
        assert process is not None, f"a signal to {task_id}, which has no process"
        if signal == "SIGKILL":
            self._soon(
                0 if self.behaviour.dies_at_once else ms(1),
                lambda: self._end(task_id, Exit(code=137, signal=9)),
            )
        elif not self.behaviour.ignores_stop and not process.stopping:
            process.stopping = True
            code = self.behaviour.stop_code
            self.later(self.behaviour.stop_time, lambda: self._end(task_id, Exit(code=code)))

    def _end(self, task_id: str, exit_: Exit) -> None:
        if task_id in self.processes:
            del self.processes[task_id]
            self.exiting.add(task_id)
            self.do(ev.TaskExited(task_id, exit_))

    def _probe(self, task: Task) -> None:
        self._probing.discard(task.id)
        ok = task.id in self.processes and self.behaviour.healthy(task, self.now)
        self.do(ev.ProbeFinished(task.id, ok, "" if ok else "connection refused"))
