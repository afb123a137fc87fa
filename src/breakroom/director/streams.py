"""Probe and load of one trial: opened, let go at their time, and drained at the end.

Used by `director.trial`. The probe always begins before the steady state, and so does the load, unless the drill's
`load.at` says that it begins within the timeline (as when a learner starts `ab` by hand): then its begin is an action
of the timeline, with the first request's sending as the proof.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from breakroom.director.tasks import shielded
from breakroom.journal.records import ActionChanged, Record
from breakroom.load.stream import Stream, prepare_stream
from breakroom.platforms.base import Endpoint
from breakroom.spec.drill import Drill, LoadSpec, ProbeSpec

__all__ = ["Streams", "streams"]

LOAD = "load"
_SENT_WITHIN = 2_000_000_000
_LOOK_SECONDS = 0.02


class Streams:
    """The streams of a trial that are open."""

    def __init__(
        self,
        drill: Drill,
        endpoint: Endpoint,
        *,
        trial: str,
        seed: int,
        directory: Path,
        emit: Callable[[Record], None],
        now: Callable[[], int],
    ) -> None:
        self._drill = drill
        self._endpoint = endpoint
        self._trial = trial
        self._seed = seed
        self._directory = directory
        self._emit = emit
        self._now = now
        self.opened: dict[str, Stream] = {}
        self._ready: dict[str, Stream] = {}
        """Those whose workers stand ready, and that have not begun."""

    async def begin(self) -> None:
        """Open what runs from before the steady state on, and make ready what begins later."""
        await self._prepare("probe", self._drill.probe)
        self._open("probe")
        load = self._drill.load
        if load is not None:
            await self._prepare("load", load)
            if load.at is None:
                self._open("load")

    @property
    def load_at(self) -> int | None:
        """When in the timeline the load begins; None: it has begun, or there is none."""
        load = self._drill.load
        return load.at if load is not None and LOAD not in self.opened else None

    @property
    def load_over(self) -> bool:
        """Whether a load that the timeline begins, and that has an end of its own, has come to it."""
        load = self._drill.load
        if load is None or load.at is None or not (load.requests or load.stages):
            return True
        return LOAD in self.opened and self.opened[LOAD].ended.is_set()

    async def begin_load(self) -> int:
        """Let the load begin as the timeline wants it, and see that it does; returns the moment of its begin."""
        self._write("intended")
        stream = self._open(LOAD)
        self._write("done")
        deadline = self._now() + _SENT_WITHIN
        while not any(progress.sent for progress in stream.progress) and not stream.ended.is_set():
            if self._now() > deadline:
                self._write("unproved")
                return stream.t0
            await asyncio.sleep(_LOOK_SECONDS)
        self._write("proved", proved_t=stream.t0)
        return stream.t0

    def _write(
        self, stage: Literal["intended", "done", "proved", "unproved"], *, proved_t: int | None = None
    ) -> None:
        self._emit(
            ActionChanged(
                t=self._now(),
                trial=self._trial,
                action=LOAD,
                kind=LOAD,
                by="timeline",
                stage=stage,
                proved_t=proved_t,
            )
        )

    def _open(self, name: str) -> Stream:
        stream = self._ready[name]
        stream.begin()
        self.opened[name] = self._ready.pop(name)
        return stream

    async def _prepare(self, name: Literal["probe", "load"], spec: ProbeSpec | LoadSpec) -> None:
        self._ready[name] = await prepare_stream(
            name=name,
            spec=spec,
            url=self._endpoint.url(spec.path),
            directory=self._directory,
            trial=self._trial,
            emit=self._emit,
            seed=self._seed,
        )

    async def end(self) -> None:
        """Drain what has begun, and end what has not."""
        opened = reversed(self.opened.values())
        await asyncio.gather(
            *(stream.stop() for stream in opened), *(stream.kill() for stream in self._ready.values())
        )


@asynccontextmanager
async def streams(these: Streams) -> AsyncIterator[Streams]:
    """Probe and load, on for the block and drained after it; also when the block is cancelled."""
    try:
        await these.begin()
        yield these
    finally:
        # One wait for all of them: an interruption during it would otherwise leave the later ones running.
        await shielded(these.end())
