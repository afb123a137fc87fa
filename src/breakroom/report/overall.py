"""All contenders over all drills, as the course compares them: the part that a report of several drills begins with.

Called by `report.view` and, for the same numbers, by the terminal's summary. Reads `results.overall` and the drills'
medians; what contains an operator model's time is marked in every cell. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from breakroom.analysis.results import DrillResults, OverallRow, RunResults
from breakroom.i18n import Translator
from breakroom.report.comparison import Cell, Row
from breakroom.report.doubts import impossible
from breakroom.report.judged import Shown, shown
from breakroom.report.method import Table
from breakroom.report.telling import Told, telling_cells

__all__ = [
    "DrillLine",
    "OverallView",
    "overall_rows",
    "overall_view",
    "scaled",
    "sensitivity_table",
    "unscaled",
]


@dataclass(frozen=True, slots=True)
class DrillLine:
    """One drill in the table of all drills."""

    name: str
    title: str
    number: int
    verdict: Shown
    word: str
    metric: str
    cells: tuple[Told | None, ...]
    """In the order of the view's contenders; None: the drill has no such contender."""
    others: tuple[Told, ...]
    """Contenders that only a few drills have."""


@dataclass(frozen=True, slots=True)
class OverallView:
    """The comparison over all drills.

    `contenders`: those that are compared. `notes`: over which drills, who stands apart, and what the platform cannot
    play, each in a sentence.
    """

    contenders: tuple[str, ...]
    deployed: tuple[str, ...]
    rows: tuple[Row, ...]
    drills: tuple[DrillLine, ...]
    sensitivity: Table
    any_modelled: bool
    basis: tuple[str, ...]
    notes: tuple[str, ...]


def overall_view(results: RunResults, t: Translator) -> OverallView:
    """Everything that is said over all drills."""
    names = _names(results)
    rows = overall_rows(results, t)
    kinds = {one.name: one.runs_as for drill in results.drills for one in drill.contenders}
    return OverallView(
        contenders=names,
        deployed=tuple(t.label("runs_as", kinds[name]) if name in kinds else "" for name in names),
        rows=rows,
        drills=tuple(
            _line(number, drill, results, names, t) for number, drill in enumerate(results.drills, start=1)
        ),
        sensitivity=sensitivity_table(results, t),
        any_modelled=any(cell.modelled for row in rows for cell in row.cells),
        basis=_basis(results, t),
        notes=tuple(
            t.say(
                "{drill}: {why}",
                drill=t.text_of(drill.title) or drill.name,
                why=impossible(drill, results, t),
            )
            for drill in results.drills
            if not drill.counts
        ),
    )


def _basis(results: RunResults, t: Translator) -> tuple[str, ...]:
    """Over which drills the numbers are, and who is not compared."""
    overall = results.overall
    sentences = []
    if overall.drills and overall.left_out:
        sentences.append(
            t.say(
                "Over the {count:count} drills of which each of them has numbers, so that all are compared by the same "
                "ones. Left out: {drills:list}.",
                count=len(overall.drills),
                drills=[t.say("“{title}”", title=_title(results, name, t)) for name in overall.left_out],
            )
        )
    elif overall.drills:
        sentences.append(
            t.say("Over the same {count:count} drills for each of them.", count=len(overall.drills))
        )
    if overall.apart:
        who = [
            t.say(
                "{name} ({drills:list})",
                name=one.contender,
                drills=[_title(results, name, t) for name in one.drills],
            )
            for one in overall.apart
        ]
        sentences.append(t.say("Only in some drills and so not compared here: {who:list}.", who=who))
    return tuple(sentences)


def _names(results: RunResults) -> tuple[str, ...]:
    """Every contender that is compared, in the order of the overall rows; without those, every contender once."""
    names = [row.contender for row in results.overall.rows]
    names = names or [contender.name for drill in results.drills for contender in drill.contenders]
    return tuple(dict.fromkeys(names))


def overall_rows(results: RunResults, t: Translator) -> tuple[Row, ...]:
    """The course's four rows; none where nothing was computed over all drills."""
    by_name = {row.contender: row for row in results.overall.rows}
    if not by_name:
        return ()
    rows = [by_name.get(name) for name in _names(results)]
    kinds = (
        (
            "availability",
            t.say("Availability"),
            t.say(
                "Share of the probe's requests, over the drills compared, that were answered correctly and in time."
            ),
            _availability,
        ),
        (
            "recovery_time",
            t.say("Recovery time"),
            t.say(
                "From the fault's effect to the first success after the last error, over drills with a fault."
            ),
            _recovery,
        ),
        (
            "operator_acts",
            t.say("Operator's burden"),
            t.say(
                "What a person had to do, and the time from the fault until they had restored the service."
            ),
            _burden,
        ),
        (
            "goodput_gain",
            t.say("Scalability"),
            t.say("Served work after scaling up, as a multiple of the served work before."),
            _scaling,
        ),
    )
    return tuple(
        Row(
            metric,
            label,
            hint,
            tuple(cell(row, results, t) if row else Cell(t.say("not known"), known=False) for row in rows),
        )
        for metric, label, hint, cell in kinds
    )


def _availability(row: OverallRow, _results: RunResults, t: Translator) -> Cell:
    if row.availability is None:
        return Cell(t.say("not known"), known=False)
    details = []
    if row.known < row.drills:
        details.append(
            t.say("{known:count} of {drills:count} drills known", known=row.known, drills=row.drills)
        )
    if row.outage_s is not None:
        details.append(t.say("outages of {outage:duration} in all", outage=row.outage_s))
    details.append(
        t.say(
            "{failed:count} {failed:plural:request|requests} failed",
            failed=row.failed_requests,
        )
    )
    return Cell(t.ratio(row.availability), tuple(details), modelled=row.modelled, share=row.availability)


def _recovery(row: OverallRow, results: RunResults, t: Translator) -> Cell:
    details = []
    if row.recovery_worst_s is not None:
        worst = _title(results, row.recovery_worst_drill, t)
        details.append(t.say("longest {worst:duration}: {drill}", worst=row.recovery_worst_s, drill=worst))
    if row.never_recovered:
        details.append(
            t.say(
                "not recovered in {count:count} {count:plural:drill|drills}, which are in no median",
                count=row.never_recovered,
            )
        )
    if row.recovery_median_s is None:
        return Cell(t.say("not known"), tuple(details), known=False)
    text = t.say("{median:duration} (median)", median=row.recovery_median_s)
    return Cell(text, tuple(details), modelled=row.modelled)


def _burden(row: OverallRow, _results: RunResults, t: Translator) -> Cell:
    if row.operator_acts is None:
        return Cell(t.say("not known"), known=False)
    text = t.say("{acts:count} {acts:plural:act|acts} of a person", acts=row.operator_acts)
    details: tuple[str, ...] = ()
    if row.operator_acts and row.operator_s is not None:
        details = (t.say("{time:duration} until restored, in all", time=row.operator_s),)
    return Cell(text, details, modelled=row.modelled and row.operator_acts > 0)


def _scaling(row: OverallRow, results: RunResults, t: Translator) -> Cell:
    if row.scale_gain is not None:
        told = t.say("goodput after scaling up, against before")
        if not scaled(row.contender, results):
            told = unscaled(row.contender, results, t)
        return Cell(t.factor(row.scale_gain), (told,))
    return Cell(unscaled(row.contender, results, t), known=False)


def scaled(contender: str, results: RunResults) -> bool:
    """Whether any drill changed its number of replicas."""
    return any(
        scale.applied for trial in results.trials if trial.contender == contender for scale in trial.scaling
    )


def unscaled(contender: str, results: RunResults, t: Translator) -> str:
    """Why a contender has no number for scaling."""
    mine = [scale for trial in results.trials if trial.contender == contender for scale in trial.scaling]
    if mine and not scaled(contender, results):
        return t.say("cannot be scaled: there is one container")
    return t.say("not known") if mine else t.say("not measured: no drill scaled it")


def _title(results: RunResults, name: str, t: Translator) -> str:
    drill = next((drill for drill in results.drills if drill.name == name), None)
    return (t.text_of(drill.title) or name) if drill is not None else name


def _line(
    number: int, drill: DrillResults, results: RunResults, names: tuple[str, ...], t: Translator
) -> DrillLine:
    metric, cells = telling_cells(drill, results, t)
    told = {cell.contender: cell for cell in cells}
    return DrillLine(
        name=drill.name,
        title=t.text_of(drill.title) or drill.name,
        number=number,
        verdict=shown(drill),
        word=t.label("verdict", shown(drill)),
        metric=metric if drill.counts else "",
        cells=tuple(told.get(name) for name in names),
        others=tuple(cell for cell in cells if cell.contender not in names),
    )


def sensitivity_table(results: RunResults, t: Translator) -> Table:
    """What contenders with an operator would show if that person reacted after another time: all of it modelled."""
    rows = tuple(
        (
            row.contender,
            t.duration(row.reacts_after_s),
            t.duration(row.outage_s),
            t.duration(row.recovery_s),
            t.ratio(row.availability),
        )
        for row in results.overall.sensitivity
    )
    head = (
        t.say("Contender"),
        t.say("The operator reacts after"),
        t.say("Outage"),
        t.say("Recovery"),
        t.say("Availability"),
    )
    note = t.say(
        "All of it is modelled: the measured times, with another reaction of the operator put in, and the observation "
        "made longer by as much."
    )
    return Table(t.say("What if the operator reacts later?"), head, rows, note)
