"""All contenders over all drills, as the course compares them: the part that a report of several drills begins with.

Called by `report.view` and, for the same numbers, by the terminal's summary. Reads `results.overall` and the drills'
medians; what contains an operator model's time is marked in every cell. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from breakroom.analysis.results import DrillResults, OverallRow, RunResults, Verdict
from breakroom.i18n import Translator
from breakroom.report.comparison import Cell, Row
from breakroom.report.method import Table
from breakroom.report.telling import Told, telling_cells

__all__ = ["DrillLine", "OverallView", "overall_rows", "overall_view", "sensitivity_table"]


@dataclass(frozen=True, slots=True)
class DrillLine:
    """One drill in the table of all drills."""

    name: str
    title: str
    number: int
    verdict: Verdict
    word: str
    metric: str
    cells: tuple[Told | None, ...]
    """In the order of the view's contenders; None: the drill has no such contender."""


@dataclass(frozen=True, slots=True)
class OverallView:
    """The comparison over all drills."""

    contenders: tuple[str, ...]
    deployed: tuple[str, ...]
    rows: tuple[Row, ...]
    drills: tuple[DrillLine, ...]
    sensitivity: Table
    any_modelled: bool


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
    )


def _names(results: RunResults) -> tuple[str, ...]:
    """Every contender of the run once; those of the overall rows first, in their order."""
    names = [row.contender for row in results.overall.rows]
    names += [contender.name for drill in results.drills for contender in drill.contenders]
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
                "Share of the probe's requests, over all drills, that were answered correctly and in time."
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
    details = [t.say("{known:count} of {drills:count} drills known", known=row.known, drills=row.drills)]
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
        return Cell(t.factor(row.scale_gain), (t.say("goodput after scaling up, against before"),))
    return Cell(unscaled(row.contender, results, t), known=False)


def unscaled(contender: str, results: RunResults, t: Translator) -> str:
    """Why a contender has no number for scaling."""
    mine = [scale for trial in results.trials if trial.contender == contender for scale in trial.scaling]
    if mine and not any(scale.applied for scale in mine):
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
        verdict=drill.verdict,
        word=t.label("verdict", drill.verdict),
        metric=metric,
        cells=tuple(told.get(name) for name in names),
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
