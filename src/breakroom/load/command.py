"""`breakroom load`: load on a URL, without a drill, as `ab` does it. Called by `cli`, which prints what comes back.

The command's whole life is here: options checked, target reached, workers run, progress told, samples summarised,
files removed. Traffic goes where the user says; the caller prints the target before it starts (`LoadProgress.target`).
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Literal

from breakroom.journal.records import Problem, Record
from breakroom.journal.samples import Outcome
from breakroom.journal.usage import own_usage
from breakroom.load.stream import Stream, open_stream
from breakroom.load.summary import LoadReport, LoadSetup, ToolProcess, summarise
from breakroom.load.target import Address, Target, TargetError, build_request, find_address, parse_target
from breakroom.spec.drill import LoadSpec, Stage
from breakroom.spec.units import UnitError, parse_duration, parse_rate

__all__ = ["LoadError", "LoadOptions", "LoadProgress", "run_load"]

_PROGRESS_S = 0.2
_WRONG_USE, _UNKNOWN = 2, 3
_FEW_REQUESTS = 2_000
_RATE_OF_ONE_WORKER = 5_000
_MOST_WORKERS = 4
_HEADER = re.compile(r"([^:\s]+):[ \t]*(.*?)[ \t]*")


class LoadError(Exception):
    """The load could not be done; the text says why. `exit_code`: 2 wrong use, 3 the target cannot be reached."""

    def __init__(self, message: str, exit_code: int = _WRONG_USE) -> None:
        self.exit_code = exit_code
        super().__init__(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """What the user asked for; the comments name `ab`'s options where they are the same."""

    url: str
    requests: int | None = None
    """`-n`; default 1 if there is no duration either. In the open model: stop after so many arrivals."""
    concurrency: int | None = None
    """`-c`; default 1; closed model only."""
    keep_alive: bool = False
    """`-k`."""
    rate: str = ""
    """Makes it an open model: `100/s`."""
    stages: str = ""
    """Makes it an open model: `100/s:10s,200/s:10s`."""
    arrivals: Literal["constant", "poisson"] = "constant"
    duration: str = ""
    """`10s`: stop after that (`-t`)."""
    timeout: str = "30s"
    """Of one request (`-s`); in the open model from its intended time."""
    method: str = ""
    """`-m`; default GET, or POST with a body."""
    headers: tuple[str, ...] = ()
    """`-H`, each `NAME: VALUE`."""
    body: bytes | None = None
    body_file: Path | None = None
    """`-p`."""
    expect_status: int = 200
    workers: int | None = None
    """Processes; default: one, or where that may be too few, one a core up to four."""
    seed: int = 1
    out: Path | None = None
    """Keep the samples in this directory; default: they are removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadProgress:
    """Where a running load is; told about five times a second, and once before the first request."""

    target: str
    """The URL and the address that traffic goes to."""
    elapsed_s: float
    completed: int
    ok: int
    failed: int
    per_s: float
    """Completed in the last interval, per second."""
    planned_requests: int | None
    planned_s: float | None


def run_load(options: LoadOptions, progress: Callable[[LoadProgress], None] = lambda _: None) -> LoadReport:
    """Carry a load out; Ctrl-C, SIGTERM or SIGHUP ends it early, with the report of what was measured by then.

    Args:
        options: What to do.
        progress: Called in this thread while it runs.

    Raises:
        LoadError: wrong options, or a target that cannot be reached.
    """
    return asyncio.run(_run(options, progress))


async def _run(options: LoadOptions, progress: Callable[[LoadProgress], None]) -> LoadReport:
    try:
        target = parse_target(options.url)
        spec = _spec(options, target)
        address = await find_address(target, check=True)
    except UnitError as error:
        raise LoadError(str(error)) from error
    except TargetError as error:
        code = _UNKNOWN if error.code in {"not-listening", "no-resources"} else _WRONG_USE
        raise LoadError(str(error), code) from error
    with ExitStack() as cleanup:
        directory = options.out or Path(
            cleanup.enter_context(tempfile.TemporaryDirectory(prefix=f"breakroom-load-{os.getpid()}-"))
        )
        if any(directory.glob("samples/load/*.bin")):
            raise LoadError(f"{directory} already holds samples of a load; give --out a new directory.")
        records: list[Record] = []
        try:
            stream = await open_stream(
                name="load",
                spec=spec,
                url=target.url,
                directory=directory,
                trial="load",
                emit=records.append,
                seed=options.seed,
                address=address,
            )
        except OSError as error:
            raise LoadError(f"samples cannot be written to {directory}: {error.strerror}.") from error
        return await _follow(stream, options, address, records, progress)


async def _follow(
    stream: Stream,
    options: LoadOptions,
    address: Address,
    records: Sequence[Record],
    progress: Callable[[LoadProgress], None],
) -> LoadReport:
    """Watch the stream to its end, or end it when its time is over or the user wants."""
    # An open load's duration is in its plan, which ends by itself at exactly the planned arrival.
    closed_for = (
        parse_duration(options.duration) / 1e9 if options.duration and stream.model == "closed" else None
    )
    begun = stream.t0 / 1e9
    interrupted = asyncio.Event()
    told = _Teller(stream, f"{stream.target.url} ({address.host})", closed_for, progress)
    try:
        async with _signals(interrupted):
            told.tell(0.0)
            while not stream.ended.is_set() and not interrupted.is_set():
                left = (
                    _PROGRESS_S if closed_for is None else min(_PROGRESS_S, begun + closed_for - monotonic())
                )
                if left <= 0:
                    break
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await stream.ended.wait()
                told.tell(monotonic() - begun)
            closed = await stream.stop()
    finally:
        await stream.kill()  # has an effect only where `stop` was not reached
    told.tell(monotonic() - begun)
    setup = _setup(stream, options, address)
    died = next((str(r.params.get("reason", "")) for r in records if isinstance(r, Problem)), "")
    return summarise(
        setup,
        stream.paths,
        closed,
        stream.reports,
        tool=_tool(stream),
        aborted=interrupted.is_set(),
        died=died,
    )


def _tool(stream: Stream) -> list[ToolProcess]:
    """This process and the workers, as far as they told."""
    own = own_usage()
    main = ToolProcess(
        process="main", cpu_s=(own.cpu_user_ns + own.cpu_system_ns) / 1e9, max_rss_bytes=own.max_rss_bytes
    )
    costs = [progress.cost for progress in stream.progress]
    return [
        main,
        *(
            ToolProcess(
                process="load",
                cpu_s=(cost.cpu_user_ns + cost.cpu_system_ns) / 1e9,
                max_rss_bytes=cost.max_rss_bytes,
            )
            for cost in costs
        ),
    ]


class _Teller:
    """Turns the workers' progress into the caller's."""

    def __init__(
        self, stream: Stream, target: str, duration: float | None, tell: Callable[[LoadProgress], None]
    ) -> None:
        self._stream = stream
        self._target = target
        self._duration = duration
        self._tell = tell
        self._last = (0.0, 0)

    def tell(self, elapsed: float) -> None:
        counts = [part.outcomes for part in self._stream.progress]
        completed = sum(sum(outcomes) for outcomes in counts)
        ok = sum(outcomes[Outcome.OK] for outcomes in counts)
        last_elapsed, last_completed = self._last
        passed = elapsed - last_elapsed
        self._last = (elapsed, completed)
        spec = self._stream.spec
        assert isinstance(spec, LoadSpec), "the command opens loads only"
        stages_s = sum(stage.duration for stage in spec.stages) / 1e9
        self._tell(
            LoadProgress(
                target=self._target,
                elapsed_s=elapsed,
                completed=completed,
                ok=ok,
                failed=completed - ok,
                per_s=(completed - last_completed) / passed if passed > 0 else 0.0,
                planned_requests=spec.requests or None,
                planned_s=self._duration if self._duration is not None else (stages_s or None),
            )
        )


@asynccontextmanager
async def _signals(interrupted: asyncio.Event) -> AsyncIterator[None]:
    """SIGINT, SIGTERM and SIGHUP set the event instead of ending us. Outside the main thread they do not."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    installed = []
    for number in numbers:
        with suppress(ValueError, RuntimeError):
            loop.add_signal_handler(number, interrupted.set)
            installed.append(number)
    try:
        yield
    finally:
        for number in installed:
            loop.remove_signal_handler(number)


# --- options to a spec ------------------------------------------------------------------------------------------------


def _spec(options: LoadOptions, target: Target) -> LoadSpec:
    """The load that the options describe.

    Raises:
        LoadError: they contradict each other.
        UnitError: a rate or duration cannot be read.
        TargetError: the method or a header cannot be sent.
    """
    _check(options)
    stages = _stages(options.stages)
    rate = parse_rate(options.rate) if options.rate else 100.0
    is_open = bool(options.rate or stages)
    duration = parse_duration(options.duration) if options.duration else 0
    requests = options.requests or (0 if duration or stages else 1)
    if is_open and duration and not stages:
        stages = (Stage(rate=rate, duration=duration),)
    concurrency = options.concurrency or 1
    body = _body(options)
    spec = LoadSpec(
        model="open" if is_open else "closed",
        concurrency=concurrency,
        requests=requests,
        rate=rate,
        stages=stages,
        arrivals=options.arrivals,
        keep_alive=options.keep_alive,
        path=target.path,
        method=options.method or ("POST" if body else "GET"),
        headers=dict(_header(line) for line in options.headers),
        # Bytes that are not UTF-8 pass through text unharmed this way; `Stream` turns them back.
        body=body.decode("utf-8", "surrogateescape"),
        timeout=parse_duration(options.timeout),
        expect_status=options.expect_status,
        pause_after_failure=0,
    )
    build_request(target, method=spec.method, headers=spec.headers)
    return replace(spec, workers=options.workers or _default_workers(spec))


def _check(options: LoadOptions) -> None:
    is_open = bool(options.rate or options.stages)
    wrong = {
        "-n must be at least 1": options.requests is not None and options.requests < 1,
        "-c must be at least 1": options.concurrency is not None and options.concurrency < 1,
        "--workers must be at least 1": options.workers is not None and options.workers < 1,
        "--rate and --stages exclude each other: stages have rates of their own": options.rate
        and options.stages,
        "--duration and --stages exclude each other: stages have durations of their own": (
            options.duration and options.stages
        ),
        "-c belongs to the closed model; with --rate or --stages requests are sent whatever is outstanding": (
            is_open and options.concurrency is not None
        ),
        "--rate needs an end: give --duration or -n": options.rate
        and not (options.duration or options.requests),
        "-c cannot be greater than -n: there would be clients without a request": (
            options.requests is not None and (options.concurrency or 1) > options.requests
        ),
        "--arrivals poisson belongs to the open model: give --rate or --stages": (
            options.arrivals == "poisson" and not is_open
        ),
        "a body and a body file exclude each other": options.body is not None
        and options.body_file is not None,
        "the expected status must be from 100 to 599": not 100 <= options.expect_status <= 599,
    }
    for message, is_wrong in wrong.items():
        if is_wrong:
            raise LoadError(f"{message}.")
    if parse_duration(options.timeout) <= 0:
        raise LoadError("--timeout must be above zero, like 30s.")
    if options.duration and parse_duration(options.duration) <= 0:
        raise LoadError("--duration must be above zero, like 10s.")


def _stages(text: str) -> tuple[Stage, ...]:
    stages = []
    for part in filter(None, text.split(",")):
        rate, colon, duration = part.strip().partition(":")
        if not colon:
            raise LoadError(
                f"{part.strip()!r} is not a stage; write RATE:DURATION, like 100/s:10s,200/s:10s."
            )
        stages.append(Stage(rate=parse_rate(rate), duration=parse_duration(duration)))
    if any(stage.duration <= 0 for stage in stages):
        raise LoadError("a stage's duration must be above zero, like 100/s:10s.")
    return tuple(stages)


def _header(line: str) -> tuple[str, str]:
    match = _HEADER.fullmatch(line)
    if match is None:
        raise LoadError(f"{line!r} is not a header; write it as 'NAME: VALUE'.")
    return match[1], match[2]


def _body(options: LoadOptions) -> bytes:
    if options.body_file is None:
        return options.body or b""
    try:
        return options.body_file.read_bytes()
    except OSError as error:
        raise LoadError(f"the body file {options.body_file} cannot be read: {error.strerror}.") from error


def _default_workers(spec: LoadSpec) -> int:
    """One process unless it may be too few: it measures with the least disturbance."""
    cores = min(
        _MOST_WORKERS,
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
    )
    if spec.model == "closed":
        few = 0 < spec.requests < _FEW_REQUESTS
        return 1 if few else min(cores, spec.concurrency)
    highest = max((stage.rate for stage in spec.stages), default=spec.rate)
    return 1 if highest <= _RATE_OF_ONE_WORKER else cores


def _setup(stream: Stream, options: LoadOptions, address: Address) -> LoadSetup:
    spec = stream.spec
    assert isinstance(spec, LoadSpec), "the command opens loads only"
    is_closed = spec.model == "closed"
    return LoadSetup(
        url=stream.target.url,
        address=address.host,
        model=spec.model,
        concurrency=spec.concurrency if is_closed else 0,
        rate=0.0 if is_closed or options.stages else spec.rate,
        stages=options.stages,
        keep_alive=spec.keep_alive,
        workers=len(stream.paths),
        seed=options.seed,
        timeout_s=spec.timeout / 1e9,
    )
