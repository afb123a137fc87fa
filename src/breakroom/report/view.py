"""A run's findings as texts in one language, in the order in which a report shows them.

Made once per language by `view_of`; the Markdown and the HTML report only lay it out, so that both say the same.
Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from breakroom.analysis.results import ContenderResults, DrillResults, RunResults, Verdict
from breakroom.i18n import Translator
from breakroom.report.answer import drill_answer, run_answer
from breakroom.report.checkpoints import CheckpointPhase, checkpoints
from breakroom.report.comparison import RepeatRow, Row, comparison_rows, difference_rows, marked, repeat_rows
from breakroom.report.course import CourseSection, course_section
from breakroom.report.doubts import doubts, impossible
from breakroom.report.glossary import Term, glossary
from breakroom.report.judged import (
    ClaimView,
    ConditionView,
    Shown,
    claim_views,
    condition_view,
    differences,
    shown,
)
from breakroom.report.kinds import advice_table, kind_tables
from breakroom.report.method import Fact, Table, facts, method_tables, outage_table
from breakroom.report.overall import OverallView, overall_view
from breakroom.report.zero import moments_note, zero_of

__all__ = ["ClaimView", "ConditionView", "ContenderView", "DrillView", "Notice", "ReportView", "view_of"]

FEW = 2
"""Drills whose titles make the report's title."""

PHASES = (
    "first_error",
    "detected",
    "replaced",
    "running",
    "in_rotation",
    "first_success",
    "full_capacity",
    "stable",
)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that must not be overlooked: why a number is unknown, or a problem of the run."""

    where: str
    text: str


@dataclass(frozen=True, slots=True)
class ContenderView:
    """One way of deploying."""

    name: str
    description: str
    deployed: str
    outage: str
    recovery: str
    availability: str
    kept: str
    modelled: bool
    explanation: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DrillView:
    """One drill, all contenders side by side."""

    name: str
    title: str
    description: str
    answer: str
    impossible: str
    """Why the platform cannot play it; empty where it did, or where it was asked for by name."""
    verdict: Shown
    verdict_word: str
    verdict_reasons: tuple[str, ...]
    contenders: tuple[ContenderView, ...]
    rows: tuple[Row, ...]
    repeats: tuple[RepeatRow, ...]
    phases: Table
    conditions: tuple[ConditionView, ...]
    differences: tuple[str, ...]
    compared: Table
    """Every difference of two contenders, and whether it is larger than the noise."""
    outages: Table
    kinds: tuple[Table, ...]
    advice: Table
    any_modelled: bool


@dataclass(frozen=True, slots=True)
class ReportView:
    """The whole report in one language."""

    lang: Literal["en", "ko"]
    title: str
    subtitle: str
    answer: str
    verdict: Verdict
    verdict_word: str
    notices: tuple[Notice, ...]
    overall: OverallView
    drills: tuple[DrillView, ...]
    claims: tuple[ClaimView, ...]
    course: CourseSection
    checkpoints: tuple[CheckpointPhase, ...]
    facts: tuple[Fact, ...]
    tables: tuple[Table, ...]
    glossary: tuple[Term, ...]


def view_of(results: RunResults, t: Translator) -> ReportView:
    """Put all findings of a run into words."""
    drills = tuple(_drill(drill, results, t) for drill in results.drills)
    return ReportView(
        lang=t.lang,
        title=_title(drills, results, t),
        subtitle=_subtitle(results, t),
        answer=run_answer(results, t),
        verdict=results.verdict,
        verdict_word=t.label("verdict", results.verdict),
        notices=_notices(results, t),
        overall=overall_view(results, t),
        drills=drills,
        claims=claim_views(results, t),
        course=course_section(results, t),
        checkpoints=checkpoints(results, t),
        facts=facts(results, t),
        tables=method_tables(results, t),
        glossary=glossary(t),
    )


def _title(drills: tuple[DrillView, ...], results: RunResults, t: Translator) -> str:
    if len(drills) <= FEW:
        return " · ".join(drill.title for drill in drills) or results.run_id
    return t.say(
        "{count:count} failures, {ways:count} ways of deploying", count=len(drills), ways=_ways(results)
    )


def _ways(results: RunResults) -> int:
    return len({contender.name for drill in results.drills for contender in drill.contenders})


def _subtitle(results: RunResults, t: Translator) -> str:
    started = datetime.fromtimestamp(results.started_unix_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
    parts = [started, t.say("took {duration:duration}", duration=results.duration_s)]
    if results.repeat > 1:
        parts.append(t.say("{repeat:count} runs of each, medians shown", repeat=results.repeat))
    return " · ".join(parts)


def _notices(results: RunResults, t: Translator) -> tuple[Notice, ...]:
    notices = []
    if results.outcome != "completed":
        text = t.say(
            "This run did not end by itself ({outcome:trial_outcome}); it shows what had been measured until then.",
            outcome=results.outcome,
        )
        notices.append(Notice("", text))
    notices += [Notice(doubt.where, doubt.text) for doubt in doubts(results, t)]
    return tuple(notices)


def _drill(drill: DrillResults, results: RunResults, t: Translator) -> DrillView:
    trials = {trial.id: trial for trial in results.trials}
    mine = tuple(
        trials[name] for contender in drill.contenders for name in contender.trials if name in trials
    )
    rows = comparison_rows(drill, t)
    return DrillView(
        name=drill.name,
        title=t.text_of(drill.title) or drill.name,
        description=t.text_of(drill.description),
        answer=drill_answer(drill, results, t),
        impossible="" if drill.counts else impossible(drill, results, t),
        verdict=shown(drill),
        verdict_word=t.label("verdict", shown(drill)),
        verdict_reasons=tuple(t.reason(reason) for reason in drill.verdict_reasons),
        contenders=tuple(_contender(contender, t) for contender in drill.contenders),
        rows=rows,
        repeats=repeat_rows(drill, t),
        phases=_phases(drill, moments_note(zero_of(mine), t), t),
        conditions=tuple(condition_view(condition, drill, t) for condition in drill.conditions),
        differences=differences(drill, t),
        compared=_compared(drill, t),
        outages=outage_table(mine, t),
        kinds=kind_tables(mine, t),
        advice=advice_table(drill.contenders, t),
        any_modelled=any(cell.modelled for row in rows for cell in row.cells),
    )


def _compared(drill: DrillResults, t: Translator) -> Table:
    head = (
        t.say("Number"),
        t.say("Contenders"),
        t.say("Difference of medians"),
        t.say("95% interval"),
        t.say("Larger than the noise?"),
    )
    note = t.say(
        "Larger than the noise: the interval, from resampling the runs, excludes zero, and the difference is at least "
        "the resolution. Where nothing differs, about one number in twenty may still look as if it did."
    )
    return Table(t.say("Differences between the contenders"), head, difference_rows(drill, t), note)


def _contender(contender: ContenderResults, t: Translator) -> ContenderView:
    def value(metric: str) -> str:
        spread = contender.metrics.get(metric)
        return t.metric_value(metric, spread.median if spread else None)

    outage = contender.metrics.get("outage")
    deployed = t.label("runs_as", contender.runs_as)
    if contender.runs_as == "service":
        deployed = t.say(
            "{deployed}, {replicas:count} {replicas:plural:replica|replicas}",
            deployed=deployed,
            replicas=contender.replicas,
        )
    return ContenderView(
        name=contender.name,
        description=t.text_of(contender.description),
        deployed=deployed,
        outage=value("outage"),
        recovery=value("recovery_time"),
        availability=value("availability"),
        kept=value("capacity_kept"),
        modelled=bool(outage and outage.modelled),
        explanation=tuple(t.reason(reason) for reason in contender.explanation),
    )


def _phases(drill: DrillResults, note: str, t: Translator) -> Table:
    """Moments of the recovery: phase by contender, each with the median time after zero."""
    rows = []
    for phase in PHASES:
        spreads = [contender.phases.get(phase) for contender in drill.contenders]
        if any(spread is not None and spread.median is not None for spread in spreads):
            values = (
                marked(t.duration(spread.median), t, modelled=spread.modelled and spread.median is not None)
                if spread
                else t.duration(None)
                for spread in spreads
            )
            rows.append((t.label("phase", phase), *values))
    head = (t.say("Moment"), *(contender.name for contender in drill.contenders))
    return Table(t.say("Moments of the recovery"), head, tuple(rows), note)
