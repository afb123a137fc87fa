"""Random schedules of failure, done by servers that write down what they do: generators and analysis must be right.

Real sockets, the real generator processes, the real analysis; `truth.judge` says what is compared. A batch of lanes of
schedules is played at once; nothing is shrunk, since a play takes seconds. A schedule that fails is printed with the
command that plays it alone:

    BREAKROOM_TRUTH_SCHEDULE='[…]' scripts/test tests/truth/test_truth_schedule.py -k asked_for

BREAKROOM_TRUTH_BATCHES says how many batches are drawn, BREAKROOM_TRUTH_SEED which (without it always the same).
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from truth.judge import judge
from truth.play import play
from truth.schedules import Lane, Schedule, batches, from_json, lanes_of, to_json
from truth.tally import TALLY

LANES = 6
"""Lanes at once: as many as two cores play without being late."""
LENGTH = 6
"""Schedules of a lane."""
BATCHES = int(os.environ.get("BREAKROOM_TRUTH_BATCHES", "7"))
"""The first is of the simplest schedules that can be drawn."""
ENOUGH = 200
"""Different schedules, of which hypothesis draws a few twice."""
TRIES = 8
"""On a machine that others use as well, half of the plays may say nothing."""
ONE = os.environ.get("BREAKROOM_TRUTH_SCHEDULE", "")
SEED = os.environ.get("BREAKROOM_TRUTH_SEED", "")
FEW = 0.05
"""The share of schedules that may stay without a verdict."""


def _told(lane: Lane, wrong: list[str]) -> str:
    more = [f"and {len(wrong) - 12} more"] if len(wrong) > 12 else []
    command = f"scripts/test tests/truth/{Path(__file__).name} -k asked_for"
    return "\n".join(
        [*wrong[:12], *more, "again, alone:", f"  BREAKROOM_TRUTH_SCHEDULE='{to_json(lane)}' {command}"]
    )


def _judge_all(lanes: list[Lane], directory: Path) -> list[str]:
    """Play them until each schedule is judged, and add them to the tally; returns what is wrong."""
    wrong: list[str] = []
    for number in range(TRIES):
        # Fewer at once from the third try on: they shall not be in each other's way.
        step = LANES if number < 2 else 2
        left: list[Schedule] = []
        for at in range(0, len(lanes), step):
            for played in play(lanes[at : at + step], directory / f"{number}-{at}"):
                judged = judge(played)
                TALLY.count(judged)
                if judged.wrong:
                    wrong.append(_told([part.schedule for part in played.parts], judged.wrong))
                for part, found in zip(played.parts, judged.parts, strict=True):
                    if found.why_not:
                        TALLY.again += 1
                        left.append(part.schedule)
                        continue
                    TALLY.add(part.schedule, found)
                    if found.wrong:
                        wrong.append(_told([part.schedule], found.wrong))
        lanes = lanes_of(left, LENGTH)
    TALLY.not_judged += sum(len(lane) for lane in lanes)
    return wrong


def _profile() -> settings:
    return settings(
        max_examples=BATCHES,
        deadline=None,
        derandomize=not SEED,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def disagreement(tmp_path_factory: pytest.TempPathFactory) -> Exception | None:
    """What the first batch with anything wrong in it was told to be, once all are played."""

    @given(lanes=batches(LANES, LENGTH))
    def check(lanes: list[Lane]) -> None:
        wrong = _judge_all(lanes, tmp_path_factory.mktemp("batch"))
        assert not wrong, "\n\n".join(wrong)

    began = time.monotonic()
    check = _profile()(check)
    if SEED:
        check = hypothesis.seed(int(SEED))(check)
    found: Exception | None = None
    try:
        check()
    except (AssertionError, ExceptionGroup, hypothesis.errors.HypothesisException) as error:
        found = error
    TALLY.seconds = time.monotonic() - began
    return found


@pytest.mark.timeout(900)
@pytest.mark.skipif(bool(ONE), reason="one schedule is asked for")
def test_what_the_server_did_is_what_is_found(disagreement: Exception | None) -> None:
    if disagreement is not None:
        raise disagreement


@pytest.mark.timeout(900)
@pytest.mark.skipif(bool(ONE), reason="one schedule is asked for")
def test_nearly_every_schedule_was_judged(disagreement: Exception | None) -> None:
    assert disagreement is None, "not all batches were played"
    if "BREAKROOM_TRUTH_BATCHES" not in os.environ:
        assert len(TALLY.different) >= ENOUGH, TALLY.render()
    assert TALLY.not_judged <= FEW * (TALLY.judged + TALLY.not_judged), TALLY.render()


@pytest.mark.skipif(not ONE, reason="BREAKROOM_TRUTH_SCHEDULE names no schedule")
def test_what_is_asked_for(tmp_path: Path) -> None:
    wrong = _judge_all([from_json(ONE)], tmp_path)
    assert not wrong, "\n".join(wrong)
    assert TALLY.not_judged == 0, "the machine was too busy"
