"""The order in which a timeline's steps and its load begin."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from breakroom.director import trial
from breakroom.faults.base import FaultError, Injected
from breakroom.spec.drill import KillStep

MS = 1_000_000
PROVED = 5
BEGUN = 7_000 * MS


class _Scene:
    """A timeline of kills, each of which takes `takes` seconds, and a load that takes 30 ms to begin."""

    def __init__(self, steps: tuple[int, ...], load_at: int | None, *, takes: float, fails: bool) -> None:
        self.log: list[str] = []
        self.load_at = None if load_at is None else load_at * MS
        self._steps = tuple(KillStep(at=at * MS) for at in steps)
        self._takes = takes
        self._fails = fails
        self._began = 0.0

    async def begin_load(self) -> int:
        self.log.append("load")
        await asyncio.sleep(0.03)
        self.log.append("load begun")
        return BEGUN

    async def inject(self, _ctx: object, action: str, _step: object) -> Injected:
        self.log.append(action)
        await asyncio.sleep(self._takes)
        if self._fails:
            raise FaultError("refused", "no")
        self.log.append(f"{action} over")
        return Injected(action=action, proved_t=PROVED)

    async def play(self) -> int:
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        ctx: Any = SimpleNamespace(
            plan=SimpleNamespace(drill=SimpleNamespace(timeline=self._steps)),
            now=lambda: round((loop.time() - self._began) * 1e9),
            trial="drill/contender/1",
            undos=SimpleNamespace(look_again=lambda: None),
        )
        opened: Any = self
        deployment: Any = None
        async with asyncio.timeout(20):
            return await trial._play(ctx, deployment, opened, 0)


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Any:
    def played(
        steps: tuple[int, ...], load_at: int | None, *, takes: float = 0.0, fails: bool = False
    ) -> tuple[list[str], int]:
        scene = _Scene(steps, load_at, takes=takes, fails=fails)
        monkeypatch.setattr(trial, "inject", scene.inject)
        monkeypatch.setattr(trial, "_fault_context", lambda *_: None)
        try:
            return scene.log, asyncio.run(scene.play())
        except FaultError:
            return [*scene.log, "refused"], 0

    return played


def test_a_load_and_a_step_of_the_same_moment_begin_in_this_order(play: Any) -> None:
    log, _ = play((0,), 0)
    assert log == ["load", "load begun", "step-1", "step-1 over"]


def test_a_step_that_waits_for_its_proof_does_not_keep_the_load_from_its_time(play: Any) -> None:
    log, since = play((0,), 50, takes=0.5)
    assert log == ["step-1", "load", "load begun", "step-1 over"]
    assert since == BEGUN


def test_after_the_last_step_the_load_is_waited_for_and_recovery_counts_from_its_begin(play: Any) -> None:
    assert play((0,), 60) == (["step-1", "step-1 over", "load", "load begun"], BEGUN)
    assert play((), 10) == (["load", "load begun"], BEGUN)
    assert play((0,), None) == (["step-1", "step-1 over"], PROVED)


def test_a_step_that_fails_ends_the_waiting_for_the_load(play: Any) -> None:
    log, _ = play((0,), 15_000, fails=True)
    assert log == ["step-1", "refused"]
