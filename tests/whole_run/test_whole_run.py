"""`breakroom run` without arguments: every failure of the course on every contender, and what comes of it."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from breakroom.spec.loader import builtin_drills, load_drill
from whole_run.evidence import WholeRun

pytestmark = pytest.mark.timeout(2400)

DRILLS = [info.name for info in builtin_drills()]
NEEDS_NODES = {"node-loss"}
PLAYED = [name for name in DRILLS if name not in NEEDS_NODES]


def test_the_courses_failures_are_all_there() -> None:
    assert set(DRILLS) >= {
        "memory-leak",
        "kill",
        "scale",
        "autoscale",
        "network-delay",
        "network-loss",
        "network-partition",
        "rolling-update",
        "bad-update",
        "health-check",
        "pause",
        "cpu-hog",
        "node-loss",
    }


@pytest.mark.parametrize("drill", PLAYED)
def test_every_drill_is_met_on_every_contender(whole: WholeRun, drill: str) -> None:
    results = whole.results(drill)
    trials = {trial["contender"]: trial for trial in results["trials"] if trial["drill"] == drill}
    wanted = [contender.name for contender in load_drill(drill, pace="quick").contenders]
    assert list(trials) == wanted
    doubts = {name: trial["reasons_unknown"] for name, trial in trials.items() if trial["reasons_unknown"]}
    (found,) = [one for one in results["drills"] if one["name"] == drill]
    assert found["verdict"] == "met", (found["conditions"], found["verdict_reasons"], doubts)
    assert found["same_plan"] is True
    assert all(trial["left_behind"] == [] for trial in trials.values())


def test_what_the_platform_cannot_do_is_said_and_does_not_decide(whole: WholeRun) -> None:
    results = whole.results("node-loss")
    trials = [trial for trial in results["trials"] if trial["drill"] == "node-loss"]
    assert {trial["outcome"] for trial in trials} == {"skipped"}
    assert all("one node" in trial["reasons_unknown"][0]["params"]["message"] for trial in trials)
    if whole.first_code == 0:
        assert results["verdict"] == "met"


def test_the_claims_of_the_course_are_judged_from_all_drills(whole: WholeRun) -> None:
    claims = {claim["code"]: claim for claim in whole.results("node-loss")["claims"]}
    assert claims["single-out-while-failed"]["verdict"] != "unknown"
    assert claims["orchestrated-keeps-66"]["value"] == pytest.approx(2 / 3, abs=0.1)
    assert claims["automatic-within-30-s"]["verdict"] == "met"
    assert claims["operator-work-80-less"]["verdict"] == "met"
    # The quick pace shortens the person's reaction, so nothing can be said on it.
    assert claims["manual-recovery-5-to-10-min"]["verdict"] == "unknown"
    assert claims["manual-recovery-5-to-10-min"]["modelled"] is True


def test_the_overall_comparison_is_over_the_drills_that_its_contenders_share(whole: WholeRun) -> None:
    overall = whole.results("node-loss")["overall"]
    rows = {row["contender"]: row for row in overall["rows"]}
    assert list(rows) == ["single", "single-restart", "orchestrated"]
    assert {one["contender"]: one["drills"] for one in overall["apart"]}["autoscaled"] == ["autoscale"]
    assert "node-loss" in overall["left_out"]
    assert {row["known"] for row in rows.values()} == {len(overall["drills"])}
    assert rows["single"]["availability"] < rows["orchestrated"]["availability"]
    assert rows["orchestrated"]["operator_acts"] == 0
    assert rows["single"]["operator_acts"] >= 3
    assert rows["single"]["modelled"] is True
    assert rows["orchestrated"]["scale_gain"] >= 1.5


def test_junit_has_a_case_for_every_condition(whole: WholeRun) -> None:
    directory = (whole.out / "latest").resolve()
    root = ET.parse(directory / "junit.xml").getroot()
    suites = {suite.get("name"): suite for suite in root.iter("testsuite")}
    for drill in whole.results("node-loss")["drills"] if whole.first_code == 0 else []:
        (suite,) = [suite for name, suite in suites.items() if name == f"breakroom.{drill['name']}"]
        assert len(suite.findall("testcase")) >= len(drill["conditions"])


def test_the_failure_log_names_every_replica_that_was_killed_for_memory(whole: WholeRun) -> None:
    directory = whole.trial("memory-leak", "single").run
    text = (directory / "failure-log.txt").read_text()
    for trial in whole.trials("memory-leak"):
        killed = {record.task for record in trial.tasks() if record.oom_killed}
        assert killed
        assert all(task in text for task in killed)
