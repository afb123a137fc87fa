"""The terminal says why numbers cannot be trusted, as the report does, and says it once."""

from __future__ import annotations

import io

import pytest
from msgspec.structs import replace
from rich.console import Console

from breakroom.analysis.results import Condition, Reason, RunResults
from breakroom.i18n import LANGUAGES, Language, translator
from breakroom.live.summary import print_summary
from report.whole_run import whole_run

SKIPPED = Reason(code="unknown.skipped", params={"message": "node_loss: one node"})


def _said(results: RunResults, lang: Language = "en") -> str:
    out = io.StringIO()
    print_summary(Console(file=out, width=100), results, translator(lang), None)
    return out.getvalue()


def _with(why: Reason, *, outcome: str = "completed", alone: bool = False) -> RunResults:
    """The run, with that reason for each trial of `kill`, and with conditions and problems that say the same."""
    results, _ = whole_run()
    note = Reason(code="trial-skipped", params={**why.params, "trial": "kill/single/1"})
    condition = Condition(
        text="single.outage <= 1s",
        contender="single",
        metric="outage",
        value=None,
        verdict="unknown",
        reason=Reason(code="condition.skipped", params={**why.params, "contender": "single"}),
    )
    spoilt = Reason(code="verdict.trials-skipped", params={**why.params, "contender": "single"})
    return replace(
        results,
        trials=tuple(
            replace(trial, outcome=outcome, reasons_unknown=(why,)) if trial.drill == "kill" else trial
            for trial in results.trials
            if trial.drill == "kill" or not alone
        ),
        drills=tuple(
            replace(
                drill, conditions=(condition, condition), verdict="unknown", verdict_reasons=(spoilt,) * 2
            )
            if drill.name == "kill"
            else drill
            for drill in results.drills
            if drill.name == "kill" or not alone
        ),
        problems=(note,) if why.code == "unknown.skipped" else (),
    )


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_same_reason_of_a_drills_contenders_is_one_line(lang: Language) -> None:
    t = translator(lang)
    why = Reason(code="unknown.cut-off", params={"phase": "recovering"})
    lines = [line for line in _said(_with(why), lang).splitlines() if t.reason(why) in line]
    names = t.listing(["single", "single-restart", "orchestrated"])
    assert lines == [f"! kill ({names}): {t.reason(why)}"]


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("counts", [False, True])
def test_why_a_drill_was_skipped_is_said_once(counts: bool, alone: bool) -> None:
    results = _with(SKIPPED, outcome="skipped", alone=alone)
    drills = tuple(replace(one, counts=counts or one.name != "kill") for one in results.drills)
    said = _said(replace(results, drills=drills))
    assert said.count("one node") == 1
    assert ("not possible on this" in said) is (not counts and not alone)


def test_why_one_contender_of_a_drill_was_skipped_is_said_once() -> None:
    results = _with(SKIPPED)
    trials = tuple(
        replace(trial, outcome="skipped" if trial.contender == "single" else "completed", reasons_unknown=why)
        for trial in results.trials
        for why in ((SKIPPED,) if trial.id == "kill/single/1" else (),)
    )
    said = _said(replace(results, trials=trials))
    assert said.count("one node") == 1
    assert "! kill/single/1: " in said
