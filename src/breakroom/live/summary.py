"""The comparison at the end of a run, for the terminal: contenders side by side, verdicts, and where the report lies.

Called by `cli.run` and `cli.report` with the findings; prints to the console it is given. Everything shown is in
`results.json`; nothing is computed here.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from breakroom.analysis.results import ContenderResults, DrillResults, RunResults, Spread
from breakroom.i18n import Translator
from breakroom.report.doubts import doubts, impossible
from breakroom.report.judged import claim_views
from breakroom.report.overall import overall_view
from breakroom.report.telling import Told

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
NAME_CELLS = 13
"""Columns of a terminal that a contender's name may take before it is broken: three of them stand beside the drills."""
DRILL_CELLS = 28
VERDICT_STYLES = {"met": "bold green", "not met": "bold red", "unknown": "bold yellow", "impossible": "dim"}
MARKS = {"met": "✔", "not met": "✘", "unknown": "?", "impossible": "-"}


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
    table.add_column(tr.say("Drill"), max_width=DRILL_CELLS)
    for name in view.contenders:
        table.add_column(_breakable(name), justify="right", no_wrap=len(view.contenders) <= FEW)
    others = any(line.others for line in view.drills)
    if others:
        table.add_column(tr.say("Others"), no_wrap=len(view.contenders) <= FEW)
    for line in view.drills:
        head = Text(f"{MARKS[line.verdict]} ", style=VERDICT_STYLES[line.verdict])
        head.append(line.name, style="bold default")
        label = textwrap.wrap(line.metric or line.word, DRILL_CELLS - 2)
        head.append("".join(f"\n  {part}" for part in label), style="dim default")
        cells = [_told(cell) for cell in line.cells]
        if others:
            cells.append(Text("\n").join(_with_name(cell) for cell in line.others))
        table.add_row(head, *cells)
    console.print()
    console.print(table)
    for drill in results.drills:
        _print_misses(console, drill, results, tr)


def _breakable(name: str) -> str:
    """A long name on several lines, broken after its hyphens and nowhere else."""
    lines = [""]
    for part in re.findall(r"[^-]*-|[^-]+$", name):
        if lines[-1] and len(lines[-1] + part) > NAME_CELLS:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _told(cell: Told | None) -> Text:
    if cell is None:
        return Text("")
    return Text(cell.short or cell.text, style="" if cell.known else "yellow")


def _with_name(cell: Told) -> Text:
    """A contender that only this drill has: its value, its name below."""
    return _told(cell).append(f"\n{_breakable(cell.contender)}", style="dim default")


def _print_misses(console: Console, drill: DrillResults, results: RunResults, tr: Translator) -> None:
    """What was not met or cannot be judged; of a drill that was skipped as a whole only the reason, once."""
    title = Text(tr.text_of(drill.title) or drill.name, style="bold")
    why = impossible(drill, results, tr)
    if why:
        _print_sentence(console, title.append(f": {why}", style="not bold"))
        return
    failed = tuple(condition for condition in drill.conditions if condition.verdict != "met")
    # A condition's own line says already that it is not met or cannot be judged; so do the doubts below of trials.
    said = ("verdict.condition-", "verdict.trials-unknown", "verdict.trials-skipped")
    reasons = [one for one in drill.verdict_reasons if not one.code.startswith(said)]
    if drill.verdict != "met" and (failed or reasons):
        _print_sentence(console, title)
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
    table.add_column("", no_wrap=True)
    for name in view.contenders:
        table.add_column(_breakable(name))
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
    for sentence in view.basis:
        _print_sentence(console, Text(sentence, style="dim"))
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
    """Problems, and why numbers cannot be trusted; of a drill's trials with the same reason once."""
    told = {impossible(drill, results, tr) for drill in results.drills}
    for doubt in doubts(results, tr):
        if doubt.text in told:
            continue  # a drill that was skipped as a whole has said so above
        line = Text("! ", style="yellow")
        line.append(f"{doubt.where}: " if doubt.where else "", style="bold")
        line.append(doubt.text, style="not bold")
        _print_sentence(console, line)


def _print_drill(console: Console, drill: DrillResults, results: RunResults, tr: Translator) -> None:
    title = tr.text_of(drill.title) or drill.name
    why = impossible(drill, results, tr)
    if why:
        _print_sentence(console, Text(f"{title}: ", style="bold").append(why, style="not bold"))
        return
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
        # Why a contender was skipped is said once, below.
        if condition.reason is not None and condition.reason.code != "condition.skipped":
            line.append(" — " + tr.reason(condition.reason), style="not bold")
        _print_sentence(console, line)


def _print_sentence(console: Console, text: Text) -> None:
    """Broken between words at a terminal, whole where a program may read it."""
    console.print(text, soft_wrap=not console.is_terminal)
