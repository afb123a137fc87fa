"""The driver between events and the core: order, time, refusals, deadlines."""

from __future__ import annotations

import asyncio
import time

from breakroom.engine.core.errors import IllegalEvent
from breakroom.engine.core.events import Event, NodeDown, NodeUp, ProbeFinished, Tick
from breakroom.engine.core.instructions import Forget, Instruction
from breakroom.engine.shell.driver import Driver


class Script:
    """A core that writes down what it is given and answers each event with the instructions planned for it."""

    def __init__(self) -> None:
        self.handled: list[tuple[Event, int]] = []
        self.answers: dict[Event, list[Instruction]] = {}
        self.illegal: set[Event] = set()
        self.deadline: int | None = None
        self.met = asyncio.Event()

    def handle(self, event: Event, now: int) -> list[Instruction]:
        if event in self.illegal:
            raise IllegalEvent(event, "not now")
        self.handled.append((event, now))
        if isinstance(event, Tick) and self.deadline is not None and now >= self.deadline:
            self.deadline = None
            self.met.set()
        return self.answers.get(event, [])

    def next_deadline(self) -> int | None:
        return self.deadline


def _driver(core: Script) -> tuple[Driver, list[tuple[Instruction, int]], list[IllegalEvent]]:
    done: list[tuple[Instruction, int]] = []
    refused: list[IllegalEvent] = []
    driver = Driver(
        asyncio.get_running_loop(),
        core,
        carry_out=lambda instruction, now: done.append((instruction, now)),
        refused=refused.append,
    )
    return driver, done, refused


def test_an_event_that_an_instruction_brings_is_handled_after_all_instructions_of_the_first() -> None:
    async def scenario() -> None:
        core = Script()
        core.answers = {NodeDown("a"): [Forget("1"), Forget("2")], NodeUp("a"): [Forget("3")]}
        order: list[str] = []

        def carry_out(instruction: Instruction, _now: int) -> None:
            assert isinstance(instruction, Forget)
            order.append(instruction.task)
            if instruction.task == "1":
                driver.feed(NodeUp("a"))

        driver = Driver(asyncio.get_running_loop(), core, carry_out=carry_out, refused=lambda _error: None)
        driver.feed(NodeDown("a"))
        assert order == ["1", "2", "3"]

    asyncio.run(scenario())


def test_the_core_is_given_the_time_of_the_event_but_never_an_earlier_one_than_before() -> None:
    async def scenario() -> None:
        core = Script()
        driver, _done, _refused = _driver(core)
        driver.feed(NodeDown("a"), 1000)
        driver.feed(NodeUp("a"), 900)
        driver.feed(NodeDown("b"), 1500)
        assert [now for _event, now in core.handled] == [1000, 1000, 1500]

    asyncio.run(scenario())


def test_a_refused_command_is_told_to_its_sender_and_a_refused_observation_is_reported() -> None:
    async def scenario() -> None:
        core = Script()
        core.illegal = {NodeDown("a"), ProbeFinished("t", ok=True)}
        driver, done, refused = _driver(core)
        answers: list[IllegalEvent | None] = []
        driver.feed(NodeDown("a"), None, answers.append)
        driver.feed(ProbeFinished("t", ok=True))
        driver.feed(NodeUp("a"), None, answers.append)
        assert [type(answer) for answer in answers] == [IllegalEvent, type(None)]
        assert len(refused) == 1
        assert done == []

    asyncio.run(scenario())


def test_a_deadline_brings_a_tick_not_before_its_time() -> None:
    async def scenario() -> None:
        core = Script()
        driver, _done, _refused = _driver(core)
        core.deadline = deadline = time.monotonic_ns() + 20_000_000
        driver.feed(NodeUp("a"))
        async with asyncio.timeout(5):
            await core.met.wait()
        assert isinstance(core.handled[-1][0], Tick)
        assert core.handled[-1][1] >= deadline

    asyncio.run(scenario())


def test_a_stopped_driver_handles_nothing_any_more() -> None:
    async def scenario() -> None:
        core = Script()
        driver, _done, _refused = _driver(core)
        driver.stop()
        driver.feed(NodeUp("a"))
        assert core.handled == []

    asyncio.run(scenario())


def test_the_loop_gets_a_turn_during_long_work() -> None:
    async def scenario() -> None:
        core = Script()
        turns: list[int] = []

        def carry_out(_instruction: Instruction, _now: int) -> None:
            until = time.monotonic_ns() + 2_000_000
            while time.monotonic_ns() < until:
                pass

        loop = asyncio.get_running_loop()
        driver = Driver(loop, core, carry_out=carry_out, refused=lambda _error: None)
        events: list[Event] = [NodeUp(str(number)) for number in range(10)]
        core.answers = {event: [Forget("x")] for event in events}
        core.answers[NodeDown("first")] = []
        finished = asyncio.Event()
        loop.call_soon(lambda: turns.append(len(core.handled)))
        driver.feed(events[0])
        driver._working = True
        for event in events[1:]:
            driver.feed(event)
        driver.feed(NodeDown("last"), None, lambda _error: finished.set())
        driver._work()
        await finished.wait()
        assert turns
        assert turns[0] < len(events)

    asyncio.run(scenario())
