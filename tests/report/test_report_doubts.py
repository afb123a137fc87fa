"""What must be known before the numbers are believed: said once for a drill's trials, and in the reader's language."""

from __future__ import annotations

import dataclasses
from xml.etree import ElementTree as ET

import pytest
from msgspec.structs import replace

from breakroom.analysis.results import OverallApart, Reason, RunResults
from breakroom.director.able import why_impossible
from breakroom.i18n import LANGUAGES, Language, translator
from breakroom.platforms.docker.lone import CANNOT as OF_A_CONTAINER
from breakroom.platforms.local_acts import CANNOT
from breakroom.report.doubts import doubts, impossible
from breakroom.report.html import render_html
from breakroom.report.junit import render_junit
from breakroom.report.markdown import render_markdown
from breakroom.report.view import view_of
from breakroom.spec.loader import load_drill
from report.whole_run import DRILLS, whole_run

EN, KO = translator("en"), translator("ko")
LATE = "unknown.generator-lag"


def _doubted(*reasons: Reason, drill: str = "kill") -> RunResults:
    """The run, with one of the reasons for each trial of the drill, in turns."""
    results, _ = whole_run()
    trials, number = [], 0
    for trial in results.trials:
        if trial.drill == drill:
            trials.append(replace(trial, reasons_unknown=(reasons[number % len(reasons)],)))
            number += 1
        else:
            trials.append(trial)
    return replace(results, trials=tuple(trials))


def _skipped(*, counts: bool, drill: str = "kill") -> RunResults:
    """The run on a platform that cannot play one of its drills."""
    why = Reason(code="unknown.skipped", params={"message": f"node_loss: {CANNOT['node_loss']}"})
    results = _doubted(why, drill=drill)
    note = Reason(code="trial-skipped", params={**why.params, "trial": f"{drill}/orchestrated/1"})
    return replace(
        results,
        drills=tuple(
            replace(one, counts=counts, verdict="unknown") if one.name == drill else one
            for one in results.drills
        ),
        trials=tuple(
            replace(one, outcome="skipped") if one.drill == drill else one for one in results.trials
        ),
        problems=(note,),
    )


def test_the_same_doubt_of_a_drills_trials_is_one_that_names_the_contenders() -> None:
    (doubt,) = doubts(_doubted(Reason(code="unknown.aborted")), EN)
    assert doubt.where == "kill (single, single-restart and orchestrated)"
    assert doubt.text == EN.message("unknown.aborted")


def test_of_late_generators_the_latest_stands_for_all() -> None:
    lags = [
        Reason(code=LATE, params={"stream": "load", "lag_s": lag, "limit_s": 0.005})
        for lag in (0.006, 0.0087, 0.007)
    ]
    (doubt,) = doubts(_doubted(*lags), EN)
    assert "p99 8.7 ms" in doubt.text
    assert doubt.text.endswith("The worst of 3 trials.")


def test_doubts_that_differ_otherwise_are_said_each() -> None:
    reasons = [Reason(code="unknown.failed", params={"message": text}) for text in ("a", "b", "a")]
    assert [(one.where, one.text[-1]) for one in doubts(_doubted(*reasons), EN)] == [
        ("kill (single and orchestrated)", "a"),
        ("kill/single-restart/1", "b"),
    ]


def test_a_drill_that_was_asked_for_by_name_and_skipped_is_a_doubt_said_once() -> None:
    results = _skipped(counts=True)
    (doubt,) = doubts(results, EN)
    assert doubt.text == impossible(results.drills[list(DRILLS).index("kill")], results, EN)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_drill_that_does_not_count_is_not_possible_and_no_doubt(lang: Language) -> None:
    t = translator(lang)
    results = _skipped(counts=False)
    view = view_of(results, t)
    assert view.notices == ()
    (drill,) = [one for one in view.drills if one.name == "kill"]
    assert (drill.verdict, drill.verdict_word) == ("impossible", t.gettext("not possible on this platform"))
    assert t.gettext(CANNOT["node_loss"]) in drill.impossible
    word = t.say(", not possible on this platform: {count:count}", count=1)
    assert word in view.answer
    (line,) = [one for one in view.overall.drills if one.name == "kill"]
    assert line.verdict == "impossible"
    text = render_markdown(view, t)
    part = text[text.index(f"## {drill.title}\n") :].split("\n## ")[0].split("\n### ")[0]
    assert t.gettext(CANNOT["node_loss"]).split(",")[0].split(";")[0] in part
    assert "|" not in part


def test_a_drill_that_does_not_count_has_neither_failure_nor_error_in_junit() -> None:
    root = ET.fromstring(render_junit(_skipped(counts=False), EN))  # our own text, made just here
    (suite,) = [one for one in root if one.get("name") == "breakroom.kill"]
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")
    assert int(suite.attrib["skipped"]) >= 3
    values = {one.get("name"): one.get("value") for one in suite.iter("property")}
    assert values["verdict"] == "impossible"


def test_the_page_of_a_run_with_a_drill_that_was_not_possible_says_so() -> None:
    results, series = _skipped(counts=False), whole_run()[1]
    page = render_html(
        results, series, {lang: view_of(results, translator(lang)) for lang in LANGUAGES}, "ko"
    )
    assert '<span class="verdict impossible">' in page
    assert "이 플랫폼에서 불가" in page


def test_every_reason_of_our_own_why_a_platform_cannot_is_told_in_korean() -> None:
    drill = load_drill("node-loss", pace="quick")
    container = dataclasses.replace(drill.contenders[0], runs_as="container")
    word, _, planned = why_impossible(drill, container, {}).partition(": ")
    assert word == "node_loss"
    for reason in {planned, *CANNOT.values(), *OF_A_CONTAINER.values()}:
        said = KO.message("unknown.skipped", {"message": f"drain: {reason}"})
        assert reason not in said
        assert f"drain: {KO.gettext(reason)}" in said
        assert KO.gettext(reason) in KO.message("unknown.skipped", {"message": reason})


def test_what_others_said_stays_as_they_said_it() -> None:
    assert "netem: Operation not permitted" in KO.message(
        "unknown.failed", {"message": "netem: Operation not permitted"}
    )


def test_contenders_of_a_few_drills_are_named_below_the_comparison_and_not_in_it() -> None:
    results, _ = whole_run()
    few = replace(
        results,
        overall=replace(
            results.overall,
            rows=tuple(row for row in results.overall.rows if row.contender != "single-restart"),
            drills=tuple(name for name in DRILLS if name != "kill"),
            left_out=("kill",),
            apart=(OverallApart(contender="single-restart", drills=("kill",)),),
        ),
    )
    view = view_of(few, EN)
    assert view.overall.contenders == ("single", "orchestrated")
    title = next(drill.title for drill in view.drills if drill.name == "kill")
    over, apart = view.overall.basis
    assert f"Over the {len(DRILLS) - 1} drills" in over
    assert f"Left out: “{title}”." in over
    assert f"single-restart ({title})" in apart
    assert [cell.contender for cell in view.overall.drills[0].others] == ["single-restart"]
    assert "| Others |" in render_markdown(view, EN)
    assert "single-restart" not in view.answer


def test_the_same_answer_of_many_drills_is_one_line_and_the_few_are_named() -> None:
    results, _ = whole_run()
    drills = tuple(
        replace(drill, same_plan={"kill": False, "scale": None}.get(drill.name, True))
        for drill in results.drills
    )
    told = {fact.label: fact.text[:3] for fact in view_of(replace(results, drills=drills), EN).facts}
    assert {label: text for label, text in told.items() if label.startswith("Same plan")} == {
        "Same plan for all": "Yes",
        "Same plan for all (kill)": "No:",
        "Same plan for all (scale)": "Unk",
    }
