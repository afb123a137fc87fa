"""One trial from deployment to a clean machine: the timeline of a drill played against one contender.

Called by `director.run` for each trial. Order: deploy → wait for capacity → probe and load on → steady state →
timeline and operator → recovered → load off → undo → remove → look whether anything is left. Whatever goes wrong, the
second half runs, the journal says what happened, and the next trial can start.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from breakroom.director.able import why_impossible
from breakroom.director.autoscaler import autoscale
from breakroom.director.operator import operate
from breakroom.director.plan import TrialPlan, longest_ns
from breakroom.director.state import PAUSED, StreamState, TrialState
from breakroom.director.streams import Streams, streams
from breakroom.director.tasks import background, shielded, together
from breakroom.director.turning import turning
from breakroom.director.undoing import Undos
from breakroom.faults.base import FaultContext, FaultError
from breakroom.faults.registry import inject
from breakroom.journal.records import (
    CleanlinessChecked,
    LogCaptured,
    PhaseStarted,
    Problem,
    Record,
    ToolCost,
    TrialEnded,
    TrialStarted,
    UndoDone,
)
from breakroom.journal.samples import Outcome as RequestOutcome
from breakroom.journal.usage import Usage, own_usage
from breakroom.platforms.base import Deployment, Platform, PlatformError
from breakroom.spec.plan import plan_digest, shared_plan, to_builtins
from breakroom.spec.service import ServiceSpec

__all__ = ["TrialContext", "run_trial"]

Outcome = Literal["completed", "not-steady", "not-recovered", "aborted", "failed", "skipped"]
POLL_SECONDS = 0.05
_LAST_LINES = 3
_LAST_CHARACTERS = 300


@dataclass(slots=True, kw_only=True)
class TrialContext:
    """What one trial works with."""

    plan: TrialPlan
    platform: Platform
    directory: Path
    emit: Callable[[Record], None]
    now: Callable[[], int]
    state: TrialState
    capabilities: dict[str, str]
    cannot: dict[str, str] = field(default_factory=dict)
    """What the platform cannot do, with the reasons (`Capabilities.cannot`)."""
    undos: Undos = field(init=False)
    releases: list[ServiceSpec] = field(init=False)
    """What was deployed so far, the present spec last."""

    def __post_init__(self) -> None:
        """Nothing is in force yet."""
        self.undos = Undos(self.now)
        self.releases = [self.plan.contender.service]

    @property
    def trial(self) -> str:
        """The trial's id."""
        return self.plan.id

    def phase(
        self, phase: Literal["deploying", "steadying", "faulting", "recovering", "undoing", "done"]
    ) -> int:
        """Enter a phase; returns the moment."""
        at = self.now()
        self.emit(PhaseStarted(t=at, trial=self.trial, phase=phase))
        return at

    def problem(self, severity: Literal["note", "warning", "error"], code: str, **params: object) -> None:
        """Write down what a reader of the results must know."""
        self.emit(Problem(t=self.now(), trial=self.trial, severity=severity, code=code, params=params))


class _NotSteadyError(Exception):
    """Steady state was not reached; the text says what was missing."""


class _BrokenError(Exception):
    """A process of breakroom's own died, so what users see is no longer the service's doing; the text says which."""


async def run_trial(ctx: TrialContext) -> Outcome:
    """Run the trial to its end and clean up after it.

    Returns:
        How it ended. `failed`: the platform or a fault could not do its part. `skipped`: it was not even begun, because
        the platform cannot do what a step of it needs.

    Raises:
        asyncio.CancelledError: the run was interrupted; everything is cleaned up and written before it is raised.
    """
    _write_start(ctx)
    impossible = why_impossible(ctx.plan.drill, ctx.plan.contender, ctx.cannot)
    if impossible:
        ctx.problem("warning", "trial-skipped", message=impossible)
        ctx.emit(TrialEnded(t=ctx.now(), trial=ctx.trial, outcome="skipped", reason=impossible))
        return "skipped"
    outcome: Outcome = "failed"
    reason = ""
    begun, used = ctx.now(), own_usage()
    deployment: Deployment | None = None
    try:
        ctx.phase("deploying")
        deployment = await ctx.platform.deploy(
            ctx.plan.contender, trial=ctx.trial, directory=ctx.directory, emit=ctx.emit
        )
        async with _own_processes(ctx.state), turning(ctx.trial, ctx.emit, ctx.now):
            outcome, reason = await _observe(ctx, deployment)
    except asyncio.CancelledError:
        outcome, reason = "aborted", "interrupted"
        raise
    except _BrokenError as error:
        # Whatever found it out has written the problem itself.
        outcome, reason = "failed", str(error)
    except PlatformError as error:
        reason = str(error)
        ctx.problem("error", f"platform.{error.code}", message=str(error), hint=error.hint)
    except FaultError as error:
        reason = str(error)
        ctx.problem("error", f"fault.{error.code}", message=str(error))
    except _NotSteadyError as error:
        outcome, reason = "not-steady", str(error)
        ctx.problem("error", "not-steady", message=str(error))
        _say_why_not_steady(ctx)
    finally:
        await shielded(_clean_up(ctx, deployment))
        _write_cost(ctx, begun, used)
        ctx.emit(TrialEnded(t=ctx.now(), trial=ctx.trial, outcome=outcome, reason=reason))
        ctx.phase("done")
    return outcome


def _write_cost(ctx: TrialContext, begun: int, before: Usage) -> None:
    """What this process used for the trial, from `begun` on; contenders side by side share it."""
    now, used = ctx.now(), own_usage()
    ctx.emit(
        ToolCost(
            t=now,
            trial=ctx.trial,
            process="main",
            cpu_user_ns=used.cpu_user_ns - before.cpu_user_ns,
            cpu_system_ns=used.cpu_system_ns - before.cpu_system_ns,
            max_rss_bytes=used.max_rss_bytes,
            wall_ns=now - begun,
        )
    )


def _write_start(ctx: TrialContext) -> None:
    drill, contender = ctx.plan.drill, ctx.plan.contender
    shared = shared_plan(
        drill, contender, seed=ctx.plan.seed, image_digest=ctx.platform.image_digest(contender.service)
    )
    ctx.emit(
        TrialStarted(
            t=ctx.now(),
            trial=ctx.trial,
            drill=drill.name,
            contender=contender.name,
            repeat=ctx.plan.repeat,
            runs_as=contender.runs_as,
            seed=ctx.plan.seed,
            shared_plan=shared,
            plan_digest=plan_digest(shared),
            plan=to_builtins(drill),
            capabilities=ctx.capabilities,
        )
    )


async def _observe(ctx: TrialContext, deployment: Deployment) -> tuple[Outcome, str]:
    """From deployed to recovered, with probe and load on. Returns the outcome and its reason."""
    drill = ctx.plan.drill
    within = drill.steady_state.within / 1e9
    if not await ctx.state.until(lambda: ctx.state.at_capacity or _hopeless(ctx.state), within=within):
        raise _NotSteadyError(_missing_capacity(ctx.state, within))
    if not ctx.state.at_capacity:
        raise _NotSteadyError(_missing_capacity(ctx.state, within))
    async with streams(_streams_of(ctx, deployment)) as opened, _polling(ctx.state):
        ctx.phase("steadying")
        await _steady(ctx)
        zero = ctx.phase("faulting")
        async with (
            _operator(ctx, deployment),
            _autoscaler(ctx, deployment),
            background(ctx.undos.keep_time(), f"timed undos of {ctx.trial}"),
        ):
            proved = await _play(ctx, deployment, opened, zero)
            ctx.phase("recovering")
            recovered = await _recovered(ctx, opened, proved)
        await _keep_overview(ctx, deployment)
        ctx.phase("undoing")
    if recovered:
        return "completed", ""
    if ctx.state.update_state in PAUSED:
        return "not-recovered", "the update is paused and waits for a person"
    return "not-recovered", f"not stable again {drill.recovered.within / 1e9:g} s after the last step"


def _streams_of(ctx: TrialContext, deployment: Deployment) -> Streams:
    return Streams(
        ctx.plan.drill,
        deployment.endpoint,
        trial=ctx.trial,
        seed=ctx.plan.seed,
        directory=ctx.directory,
        emit=ctx.emit,
        now=ctx.now,
    )


async def _recovered(ctx: TrialContext, opened: Streams, proved: int) -> bool:
    """Wait until the timed faults are over, and from then on for recovery; whether it came in its time.

    A load that the timeline began is part of what is played: it is over before the service counts as recovered. So is
    a rolling update: until it has ended, one way or another, capacity is not what it will be. One that is paused
    waits for a person, who does not come: there is nothing more to see.
    """
    wanted = ctx.plan.drill.recovered
    # An undo is a change that the state hears of: it writes records.
    await ctx.state.until(lambda: ctx.undos.timed_over, within=None)
    since = max(proved, ctx.undos.last_back or proved)

    def recovered() -> bool:
        return ctx.state.recovered(since=since, stable=wanted.stable)

    def over() -> bool:
        if not opened.load_over or ctx.state.update_under_way:
            return False
        return recovered() or ctx.state.waits_for_a_person(since=since, stable=wanted.stable)

    return await ctx.state.until(over, within=wanted.within / 1e9) and recovered()


async def _keep_overview(ctx: TrialContext, deployment: Deployment) -> None:
    """Keep the platform's own table of tasks beside their logs, as a person would have looked at it."""
    path = ctx.directory / "logs" / ctx.trial.replace("/", "-") / "tasks.txt"
    with contextlib.suppress(OSError, PlatformError):
        path.write_text(await deployment.overview(), encoding="utf-8")


def _hopeless(state: TrialState) -> bool:
    """Whether a task was rejected: it can never start, so waiting is in vain."""
    return any(task.state == "rejected" for task in state.tasks.values())


def _missing_capacity(state: TrialState, within: float) -> str:
    errors = sorted({task.error for task in state.tasks.values() if task.error})
    said = f"; last error: {errors[-1]}" if errors else ""
    waited = "a task was rejected" if _hopeless(state) else f"after {within:g} s"
    return f"{state.serving} of {state.wanted} tasks were in rotation, {waited}{said}"


async def _steady(ctx: TrialContext) -> None:
    drill = ctx.plan.drill
    wanted = drill.steady_state

    def steady() -> bool:
        return ctx.state.steady(
            duration=wanted.duration, availability=wanted.availability, rate=drill.probe.rate
        )

    if not await ctx.state.until(steady, within=(wanted.duration + wanted.within) / 1e9):
        probe = ctx.state.streams.get("probe")
        seen = _seen(probe) if probe else "no probe"
        raise _NotSteadyError(
            f"no {wanted.duration / 1e9:g} s with at least {wanted.availability:.2%} of probes ok ({seen}); "
            f"{ctx.state.serving} of {ctx.state.wanted} tasks in rotation"
        )


def _seen(probe: StreamState) -> str:
    kinds = [
        f"{count} {RequestOutcome(outcome).name.lower().replace('_', '-')}"
        for outcome, count in sorted(probe.outcomes.items())
        if outcome != RequestOutcome.OK
    ]
    failed = f"{probe.failed} failed" + (f": {', '.join(kinds)}" if kinds else "")
    return f"{probe.ok} probes ok, {failed}"


def _say_why_not_steady(ctx: TrialContext) -> None:
    """What the one who wrote the service needs to mend it: its own last words, and the commonest mistake."""
    written = [
        record for record in ctx.state.records if isinstance(record, LogCaptured) and record.tail.strip()
    ]
    if written and any(not task.alive for task in ctx.state.tasks.values()):
        last = written[-1]
        ctx.problem("note", "service-wrote", task=last.task, file=last.file, tail=_last_words(last.tail))
    probe = ctx.state.streams.get("probe")
    if probe is not None and probe.ok == 0 and not probe.outcomes.get(RequestOutcome.HTTP_ERROR):
        ctx.problem("note", "never-answered")


def _last_words(tail: str) -> str:
    """The end of a log on one line, fit for any terminal."""
    lines = [line.strip() for line in tail.splitlines() if line.strip()]
    text = " / ".join(lines[-_LAST_LINES:])[-_LAST_CHARACTERS:]
    return "".join(character if character.isprintable() else " " for character in text)


async def _play(ctx: TrialContext, deployment: Deployment, opened: Streams, zero: int) -> int:
    """Play the timeline and let its load begin.

    Returns:
        The moment the last fault took effect (or was injected, if unproved), or the load began, whichever was later.
    """
    fault_ctx = _fault_context(ctx, deployment)
    load_at = opened.load_at
    begun = asyncio.Event()
    since = zero

    async def load() -> None:
        nonlocal since
        assert load_at is not None
        await asyncio.sleep(max(0.0, (zero + load_at - ctx.now()) / 1e9))
        at = await opened.begin_load()
        begun.set()
        since = max(since, at)

    async def steps() -> None:
        nonlocal since
        for number, step in enumerate(sorted(ctx.plan.drill.timeline, key=lambda step: step.at), start=1):
            await asyncio.sleep(max(0.0, (zero + step.at - ctx.now()) / 1e9))
            if load_at is not None and load_at <= step.at:
                await begun.wait()
            injected = await inject(fault_ctx, f"step-{number}", step)
            ctx.undos.look_again()
            since = max(since, injected.proved_t if injected.proved_t is not None else ctx.now())

    # A step may wait long for its proof (an `oom` for what this very load brings about): the load is not kept by it.
    work = [(steps(), f"steps of {ctx.trial}")]
    if load_at is not None:
        work.append((load(), f"begin of the load of {ctx.trial}"))
    await together(work)
    return since


def _fault_context(ctx: TrialContext, deployment: Deployment) -> FaultContext:
    return FaultContext(
        trial=ctx.trial,
        deployment=deployment,
        emit=ctx.emit,
        now=ctx.now,
        wait_for=ctx.state.wait_for,
        choose=random.Random(ctx.plan.seed),  # noqa: S311 (a seeded choice that can be repeated is the point)
        keep=ctx.undos.keep,
        memory_of=ctx.state.memory_of,
        memory_limit=ctx.plan.contender.service.deploy.resources.limits.memory,
        longest=longest_ns(ctx.plan),
        runs_as=ctx.plan.contender.runs_as,
        releases=ctx.releases,
        wanted=lambda: ctx.state.wanted,
        want=ctx.state.set_wanted,
    )


@asynccontextmanager
async def _own_processes(state: TrialState) -> AsyncIterator[None]:
    """End the block with `_BrokenError` as soon as an engine, ingress or worker is reported dead."""

    async def watch() -> None:
        await state.until(lambda: state.broken is not None, within=None)
        assert state.broken is not None, "that is what was waited for"
        raise _BrokenError(_what_died(state.broken))

    async with background(watch(), f"processes of {state.trial}"):
        yield


def _what_died(problem: Problem) -> str:
    params = problem.params
    if "stream" in params:
        return f"a worker of the {params['stream']} died: {params.get('reason', '')}"
    return str(params.get("message", problem.code))


@asynccontextmanager
async def _polling(state: TrialState) -> AsyncIterator[None]:
    """Follow the sample files for the block."""

    async def follow() -> None:
        while True:
            state.poll()
            await asyncio.sleep(POLL_SECONDS)

    async with background(follow(), f"follow samples of {state.trial}"):
        yield


@asynccontextmanager
async def _operator(ctx: TrialContext, deployment: Deployment) -> AsyncIterator[None]:
    model = ctx.plan.contender.operator
    if model is None or ctx.plan.contender.runs_as != "container":
        yield
        return
    work = operate(model, deployment, ctx.state, ctx.emit, ctx.now, ctx.releases)
    async with background(work, f"operator of {ctx.trial}"):
        yield


@asynccontextmanager
async def _autoscaler(ctx: TrialContext, deployment: Deployment) -> AsyncIterator[None]:
    spec = ctx.plan.contender.autoscale
    if spec is None or ctx.plan.contender.runs_as != "service":
        yield
        return
    work = autoscale(spec, deployment, ctx.state, ctx.emit, ctx.now)
    async with background(work, f"autoscaler of {ctx.trial}"):
        yield


def _say_what_stayed(ctx: TrialContext) -> None:
    for record in ctx.state.records:
        if isinstance(record, UndoDone) and not record.ok:
            ctx.problem("warning", "undo-failed", undo=record.undo, message=record.message)


async def _clean_up(ctx: TrialContext, deployment: Deployment | None) -> None:
    await ctx.undos.all_back()
    _say_what_stayed(ctx)
    if deployment is None:
        return
    left = await deployment.remove()
    ctx.emit(
        CleanlinessChecked(
            t=ctx.now(), trial=ctx.trial, checked=("processes", "ports", "cgroups"), left=tuple(left)
        )
    )
    if left:
        ctx.problem("warning", "left-behind", what=", ".join(left))
