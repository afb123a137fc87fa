"""JUnit XML as CI systems read it, and the failure log."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from msgspec.structs import replace

from breakroom.analysis.results import Condition, Reason, RunResults
from breakroom.i18n import LANGUAGES, Language, translator
from breakroom.report.failure_log import render_failure_log
from breakroom.report.junit import render_junit
from report.conftest import Made, _run
from report.whole_run import DRILLS, whole_run

EN = translator("en")


def _suites(results: RunResults, lang: Language = "en") -> ET.Element:
    return ET.fromstring(render_junit(results, translator(lang)))  # our own text, made just here


def _with(made: Made, *conditions: Condition) -> RunResults:
    results, _ = made
    return replace(results, drills=(replace(results.drills[0], conditions=conditions),))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_suite_a_drill_with_all_counts_and_times(lang: Language) -> None:
    root = _suites(whole_run()[0], lang)
    assert [suite.get("name") for suite in root] == [f"breakroom.{name}" for name in DRILLS]
    for element in (root, *root):
        for name in ("tests", "failures", "errors", "skipped"):
            assert int(element.attrib[name]) >= 0
        assert float(element.attrib["time"]) > 0
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", element.attrib["timestamp"])
    for suite in root:
        cases = suite.findall("testcase")
        assert len(cases) == int(suite.attrib["tests"])
        assert {"classname", "name", "time"} <= set(cases[0].attrib)
        assert suite[0].tag == "properties"
    for name in ("tests", "failures", "errors", "skipped"):
        assert int(root.attrib[name]) == sum(int(suite.attrib[name]) for suite in root)


def test_a_condition_that_is_not_met_fails_with_itself_and_the_measured_value() -> None:
    missed = Condition(
        text="single.outage <= 1s", contender="single", metric="outage", value=12.0, verdict="not met"
    )
    (suite,) = _suites(_with(_run(), missed))
    assert suite.get("failures") == "1"
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "single.outage <= 1s: measured 12.0 s (modelled)"


def test_what_is_unknown_is_an_error_and_what_was_skipped_is_skipped() -> None:
    unknown = Condition(
        text="single.outage <= 1s", contender="single", metric="outage", value=None, verdict="unknown"
    )
    skipped = replace(
        unknown,
        text="orchestrated.outage <= 1s",
        reason=Reason(code="condition.skipped", params={"contender": "orchestrated", "message": "one node"}),
    )
    results = _with(_run(), unknown, skipped)
    doubt = (Reason(code="unknown.aborted"),)
    skip = (Reason(code="unknown.skipped", params={"message": "one node"}),)
    first, second, *rest = results.trials
    trials = (
        replace(first, reasons_unknown=doubt),
        replace(second, outcome="skipped", reasons_unknown=skip),
        *rest,
    )
    (suite,) = _suites(replace(results, trials=trials))
    assert (suite.get("tests"), suite.get("errors"), suite.get("skipped")) == ("4", "2", "2")
    assert suite.get("failures") == "0"


def test_a_condition_that_is_met_passes() -> None:
    met = Condition(
        text="single.outage <= 20s", contender="single", metric="outage", value=12.0, verdict="met"
    )
    (suite,) = _suites(_with(_run(), met))
    case = suite.find("testcase")
    assert case is not None
    assert [child.tag for child in case] == ["system-out"]


def test_a_run_that_was_cut_off_is_no_success() -> None:
    results = replace(_run()[0], outcome="cut-off", drills=(), trials=())
    root = _suites(results)
    assert (root.get("tests"), root.get("errors")) == ("1", "1")


def test_names_that_xml_cannot_hold_are_replaced() -> None:
    met = Condition(text="a\x00b<&>\ud800", contender="single", metric="outage", value=0.0, verdict="met")
    (suite,) = _suites(_with(_run(), met))
    case = suite.find("testcase")
    assert case is not None
    assert case.get("name") == "a\N{REPLACEMENT CHARACTER}b<&>\N{REPLACEMENT CHARACTER}"


def test_the_failure_log_has_a_line_a_failure_in_order_of_time() -> None:
    results, _ = whole_run()
    lines = render_failure_log(results, EN).splitlines()
    assert len(lines) == 1 + len(results.trials)
    stamps = [line.partition(": ")[0] for line in lines[1:]]
    assert stamps == sorted(stamps)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", stamp) for stamp in stamps)
    assert stamps[0][20:23] == "250"
    leaked = next(line for line in lines if "memory-leak/single/1" in line)
    for words in (
        "web.1.a (slot 1)",
        "failed (task: non-zero exit (137))",
        "killed at its memory limit (OOM), SIGKILL, exit code 137",
        "memory 64.0 MiB of 64.0 MiB",
        "last log line: allocating",
    ):
        assert words in leaked
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", "\n".join(lines))


def test_a_run_without_a_failure_says_so() -> None:
    assert "No task ended by itself" in render_failure_log(_run()[0], EN)
