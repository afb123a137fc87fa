"""Random schedules of failure, done by a server that writes down what it does: probe and analysis must find them."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from breakroom.analysis.results import RunResults
from breakroom.analysis.run import analyse
from breakroom.journal.records import PhaseStarted, RunStarted, TrialEnded, TrialStarted
from breakroom.journal.store import JournalWriter, read_journal
from breakroom.load.stream import open_stream
from breakroom.spec.drill import ProbeSpec
from truth.evidence import Request, read_requests

MS = 1_000_000
SPACING = 10 * MS
PROBE = ProbeSpec(rate=100, timeout=150 * MS)
SEEDS = range(10)
BAD = {"error": "http-error", "reset": "reset", "hang": "timeout", "refuse": "refused"}
TRIAL = "scheduled/server/1"


@dataclass(frozen=True)
class State:
    """A state of the server: it came into force within [begun, in_force], and ended likewise."""

    name: str
    begun: int
    in_force: int


@dataclass(frozen=True)
class Seen:
    """One schedule, and what was found of it."""

    states: list[State]
    accepted: list[tuple[int, str]]
    probes: list[Request]
    results: RunResults
    zero: int


def schedule(seed: int) -> list[tuple[str, float]]:
    """Ten stretches, bad and good in turn, some shorter than two spacings; about 2.3 s."""
    chance = random.Random(seed)
    parts = [("fine", 0.2)]
    for _ in range(5):
        length = chance.choice((chance.uniform(0.001, 0.03), chance.uniform(0.03, 0.4)))
        parts.append((chance.choice(list(BAD)), length))
        if chance.random() < 0.3:
            parts.append((chance.choice(list(BAD)), chance.uniform(0.03, 0.2)))
        parts.append((chance.choice(("fine", "fine", "slow")), chance.uniform(0.02, 0.3)))
    return [*parts, ("fine", 0.05)]


async def _watch(directory: Path, seed: int) -> Seen:
    plan, log = directory / "schedule.json", directory / "server.log"
    parts = schedule(seed)
    plan.write_text(json.dumps(parts))
    command = [sys.executable, str(Path(__file__).parent / "scheduled_server.py"), "0", str(plan), str(log)]
    server = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert server.stdout is not None
    writer = JournalWriter(directory)
    try:
        port = int(await server.stdout.readline())
        await _probe(writer, directory, port, sum(length for _, length in parts))
    finally:
        writer.close()
        server.kill()
        await server.communicate()
    journal = read_journal(directory)
    opened = next(record for record in journal.records if isinstance(record, PhaseStarted))
    lines = [line.split() for line in log.read_text().splitlines()]
    probes = read_requests(directory / f"samples/{TRIAL.replace('/', '_')}/probe-0.bin", "probe")
    return Seen(
        states=[State(w[2], int(w[0]), int(w[1])) for w in lines if w[1] != "accepted"],
        accepted=[(int(w[0]), w[2]) for w in lines if w[1] == "accepted"],
        probes=sorted(probes, key=lambda request: request.intended),
        results=analyse(journal),
        zero=opened.t,
    )


async def _probe(writer: JournalWriter, directory: Path, port: int, seconds: float) -> None:
    """A trial's records around a probe of that many seconds; no fault of breakroom's own."""
    now: dict[str, Any] = {"trial": TRIAL}
    writer.append(
        RunStarted(
            t=time.monotonic_ns(),
            run_id="scheduled",
            version="",
            unix_ns=time.time_ns(),
            argv=(),
            platform="none",
            pace="quick",
            seed=0,
            repeat=1,
            trials=(TRIAL,),
        )
    )
    writer.append(
        TrialStarted(
            t=time.monotonic_ns(),
            drill="scheduled",
            contender="server",
            repeat=1,
            runs_as="container",
            seed=0,
            shared_plan={},
            plan_digest="",
            plan={},
            **now,
        )
    )
    writer.append(PhaseStarted(t=time.monotonic_ns(), phase="faulting", **now))
    stream = await open_stream(
        name="probe",
        spec=PROBE,
        url=f"http://127.0.0.1:{port}/",
        directory=directory,
        trial=TRIAL,
        emit=writer.append,
        seed=0,
    )
    await asyncio.sleep(seconds + 0.3)
    await stream.stop()
    writer.append(PhaseStarted(t=time.monotonic_ns(), phase="undoing", **now))
    writer.append(TrialEnded(t=time.monotonic_ns(), outcome="completed", **now))


@pytest.fixture(scope="module", params=SEEDS)
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """One schedule, played."""
    return asyncio.run(_watch(tmp_path_factory.mktemp("schedule"), request.param))


def _state_at(seen: Seen, t: int) -> str:
    return next((state.name for state in reversed(seen.states) if state.in_force <= t), "fine")


def _taken(seen: Seen) -> list[tuple[Request, int, str]]:
    """Every probe that reached the server, with the moment and the state in which that took it.

    A connection that is reset at once may not be seen to have stood, so only refused ones are left out.
    """
    reached = [request for request in seen.probes if request.outcome != "refused"]
    assert len(reached) == len(seen.accepted), "each connection was accepted, and no other"
    reached.sort(key=lambda request: request.connected or request.ended)
    return [(request, at, state) for request, (at, state) in zip(reached, seen.accepted, strict=True)]


def _latest(seen: Seen) -> int:
    """The longest time from a probe's intended moment until the server took its connection, or refused it."""
    refused = [r.ended - r.intended for r in seen.probes if r.outcome == "refused"]
    return max([at - request.intended for request, at, _ in _taken(seen)] + refused)


def test_every_probe_has_the_outcome_that_the_server_gave_it(seen: Seen) -> None:
    for request, _, state in _taken(seen):
        assert request.outcome == BAD.get(state, "ok"), (request, state)
        assert request.status == {"error": 500, "reset": 0, "hang": 0}.get(state, 200)
    for request in seen.probes:
        if request.outcome == "refused":
            # Its one chance to connect lay between its sending and its end.
            begun = {
                _state_at(seen, t) for t in (request.intended + request.lag_us * 1_000, request.ended + 1_000)
            }
            changed = any(
                request.intended <= state.in_force and state.begun <= request.ended + MS
                for state in seen.states
            )
            assert "refuse" in begun or changed, request


def test_every_outage_of_more_than_two_spacings_is_found_to_one_spacing(seen: Seen) -> None:
    (trial,) = seen.results.trials
    allowed = SPACING + max(2 * MS, _latest(seen))
    found = [outage for outage in trial.outages if outage.kind == "total"]
    for start, end in _truth(seen):
        if end.in_force - start.begun <= 2 * SPACING + _latest(seen):
            continue
        near = [
            outage
            for outage in found
            if start.begun - allowed <= seen.zero + outage.start_at_s * 1e9 <= start.in_force + allowed
            and outage.end_at_s is not None
            and end.begun - allowed <= seen.zero + outage.end_at_s * 1e9 <= end.in_force + allowed
        ]
        assert len(near) == 1, (start, end, allowed, found)


def test_no_outage_is_found_where_there_was_none(seen: Seen) -> None:
    (trial,) = seen.results.trials
    allowed = SPACING + max(2 * MS, _latest(seen))
    for outage in trial.outages:
        assert outage.end_at_s is not None
        start, end = (seen.zero + at * 1e9 for at in (outage.start_at_s, outage.end_at_s))
        assert any(
            start >= since.begun - allowed and start <= until.in_force + allowed and end >= since.begun
            for since, until in _truth(seen)
        ), outage


def test_the_counts_of_outcomes_are_those_of_the_books(seen: Seen) -> None:
    (trial,) = seen.results.trials
    counts = trial.outcomes["probe"]
    for state, outcome in BAD.items():
        if state != "refuse":
            assert counts[outcome] == sum(name == state for _, name in seen.accepted)
    assert counts["ok"] == sum(name not in BAD for _, name in seen.accepted)
    assert sum(counts.values()) == len(seen.probes) == trial.availability.intended


def _truth(seen: Seen) -> list[tuple[State, State]]:
    """Every stretch of bad states: the state that began it and the good one that ended it."""
    found: list[tuple[State, State]] = []
    began: State | None = None
    for state in seen.states:
        if state.name in BAD:
            began = began or state
        elif began is not None:
            found.append((began, state))
            began = None
    assert began is None, "every schedule ends fine"
    return found
