"""Background work belongs to a block; clean-up is finished although the run was interrupted."""

from __future__ import annotations

import asyncio

import pytest

from breakroom.director.tasks import background, shielded, together


def test_background_work_is_cancelled_at_the_end_of_its_block() -> None:
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def scenario() -> None:
        async with background(work(), "w"):
            await asyncio.sleep(0)

    asyncio.run(scenario())
    assert seen == ["cancelled"]


def test_a_failure_of_background_work_fails_its_block_at_once() -> None:
    async def work() -> None:
        raise LookupError("gone")

    async def scenario() -> None:
        async with background(work(), "w"):
            await asyncio.Event().wait()

    with pytest.raises(LookupError, match="gone"):
        asyncio.run(scenario())


def test_a_block_that_is_interrupted_stays_interrupted() -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    async def block() -> None:
        async with background(work(), "w"):
            await asyncio.Event().wait()

    async def scenario() -> bool:
        task = asyncio.ensure_future(block())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(scenario())


def test_the_error_of_a_block_is_raised_as_it_is() -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    async def scenario() -> None:
        async with background(work(), "w"):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        asyncio.run(scenario())


def test_shielded_work_is_finished_before_the_interruption_goes_on() -> None:
    seen: list[str] = []

    async def clean_up(go: asyncio.Event) -> None:
        await go.wait()
        seen.append("clean")

    async def scenario() -> bool:
        go = asyncio.Event()
        task = asyncio.ensure_future(shielded(clean_up(go)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        go.set()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(scenario())
    assert seen == ["clean"]


def test_an_error_in_shielded_work_is_raised() -> None:
    async def clean_up() -> None:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        asyncio.run(shielded(clean_up()))


def test_what_runs_together_begins_together_and_all_of_it_ends() -> None:
    seen: list[str] = []

    async def work(name: str, mine: asyncio.Event, other: asyncio.Event) -> None:
        mine.set()
        await other.wait()
        seen.append(name)

    async def scenario() -> None:
        a, b = asyncio.Event(), asyncio.Event()
        await together([(work("a", a, b), "a"), (work("b", b, a), "b")])

    asyncio.run(scenario())
    assert sorted(seen) == ["a", "b"]


def test_an_interruption_reaches_all_that_runs_together_and_is_raised_when_each_has_cleaned_up() -> None:
    seen: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await shielded(asyncio.sleep(0))
            seen.append(name)

    async def scenario() -> None:
        both = asyncio.ensure_future(together([(work("a"), "a"), (work("b"), "b")]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        both.cancel()
        with pytest.raises(asyncio.CancelledError):
            await both

    asyncio.run(scenario())
    assert sorted(seen) == ["a", "b"]


def test_the_failure_of_one_is_raised_as_it_is() -> None:
    async def fails() -> None:
        raise LookupError("gone")

    async def waits() -> None:
        await asyncio.Event().wait()

    with pytest.raises(LookupError, match="gone"):
        asyncio.run(together([(fails(), "a"), (waits(), "b")]))
