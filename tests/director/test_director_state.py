"""What the director believes of a trial, from records and samples alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

from breakroom.director.state import TrialState
from breakroom.journal.records import (
    PhaseStarted,
    RotationChanged,
    StreamOpened,
    TaskChanged,
    UpdateChanged,
)
from breakroom.journal.samples import NOT_REACHED, Outcome, SampleWriter

SECOND = 1_000_000_000
TRIAL = "kill/orchestrated/1"


def _task(state: TrialState, name: str, word: str, t: int = 0) -> None:
    state.observe(
        TaskChanged(
            t=t, trial=TRIAL, task=name, service="web", slot=1, node="n", state=word, desired="running"
        )
    )


def _rotate(state: TrialState, name: str, *, enters: bool, t: int = 0) -> None:
    state.observe(RotationChanged(t=t, trial=TRIAL, task=name, in_rotation=enters))


def _opened(state: TrialState, directory: Path) -> SampleWriter:
    state.observe(
        StreamOpened(
            t=0, trial=TRIAL, stream="probe", model="open", t0=0, files=("p.bin",), plan={}, url="http://x/"
        )
    )
    return SampleWriter(directory / "p.bin")


def _sample(writer: SampleWriter, at: int, outcome: Outcome = Outcome.OK) -> None:
    writer.add(at, 0, 1, 2, NOT_REACHED if outcome else 3, 200, 0, 0, outcome)
    writer.flush()


def test_a_task_serves_only_while_it_is_alive_and_in_rotation(tmp_path: Path) -> None:
    state = TrialState(tmp_path, TRIAL, wanted=1)
    serving: list[int] = []
    _task(state, "a", "running")
    serving.append(state.serving)
    _rotate(state, "a", enters=True)
    serving.append(state.serving)
    _task(state, "a", "failed")
    serving.append(state.serving)
    assert serving == [0, 1, 0]


def test_records_of_another_trial_are_ignored(tmp_path: Path) -> None:
    state = TrialState(tmp_path, TRIAL, wanted=1)
    state.observe(PhaseStarted(t=5, trial="kill/single/1", phase="faulting"))
    assert state.phase == "deploying"


def test_steady_needs_the_whole_stretch_of_successful_probes(tmp_path: Path) -> None:
    state = TrialState(tmp_path, TRIAL, wanted=1)
    _task(state, "a", "running")
    _rotate(state, "a", enters=True)
    writer = _opened(state, tmp_path)
    for number in range(10):
        _sample(writer, number * SECOND // 10)
    state.poll()
    assert state.steady(duration=SECOND, availability=1.0, rate=10)
    assert not state.steady(duration=2 * SECOND, availability=1.0, rate=10)
    _sample(writer, SECOND, Outcome.RESET)
    state.poll()
    assert not state.steady(duration=SECOND, availability=1.0, rate=10)
    assert state.steady(duration=SECOND, availability=0.9, rate=10)


def test_steady_is_not_reached_with_probes_missing(tmp_path: Path) -> None:
    state = TrialState(tmp_path, TRIAL, wanted=1)
    _task(state, "a", "running")
    _rotate(state, "a", enters=True)
    writer = _opened(state, tmp_path)
    for number in (0, 1, 2, 8, 9):
        _sample(writer, number * SECOND // 10)
    state.poll()
    assert not state.steady(duration=SECOND, availability=1.0, rate=10)


def test_recovered_counts_from_the_last_failure_and_needs_full_capacity(tmp_path: Path) -> None:
    state = TrialState(tmp_path, TRIAL, wanted=1)
    writer = _opened(state, tmp_path)
    _sample(writer, 2 * SECOND, Outcome.REFUSED)
    _sample(writer, 5 * SECOND)
    state.poll()
    assert not state.recovered(since=SECOND, stable=3 * SECOND)
    _task(state, "b", "running", t=SECOND)
    _rotate(state, "b", enters=True)
    assert state.recovered(since=SECOND, stable=3 * SECOND)
    assert not state.recovered(since=SECOND, stable=4 * SECOND)


def test_until_wakes_when_a_record_makes_it_true_and_gives_up_in_time(tmp_path: Path) -> None:
    async def scenario() -> tuple[bool, bool]:
        state = TrialState(tmp_path, TRIAL, wanted=1)
        waiting = asyncio.ensure_future(state.until(lambda: state.phase == "done", within=30))
        await asyncio.sleep(0)
        state.observe(PhaseStarted(t=1, trial=TRIAL, phase="done"))
        return await waiting, await state.until(lambda: False, within=0)

    assert asyncio.run(scenario()) == (True, False)


def test_wait_for_finds_a_record_that_came_before_the_wait_began(tmp_path: Path) -> None:
    async def scenario() -> object:
        state = TrialState(tmp_path, TRIAL, wanted=1)
        _task(state, "a", "failed", t=100)
        return await state.wait_for(
            lambda record: isinstance(record, TaskChanged) and record.state == "failed",
            since=100,
            within=SECOND,
        )

    found = asyncio.run(scenario())
    assert isinstance(found, TaskChanged)
    assert found.t == 100


def test_a_person_sees_trouble_when_nothing_lives_or_nobody_was_answered_for_a_second(tmp_path: Path) -> None:
    state = TrialState(tmp_path, TRIAL, wanted=1)
    writer = _opened(state, tmp_path)
    _task(state, "a", "running")
    _rotate(state, "a", enters=True)
    seen: list[int | None] = []
    for at, outcome in (
        (1 * SECOND, Outcome.OK),
        (3 * SECOND // 2, Outcome.TIMEOUT),
        (2 * SECOND, Outcome.TIMEOUT),
        (3 * SECOND, Outcome.OK),
    ):
        _sample(writer, at, outcome)
        state.poll()
        seen.append(state.trouble_since)
    _task(state, "a", "failed", t=4 * SECOND)
    seen.append(state.trouble_since)
    _task(state, "b", "running", t=5 * SECOND)
    seen.append(state.trouble_since)
    assert seen == [None, None, 1 * SECOND, None, 4 * SECOND, None]
    writer.close()


def test_a_service_with_more_replicas_than_wanted_has_not_settled(tmp_path: Path) -> None:
    state = TrialState(tmp_path, TRIAL, wanted=2)
    writer = _opened(state, tmp_path)
    for name in ("a", "b"):
        _task(state, name, "running")
        _rotate(state, name, enters=True)
    _sample(writer, 10 * SECOND)
    state.poll()
    settled = [state.recovered(since=0, stable=SECOND)]
    state.set_wanted(1)
    settled.append(state.recovered(since=0, stable=SECOND))
    _rotate(state, "b", enters=False)
    settled.append(state.recovered(since=0, stable=SECOND))
    assert settled == [True, False, True]
    writer.close()


def test_an_update_is_under_way_until_it_has_ended_one_way_or_another(tmp_path: Path) -> None:
    state = TrialState(tmp_path, TRIAL, wanted=1)
    seen = [state.update_under_way]
    for word in ("updating", "rollback_started", "rollback_completed", "updating", "paused"):
        state.observe(UpdateChanged(t=1, trial=TRIAL, service="web", state=word))
        seen.append(state.update_under_way)
    assert seen == [False, True, True, False, True, False]


def test_wait_for_gives_the_first_that_matches_though_older_ones_are_told_after_it(tmp_path: Path) -> None:
    async def scenario() -> object:
        state = TrialState(tmp_path, TRIAL, wanted=1)
        _task(state, "a", "failed", t=10 * SECOND)
        _task(state, "b", "failed", t=11 * SECOND)
        _task(state, "c", "running", t=5 * SECOND)  # seen late
        return await state.wait_for(
            lambda record: isinstance(record, TaskChanged) and record.state == "failed",
            since=10 * SECOND,
            within=0,
        )

    found = asyncio.run(scenario())
    assert isinstance(found, TaskChanged)
    assert found.task == "a"


def test_steady_state_counts_from_when_the_load_is_on_too(tmp_path: Path) -> None:
    state = TrialState(tmp_path, TRIAL, wanted=1)
    writer = _opened(state, tmp_path)
    _task(state, "a", "running")
    _rotate(state, "a", enters=True)
    for number in range(21):
        _sample(writer, number * SECOND // 10)
    state.poll()
    seen = [state.steady(duration=2 * SECOND, availability=1.0, rate=10.0)]
    state.observe(
        StreamOpened(
            t=SECOND,
            trial=TRIAL,
            stream="load",
            model="closed",
            t0=SECOND,
            files=(),
            plan={},
            url="http://x/",
        )
    )
    seen.append(state.steady(duration=2 * SECOND, availability=1.0, rate=10.0))
    for number in range(21, 31):
        _sample(writer, number * SECOND // 10)
    state.poll()
    seen.append(state.steady(duration=2 * SECOND, availability=1.0, rate=10.0))
    assert seen == [True, False, True]
    writer.close()


def test_what_the_probe_could_not_send_is_no_trouble_of_the_service(tmp_path: Path) -> None:
    state = TrialState(tmp_path, TRIAL, wanted=1)
    _task(state, "a", "running")
    writer = _opened(state, tmp_path)
    _sample(writer, SECOND)
    for at in range(2, 6):
        _sample(writer, at * SECOND, Outcome.NOT_SENT)
    state.poll()
    probe = state.streams["probe"]
    assert (probe.ok, probe.failed, probe.outcomes[Outcome.NOT_SENT]) == (1, 0, 4)
    assert state.trouble_since is None
    _sample(writer, 6 * SECOND, Outcome.REFUSED)
    state.poll()
    assert state.trouble_since == SECOND
