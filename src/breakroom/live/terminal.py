"""The live view of a run at a terminal, and the plain view where there is none.

Created by `cli.run`, fed by the director's observer calls. Both write to the stream they are given (standard error,
so that standard output stays for results). The live view is drawn from the event loop, never from a thread: what it
reads is what the director sees.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from breakroom.director.plan import RunPlan, TrialPlan, batches, expected_ns
from breakroom.director.run import Observer
from breakroom.director.state import BIN_NS, StreamState, TrialState
from breakroom.i18n import Translator
from breakroom.journal.records import Record, RotationChanged, TaskChanged
from breakroom.live.events import Line, describe, phase_words, state_words
from breakroom.spec.units import format_size

__all__ = ["LiveView", "PlainView", "RunView", "make_view"]

REFRESH_SECONDS = 0.125
SHOWN_LINES = 8
SHOWN_TASKS = 12
LEAST_TASKS = 4
OTHER_ROWS = 19
"""What the view needs beside the tasks, so that on a low terminal it is they that are cut, not what happens to them."""
BARS = " ▁▂▃▄▅▆▇█"
STYLES = {"plain": "", "good": "green", "bad": "red", "fault": "bold magenta", "act": "cyan", "quiet": "dim"}


@dataclass(slots=True)
class Running:
    """A trial that is on."""

    plan: TrialPlan
    state: TrialState
    began: int


class RunView(Observer):
    """What both views share: where the run stands. Trials of a drill may run side by side."""

    def __init__(self, console: Console, tr: Translator) -> None:
        self.console = console
        self.tr = tr
        self.plan: RunPlan | None = None
        self.running: dict[str, Running] = {}
        self.last: Running | None = None
        """The trial that was on last, for as long as no other is."""
        self.done = 0
        self.began = time.monotonic_ns()
        self._told: dict[tuple[str, str], str] = {}
        """(trial, task) → what was last said of it."""

    def run_started(self, plan: RunPlan, directory: Path) -> None:  # noqa: ARG002 (the plain view prints it)
        """Remember the plan."""
        self.plan = plan
        self.began = time.monotonic_ns()

    def trial_started(self, plan: TrialPlan, state: TrialState) -> None:
        """Take the trial in."""
        self.running[plan.id] = Running(plan, state, time.monotonic_ns())

    def trial_ended(self, plan: TrialPlan, outcome: str) -> None:  # noqa: ARG002 (others may want them)
        """Count it."""
        self.last = self.running.pop(plan.id, self.last)
        self.done += 1

    def line(self, record: Record) -> Line | None:
        """What to say of a record, if it is news: a task is recorded again when only the wish for it changed.

        Where contenders run side by side, it begins with the contender's name.
        """
        said = describe(record, self.tr)
        trial = self.running.get(record.trial)
        if said is not None and isinstance(record, TaskChanged):
            if self._told.get((record.trial, record.task)) == said.text:
                return None
            self._told[record.trial, record.task] = said.text
        if said is not None and trial is not None and trial.plan.drill.side_by_side:
            return replace(said, text=f"{trial.plan.contender.name}: {said.text}")
        return said

    def since_began(self, record: Record, at: int) -> float:
        """Seconds from the begin of the record's trial to `at`."""
        trial = self.running.get(record.trial)
        return (at - (trial.began if trial is not None else self.began)) / 1e9

    def elapsed_and_expected(self) -> tuple[float, float]:
        """Seconds since the run began, and about how many it will take in all."""
        now = time.monotonic_ns()
        elapsed = (now - self.began) / 1e9
        if self.plan is None:
            return elapsed, elapsed
        rest = 0.0
        ahead = self.done + len(self.running)
        for batch in batches(self.plan):
            ahead -= len(batch)
            if ahead < 0:
                rest += max(expected_ns(trial) for trial in batch) / 1e9
        on = [expected_ns(one.plan) - (now - one.began) for one in self.running.values()]
        return elapsed, elapsed + rest + max(max(on, default=0), 0) / 1e9

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class PlainView(RunView):
    """One line for each thing that happens: for pipes, logs and CI."""

    def run_started(self, plan: RunPlan, directory: Path) -> None:
        """Say what is going to run, and where the results will lie."""
        super().run_started(plan, directory)
        _, expected = self.elapsed_and_expected()
        self._print(
            self.tr.say(
                "{count} {count:plural:trial|trials}, about {expected:duration}; results in {directory}",
                count=len(plan.trials),
                expected=expected,
                directory=str(directory),
            )
        )

    def trial_started(self, plan: TrialPlan, state: TrialState) -> None:
        """Say which trial begins."""
        super().trial_started(plan, state)
        assert self.plan is not None
        self._print(f"[{self.done + len(self.running)}/{len(self.plan.trials)}] {plan.id}")

    def record(self, record: Record) -> None:
        """Say what happened, if it is worth a line."""
        line = self.line(record)
        if line is not None:
            self._print(f"  {self.since_began(record, line.t):7.3f} s  {line.text}")

    def trial_ended(self, plan: TrialPlan, outcome: str) -> None:
        """Say what the probe saw in all."""
        super().trial_ended(plan, outcome)
        probe = self.last.state.streams.get("probe") if self.last else None
        if probe is not None:
            text = self.tr.say(
                "probe: {ok:count} ok, {failed:count} failed", ok=probe.ok, failed=probe.failed
            )
            name = f"{plan.contender.name}: " if plan.drill.side_by_side else ""
            self._print(f"  {name}{text}")

    def _print(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)


class LiveView(RunView):
    """Redraws one screenful in place: progress, replicas, requests right now, the last events."""

    def __init__(self, console: Console, tr: Translator) -> None:
        super().__init__(console, tr)
        self._lines: deque[tuple[float, Line]] = deque(maxlen=SHOWN_LINES)
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            get_renderable=self._draw,
            redirect_stdout=False,
        )
        self._drawing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._live.start()
        self._drawing = asyncio.get_running_loop().create_task(self._redraw(), name="draw the live view")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._drawing is not None:
                self._drawing.cancel()
                await asyncio.wait([self._drawing])
        finally:
            # Also when interrupted: a terminal without a cursor is left to nobody.
            self._live.stop()

    async def _redraw(self) -> None:
        while True:
            self._live.refresh()
            await asyncio.sleep(REFRESH_SECONDS)

    def trial_started(self, plan: TrialPlan, state: TrialState) -> None:
        """Begin with an empty list of events."""
        if not self.running:
            self._lines.clear()
        super().trial_started(plan, state)

    def record(self, record: Record) -> None:
        """Keep the line for the next drawing. Entries into rotation at the start would crowd out the rest."""
        trial = self.running.get(record.trial)
        if isinstance(record, RotationChanged) and trial is not None and trial.state.phase == "deploying":
            return
        line = self.line(record)
        if line is not None:
            self._lines.append((self.since_began(record, line.t), line))

    # --- drawing ----------------------------------------------------------------------------------------------

    def _draw(self) -> RenderableType:
        shown: list[Running | None] = list(self.running.values()) or [self.last]
        first = shown[0]
        if self.plan is None or first is None:
            return Text(self.tr.gettext("starting"))
        parts: list[RenderableType] = [self._progress()]
        for trial in shown:
            if trial is not None:
                parts += [Text(), *self._trial(trial, alone=len(shown) == 1)]
        body = Group(*parts, Text(), *self._events())
        count = len(self.plan.trials)
        position = f"{min(self.done + 1, count)}/{count}"
        name = first.plan.id if len(shown) == 1 else first.plan.drill.name
        title = f"[bold]breakroom[/]  {self.plan.platform}  {self.plan.pace}  [bold]{name}[/]  ({position})"
        return Panel(body, title=title, title_align="left", border_style="blue", padding=(0, 1))

    def _progress(self) -> RenderableType:
        elapsed, expected = self.elapsed_and_expected()
        times = self.tr.say(
            "{elapsed:duration} of about {expected:duration}", elapsed=elapsed, expected=expected
        )
        return Group(Text(times, justify="right"), ProgressBar(total=max(expected, 0.1), completed=elapsed))

    def _trial(self, trial: Running, *, alone: bool) -> list[RenderableType]:
        state = trial.state
        head = Text()
        if not alone:
            head.append(f"{trial.plan.contender.name}  ", style="bold")
        head.append(phase_words(state.phase, self.tr), style="bold" if alone else "")
        if alone:
            return [head, Text(), self._tasks(state), Text(), *self._requests(state)]
        serving = self.tr.say(
            "{serving:count} of {wanted:count} serving", serving=state.serving, wanted=state.wanted
        )
        head.append(f"  {serving}", style="green" if state.at_capacity else "red")
        return [head, *self._requests(state)]

    def _tasks(self, state: TrialState) -> RenderableType:
        table = Table(box=None, padding=(0, 2), header_style="dim", pad_edge=False)
        for name in (
            "SLOT",
            "TASK",
            self.tr.gettext("STATE"),
            self.tr.gettext("SINCE"),
            self.tr.gettext("MEMORY"),
        ):
            table.add_column(name)
        now = time.monotonic_ns()
        tasks = sorted(state.tasks.values(), key=lambda task: (task.slot, -task.since))
        alive = [task for task in tasks if task.alive or now - task.since < 10_000_000_000]
        shown = min(SHOWN_TASKS, max(LEAST_TASKS, self.console.height - OTHER_ROWS))
        for task in alive[:shown]:
            serving = task.in_rotation and task.alive
            style = "green" if serving else ("yellow" if task.alive else "red")
            memory = ""
            if task.memory_bytes is not None and task.alive:
                limit = f" / {format_size(task.memory_limit_bytes)}" if task.memory_limit_bytes else ""
                memory = format_size(task.memory_bytes) + limit
            table.add_row(
                str(task.slot),
                task.task,
                Text(state_words(task.state, in_rotation=serving, tr=self.tr), style=style),
                self.tr.duration(max(0, now - task.since) / 1e9),
                memory,
            )
        if len(alive) > shown:
            table.add_row("", self.tr.say("… and {count:count} more", count=len(alive) - shown))
        return table

    def _requests(self, state: TrialState) -> list[RenderableType]:
        shown: list[RenderableType] = []
        for name in ("probe", "load"):
            stream = state.streams.get(name)
            if stream is not None:
                shown.append(self._stream(name, stream))
        return shown or [Text(self.tr.gettext("no requests yet"), style="dim")]

    def _stream(self, name: str, stream: StreamState) -> RenderableType:
        width = max(10, min(60, self.console.width - 52))
        newest = max(stream.bins, default=time.monotonic_ns() // BIN_NS)
        bins = [stream.bins.get(number, [0, 0]) for number in range(newest - width + 1, newest + 1)]
        most = max((ok + failed for ok, failed in bins), default=1) or 1
        line = Text(f"{name:<6}")
        for ok, failed in bins:
            height = -(-(ok + failed) * (len(BARS) - 1) // most)
            style = "red" if failed else "green"
            line.append(BARS[height], style=style)
        line.append("  ")
        line.append(self.tr.say("{count:count} ok", count=stream.ok), style="green")
        line.append("  ")
        line.append(
            self.tr.say("{count:count} failed", count=stream.failed),
            style="red" if stream.failed else "dim",
        )
        return line

    def _events(self) -> list[RenderableType]:
        return [Text(f"{at:7.2f} s  {line.text}", style=STYLES[line.tone]) for at, line in self._lines]


def make_view(console: Console, tr: Translator) -> RunView:
    """The live view on a terminal that can redraw, the plain one otherwise."""
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveView(console, tr)
    return PlainView(console, tr)
