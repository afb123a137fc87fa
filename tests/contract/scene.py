"""One play of a scenario: the deployment, everything that it has said, waits with a deadline, and the rows' outcomes.

Used by the scenario modules; made by the player. A row that fails does not end its play: the others are still judged.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from breakroom.journal.records import Record, RotationChanged, TaskChanged, UpdateChanged
from breakroom.platforms.base import Deployment, Emit, TaskView
from breakroom.spec.drill import Contender
from breakroom.spec.service import ServiceSpec
from contract.program import S
from contract.rows import Scenario
from told.records import Told

__all__ = ["OVER", "SLACK", "WITHIN", "Deployer", "Scene", "seconds"]

R = TypeVar("R", bound=Record)
WITHIN = 75.0
"""Seconds that anything may take: some twenty times what it does on an idle machine."""
SLACK = 20.0
"""Seconds by which a time that is measured may be longer than promised: starting a container on a busy machine."""
OVER = frozenset({"complete", "shutdown", "failed", "rejected", "orphaned"})


class Deployer(Protocol):
    """What of a `Platform` the scenarios need."""

    async def deploy(self, contender: Contender, *, trial: str, directory: Path, emit: Emit) -> Deployment:
        """See `Platform.deploy`."""
        ...


class Scene(Told):
    """A stage for one scenario. `platform` is its name; `outcomes` maps row → empty (ok) or what is wrong."""

    within = WITHIN
    looks_every = 0.2

    def __init__(self, scenario: Scenario, platform: str, deployer: Deployer, directory: Path) -> None:
        super().__init__()
        self.scenario = scenario
        self.platform = platform
        self.directory = directory
        self.outcomes: dict[str, str] = {}
        self.skipped: dict[str, str] = {}
        self.deployment: Deployment
        self._deployer = deployer

    # --- the service --------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def deployed(
        self, spec: ServiceSpec, runs_as: Literal["container", "service"] = "service"
    ) -> AsyncIterator[None]:
        """Deploy for the block; remove after it and insist that nothing is left."""
        self.deployment = await self._deployer.deploy(
            Contender(name="contract", runs_as=runs_as, service=self.fit(spec)),
            trial=f"contract/{self.scenario.name}/1",
            directory=self.directory,
            emit=self.emit,
        )
        try:
            yield
        finally:
            left = await self.deployment.remove()
        assert left == (), f"left behind: {left}"

    def fit(self, spec: ServiceSpec) -> ServiceSpec:
        """The service for this platform: in a container the program listens on every address."""
        if self.platform == "local":
            return spec
        return replace(spec, environment={"HOST": "0.0.0.0", **spec.environment})

    # --- outcomes -----------------------------------------------------------------------------------------------

    @contextmanager
    def row(self, name: str) -> Iterator[None]:
        """Judge one row: an AssertionError is its failure, and the play goes on."""
        assert name in {row.name for row in self.scenario.rows}, name
        try:
            yield
        except AssertionError as error:
            self.outcomes[name] = str(error) or repr(error)
        else:
            self.outcomes.setdefault(name, "")

    def skip(self, name: str, why: str) -> None:
        """The row cannot be judged here."""
        self.skipped[name] = why

    # --- waiting ------------------------------------------------------------------------------------------------

    async def watched(self, seconds: float) -> None:
        """Let time go by in which something must *not* happen, or that a setting promises: that has no notice."""
        await asyncio.sleep(seconds)

    async def running(self, *, slot: int = 1, beside: tuple[str, ...] = ()) -> TaskChanged:
        """Wait for a running task in the slot that is none of `beside`."""
        return await self.record(
            TaskChanged,
            lambda r: (r.state, r.slot) == ("running", slot) and r.task not in beside,
            f"running task in slot {slot} beside {beside}",
        )

    async def until_task(self) -> TaskChanged:
        """Wait for the first task of any state."""
        return await self.record(TaskChanged, lambda _: True, "task")

    async def record_of_new(self, state: str, beside: tuple[str, ...]) -> TaskChanged:
        """Wait for another task in a state."""
        return await self.record(
            TaskChanged, lambda r: r.state == state and r.task not in beside, f"another {state} task"
        )

    async def all_running(self, replicas: int) -> list[TaskChanged]:
        """Wait until slots 1…replicas run; their tasks."""
        return [await self.running(slot=slot) for slot in range(1, replicas + 1)]

    async def over(self, task: str) -> TaskChanged:
        """Wait for a task's end."""
        return await self.record(TaskChanged, lambda r: r.task == task and r.state in OVER, f"end of {task}")

    async def over_or_gone(self, task: str) -> TaskChanged:
        """Wait for a task's end where Swarm may forget it at once: of a slot that was scaled away."""
        return await self.over(task)

    async def unwanted(self, task: str) -> TaskChanged:
        """Wait until the task is wanted no more."""
        return await self.record(
            TaskChanged,
            lambda r: r.task == task and r.desired in {"shutdown", "remove"},
            f"desired=shutdown of {task}",
        )

    async def update_state(self, state: str, count: int = 1) -> UpdateChanged:
        """Wait for the `count`-th report of an update's state; the last of them."""
        found: list[UpdateChanged] = []

        def look() -> bool:
            found[:] = [r for r in self.records if isinstance(r, UpdateChanged) and r.state == state]
            return len(found) >= count

        await self.until(look, f"update state {state} (number {count})")
        return found[count - 1]

    async def nothing_new(self, seconds: float, created: Callable[[], int]) -> bool:
        """Whether a count stays as it is for so long. The time is the point: that nothing happens has no notice."""
        before = created()
        await asyncio.sleep(seconds)
        return created() == before

    # --- looking ------------------------------------------------------------------------------------------------

    def changes(self, task: str) -> list[TaskChanged]:
        """All records of a task."""
        return [r for r in self.records if isinstance(r, TaskChanged) and r.task == task]

    def tasks(self, slot: int | None = None) -> list[str]:
        """Every task ever seen, oldest first, of one slot or of all."""
        seen = {r.task: r.slot for r in self.records if isinstance(r, TaskChanged)}
        return [task for task, its in seen.items() if slot in {None, its}]

    def last(self, task: str) -> TaskChanged:
        """The newest record of a task."""
        return self.changes(task)[-1]

    def first(self, task: str, state: str) -> TaskChanged | None:
        """The first record of a task in a state."""
        return next((r for r in self.changes(task) if r.state == state), None)

    def updates(self) -> list[UpdateChanged]:
        """Every report of an update."""
        return [r for r in self.records if isinstance(r, UpdateChanged)]

    def rotation(self, task: str) -> list[RotationChanged]:
        """When the task entered and left rotation."""
        return [r for r in self.records if isinstance(r, RotationChanged) and r.task == task]

    async def wanted_slots(self, slots: list[int]) -> None:
        """Wait until just these slots have a task that is wanted running."""
        deadline = asyncio.get_running_loop().time() + WITHIN
        while (now := sorted({v.slot for v in await self.views() if v.desired == "running"})) != slots:
            assert asyncio.get_running_loop().time() < deadline, f"slots {now}, not {slots}"
            await asyncio.sleep(0.05)

    async def views(self, slot: int | None = None) -> list[TaskView]:
        """The present history, of one slot or of all."""
        return [view for view in await self.deployment.tasks() if slot in {None, view.slot}]

    def last_words(self) -> str:
        told = [r for r in self.records if isinstance(r, TaskChanged | UpdateChanged)]
        words = [f"updates: {[change.state for change in self.updates()]}"] + [
            f"{r.task[:6]}.{r.slot} {r.state}/{r.desired} {r.error}".rstrip()
            if isinstance(r, TaskChanged)
            else f"{type(r).__name__} {getattr(r, 'state', '')}"
            for r in told[-16:]
        ]
        return "; ".join(words)


def seconds(later: Record, earlier: Record) -> float:
    """The time between two records."""
    return (later.t - earlier.t) / S
