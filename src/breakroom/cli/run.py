"""`breakroom run`: read the drills, run every trial, write the findings and the report, print the comparison.

Called by `cli.main`. Owns the process's signals while a run is on: the first Ctrl-C, SIGTERM or SIGHUP ends the run
cleanly, a second one at once (the engine then kills what it started, because its control socket closes).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from breakroom.cli.exits import UNKNOWN, WRONG_USE, fail, of_verdict
from breakroom.cli.findings import findings_of, print_json
from breakroom.cli.language import choose_translator
from breakroom.cli.platform import make_platform
from breakroom.cli.refusal import refusal
from breakroom.director.plan import PlanError, RunPlan, plan_run
from breakroom.director.prepare import prepare
from breakroom.director.run import RunOutcome, make_run_directory, run_plan
from breakroom.i18n import Translator
from breakroom.journal.store import JournalError
from breakroom.live.summary import print_summary
from breakroom.live.terminal import make_view
from breakroom.platforms.base import USAGE_CODES, Platform, PlatformError
from breakroom.spec.drill import Drill
from breakroom.spec.loader import BUILT_IN, SpecErrors, load_drill

__all__ = ["RunArguments", "run_command"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunArguments:
    """What the user asked for, as typed."""

    drills: tuple[str, ...]
    platform: str
    pace: str
    contenders: tuple[str, ...]
    repeat: int
    seed: int
    out: Path
    lang: str
    json: bool
    one_by_one: bool = False
    init_swarm: bool = False
    use_swarm: bool = False


def run_command(arguments: RunArguments) -> int:
    """Carry out the command; returns the exit code."""
    tr = choose_translator(arguments.lang)
    plan = _plan(arguments)
    console = Console(stderr=True)
    platform = make_platform(
        arguments.platform,
        plan,
        console,
        init_swarm=arguments.init_swarm,
        use_swarm=arguments.use_swarm,
    )
    try:
        outcome = asyncio.run(_run(plan, platform, arguments, console, tr))
    except _RefusedError as error:
        fail(str(error), error.code)
    except JournalError as error:
        fail(str(error), UNKNOWN)
    except KeyboardInterrupt:
        fail(tr.gettext("interrupted before anything was run"), UNKNOWN)
    if outcome.refused and outcome.usage_error and not outcome.begun:
        # The platform could not be opened: there is nothing to keep.
        shutil.rmtree(outcome.directory)
        fail(refusal(outcome.refused, tr))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        return _conclude(outcome, arguments, console, tr)
    except KeyboardInterrupt:
        text = tr.say(
            "interrupted while the report was made; `breakroom report {directory}` makes it",
            directory=str(outcome.directory),
        )
        fail(text, UNKNOWN)


def _plan(arguments: RunArguments) -> RunPlan:
    names = arguments.drills or BUILT_IN.names()
    drills: list[Drill] = []
    errors: list[str] = []
    for name in names:
        try:
            drills.append(load_drill(name, pace=arguments.pace))
        except SpecErrors as error:
            errors.append(str(error))
    if errors:
        fail("\n".join(errors), WRONG_USE)
    try:
        return plan_run(
            tuple(drills),
            platform=arguments.platform,
            pace=arguments.pace,
            seed=arguments.seed,
            repeat=arguments.repeat,
            contenders=arguments.contenders,
            one_by_one=arguments.one_by_one,
            chosen=bool(arguments.drills),
        )
    except PlanError as error:
        fail(str(error))


class _RefusedError(Exception):
    """Nothing was run; the text says why, `code` is the exit code."""

    def __init__(self, message: str, code: int = WRONG_USE) -> None:
        self.code = code
        super().__init__(message)


async def _prepared(plan: RunPlan, platform: Platform, console: Console, tr: Translator) -> RunPlan:
    """What of the plan the platform can run; what it cannot is said."""
    try:
        plan = await prepare(plan, platform)
    except PlatformError as error:
        code = WRONG_USE if error.code in USAGE_CODES else UNKNOWN
        raise _RefusedError(refusal(error, tr), code) from error
    except PlanError as error:
        raise _RefusedError(str(error)) from error
    for one in plan.left_out:
        params = {"contender": one.contender, "drill": one.drill, "runs_as": one.runs_as}
        text = tr.message("contender-left-out", {**params, "platform": plan.platform})
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    return plan


def _directory(arguments: RunArguments, plan: RunPlan) -> Path:
    label = plan.drills[0].name if len(plan.drills) == 1 else "all"
    try:
        return make_run_directory(arguments.out.absolute(), label)
    except OSError as error:
        raise _RefusedError(
            f"--out {arguments.out}: cannot make the results' directory there: {error.strerror}; "
            "name one that can be written, with --out DIR"
        ) from error


async def _run(
    plan: RunPlan, platform: Platform, arguments: RunArguments, console: Console, tr: Translator
) -> RunOutcome:
    plan = await _prepared(plan, platform, console, tr)
    try:
        directory = _directory(arguments, plan)
    except _RefusedError:
        await platform.close()
        raise
    loop = asyncio.get_running_loop()
    this = asyncio.current_task()
    assert this is not None
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        if interrupted:
            console.show_cursor()
            if arguments.platform != "local":
                text = tr.gettext("stopped at once; `breakroom cleanup` takes away what is left in Docker")
                console.print(text, markup=False, highlight=False, soft_wrap=True)
            os._exit(UNKNOWN)
        interrupted = True
        console.print(tr.gettext("stopping: cleaning up and keeping the results (again: stop at once)"))
        this.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, interrupt)
    outcome: RunOutcome | None = None
    try:
        async with make_view(console, tr) as view:
            outcome = await run_plan(plan, platform, directory, view)
    except asyncio.CancelledError:
        if outcome is None:
            raise
        # Interrupted when the run was over and only the view was being put away.
    return outcome


def _conclude(outcome: RunOutcome, arguments: RunArguments, console: Console, tr: Translator) -> int:
    results, report = findings_of(outcome.directory, tr.lang)
    if arguments.json:
        print_json(results)
    else:
        print_summary(Console(file=sys.stdout), results, tr, report)
    if outcome.outcome == "completed" and report is None and results.verdict == "met":
        return UNKNOWN  # what was asked for besides the verdict is not there: nobody may take that for a pass
    if outcome.outcome == "completed":
        return of_verdict(results.verdict)
    said = refusal(outcome.refused, tr) if outcome.refused else outcome.reason
    console.print(said, markup=False, highlight=False, soft_wrap=True)
    return WRONG_USE if outcome.usage_error else UNKNOWN
