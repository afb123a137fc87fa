"""Numbers in the reports say what they are: modelled ones are marked, differences of shares are points."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from breakroom.analysis.results import Comparison, RunResults
from breakroom.analysis.series import TrialSeries
from breakroom.i18n import translator
from breakroom.report.course import course_section
from breakroom.report.method import facts
from breakroom.report.view import view_of
from report.whole_run import whole_run

Make = Callable[..., tuple[RunResults, dict[str, TrialSeries]]]
EN = translator("en")


def _compared(results: RunResults, metric: str, worse: str, difference: float) -> tuple[str, ...]:
    """The sentences on one comparison."""
    comparison = Comparison(
        metric=metric,
        better="orchestrated",
        worse=worse,
        difference=difference,
        ci95_low=difference,
        ci95_high=difference,
        beyond_noise=True,
    )
    drill = msgspec.structs.replace(results.drills[0], comparisons=(comparison,))
    return view_of(msgspec.structs.replace(results, drills=(drill,)), EN).drills[0].differences


def test_a_difference_of_shares_is_in_percentage_points(made: Make) -> None:
    results, _ = made(repeat=5)
    (sentence,) = _compared(results, "availability", "single-restart", 0.094)
    assert "by 9.4 percentage points (" in sentence


def test_a_difference_that_contains_the_operator_models_time_says_so(made: Make) -> None:
    results, _ = made(repeat=5)
    (modelled,) = _compared(results, "outage", "single", 12.0)
    (measured,) = _compared(results, "outage", "single-restart", 0.4)
    assert "by 12.0 s (modelled)" in modelled
    assert "modelled" not in measured


@pytest.mark.parametrize("repeat", [1, 5])
def test_every_table_marks_what_is_modelled(made: Make, repeat: int) -> None:
    results, _ = made(repeat=repeat)
    (drill,) = view_of(results, EN).drills
    totals = [row for row in drill.outages.rows if row[0] == "single" and row[2] == "total outage"]
    assert totals
    assert all("(modelled)" in row[5] for row in totals)
    assert not any("modelled" in cell for row in drill.outages.rows if row[0] != "single" for cell in row)
    for row in drill.repeats:
        if row.contender == "single" and "Recovery" in row.label:
            assert all("(modelled)" in value for value in row.values)
        if row.contender != "single":
            assert not any("modelled" in value for value in row.values)


def test_a_service_that_nobody_brought_back_did_not_recover_by_itself() -> None:
    results, _ = whole_run()
    lost = tuple(
        msgspec.structs.replace(row, recovery_median_s=None, never_recovered=2)
        for row in results.overall.rows
        if row.contender == "single-restart"
    )
    overall = msgspec.structs.replace(results.overall, rows=lost)
    section = course_section(msgspec.structs.replace(results, overall=overall), EN)
    said = " ".join(text for _, entries in section.parts for _, text in entries)
    assert "by itself" not in said
    assert "nobody acted, and in 2 of its drills it did not recover" in said
    assert "in 2 drills not recovered while it was watched" in said


def test_every_row_of_the_table_says_whether_the_difference_is_larger_than_the_noise(made: Make) -> None:
    results, _ = made(repeat=5)
    (row,) = view_of(results, EN).drills[0].compared.rows
    assert row == (
        "Outage, total",
        "single - orchestrated",
        "12.1 s (modelled)",
        "11.9 s to 12.4 s",
        "yes: orchestrated is better",
    )


def test_of_few_repeats_no_difference_is_said_to_be_more_than_noise(made: Make) -> None:
    few, _ = made(repeat=2)
    assert [row[3:] for row in view_of(few, EN).drills[0].compared.rows] == [
        ("", "not known: fewer than 5 runs to be trusted")
    ]
    once, _ = made()
    assert view_of(once, EN).drills[0].compared.rows == ()


def test_the_resolution_is_not_called_the_probes_spacing(made: Make) -> None:
    results, _ = made()
    (text,) = [fact.text for fact in facts(results, EN) if fact.label == "Resolution"]
    assert "every" not in text
    assert "the spacing and the longest delay" in text


def test_a_contender_alone_without_an_outage_was_not_down_for_0_s(made: Make) -> None:
    results, _ = made(names=("orchestrated",))
    answer = view_of(results, EN).drills[0].answer
    assert "no outage" in answer
    assert "down" not in answer
