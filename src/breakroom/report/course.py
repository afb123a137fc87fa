"""The course's own summary ("오케스트레이션 효과 분석", phase 4 of its handout), filled in with what was measured.

Learners present these three headings; the report gives them ready to paste, in Markdown and in the HTML. Reads
findings only. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from breakroom.analysis.results import ContenderResults, DrillResults, TrialResults
from breakroom.i18n import Translator
from breakroom.report.comparison import operator_time

__all__ = ["CourseSection", "course_section"]


@dataclass(frozen=True, slots=True)
class CourseSection:
    """Title, and for each heading its lines (contender, text)."""

    title: str
    parts: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def course_section(drill: DrillResults, trials: dict[str, TrialResults], t: Translator) -> CourseSection:
    """The course's comparison for one drill."""
    availability = tuple((c.name, _availability(c, t)) for c in drill.contenders)
    recovery = tuple((c.name, _recovery(c, t)) for c in drill.contenders)
    burden = tuple((c.name, _burden(c, trials, t)) for c in drill.contenders)
    return CourseSection(
        t.say("What orchestration changes"),
        (
            (t.say("Availability compared"), availability),
            (t.say("Recovery time compared"), recovery),
            (t.say("Operator's burden compared"), burden),
        ),
    )


def _median(contender: ContenderResults, metric: str) -> float | None:
    spread = contender.metrics.get(metric)
    return spread.median if spread else None


def _modelled(contender: ContenderResults, metric: str, t: Translator) -> str:
    spread = contender.metrics.get(metric)
    return t.say(" (modelled)") if spread and spread.modelled else ""


def _availability(contender: ContenderResults, t: Translator) -> str:
    kept = _median(contender, "capacity_kept")
    outage = _median(contender, "outage")
    if outage is None:
        return t.say("not known")
    mark = _modelled(contender, "outage", t)
    text = t.say("down for {outage:duration}", outage=outage) + mark if outage > 0 else t.say("no outage")
    text += ", " + t.say("availability {availability:ratio}", availability=_median(contender, "availability"))
    if kept is not None:
        text += ", " + t.say("{kept:ratio} of the service kept during the fault", kept=kept)
    return text


def _recovery(contender: ContenderResults, t: Translator) -> str:
    recovery = _median(contender, "recovery_time")
    if recovery is None:
        return t.say("unknown, or not recovered")
    text = t.duration(recovery) + _modelled(contender, "recovery_time", t)
    full = _median(contender, "time_to_full_capacity")
    if full is not None:
        text += ", " + t.say("full capacity after {full:duration}", full=full)
    return text


def _burden(contender: ContenderResults, trials: dict[str, TrialResults], t: Translator) -> str:
    acts = _median(contender, "operator_acts")
    if acts is None:
        return t.say("not known")
    if acts == 0 and _median(contender, "recovery_time") is None:
        return t.say("nobody acted, and it is not known to have recovered")
    if acts == 0:
        return t.say("nothing to do: it recovered by itself")
    time = operator_time(contender, trials)
    text = t.say("{acts:count} {acts:plural:act|acts} of a person", acts=acts)
    if time.median is not None:
        text += ", " + t.say("restored {after:duration} after the fault", after=time.median)
    return text + (t.say(" (modelled)") if time.modelled else "")
