"""Faults are taken back at their time, and whatever is left at the end, the last one first."""

from __future__ import annotations

import asyncio
import time

from breakroom.director.tasks import background
from breakroom.director.undoing import Undos
from breakroom.faults.base import Undo

MS = 1_000_000


def _undo(name: str, order: list[str], back: asyncio.Event | None = None) -> Undo:
    async def take_back() -> None:
        order.append(name)
        if back is not None:
            back.set()

    return Undo(action=name, take_back=take_back)


def test_what_is_left_is_taken_back_in_reverse_order() -> None:
    order: list[str] = []

    async def main() -> None:
        undos = Undos(time.monotonic_ns)
        for name in "abc":
            undos.keep(_undo(name, order))
        assert undos.timed_over
        await undos.all_back()
        await undos.all_back()

    asyncio.run(main())
    assert order == ["c", "b", "a"]


def test_a_timed_fault_is_taken_back_at_its_time_and_the_others_are_not() -> None:
    order: list[str] = []

    async def main() -> None:
        undos, back = Undos(time.monotonic_ns), asyncio.Event()
        late = _undo("late", order, back=back)
        async with background(undos.keep_time(), "undos"):
            undos.keep(late)
            undos.keep(_undo("end", order))
            late.due = due = time.monotonic_ns() + 20 * MS
            undos.look_again()
            async with asyncio.timeout(10):
                await back.wait()
        assert time.monotonic_ns() >= due
        assert order == ["late"]
        assert undos.timed_over
        assert undos.last_back is not None
        assert undos.last_back >= due
        await undos.all_back()

    asyncio.run(main())
    assert order == ["late", "end"]


def test_an_undo_that_has_begun_is_finished_before_the_block_ends() -> None:
    done: list[str] = []

    async def main() -> None:
        undos = Undos(time.monotonic_ns)
        begun, let_go = asyncio.Event(), asyncio.Event()

        async def take_back() -> None:
            begun.set()
            await let_go.wait()
            done.append("slow")

        async with background(undos.keep_time(), "undos"):
            undos.keep(Undo(action="slow", take_back=take_back, due=0))
            await begun.wait()
            asyncio.get_running_loop().call_soon(let_go.set)
        assert done == ["slow"]
        await undos.all_back()

    asyncio.run(main())
    assert done == ["slow"]
