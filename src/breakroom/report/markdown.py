"""The report as Markdown: the same findings as the HTML, as tables to paste into an issue, a wiki or a submission.

Called by `report.write`. Pure: a view in, text out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from breakroom.i18n import Translator
from breakroom.report.comparison import Cell
from breakroom.report.course import CourseSection
from breakroom.report.judged import SYMBOLS, ClaimView
from breakroom.report.method import Table
from breakroom.report.overall import OverallView
from breakroom.report.telling import Told
from breakroom.report.view import DrillView, ReportView

__all__ = ["escape", "render_markdown"]

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~#])")


def escape(text: str) -> str:
    """`text` so that Markdown shows it letter for letter, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def render_markdown(view: ReportView, t: Translator) -> str:
    """The whole report, ending in a newline."""
    return "\n".join(_lines(view, t)) + "\n"


def _lines(view: ReportView, t: Translator) -> Iterator[str]:
    yield f"# breakroom: {escape(view.title)}"
    yield ""
    yield f"**{SYMBOLS[view.verdict]} {escape(view.verdict_word)}** · {escape(view.subtitle)}"
    yield ""
    yield escape(view.answer)
    if view.notices:
        yield from ("", "> **" + t.say("Read this first") + "**")
        yield from (
            f"> - {escape(': '.join(filter(None, (notice.where, notice.text))))}" for notice in view.notices
        )
    alone = len(view.drills) == 1
    if view.drills and not alone:
        yield from _overall(view.overall, t)
    yield from _claims(view.claims, t)
    yield from _titled(view.overall.sensitivity, "##")
    yield ""
    yield from _course(view.course)
    for phase in view.checkpoints:
        yield from ("", f"### ✅ {escape(phase.title)}", "")
        yield from (
            f"- [{'x' if point.ticked else ' '}] {escape(point.text)} — {escape(point.why)}"
            for point in phase.points
        )
    for drill in view.drills:
        yield from _drill(drill, t, alone=alone)
    yield from ("", "## " + t.say("How it was measured"), "")
    yield from (f"- **{escape(fact.label)}**: {escape(fact.text)}" for fact in view.facts)
    for table in view.tables:
        yield from _titled(table, "###")


def _overall(overall: OverallView, t: Translator) -> Iterator[str]:
    yield from ("", "## " + t.say("Comparison over all drills"), "")
    if overall.rows:
        yield from _table(
            ("", *overall.contenders),
            [(row.label, *(_cell(cell) for cell in row.cells)) for row in overall.rows],
        )
    if overall.any_modelled:
        yield from ("", "† " + t.say("modelled, not measured: contains the time of the operator model"))
    if overall.rows:
        yield from (line for sentence in overall.basis for line in ("", escape(sentence)))
    yield from ("", "### " + t.say("All drills"), "")
    head = (t.say("Drill"), t.say("Verdict"), t.say("Number"), *overall.contenders)
    others = any(line.others for line in overall.drills)
    if others:
        head = (*head, t.say("Others"))
    rows = [
        (
            line.title,
            f"{SYMBOLS[line.verdict]} {line.word}",
            line.metric,
            *(_told(cell, t) for cell in line.cells),
            *([", ".join(f"{cell.contender} {_told(cell, t)}" for cell in line.others)] if others else []),
        )
        for line in overall.drills
    ]
    yield from _table(head, rows)
    yield from (line for sentence in overall.notes for line in ("", escape(sentence)))


def _told(cell: Told | None, t: Translator) -> str:
    if cell is None:
        return t.say("not part of it")
    return f"{cell.text} ({cell.detail})" if cell.detail else cell.text


def _claims(claims: Sequence[ClaimView], t: Translator) -> Iterator[str]:
    if not claims:
        return
    yield from ("", "## " + t.say("What the course says, and what was measured"))
    head = (t.say("Claim"), t.say("Verdict"), t.say("Value"), t.say("Reason"))
    for modelled in (False, True):
        rows = [
            (claim.text, f"{SYMBOLS[claim.verdict]} {claim.word}", claim.value, claim.reason)
            for claim in claims
            if claim.modelled is modelled
        ]
        if rows and modelled:
            note = t.say("Modelled: these rest on the operator model's time, not on a measurement")
            yield from ("", f"**{note}**")
        if rows:
            yield ""
            yield from _table(head, rows)


def _drill(drill: DrillView, t: Translator, *, alone: bool) -> Iterator[str]:
    yield from ("", "## " + (t.say("Comparison") if alone else escape(drill.title)))
    if not alone:
        yield from ("", escape(drill.answer))
    if drill.description:
        yield from ("", escape(drill.description))
    if drill.impossible:
        return
    yield ""
    head = ("", *(contender.name for contender in drill.contenders))
    yield from _table(head, [(row.label, *(_cell(cell) for cell in row.cells)) for row in drill.rows])
    if drill.any_modelled:
        yield from ("", "† " + t.say("modelled, not measured: contains the time of the operator model"))
    yield from (
        f"\n- {escape(sentence)}" if number == 0 else f"- {escape(sentence)}"
        for number, sentence in enumerate(drill.differences)
    )
    yield from _titled(drill.compared, "###")
    yield from ("", "### " + t.say("Why"))
    for contender in drill.contenders:
        yield from ("", f"**{escape(contender.name)}** ({escape(contender.deployed)})", "")
        yield from (
            f"- {escape(sentence)}" for sentence in contender.explanation or (t.say("Nothing to explain."),)
        )
    yield from _titled(drill.phases, "###")
    yield from _titled(drill.advice, "###")
    for table in drill.kinds:
        yield from _titled(table, "###")
    yield from ("", "### " + t.say("Conditions"), "")
    yield from (f"- {escape(reason)}" for reason in drill.verdict_reasons)
    if drill.conditions:
        yield ""
        rows = [
            (
                condition.text,
                condition.value,
                f"{SYMBOLS[condition.verdict]} {condition.word}",
                condition.reason,
            )
            for condition in drill.conditions
        ]
        yield from _table((t.say("Condition"), t.say("Value"), t.say("Verdict"), t.say("Reason")), rows)
    yield from _titled(drill.outages, "###")
    if drill.repeats:
        yield from ("", "### " + t.say("Each repeat"), "")
        count = max(len(row.values) for row in drill.repeats)
        head = (t.say("Number"), t.say("Contender"), *(str(number) for number in range(1, count + 1)))
        yield from _table(head, [(row.label, row.contender, *row.values) for row in drill.repeats])


def _course(section: CourseSection) -> Iterator[str]:
    """In the handout's own form: a second-level heading, three below it, one line a contender."""
    yield f"## {escape(section.title)}"
    for heading, entries in section.parts:
        if not entries:
            continue
        yield from ("", f"### {escape(heading)}", "")
        yield from (f"- {escape(name)}: {escape(text)}" for name, text in entries)


def _cell(cell: Cell) -> str:
    text = cell.text + (" †" if cell.modelled else "")
    return f"{text} ({', '.join(cell.details)})" if cell.details else text


def _titled(table: Table, level: str) -> Iterator[str]:
    if table.rows:
        yield from ("", f"{level} {escape(table.title)}", "")
        yield from _table(table.head, table.rows)
        if table.note:
            yield from ("", escape(table.note))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(escape(cell) for cell in head) + " |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        padded = [*row, *[""] * (len(head) - len(row))]
        yield "| " + " | ".join(escape(cell) for cell in padded) + " |"
