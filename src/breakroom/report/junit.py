"""The run as JUnit XML, which CI systems read: a suite a drill, a case a condition, an error where nothing can be said.

Called by `report.write`. A verdict of *unknown* is an `error`, never a pass; what the platform cannot do is `skipped`.
Pure: findings in, XML out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from breakroom.analysis.results import Condition, DrillResults, RunResults, TrialResults
from breakroom.i18n import Translator
from breakroom.report.judged import shown

__all__ = ["render_junit"]

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, not even escaped; logs and names may have them."""

COUNTS = ("tests", "failures", "errors", "skipped")


def render_junit(results: RunResults, t: Translator) -> bytes:
    """The whole document, in UTF-8."""
    root = ET.Element("testsuites", {"name": _clean(f"breakroom {results.run_id}")})
    for number, drill in enumerate(results.drills):
        root.append(_suite(number, drill, results, t))
    if results.outcome != "completed" or not results.drills:
        root.append(_run_suite(len(results.drills), results, t))
    for count in COUNTS:
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    root.set("time", f"{results.duration_s:.3f}")
    root.set("timestamp", _timestamp(results.started_unix_s))
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)


def _timestamp(unix_s: float) -> str:
    """As the readers' schemas have it: UTC, to the second, without a zone."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _suite(number: int, drill: DrillResults, results: RunResults, t: Translator) -> ET.Element:
    trials = [trial for trial in results.trials if trial.drill == drill.name]
    cases = [
        *(_condition(condition, drill, t) for condition in drill.conditions),
        *(_trial(trial, t) for trial in trials if trial.reasons_unknown or trial.outcome == "skipped"),
        *_doubts(drill, t),
    ]
    begun = min((trial.zero_unix_s for trial in trials), default=results.started_unix_s)
    suite = _suite_of(number, drill.name, cases, sum(trial.availability.window_s for trial in trials), begun)
    _properties(suite, drill, results, t)
    return suite


def _suite_of(number: int, name: str, cases: list[ET.Element], time_s: float, begun: float) -> ET.Element:
    suite = ET.Element(
        "testsuite",
        {
            "id": str(number),
            "name": _clean(f"breakroom.{name}"),
            "tests": str(len(cases)),
            "failures": str(sum(case.find("failure") is not None for case in cases)),
            "errors": str(sum(case.find("error") is not None for case in cases)),
            "skipped": str(sum(case.find("skipped") is not None for case in cases)),
            "time": f"{time_s:.3f}",
            "timestamp": _timestamp(begun),
        },
    )
    suite.extend(cases)
    return suite


def _case(drill: str, name: str, time_s: float = 0.0) -> ET.Element:
    values = {"classname": f"breakroom.{drill}", "name": name, "time": f"{time_s:.3f}"}
    return ET.Element("testcase", {key: _clean(value) for key, value in values.items()})


def _tell(case: ET.Element, kind: str, message: str, *, type_: str = "") -> None:
    outcome = ET.SubElement(case, kind, {"message": _clean(message)})
    if type_:
        outcome.set("type", type_)
    outcome.text = _clean(message)


def _condition(condition: Condition, drill: DrillResults, t: Translator) -> ET.Element:
    case = _case(drill.name, condition.text)
    spread = next(
        (one.metrics.get(condition.metric) for one in drill.contenders if one.name == condition.contender),
        None,
    )
    modelled = t.say(" (modelled)") if spread is not None and spread.modelled else ""
    value = t.metric_value(condition.metric, condition.value) + modelled
    told = t.say("{text}: measured {value}", text=condition.text, value=value)
    if condition.reason is not None:
        told += f" — {t.reason(condition.reason)}"
    if condition.verdict == "not met":
        _tell(case, "failure", told, type_="not met")
    elif condition.reason is not None and condition.reason.code == "condition.skipped":
        _tell(case, "skipped", t.reason(condition.reason))
    elif condition.verdict == "unknown" and not drill.counts:
        _tell(case, "skipped", told)
    elif condition.verdict == "unknown":
        _tell(case, "error", told, type_="unknown")
    else:
        ET.SubElement(case, "system-out").text = _clean(told)
    return case


def _trial(trial: TrialResults, t: Translator) -> ET.Element:
    case = _case(trial.drill, t.say("trial {trial}", trial=trial.id), trial.availability.window_s)
    why = " ".join(t.reason(reason) for reason in trial.reasons_unknown)
    why = why or t.label("trial_outcome", trial.outcome)
    if trial.outcome == "skipped":
        _tell(case, "skipped", why)
    else:
        _tell(case, "error", why, type_="unknown")
    return case


def _doubts(drill: DrillResults, t: Translator) -> Iterator[ET.Element]:
    """What spoils the verdict of the whole drill, and is neither a condition's nor one trial's."""
    for reason in drill.verdict_reasons:
        if reason.code in {"verdict.plans-differ", "verdict.plans-unknown", "verdict.trials-missing"}:
            case = _case(drill.name, reason.code)
            _tell(case, "error", t.reason(reason), type_="unknown")
            yield case


def _run_suite(number: int, results: RunResults, t: Translator) -> ET.Element:
    case = _case("run", t.say("the run ends by itself"))
    _tell(case, "error", t.label("trial_outcome", results.outcome), type_="unknown")
    return _suite_of(number, "run", [case], results.duration_s, results.started_unix_s)


def _properties(suite: ET.Element, drill: DrillResults, results: RunResults, t: Translator) -> None:
    """What a reader of the CI's page needs to tell runs apart, and every contender's medians."""
    values = {
        "run_id": results.run_id,
        "version": results.version,
        "platform": results.platform,
        "pace": results.pace,
        "seed": str(results.seed),
        "repeat": str(results.repeat),
        "verdict": shown(drill),
        "title": t.text_of(drill.title) or drill.name,
    }
    for contender in drill.contenders:
        for metric, spread in contender.metrics.items():
            if spread.median is not None:
                values[f"{contender.name}.{metric}"] = f"{spread.median:.9g}"
                if spread.modelled:
                    values[f"{contender.name}.{metric}.modelled"] = "true"
    properties = ET.Element("properties")
    for name, value in values.items():
        ET.SubElement(properties, "property", {"name": _clean(name), "value": _clean(value)})
    suite.insert(0, properties)
