"""What the times of a drill count from is named: the fault, the first act, or the load."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from breakroom.analysis.results import Mark, Reason, TrialResults
from breakroom.i18n import translator
from breakroom.report.charts.moments import Lane, has_line
from breakroom.report.charts.timeline import timeline
from breakroom.report.zero import axis_title, moments_note, zero_of
from report.whole_run import whole_run

EN, KO = translator("en"), translator("ko")


def _trial(*marks: tuple[float, str, str]) -> TrialResults:
    trial = whole_run()[0].trials[0]
    found = tuple(
        Mark(at_s=at, kind=kind, label=Reason(code=code, params={"kind": kind})) for at, code, kind in marks
    )
    return replace(trial, marks=found)


@pytest.mark.parametrize(
    ("marks", "zero"),
    [
        ([(-6.0, "mark.action", "load"), (0.0, "mark.fault", "oom")], "fault"),
        ([(-0.9, "mark.action", "load"), (0.7, "mark.scale", "scale")], "load"),
        ([(-3.0, "mark.action", "load"), (-0.005, "mark.scale", "scale")], "scale"),
        ([(-3.0, "mark.action", "load"), (0.0, "mark.inapplicable", "scale")], "scale"),
        ([(-0.3, "mark.action", "update"), (9.0, "mark.action", "rollback")], "update"),
        ([], "fault"),
    ],
)
def test_zero_is_the_fault_or_the_last_command_until_zero(
    marks: list[tuple[float, str, str]], zero: str
) -> None:
    assert zero_of([_trial(*marks)]) == zero


def test_each_zero_has_its_words_in_both_languages() -> None:
    for zero in ("fault", "load", "scale", "update"):
        titles = {axis_title(zero, t) for t in (EN, KO)}
        notes = {moments_note(zero, t) for t in (EN, KO)}
        assert len(titles) == len(notes) == 2
    assert axis_title("update", EN) == "seconds after the first act took effect: update"


def test_the_axis_of_a_chart_says_what_its_zero_is() -> None:
    results, series = whole_run()
    trial = replace(_trial((-0.9, "mark.action", "load")), id=results.trials[0].id)
    figure = timeline([Lane(trial, series[trial.id], "detail")], EN)
    titles = [
        axis["title"]["text"]
        for key, axis in figure["layout"].items()
        if key.startswith("xaxis") and axis.get("title")
    ]
    assert "seconds after the load set in" in str(titles)


def test_full_capacity_at_zero_was_never_less_and_is_no_line() -> None:
    full = Reason(code="mark.full-capacity")
    assert not has_line(Mark(at_s=0.0, kind="full_capacity", label=full))
    assert has_line(Mark(at_s=0.3, kind="full_capacity", label=full))
