"""Tables and charts of one kind of failure: shown where it occurred, with its numbers, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from breakroom.analysis.results import Mark, Reason, TrialResults
from breakroom.i18n import LANGUAGES, Language, translator
from breakroom.report.charts.impairment import impairment
from breakroom.report.charts.latency import latency
from breakroom.report.charts.memory import memory
from breakroom.report.charts.moments import Lane, fault_windows
from breakroom.report.charts.scaling import scaling
from breakroom.report.charts.timeline import timeline
from breakroom.report.kinds import MAX_ROWS, kind_tables
from breakroom.report.view import view_of
from report.conftest import Made
from report.whole_run import whole_run

EN = translator("en")
TITLES = {
    "memory-leak": {"The leak", "Memory, life by life", "Failure log"},
    "kill": {"Failure log"},
    "scale": {"Scaling", "Decisions of the autoscaler", "Failure log"},
    "network-delay": {"The bad link", "Response times against the prediction", "Failure log"},
    "rolling-update": {"Releases", "Failure log"},
    "health-check": {"How it was found out", "Failure log"},
}


def _lanes(made: Made, drill: str) -> list[Lane]:
    results, series = made
    return [Lane(trial, series[trial.id], "detail") for trial in results.trials if trial.drill == drill]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_drill_has_the_tables_of_its_kind_and_no_other(lang: Language) -> None:
    t = translator(lang)
    for drill in view_of(whole_run()[0], t).drills:
        assert {table.title for table in drill.kinds} == {t.gettext(title) for title in TITLES[drill.name]}
        for table in drill.kinds:
            assert {len(row) for row in table.rows} == {len(table.head)}


def test_the_tables_hold_what_was_found() -> None:
    views = {drill.name: drill for drill in view_of(whole_run()[0], EN).drills}
    cells = {
        name: " ".join(cell for table in view.kinds for row in table.rows for cell in row)
        for name, view in views.items()
    }
    assert "3.0 ms → 41 ms" in cells["memory-leak"]
    assert "no: it grows as fast as before" in cells["memory-leak"]
    assert "3 → 6" in cells["scale"]
    assert "not possible: there is one container" in cells["scale"]
    assert "98.0% (target 70.0%)" in cells["scale"]
    assert "100 ms ± 20 ms" in cells["network-delay"]
    assert "v1: 120, v2: 380" in cells["rolling-update"]
    assert "380 (76.0%)" in cells["rolling-update"]
    assert "noticed in time" in cells["health-check"]
    assert "never noticed" in cells["health-check"]
    assert views["kill"].advice.rows[0][3:5] == ("healthcheck.start_interval", "1s → 100ms")


def test_a_long_table_is_cut_and_says_so() -> None:
    trial = next(trial for trial in whole_run()[0].trials if trial.failures)
    many = replace(trial, failures=trial.failures * (MAX_ROWS + 1))
    (table,) = [table for table in kind_tables([many], EN) if table.title == "Failure log"]
    assert len(table.rows) == MAX_ROWS
    assert f"The first {MAX_ROWS} of {MAX_ROWS + 1} rows" in table.note


def _resolved(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _resolved(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_resolved(value) for value in node]
    return "#123456" if isinstance(node, str) and node.startswith("var(--") else node


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(
    ("chart", "drill"),
    [(scaling, "scale"), (impairment, "network-delay"), (memory, "memory-leak"), (latency, "kill")],
)
def test_plotly_accepts_the_charts_of_each_kind(chart: Any, drill: str, lang: Language) -> None:
    import plotly.graph_objects as go

    figure = go.Figure(_resolved(chart(_lanes(whole_run(), drill), translator(lang))))
    assert len(figure.data) >= 3


def test_charts_of_a_kind_are_absent_where_it_did_not_occur() -> None:
    lanes = _lanes(whole_run(), "kill")
    assert scaling(lanes, EN) is None
    assert impairment(lanes, EN) is None


def test_the_scaling_chart_holds_wanted_replicas_replicas_in_rotation_and_decisions() -> None:
    figure = scaling(_lanes(whole_run(), "scale"), EN)
    assert figure is not None
    traces = {trace["name"]: trace for trace in figure["data"] if trace["yaxis"] == "y6"}
    assert traces["wanted"]["y"][:-1] == [3, 6, 2]
    assert traces["in rotation"]["y"][:-1] == [3, 6, 2]
    assert traces["decisions of the autoscaler"]["y"] == [6]


def test_each_slot_keeps_its_colour_and_a_kill_at_the_limit_is_crossed() -> None:
    figure = memory(_lanes(whole_run(), "memory-leak"), EN)
    assert figure is not None
    panel = [trace for trace in figure["data"] if trace["yaxis"] == "y"]
    lives = {trace["name"]: trace for trace in panel if trace["mode"] == "lines"}
    assert lives["web.1.a"]["line"]["color"] == lives["web.1.b"]["line"]["color"]
    (cross,) = [trace for trace in panel if trace["mode"] == "markers"]
    assert (cross["x"], cross["y"]) == ([0.0], [64.0])


def test_latency_has_three_percentiles() -> None:
    names = [trace["name"] for trace in latency(_lanes(whole_run(), "kill"), EN)["data"]]
    assert names == ["p50", "p90", "p99"] * 3


def test_the_impairment_chart_puts_the_measured_beside_the_predicted() -> None:
    figure = impairment(_lanes(whole_run(), "network-delay"), EN)
    assert figure is not None
    dots = {trace["name"]: trace["x"] for trace in figure["data"]}
    assert dots["during"][:2] == [210.0, 218.0]
    assert dots["predicted for during"][0] == pytest.approx(208.3)


def _marked(trial: TrialResults, *marks: tuple[float, str, str]) -> TrialResults:
    return replace(
        trial,
        marks=tuple(
            Mark(at_s=at, kind="x", label=Reason(code=code, params={"kind": kind} if kind else {}))
            for at, code, kind in marks
        ),
    )


@pytest.mark.parametrize(
    ("marks", "windows"),
    [
        ([(0.0, "mark.fault", "kill"), (1.5, "mark.full-capacity", "")], [(0.0, 1.5)]),
        ([(0.0, "mark.fault", "kill")], [(0.0, 9.0)]),
        (
            [(0.0, "mark.fault", "pause"), (2.0, "mark.undone", "pause"), (3.0, "mark.full-capacity", "")],
            [(0.0, 2.0)],
        ),
        (
            [
                (0.0, "mark.fault", "pause"),
                (1.0, "mark.fault", "network"),
                (2.0, "mark.undone", "pause"),
                (4.0, "mark.undone", "network"),
            ],
            [(0.0, 4.0)],
        ),
        ([(0.0, "mark.scale", "")], []),
    ],
)
def test_a_faults_stretch_ends_when_it_was_taken_back_or_all_was_well_again(
    marks: list[tuple[float, str, str]], windows: list[tuple[float, float]]
) -> None:
    trial = _marked(whole_run()[0].trials[0], *marks)
    assert list(fault_windows(trial, 9.0)) == windows


def test_the_faults_stretch_is_shaded_in_every_panel_of_the_timeline() -> None:
    lanes = _lanes(whole_run(), "network-delay")
    layout = timeline(lanes, EN)["layout"]
    shaded = [shape for shape in layout["shapes"] if shape.get("fillcolor") == "var(--fault-fill)"]
    assert {(shape["x0"], shape["x1"]) for shape in shaded} == {(0.0, 0.6)}
    assert len({shape["yref"] for shape in shaded}) == sum(key.startswith("yaxis") for key in layout)


def test_an_act_that_has_no_line_of_its_own_is_drawn_as_an_act() -> None:
    layout = timeline(_lanes(whole_run(), "scale"), EN)["layout"]
    acts = [
        shape["x0"]
        for shape in layout["shapes"]
        if shape["type"] == "line" and shape["line"]["color"] == "var(--act)"
    ]
    assert set(acts) == {2.0}
    assert any(note["text"] == "scale to 2 +2.00 s" for note in layout["annotations"])
