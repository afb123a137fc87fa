"""The comparison at the end of a run, for the terminal: contenders side by side, verdicts, and where the report lies.

Called by `cli.run` and `cli.report` with the findings; prints to the console it is given. Everything shown is in
`results.json`; nothing is computed here.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from breakroom.analysis.results import ContenderResults, DrillResults, RunResults, Spread
from breakroom.i18n import Translator
from breakroom.report.judged import claim_views
from breakroom.report.overall import overall_view

__all__ = ["print_summary"]

ROWS = (
    "availability",
    "outage",
    "longest_outage",
    "recovery_time",
    "time_to_full_capacity",
    "capacity_kept",
    "lowest_capacity",
    "failed_requests",
    "operator_acts",
)
FEW = 3
"""Drills that are shown in full."""
VERDICT_STYLES = {"met": "bold green", "not met": "bold red", "unknown": "bold yellow"}
MARKS = {"met": "✔", "not met": "✘", "unknown": "?"}


def print_summary(console: Console, results: RunResults, tr: Translator, report: Path | None) -> None:
    """Print the comparison of every drill, the conditions, the claims, what is unknown, and the report's path.

    Of more than `FEW` drills only a line each, what was not met, and the comparison over all of them.
    """
    if len(results.drills) > FEW:
        _print_drills(console, results, tr)
    else:
        for drill in results.drills:
            console.print()
            _print_drill(console, drill, results, tr)
    if len(results.drills) > 1:
        _print_overall(console, results, tr)
        _print_claims(console, results, tr)
    # The same may have happened in many trials; the report says in which.
    for text in dict.fromkeys(tr.reason(problem) for problem in results.problems):
        _print_sentence(console, Text("! " + text, style="yellow"))
    _print_doubts(console, results, tr)
    console.print()
    line = Text(tr.say("Verdict: "))
    line.append(tr.label("verdict", results.verdict), style=VERDICT_STYLES[results.verdict])
    console.print(line)
    if report is not None:
        console.print(
            tr.say("Report: {path}", path=str(report)), soft_wrap=True, markup=False, highlight=False
        )


def _print_drills(console: Console, results: RunResults, tr: Translator) -> None:
    """All drills in one table: verdict, and the number that tells the contenders apart; then what was not met."""
    view = overall_view(results, tr)
    table = Table(header_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column(tr.say("Drill"), no_wrap=True)
    for name in view.contenders:
        table.add_column(name, justify="right", overflow="fold")
    for line in view.drills:
        head = Text(f"{MARKS[line.verdict]} ", style=VERDICT_STYLES[line.verdict])
        head.append(line.name, style="bold default")
        head.append(f"\n  {line.metric}", style="dim default")
        cells = [
            Text(
                "" if cell is None else cell.short or cell.text, style="" if cell and cell.known else "yellow"
            )
            for cell in line.cells
        ]
        table.add_row(head, *cells)
    console.print()
    console.print(table)
    for drill in results.drills:
        failed = tuple(condition for condition in drill.conditions if condition.verdict != "met")
        # A condition's own line says already that it is not met or cannot be judged.
        reasons = [one for one in drill.verdict_reasons if not one.code.startswith("verdict.condition-")]
        if drill.verdict != "met" and (failed or reasons):
            _print_sentence(console, Text(tr.text_of(drill.title) or drill.name, style="bold"))
            _print_conditions(console, msgspec.structs.replace(drill, conditions=failed), tr)
            for reason in reasons:
                _print_sentence(console, Text("  " + tr.reason(reason), style="yellow"))


def _print_overall(console: Console, results: RunResults, tr: Translator) -> None:
    """The course's comparison: availability, recovery time, operator's burden, scalability."""
    view = overall_view(results, tr)
    if not view.rows:
        return
    table = Table(title=tr.say("Comparison over all drills"), title_justify="left", title_style="bold")
    table.box = box.SIMPLE_HEAD
    table.add_column("", overflow="fold")
    for name in view.contenders:
        table.add_column(name, overflow="fold")
    for row in view.rows:
        cells = []
        for cell in row.cells:
            text = Text(cell.text + ("*" if cell.modelled else ""), style="" if cell.known else "yellow")
            for detail in cell.details:
                text.append(f"\n{detail}", style="dim")
            cells.append(text)
        table.add_row(row.label, *cells)
    console.print()
    console.print(table)
    if view.any_modelled:
        note = tr.gettext("* contains the operator model's reaction time: modelled, not measured")
        _print_sentence(console, Text(note, style="dim"))


def _print_claims(console: Console, results: RunResults, tr: Translator) -> None:
    if not results.claims:
        return
    console.print()
    console.print(Text(tr.say("What the course says, and what was measured"), style="bold"))
    for claim in claim_views(results, tr):
        line = Text(f"  {MARKS[claim.verdict]} ", style=VERDICT_STYLES[claim.verdict])
        mark = tr.say(" (modelled)") if claim.modelled else ""
        line.append(f"{claim.text}{mark} — {claim.reason}", style="not bold")
        _print_sentence(console, line)


def _print_doubts(console: Console, results: RunResults, tr: Translator) -> None:
    """Why numbers cannot be trusted: once for each contender, since many trials may have the same reason.

    Why a trial was skipped stands among the run's problems already.
    """
    doubts = [
        (trial.contender, tr.reason(why))
        for trial in results.trials
        for why in trial.reasons_unknown
        if why.code != "unknown.skipped"
    ]
    for contender, text in dict.fromkeys(doubts):
        line = Text("? ", style="yellow")
        line.append(f"{contender}: ", style="bold")
        line.append(text)
        _print_sentence(console, line)


def _print_drill(console: Console, drill: DrillResults, results: RunResults, tr: Translator) -> None:
    title = tr.text_of(drill.title) or drill.name
    console.print(Text(title, style="bold"))
    console.print(_table(drill, tr))
    if any(metric.modelled for contender in drill.contenders for metric in contender.metrics.values()):
        note = tr.gettext("* contains the operator model's reaction time: modelled, not measured")
        _print_sentence(console, Text(note, style="dim"))
    if results.repeat > 1:
        enough = any(
            metric.ci95_low is not None
            for contender in drill.contenders
            for metric in contender.metrics.values()
        )
        note = (
            tr.say(
                "medians of {count:count} repeats, with the 95% interval of the median", count=results.repeat
            )
            if enough
            else tr.say("medians of {count:count} repeats; too few for an interval", count=results.repeat)
        )
        _print_sentence(console, Text(note, style="dim"))
    for contender in drill.contenders:
        for reason in contender.explanation[:2]:
            line = Text(f"{contender.name}: ", style="bold")
            line.append(tr.reason(reason), style="not bold")
            _print_sentence(console, line)
    _print_conditions(console, drill, tr)
    for reason in drill.verdict_reasons:
        _print_sentence(console, Text("  " + tr.reason(reason), style="yellow"))


def _table(drill: DrillResults, tr: Translator) -> Table:
    table = Table(header_style="bold", show_lines=False)
    table.add_column("")
    for contender in drill.contenders:
        table.add_column(contender.name, justify="right")
    for row in ROWS:
        cells = [_cell(row, contender, tr) for contender in drill.contenders]
        table.add_row(tr.metric_label(row), *cells)
    return table


def _cell(metric: str, contender: ContenderResults, tr: Translator) -> Text:
    spread: Spread | None = contender.metrics.get(metric)
    if spread is None or spread.median is None:
        return Text(tr.gettext("unknown"), style="yellow")
    text = Text(tr.metric_value(metric, spread.median))
    if spread.modelled:
        text.append("*")
    if spread.ci95_low is not None and spread.ci95_high is not None:
        low, high = tr.metric_value(metric, spread.ci95_low), tr.metric_value(metric, spread.ci95_high)
        text.append(f"  [{low} … {high}]", style="dim")
    return text


def _print_conditions(console: Console, drill: DrillResults, tr: Translator) -> None:
    metrics = {contender.name: contender.metrics for contender in drill.contenders}
    for condition in drill.conditions:
        spread = metrics.get(condition.contender, {}).get(condition.metric)
        line = Text(f"  {MARKS[condition.verdict]} ", style=VERDICT_STYLES[condition.verdict])
        value = tr.metric_value(condition.metric, condition.value)
        if spread is not None and spread.modelled:
            value += "*"
        line.append(tr.say("{text}: measured {value}", text=condition.text, value=value), style="not bold")
        if condition.reason is not None:
            line.append(" — " + tr.reason(condition.reason), style="not bold")
        _print_sentence(console, line)


def _print_sentence(console: Console, text: Text) -> None:
    """Broken between words at a terminal, whole where a program may read it."""
    console.print(text, soft_wrap=not console.is_terminal)
