"""When a part counts as having stood still: the ledger in a time of its own, and the questions on a real loop."""

from __future__ import annotations

import asyncio

import pytest

from breakroom.engine.shell.pulse import Ledger, Pulse, Stretch

MS = 1_000_000
SECOND = 1_000 * MS


def told(*lates: tuple[int, int]) -> list[Stretch]:
    """What a ledger tells of (wanted, late) in ms, with its end 100 ms after the last."""
    found: list[Stretch] = []
    ledger = Ledger(found.append)
    for wanted, late in lates:
        ledger.late(SECOND + wanted * MS, SECOND + (wanted + late) * MS)
    ledger.flush(SECOND + (lates[-1][0] + 100) * MS)
    return found


def test_what_is_normally_late_is_not_told() -> None:
    assert told(*((at, 4) for at in range(0, 5_000, 100))) == []


def test_a_single_long_standstill_is_told_at_once() -> None:
    (stretch,) = told((0, 0), (100, 700))
    assert (stretch.since, stretch.t) == (SECOND, SECOND + 800 * MS)
    assert stretch.still_ns == stretch.longest_ns == 700 * MS


def test_a_standstill_within_what_is_allowed_is_not() -> None:
    assert told((0, 0), (100, 150), (300, 0), (2_000, 0)) == []


def test_short_ones_are_told_where_they_are_a_fifth_of_a_second() -> None:
    (first, *_) = told(*((at, 60) for at in range(0, 2_000, 100)))
    assert first.still_ns >= 0.2 * (first.t - first.since)
    assert first.longest_ns == 60 * MS


class Part:
    """Answers when it is told to; keeps the time for everybody."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.time = SECOND
        self.told: list[Stretch] = []

    def pulse(self) -> Pulse:
        loop = asyncio.get_running_loop()
        return Pulse(loop, ask=self.asked.append, tell=self.told.append, now=lambda: self.time)


def test_the_answer_counts_from_when_the_part_gave_it() -> None:
    async def run() -> None:
        part = Part()
        pulse = part.pulse()
        pulse.start()
        part.time += 3 * SECOND  # the asker itself stood still
        pulse.answered(part.asked[-1], SECOND + 2 * MS)
        pulse.stop()
        assert part.told == []

    asyncio.run(run())


@pytest.mark.parametrize("answers", [True, False], ids=["late", "never"])
def test_a_part_that_does_not_answer_is_asked_once_and_told_of(answers: bool) -> None:
    async def run() -> None:
        part = Part()
        pulse = part.pulse()
        pulse.start()
        pulse._beat()
        assert part.asked == [1]
        part.time += SECOND
        if answers:
            pulse.answered(1, part.time)
        pulse.stop()
        (stretch,) = part.told
        assert stretch.longest_ns == SECOND

    asyncio.run(run())


def test_an_answer_to_an_old_question_is_none() -> None:
    async def run() -> None:
        part = Part()
        pulse = part.pulse()
        pulse.start()
        pulse.answered(99, part.time + SECOND)
        assert part.told == []
        pulse.stop()

    asyncio.run(run())
