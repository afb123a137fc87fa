"""The sampler: its rows carry their time, and it slows down as its work grows."""

from __future__ import annotations

import asyncio
import time

from breakroom.engine.shell.stats import Row, Sampler


async def _one_round(work_seconds: float) -> tuple[Sampler, int, tuple[Row, ...]]:
    """Run a sampler whose every round uses so much CPU time, until its first rows come."""
    first: asyncio.Future[tuple[int, tuple[Row, ...]]] = asyncio.get_running_loop().create_future()

    def sample() -> list[Row]:
        until = time.thread_time() + work_seconds
        while time.thread_time() < until:
            pass
        return [("t", 1, None, 2)]

    def push(t: int, rows: tuple[Row, ...]) -> None:
        if not first.done():
            first.set_result((t, rows))

    sampler = Sampler(asyncio.get_running_loop(), sample, push)
    sampler.start()
    async with asyncio.timeout(10):
        t, rows = await first
    sampler.stop()
    return sampler, t, rows


def test_rows_come_with_the_moment_they_were_taken_at() -> None:
    before = time.monotonic_ns()
    _sampler, t, rows = asyncio.run(_one_round(0))
    assert before < t <= time.monotonic_ns()
    assert rows == (("t", 1, None, 2),)


def test_the_pause_grows_with_the_work_so_that_sampling_stays_below_half_a_percent() -> None:
    sampler, _t, _rows = asyncio.run(_one_round(0.01))
    assert sampler.interval >= 2.0
