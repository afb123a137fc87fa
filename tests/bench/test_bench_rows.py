"""What is made of a benchmark's figures: medians, ratios, judgements, tables and plots. Nothing here measures."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.__main__ import main
from benchmarks.catalogue import BENCHMARKS
from benchmarks.context import BrokenError, Context
from benchmarks.plots import Line, Plot, label, svg, ticks
from benchmarks.rows import OURS, Goal, Row, Run, judge, merged, ratio
from benchmarks.table import BEGIN, END, markdown, text, write_between_markers


def row(**changes: object) -> Row:
    settings: dict[str, object] = {
        "bench": "closed",
        "name": "new connections",
        "unit": "requests/s",
        "figures": {OURS: [90.0, 120.0, 500.0], "ab": [100.0, 90.0, 110.0]},
        "goals": [Goal(text="≥ 1.2 of ab", peer="ab", at_least=1.2)],
        **changes,
    }
    return Row(**settings)  # type: ignore[arg-type]  # of the right types above


def run_of(*rows: Row) -> Run:
    benches = {one.bench for one in rows}
    return Run(
        machine={"cores": "2"},
        rounds=3,
        rows=list(rows),
        seconds=dict.fromkeys(benches, 1.0),
        when=dict.fromkeys(benches, "2026-01-01"),
    )


def test_a_ratio_is_of_medians_and_above_one_when_breakroom_is_ahead() -> None:
    assert ratio(row(), "ab") == pytest.approx(1.2)
    assert ratio(row(better="less"), "ab") == pytest.approx(1 / 1.2)


def test_there_is_no_ratio_to_what_was_lost_in_the_noise() -> None:
    assert math.isnan(ratio(row(figures={OURS: [-1.0], "ab": [2.0]}), "ab"))


@pytest.mark.parametrize(
    ("goal", "said"),
    [
        (Goal(text="", peer="ab", at_least=1.2), "reached"),
        (Goal(text="", peer="ab", at_least=1.3), "not reached"),
        (Goal(text="", peer="wrk", at_least=1.0), "peer missing"),
        (Goal(text="", peer="best", at_least=1.0), "reached"),
        (Goal(text="", at_most=120), "reached"),
        (Goal(text="", at_most=119), "not reached"),
    ],
)
def test_a_goal_is_judged_by_the_medians(goal: Goal, said: str) -> None:
    assert judge(row(), goal) == said


def test_the_best_peer_is_the_one_to_beat() -> None:
    figures = {OURS: [5.0], "circusd": [1000.0], "supervisord": [40.0]}
    goal = Goal(text="", peer="best", at_least=10)
    assert judge(row(better="less", figures=figures), goal) == "not reached"
    assert judge(row(better="less", figures={OURS: [5.0]}), goal) == "peer missing"


def test_what_was_measured_again_takes_the_place_of_the_old() -> None:
    old = run_of(row(name="old"), row(bench="ingress", name="kept"))
    run = merged(old, run_of(row(name="new")), ["closed", "ingress"])
    assert [one.name for one in run.rows] == ["new", "kept"]
    assert merged(None, old, []) is old


def test_the_table_names_what_is_missing_and_what_was_not_reached() -> None:
    missing = row(missing={"wrk": "not installed"}, goals=[Goal(text="≥ 2 of ab", peer="ab", at_least=2)])
    page = markdown(run_of(missing), {"closed": "Closed load"})
    assert "wrk: missing (not installed)" in page
    assert "≥ 2 of ab: **not reached**" in page
    assert "0 of 1 goals reached" in page
    assert "missing: wrk: not installed" in text(missing)


def test_only_what_is_between_the_markers_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_between_markers(page, "new")
    assert page.read_text() == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    page.write_text("somebody's own page")
    with pytest.raises(ValueError, match="has not the two lines"):
        write_between_markers(page, "new")


@pytest.mark.parametrize(
    ("low", "high", "log", "wanted"),
    [
        (0, 11.6, False, [0, 5, 10, 15]),
        (0, 2, False, [0, 0.5, 1, 1.5, 2]),
        (10_000, 10_000_000, True, [1e4, 1e5, 1e6, 1e7]),
        (0.03, 5, True, [0.01, 0.1, 1, 10]),
    ],
)
def test_an_axis_has_round_numbers(low: float, high: float, log: bool, wanted: list[float]) -> None:
    assert ticks(low, high, log=log) == pytest.approx(wanted)


def test_numbers_at_an_axis_are_short() -> None:
    assert [label(value) for value in (0.5, 500, 20_000, 10_000_000)] == ["0.5", "500", "20k", "10M"]


def test_a_plot_is_a_picture_with_all_its_lines_named() -> None:
    lines = (Line("p50 & less", ((1.0, 2.0), (10.0, 3.0))), Line("p99", ((1.0, 2.0), (10.0, 3.1))))
    picture = ET.fromstring(svg(Plot(title="T", x="x", y="y", lines=lines, goal=5)))
    words = [one.text for one in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"T", "x", "y", "p50 & less", "p99", "goal 5"} <= set(words)
    assert len(list(picture.iter("{http://www.w3.org/2000/svg}polyline"))) == 2


def test_a_broken_benchmark_alone_decides_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def slow(_: Context) -> list[Row]:
        return [row(figures={OURS: [0.001], "ab": [100.0]})]

    def broken(_: Context) -> list[Row]:
        raise BrokenError("served nothing")

    out = tmp_path / "bench.json"
    page = tmp_path / "bench.md"
    for measure, code in ((slow, 0), (broken, 1)):
        changed = type(BENCHMARKS["closed"])("Closed load", measure)
        monkeypatch.setitem(BENCHMARKS, "closed", changed)
        assert main(["closed", "--small", "--json", str(out), "--markdown", str(page)]) == code
    assert "**not reached**" in page.read_text()


def test_a_row_that_does_not_exist_is_wrong_use() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["speed"])
    assert ended.value.code == 2
