"""A probe or load over its life: workers started together, records in the journal, an honest end.

The director opens one stream for the probe and one for the load; `load.command` uses it too. What a stream says of
itself goes through `emit`: `StreamOpened` at the start, at the end a `ToolCost` for each worker and `StreamClosed`; and
a `Problem` at the moment when a worker dies. The numbers about the service are in the sample files.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic_ns
from typing import Literal

import msgspec

from breakroom.journal.records import Problem, Record, StreamClosed, StreamOpened, ToolCost
from breakroom.journal.samples import SAMPLE_SIZE, Outcome
from breakroom.load.histogram import Histogram
from breakroom.load.messages import Done, Plan, Progress, Still
from breakroom.load.process import WorkerError, WorkerProcess
from breakroom.load.target import Address, Target, TargetError, build_request, find_address, parse_target
from breakroom.spec.arrivals import planned_spacing
from breakroom.spec.drill import LoadSpec, ProbeSpec

__all__ = ["Stream", "TargetError", "WorkerError", "open_stream", "prepare_stream"]

Emit = Callable[[Record], None]

_LEAD_NS = 20_000_000
"""From `Go` to the first request: the time for all workers to hear of it."""
_STOP_LEAD_NS = 50_000_000
"""With several workers, from `Stop` to its moment, so that all of them stop at the same arrival."""
_GRACE_S = 5.0
"""How much longer than the requests' timeout a worker may take to end before it is killed."""
_BUSY = 0.9
MAX_STILL_NS = 500_000_000
"""A worker that stood still for longer even once may have missed an outage, or made one up."""
MAX_STILL_SHARE = 0.2
"""Of its time: what it measures then is in good part its own waiting."""
MAX_WAITED_SHARE = 0.5
"""Of its time that it may have waited for a processor. Sharing one with the service on a small machine is below it."""
_LEAST_STILL_NS = 250_000_000
"""Shares are of something only where there was more than this: a load of some milliseconds has no share to speak of."""
_MAX_LAG_NS = 5_000_000
_MIN_LAG_NS = 1_000_000


async def open_stream(
    *,
    name: Literal["probe", "load"],
    spec: ProbeSpec | LoadSpec,
    url: str,
    directory: Path,
    trial: str,
    emit: Emit,
    seed: int,
    address: Address | None = None,
) -> Stream:
    """Start a stream's workers and let them go together.

    Args:
        name: The stream's name in the journal and in file names.
        spec: What to send. Its `path` is requested; only if that is `/`, the path of `url`.
        url: `http://HOST:PORT[/PATH]`.
        directory: The run's directory; samples go to `samples/TRIAL/NAME-WORKER.bin` in it.
        trial: The trial's id, for records and the files' directory (a slash becomes `_`).
        emit: Takes the records.
        seed: Decides Poisson arrivals.
        address: Where to connect; None: the host of `url` is resolved.

    Returns:
        The running stream; its owner must `stop` (or, in an emergency, `kill`) it.

    Raises:
        TargetError: the URL or request is wrong, or the host does not resolve.
        WorkerError: a worker could not be started.
    """
    stream = await prepare_stream(
        name=name,
        spec=spec,
        url=url,
        directory=directory,
        trial=trial,
        emit=emit,
        seed=seed,
        address=address,
    )
    try:
        stream.begin()
    except BaseException:
        await stream.kill()
        raise
    return stream


async def prepare_stream(
    *,
    name: Literal["probe", "load"],
    spec: ProbeSpec | LoadSpec,
    url: str,
    directory: Path,
    trial: str,
    emit: Emit,
    seed: int,
    address: Address | None = None,
) -> Stream:
    """As `open_stream`, but the workers stand ready until `begin`: to start processes takes a busy machine seconds.

    Returns:
        The stream; its owner must `begin` and then `stop` it, or `kill` it.

    Raises:
        TargetError: the URL or request is wrong, or the host does not resolve.
        WorkerError: a worker could not be started.
    """
    target = parse_target(url, spec.path)
    address = address or await find_address(target, check=False)
    stream = Stream(
        name=name, spec=spec, target=target, directory=directory, trial=trial, emit=emit, seed=seed
    )
    await stream.prepare(address)
    return stream


class Stream:
    """A probe or load, running or ready to. Made by `open_stream` or `prepare_stream`."""

    def __init__(
        self,
        *,
        name: Literal["probe", "load"],
        spec: ProbeSpec | LoadSpec,
        target: Target,
        directory: Path,
        trial: str,
        emit: Emit,
        seed: int,
    ) -> None:
        self.name = name
        self.trial = trial
        self.spec = spec
        self.target = target
        self.t0 = 0
        self._emit = emit
        self._seed = seed
        shares = 1 if isinstance(spec, ProbeSpec) else max(1, spec.workers)
        if isinstance(spec, LoadSpec) and spec.model == "closed":
            most = min(spec.concurrency, spec.requests) if spec.requests > 0 else spec.concurrency
            shares = max(1, min(shares, most))
        folder = directory / "samples" / (trial.replace("/", "_") or "run")
        self.paths = tuple(folder / f"{name}-{share}.bin" for share in range(shares))
        self.files = tuple(str(path.relative_to(directory)) for path in self.paths)
        self._by_share: dict[int, WorkerProcess] = {}
        self._stopping = False
        self._announced: set[int] = set()
        self._closed: StreamClosed | None = None
        self.ended = asyncio.Event()
        """Set when every worker has ended; `wait` and `stop` then return without waiting."""

    # --- for owners -----------------------------------------------------------------------------------------------

    @property
    def model(self) -> Literal["open", "closed"]:
        """Whether arrivals are planned or follow the answers."""
        return self.spec.model if isinstance(self.spec, LoadSpec) else "open"

    @property
    def pids(self) -> tuple[int, ...]:
        """The workers' process ids."""
        return tuple(worker.pid for worker in self._workers)

    @property
    def progress(self) -> tuple[Progress, ...]:
        """What the workers last said, at most about 0.2 s old; shorter than `pids` at the beginning."""
        return tuple(worker.progress for worker in self._workers if worker.progress is not None)

    @property
    def reports(self) -> tuple[Done, ...]:
        """The final reports of the workers that have ended in order."""
        return tuple(worker.done for worker in self._workers if worker.done is not None)

    async def wait(self) -> StreamClosed:
        """Wait until every worker has ended: by its plan, or by dying. Returns the record that was emitted."""
        await self.ended.wait()
        return await self._finish()

    async def stop(self) -> StreamClosed:
        """Begin no more requests, wait for those outstanding (each at most to its deadline), and close.

        Safe to call more than once and after the end. If it is cancelled, the workers are killed.

        Returns:
            The record that was emitted.
        """
        if self._closed is None and not self._stopping:
            self._stopping = True
            until = monotonic_ns() + (_STOP_LEAD_NS if len(self._workers) > 1 else 0)
            for worker in self._workers:
                worker.stop(until)
        try:
            async with asyncio.timeout(self.spec.timeout / 1e9 + _GRACE_S):
                await self.ended.wait()
        except TimeoutError:
            await self.kill()
        except asyncio.CancelledError:
            await self.kill()
            raise
        return await self._finish()

    async def kill(self) -> None:
        """End the workers now. Samples up to the last 100 ms are on disk; `stop` or `wait` still closes the stream."""
        ends = await asyncio.gather(*(worker.kill() for worker in self._workers), return_exceptions=True)
        for end in ends:
            if end is not None:
                raise end  # only now: all of them are gone

    @property
    def _workers(self) -> list[WorkerProcess]:
        return [self._by_share[share] for share in sorted(self._by_share)]

    # --- life -----------------------------------------------------------------------------------------------------

    async def prepare(self, address: Address) -> None:
        """Start the workers and wait until all are ready. Called by `prepare_stream`."""
        self.paths[0].parent.mkdir(parents=True, exist_ok=True)
        try:
            async with asyncio.TaskGroup() as group:
                for share in range(len(self.paths)):
                    group.create_task(self._start_worker(address, share), name=f"{self.name}-{share}: start")
        except BaseException as error:
            # Whatever went wrong, or if we were cancelled: no worker stays behind.
            self._stopping = True
            await self.kill()
            if isinstance(error, BaseExceptionGroup):
                raise error.exceptions[0] from error
            raise

    def begin(self) -> None:
        """Let the workers go, all at the same moment (`t0`). Called once."""
        t0 = monotonic_ns() + _LEAD_NS
        self._emit(self._opening_record(t0))
        self.t0 = t0
        for worker in self._workers:
            worker.go(t0)
        self._worker_ended()

    async def _start_worker(self, address: Address, share: int) -> None:
        plan = self._plan(address, share)
        worker = await WorkerProcess.start(plan, name=f"{self.name}-{share}", on_end=self._worker_ended)
        self._by_share[share] = worker

    def _opening_record(self, t0: int) -> StreamOpened:
        return StreamOpened(
            t=monotonic_ns(),
            trial=self.trial,
            stream=self.name,
            model=self.model,
            t0=t0,
            files=self.files,
            plan={**msgspec.to_builtins(self.spec), "seed": self._seed, "workers": len(self.paths)},
            url=self.target.url,
        )

    def _plan(self, address: Address, share: int) -> Plan:
        spec, shares = self.spec, len(self.paths)
        load = spec if isinstance(spec, LoadSpec) else None
        return Plan(
            samples=str(self.paths[share]),
            family=address.family,
            host=address.host,
            port=address.port,
            request=build_request(
                self.target,
                method=load.method if load else "GET",
                headers=load.headers if load else None,
                body=load.body.encode("utf-8", "surrogateescape") if load else b"",
                keep_alive=load.keep_alive if load else False,
            ),
            head=load is not None and load.method.upper() == "HEAD",
            probe=spec if isinstance(spec, ProbeSpec) else None,
            load=replace(load, body="") if load else None,
            seed=self._seed,
            share=share,
            shares=shares,
            concurrency=_part(load.concurrency, share, shares) if load else 0,
            requests=_part(load.requests, share, shares) if load and load.requests > 0 else 0,
        )

    def _worker_ended(self) -> None:
        """A worker has ended (or all have just been started): tell of a death at once, and of the last one's end."""
        if self.t0 == 0:
            return  # not begun: `prepare` or `begin` deals with it
        for share, worker in enumerate(self._workers):
            if worker.ended.is_set() and _death(worker) and share not in self._announced:
                self._announced.add(share)
                self._emit(
                    Problem(
                        t=monotonic_ns(),
                        trial=self.trial,
                        severity="error",
                        code=_code_of_death(worker),
                        params={"stream": self.name, "worker": share, "reason": _death(worker)},
                    )
                )
        if all(worker.ended.is_set() for worker in self._workers):
            self.ended.set()

    async def _finish(self) -> StreamClosed:
        """Collect what the workers reported and emit it, once."""
        for worker in self._workers:
            await worker.join()
        if self._closed is None:
            self._closed = self._closing_record()
            for worker in self._workers:
                self._emit_cost(worker)
            self._emit(self._closed)
        return self._closed

    def _closing_record(self) -> StreamClosed:
        lags = Histogram()
        for report in self.reports:
            lags.merge(report.lags, report.lag_max_ns)
        # A dead worker's own last count is older than its samples.
        counts = [
            (worker.done.progress.intended, worker.done.progress.sent, worker.done.progress.completed)
            if worker.done
            else _counts_of_dead(worker.progress, path)
            for worker, path in zip(self._workers, self.paths, strict=True)
        ]
        return StreamClosed(
            t=monotonic_ns(),
            trial=self.trial,
            stream=self.name,
            intended=sum(count[0] for count in counts),
            sent=sum(count[1] for count in counts),
            completed=sum(count[2] for count in counts),
            lag_p50_ns=lags.percentile(0.5),
            lag_p99_ns=lags.percentile(0.99),
            lag_max_ns=lags.maximum,
            still_longest_ns=max((report.still.longest_ns for report in self.reports), default=0),
            still_share=max((_still_share(report.still) for report in self.reports), default=0.0),
            bottleneck=self._bottleneck(lags),
        )

    def _bottleneck(self, lags: Histogram) -> str:
        """Why the generator's own limits, not the service's, show in the numbers; empty if they do not.

        `samples-unwritable`, `worker-died`: a worker ended early. `not-sent`: requests for which there was no
        descriptor or local port, or that were late by their whole deadline. `lag`: open model, the 99th percentile of
        lag is above the plan's spacing (but 1 ms is granted) or above 5 ms. `starved`: a worker stood still, or waited
        for a processor, for too long. `cpu`: closed model, a worker used over 90 % of a core.
        """
        deaths = [_code_of_death(worker) for worker in self._workers if _death(worker)]
        if deaths:
            return deaths[0]
        if any(report.progress.outcomes[Outcome.NOT_SENT] for report in self.reports):
            return "not-sent"
        if self.model == "open":
            allowed = min(_MAX_LAG_NS, max(_MIN_LAG_NS, planned_spacing(self.spec)))
            if lags.percentile(0.99) > allowed:
                return "lag"
        if any(_starved(report.still) for report in self.reports):
            return "starved"
        busy = self.model == "closed" and any(report.busy_ratio > _BUSY for report in self.reports)
        return "cpu" if busy else ""

    def _emit_cost(self, worker: WorkerProcess) -> None:
        if worker.progress is None:
            return  # it died before it ever told
        cost = worker.progress.cost
        self._emit(
            ToolCost(
                t=monotonic_ns(),
                trial=self.trial,
                process=self.name,
                cpu_user_ns=cost.cpu_user_ns,
                cpu_system_ns=cost.cpu_system_ns,
                max_rss_bytes=cost.max_rss_bytes,
                wall_ns=cost.wall_ns,
            )
        )


def _part(whole: int, share: int, shares: int) -> int:
    """A worker's part of a number that is split as evenly as it goes."""
    return whole // shares + (share < whole % shares)


def _death(worker: WorkerProcess) -> str:
    """Why a worker that has ended did so too early; empty: it did not."""
    if not worker.ended.is_set():
        return ""
    if worker.done is not None:
        return worker.done.error
    return worker.stderr.strip() or worker.exit_text


def _code_of_death(worker: WorkerProcess) -> str:
    """The code of the problem that an early end is."""
    return "samples-unwritable" if worker.done is not None and worker.done.unwritable else "worker-died"


def _starved(still: Still) -> bool:
    """Whether the worker was kept from its work for so long that what it measured may be its own waiting."""
    if still.longest_ns > MAX_STILL_NS:
        return True
    too_still = still.total_ns > max(_LEAST_STILL_NS, MAX_STILL_SHARE * still.wall_ns)
    return too_still or still.waited_ns > max(_LEAST_STILL_NS, MAX_WAITED_SHARE * still.wall_ns)


def _still_share(still: Still) -> float:
    """The share of its time in which the worker stood still or waited for a processor, as far as either tells."""
    return min(1.0, max(still.total_ns, still.waited_ns) / still.wall_ns) if still.wall_ns else 0.0


def _counts_of_dead(progress: Progress | None, path: Path) -> tuple[int, int, int]:
    """intended, sent and completed, as far as they are known."""
    samples = path.stat().st_size // SAMPLE_SIZE if path.exists() else 0
    if progress is None:
        return samples, samples, samples
    return max(progress.intended, samples), max(progress.sent, samples), samples
