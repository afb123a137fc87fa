"""Plays lanes of schedules, several at once: one server of ground truth, breakroom's generator processes, its analysis.

Used by the truth suite. A lane has its port, its probe and load (worker processes, as a drill starts them); each of its
schedules has a journal, whose window of observation is cut out of the lane's time. All workers are started before the
first request is sent, so that starting them disturbs nobody's measurement.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from breakroom.analysis.results import TrialResults
from breakroom.analysis.run import analyse
from breakroom.journal.records import (
    PhaseStarted,
    Record,
    RunStarted,
    StreamClosed,
    StreamOpened,
    TrialEnded,
    TrialStarted,
)
from breakroom.journal.store import JournalWriter, read_journal
from breakroom.load.stream import Stream, prepare_stream
from breakroom.spec.drill import LoadSpec, ProbeSpec
from truth.evidence import Request, read_requests
from truth.schedules import DEADLINE, LEAD, Lane, Schedule

__all__ = ["Change", "Part", "Played", "Taken", "play"]

TRIAL = "scheduled/server/1"
_STAGGER_S = 0.013
"""From one schedule's begin to the next one's: a beginning costs a process more than a request does."""
SERVER = Path(__file__).with_name("scheduled_server.py")


@dataclass(frozen=True)
class Change:
    """A state came into force between two moments of the monotonic clock (ns)."""

    before: int
    after: int
    state: str


@dataclass(frozen=True)
class Taken:
    """A request as the server saw it. `met`: accepted, or on a kept connection read; `answered` 0: it was not."""

    number: int
    stream: str
    met: int
    taken: int
    state: str
    answered: int


@dataclass(frozen=True)
class Part:
    """One schedule of a lane: its window of observation (ns), the changes in it, what the analysis found of it."""

    schedule: Schedule
    start: int
    end: int
    changes: list[Change]
    trial: TrialResults


@dataclass(frozen=True)
class Played:
    """A lane: what the server did, what the generators wrote, and its schedules."""

    changes: list[Change]
    taken: list[Taken]
    samples: dict[str, list[Request]]
    closed: dict[str, StreamClosed]
    parts: list[Part]


@dataclass
class _Stage:
    """A lane while it is being played."""

    lane: Lane
    directory: Path
    streams: list[Stream] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    """What the streams said."""

    async def prepare(self, port: int) -> None:
        """Start the workers."""
        first = self.lane[0]
        specs: dict[Literal["probe", "load"], ProbeSpec | LoadSpec] = {"probe": first.probe}
        if first.load_spec is not None:
            specs["load"] = first.load_spec
        for name, spec in specs.items():
            stream = await prepare_stream(
                name=name,
                spec=spec,
                # Two addresses of one listener: the server knows whose a connection is before it reads from it.
                url=f"http://127.0.0.{1 if name == 'probe' else 2}:{port}/{name}",
                directory=self.directory,
                trial=TRIAL,
                emit=self.records.append,
                seed=1,
            )
            self.streams.append(stream)

    def begin(self) -> int:
        """Let the workers go; returns the probe's first moment."""
        for stream in self.streams:
            stream.begin()
        return self.streams[0].t0

    async def end(self) -> None:
        """Stop in order."""
        await asyncio.gather(*(stream.stop() for stream in self.streams))

    def read(self, log: dict[str, Any]) -> Played:
        """Everything that is left of it."""
        changes = [Change(*change) for change in log["changes"]]
        opened = [record for record in self.records if isinstance(record, StreamOpened)]
        parts: list[Part] = []
        at, number = self.streams[0].t0, 0
        for schedule in self.lane:
            start, end = at + LEAD // 2, at + schedule.length
            mine = changes[number : number + len(schedule.states) - 1]
            # Every state but the lane's first has its change, a schedule's first one being of no interest.
            number += len(schedule.states)
            place = self.directory / f"part-{len(parts)}"
            parts.append(Part(schedule, start, end, mine, self._analyse(place, start, end)))
            at = end
        return Played(
            changes=changes,
            taken=[Taken(*one) for one in log["requests"]],
            samples={
                record.stream: [
                    request
                    for name in record.files
                    for request in read_requests(self.directory / name, record.stream)
                ]
                for record in opened
            },
            closed={record.stream: record for record in self.records if isinstance(record, StreamClosed)},
            parts=parts,
        )

    def _analyse(self, place: Path, start: int, end: int) -> TrialResults:
        """What breakroom finds if observation lasts from `start` to `end`."""
        place.mkdir()
        (place / "samples").symlink_to("../samples")
        writer = JournalWriter(place)
        for record in (*_head(self.lane[0], start), *self.records, *_tail(end)):
            writer.append(record)
        writer.close()
        (trial,) = analyse(read_journal(place)).trials
        return trial


def _head(schedule: Schedule, start: int) -> Iterator[Record]:
    shared = {"probe": msgspec.to_builtins(schedule.probe), "seed": 1}
    if schedule.load_spec is not None:
        shared["load"] = msgspec.to_builtins(schedule.load_spec)
    yield RunStarted(
        t=start - 1,
        run_id="scheduled",
        version="",
        unix_ns=time.time_ns(),
        argv=(),
        platform="none",
        pace="quick",
        seed=1,
        repeat=1,
        trials=(TRIAL,),
    )
    yield TrialStarted(
        t=start - 1,
        trial=TRIAL,
        drill="scheduled",
        contender="server",
        repeat=1,
        runs_as="container",
        seed=1,
        shared_plan=shared,
        plan_digest="",
        plan=shared,
    )
    yield PhaseStarted(t=start, trial=TRIAL, phase="faulting")


def _tail(end: int) -> Iterator[Record]:
    yield PhaseStarted(t=end, trial=TRIAL, phase="undoing")
    yield TrialEnded(t=end, trial=TRIAL, outcome="completed")


def play(lanes: list[Lane], directory: Path) -> list[Played]:
    """Play them all at once."""
    return asyncio.run(_play(lanes, directory))


async def _play(lanes: list[Lane], directory: Path) -> list[Played]:
    stages = [_Stage(lane, directory / str(number)) for number, lane in enumerate(lanes)]
    server = await asyncio.create_subprocess_exec(
        sys.executable, str(SERVER), stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=1 << 26
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        plans = [
            {"states": [state for one in lane for state in one.states], "numbered": lane[0].numbered}
            for lane in lanes
        ]
        server.stdin.write(json.dumps(plans).encode() + b"\n")
        ports = json.loads(await server.stdout.readline())
        async with asyncio.TaskGroup() as group:
            for stage, port in zip(stages, ports, strict=True):
                group.create_task(stage.prepare(port), name="prepare")
        for number, stage in enumerate(stages):
            server.stdin.write(json.dumps([number, stage.begin()]).encode() + b"\n")
            await asyncio.sleep(_STAGGER_S)
        longest = max(sum(one.length for one in lane) for lane in lanes)
        await asyncio.sleep((longest + DEADLINE) / 1e9)
        await asyncio.gather(*(stage.end() for stage in stages))
        server.stdin.close()
        logs = json.loads(await server.stdout.readline())
        await server.wait()
    finally:
        for stage in stages:
            await asyncio.gather(*(stream.kill() for stream in stage.streams))
        if server.returncode is None:
            server.kill()
        await server.communicate()
    return [stage.read(log) for stage, log in zip(stages, logs, strict=True)]
