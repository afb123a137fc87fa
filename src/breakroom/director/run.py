"""A run: its directory, its journal, its trials, and the findings at the end.

Trials run one after another; where a drill says that its contenders do not disturb each other, those of one repeat run
side by side.

Called by `cli.run`. The journal is the truth: the results are computed from what was written, by the same code that
`breakroom report` uses later, also when the run was interrupted.
"""

from __future__ import annotations

import asyncio
import os
import platform as host_platform
import secrets
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import psutil

from breakroom import __version__
from breakroom.director.plan import RunPlan, TrialPlan, batches
from breakroom.director.state import TrialState
from breakroom.director.tasks import shielded, together
from breakroom.director.trial import TrialContext, run_trial
from breakroom.journal.records import (
    CleanlinessChecked,
    Problem,
    Record,
    RunEnded,
    RunStarted,
    ToolCost,
)
from breakroom.journal.registry import register
from breakroom.journal.store import JournalError, JournalWriter
from breakroom.journal.usage import own_usage
from breakroom.platforms.base import USAGE_CODES, Capabilities, Platform, PlatformError, RunInfo

__all__ = ["Observer", "RunOutcome", "make_run_directory", "run_plan"]

APART_S = 0.6
"""How far apart contenders that run side by side begin, so that their starts, and what the timeline has all of them
do, do not meet: two replicas that start at once take longer. Measured: docs/benchmarks.md, "Side by side".
"""


class Observer:
    """What a live view hears of a run. Every method may be overridden; these do nothing."""

    def run_started(self, plan: RunPlan, directory: Path) -> None:
        """The run's directory exists and its first record is written."""

    def trial_started(self, plan: TrialPlan, state: TrialState) -> None:
        """A trial begins; `state` changes as it goes on."""

    def record(self, record: Record) -> None:
        """A record was written."""

    def trial_ended(self, plan: TrialPlan, outcome: str) -> None:
        """A trial is over and cleaned up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """How the run went as such; what it found out is for the analysis to say."""

    directory: Path
    outcome: Literal["completed", "aborted", "failed"]
    reason: str = ""
    usage_error: bool = False
    """The reason is one that the user can mend in the call or the file (exit code 2)."""
    refused: PlatformError | None = None
    """What the platform refused the run as a whole with."""
    begun: bool = True
    """Whether it came to the first trial; if not, there is nothing to report."""


def make_run_directory(out: Path, label: str) -> Path:
    """Create `OUT/<run-id>`, a directory nobody else has, and return it.

    Raises:
        OSError: it cannot be created.
    """
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    while True:
        directory = out / f"{stamp}-{label}-{secrets.token_hex(2)}"
        try:
            directory.mkdir(parents=True)
        except FileExistsError:
            continue
        (directory / "samples").mkdir()
        (directory / "logs").mkdir()
        return directory


_NOT_ASKED = frozenset(
    {
        "platform.daemon-died",
        "platform.ssh-failed",
        "platform.docker-error",
        "platform.refused",
        "undo-failed",
    }
)
"""Problems after which nobody knows what is still there; before anything was made they cost a look, no more."""


async def run_plan(plan: RunPlan, platform: Platform, directory: Path, observer: Observer) -> RunOutcome:
    """Open the platform, run every trial of the plan, close the platform.

    Never raises for what happens to a trial; an interruption ends in `aborted`. A journal that cannot be written (disk
    full) ends the run as `failed`, after everything was stopped.

    Args:
        plan: As `director.prepare` made it.
        platform: Its `preflight` is done; it is closed when this returns or raises.
        directory: The run's own, which exists.
        observer: Is told of everything.

    Raises:
        JournalError: the journal cannot even be created.
    """
    try:
        journal = JournalWriter(directory)
    except JournalError:
        await shielded(platform.close())
        raise
    journal.listen(observer.record)
    registration = register(directory.name, directory, plan.platform)
    left = _Left()
    journal.listen(left.observe)
    this = asyncio.current_task()

    def give_up(_failure: JournalError) -> None:
        if this is not None:
            this.cancel()

    journal.on_failure = give_up
    began = time.monotonic_ns()
    outcome: Literal["completed", "aborted", "failed"] = "failed"
    reason, usage, begun = "", False, False
    refused: PlatformError | None = None
    try:
        _write_start(journal, plan, directory.name)
        if registration.problem:
            params = {"message": registration.problem}
            journal.append(Problem(t=began, severity="note", code="registry-unwritable", params=params))
        observer.run_started(plan, directory)
        await platform.open(RunInfo(run_id=directory.name, directory=directory), journal.append)
        capabilities = await platform.capabilities()
        begun = True
        outcome, reason, usage = await _run_trials(plan, platform, directory, journal, observer, capabilities)
    except asyncio.CancelledError:
        outcome, reason = "aborted", "interrupted"
        if journal.failure is not None:
            outcome, reason = "failed", str(journal.failure)
    except PlatformError as error:
        reason, usage, refused = str(error), error.code in USAGE_CODES, error
        journal.append(_platform_problem(error))
    finally:
        try:
            # An interruption during it is an interruption all the same, and may not keep it from its end.
            await shielded(_close(platform, journal))
        except asyncio.CancelledError:
            outcome, reason = "aborted", "interrupted"
        finally:
            registration.finish(clean=left.nothing)
            _write_end(journal, began, outcome, reason)
    return RunOutcome(
        directory=directory, outcome=outcome, reason=reason, usage_error=usage, refused=refused, begun=begun
    )


class _Left:
    """Whether anything of the run may still be there at its end; then its entry in the registry stays."""

    def __init__(self) -> None:
        self.nothing = True

    def observe(self, record: Record) -> None:
        """What was found to be left, and a daemon that could not be asked any more."""
        if isinstance(record, CleanlinessChecked) and record.left:
            self.nothing = False
        if isinstance(record, Problem) and record.code in _NOT_ASKED:
            self.nothing = False


async def _close(platform: Platform, journal: JournalWriter) -> None:
    """Take away what the run needed as a whole, and write down what of it is still there."""
    try:
        left = await platform.close()
    except PlatformError as error:
        journal.append(_platform_problem(error))
        return
    now = time.monotonic_ns()
    journal.append(CleanlinessChecked(t=now, checked=("run",), left=left))
    if left:
        journal.append(
            Problem(t=now, severity="warning", code="left-behind", params={"what": ", ".join(left)})
        )


async def _run_trials(
    plan: RunPlan,
    platform: Platform,
    directory: Path,
    journal: JournalWriter,
    observer: Observer,
    capabilities: Capabilities,
) -> tuple[Literal["completed", "aborted", "failed"], str, bool]:
    failed: list[str] = []
    usage = False

    async def run_one(trial: TrialPlan) -> None:
        nonlocal usage
        state = TrialState(directory, trial.id, wanted_tasks(trial))
        unlisten = journal.listen(state.observe)
        ctx = TrialContext(
            plan=trial,
            platform=platform,
            directory=directory,
            emit=journal.append,
            now=time.monotonic_ns,
            state=state,
            capabilities=capabilities.how,
            cannot=capabilities.cannot,
        )
        observer.trial_started(trial, state)
        try:
            ended = await run_trial(ctx)
        finally:
            unlisten()
        observer.trial_ended(trial, ended)
        if ended == "failed":
            problems = [record for record in state.records if isinstance(record, Problem)]
            failed.extend(str(record.params.get("message", record.code)) for record in problems[:1])
            if problems and problems[0].code.removeprefix("platform.") in USAGE_CODES:
                usage = True

    async def run_later(trial: TrialPlan, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        await run_one(trial)

    for batch in batches(plan):
        begun = ((run_later(trial, place * APART_S), trial.id) for place, trial in enumerate(batch))
        await together(begun)
        if usage:
            return "failed", failed[0], True
    return "completed", "", False


def wanted_tasks(trial: TrialPlan) -> int:
    """How many tasks the contender wants in rotation."""
    if trial.contender.runs_as == "container":
        return 1
    return trial.contender.service.deploy.replicas


def _write_start(journal: JournalWriter, plan: RunPlan, run_id: str) -> None:
    journal.append(
        RunStarted(
            t=time.monotonic_ns(),
            unix_ns=time.time_ns(),
            run_id=run_id,
            version=__version__,
            argv=tuple(sys.argv[1:]),
            platform=plan.platform,
            pace=plan.pace,
            seed=plan.seed,
            repeat=plan.repeat,
            trials=tuple(trial.id for trial in plan.trials),
            chosen=plan.chosen,
            host=_describe_host(),
        )
    )
    for left_out in plan.left_out:
        params = {
            "contender": left_out.contender,
            "drill": left_out.drill,
            "runs_as": left_out.runs_as,
            "platform": plan.platform,
        }
        journal.append(
            Problem(t=time.monotonic_ns(), severity="note", code="contender-left-out", params=params)
        )


def _write_end(
    journal: JournalWriter, began: int, outcome: Literal["completed", "aborted", "failed"], reason: str
) -> None:
    used = own_usage()
    now = time.monotonic_ns()
    try:
        journal.append(
            ToolCost(
                t=now,
                process="main",
                cpu_user_ns=used.cpu_user_ns,
                cpu_system_ns=used.cpu_system_ns,
                max_rss_bytes=used.max_rss_bytes,
                wall_ns=now - began,
            )
        )
        journal.append(RunEnded(t=now, outcome=outcome, reason=reason))
    finally:
        journal.close()


def _describe_host() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": host_platform.system(),
        "release": host_platform.release(),
        "machine": host_platform.machine(),
        "python": host_platform.python_version(),
    }


def _platform_problem(error: PlatformError) -> Problem:
    return Problem(
        t=time.monotonic_ns(),
        severity="error",
        code=f"platform.{error.code}",
        params={"message": str(error), "hint": error.hint},
    )
