"""The terminal's summary of a run of many drills: short, complete, and true to the report."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.cells import cell_len
from rich.console import Console

from breakroom.analysis.results import RunResults
from breakroom.i18n import LANGUAGES, Language, translator
from breakroom.live.summary import print_summary
from report.whole_run import DRILLS, whole_run


def _said(results: RunResults, lang: Language, width: int = 80) -> str:
    out = io.StringIO()
    print_summary(
        Console(file=out, width=width), results, translator(lang), Path("/tmp/x/report.html")
    )  # only printed
    return out.getvalue()


@pytest.mark.parametrize("lang", LANGUAGES)
def test_many_drills_are_a_line_each_then_the_whole_then_the_claims(lang: Language) -> None:
    said = _said(whole_run()[0], lang)
    t = translator(lang)
    places = [said.index(name) for name in DRILLS]
    places += [said.index(t.say("Comparison over all drills"))]
    places += [said.index(t.say("What the course says, and what was measured"))]
    places += [said.index("report.html")]
    assert places == sorted(places)
    assert t.metric_label("blast_radius") not in said


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_tables_fit_a_terminal_of_eighty_columns(lang: Language) -> None:
    tables = [
        line
        for line in _said(whole_run()[0], lang).splitlines()
        if line.startswith(" ") and "  " in line.strip()
    ]
    assert tables
    assert all(cell_len(line) <= 80 for line in tables)


def test_what_contains_the_operator_models_time_is_marked_in_the_terminal_too() -> None:
    said = _said(whole_run()[0], "en", width=120)
    assert "70.0%*" in said
    assert "80.0%*" not in said
    assert "Orchestration saves 80% of the operator's work (modelled)" in said


def test_one_drill_is_shown_in_full() -> None:
    results, _ = whole_run()
    alone = replace(
        results,
        drills=tuple(drill for drill in results.drills if drill.name == "kill"),
        trials=tuple(trial for trial in results.trials if trial.drill == "kill"),
    )
    said = _said(alone, "en", width=120)
    assert "Time to full capacity" in said
    assert "Comparison over all drills" not in said
