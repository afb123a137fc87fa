"""The course's own summary ("오케스트레이션 효과 분석", phase 4 of its handout), filled in with what was measured.

Learners hand in these headings with a line for each way of deploying; the report gives them ready to paste, in Markdown
and in the HTML, over all drills of the run. Reads findings only. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from breakroom.analysis.results import ContenderResults, OverallRow, RunResults, TrialResults
from breakroom.i18n import Translator
from breakroom.report.comparison import marked
from breakroom.report.overall import scaled, unscaled

__all__ = ["CourseSection", "course_section"]


@dataclass(frozen=True, slots=True)
class CourseSection:
    """Title, and for each heading its lines (way of deploying, text)."""

    title: str
    parts: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def course_section(results: RunResults, t: Translator) -> CourseSection:
    """The course's comparison; no part has a line where nothing was computed over all drills."""
    rows = results.overall.rows
    names = _names(results, t)
    return CourseSection(
        t.say("What orchestration changes"),
        (
            (
                t.say("Availability compared"),
                tuple((names[row.contender], _availability(row, results, t)) for row in rows),
            ),
            (
                t.say("Recovery time compared"),
                tuple((names[row.contender], _recovery(row, t)) for row in rows),
            ),
            (
                t.say("Operator's burden compared"),
                tuple((names[row.contender], _burden(row, results, t)) for row in rows),
            ),
            (
                t.say("Scalability compared"),
                tuple((names[row.contender], _scaling(row, results, t)) for row in rows),
            ),
        ),
    )


def _names(results: RunResults, t: Translator) -> dict[str, str]:
    """Contender → as the course calls it, with its own name where several are of that kind."""
    kinds = {one.name: one.runs_as for drill in results.drills for one in drill.contenders}
    called = {row.contender: _kind(kinds.get(row.contender, ""), results, t) for row in results.overall.rows}
    common = list(called.values())
    return {
        name: t.say("{kind} ({name})", kind=kind, name=name) if common.count(kind) > 1 or not kind else kind
        for name, kind in called.items()
    }


def _kind(runs_as: str, results: RunResults, t: Translator) -> str:
    if runs_as == "container":
        return t.say("Single container")
    return "Docker Swarm" if results.platform == "swarm" else t.say("Orchestration")


def _mine(results: RunResults, name: str) -> list[ContenderResults]:
    return [one for drill in results.drills for one in drill.contenders if one.name == name]


def _trials(results: RunResults, name: str) -> list[TrialResults]:
    return [trial for trial in results.trials if trial.contender == name and not trial.reasons_unknown]


def _availability(row: OverallRow, results: RunResults, t: Translator) -> str:
    parts = []
    kept = _kept(row.contender, results)
    if kept is not None and kept <= 0:
        parts.append(t.say("100% of the service down while it had failed"))
    elif kept is not None:
        left = _left(row.contender, results)
        aside = (
            t.say(" ({lowest:count} of {wanted:count} working)", lowest=left[0], wanted=left[1])
            if left
            else ""
        )
        parts.append(t.say("{kept:ratio} of the service kept even while it had failed", kept=kept) + aside)
    if row.availability is not None:
        text = t.say(
            "availability {availability:ratio} over the drills compared", availability=row.availability
        )
        parts.append(marked(text, t, modelled=row.modelled))
    if row.outage_s is not None:
        text = (
            t.say("down for {outage:duration} in all", outage=row.outage_s)
            if row.outage_s > 0
            else t.say("no outage")
        )
        parts.append(marked(text, t, modelled=row.modelled and row.outage_s > 0))
    return ", ".join(parts) or t.say("not known")


def _kept(name: str, results: RunResults) -> float | None:
    """Median over the trials that lost one replica: the share of the work under saturating load still done."""
    known = [
        trial.capacity.kept
        for trial in _trials(results, name)
        if trial.capacity.kept is not None and _lost_one(trial)
    ]
    return median(known) if known else None


def _lost_one(trial: TrialResults) -> bool:
    left = _reduced(trial)
    return left is not None and left[0] == left[1] - 1


def _reduced(trial: TrialResults) -> tuple[int, int] | None:
    """Replicas in rotation at the lowest, and wanted; None where capacity was not reduced."""
    reduced = {"capacity.reduced", "capacity.never-restored"}
    params = next((reason.params for reason in trial.explanation if reason.code in reduced), None)
    if params is not None:
        return int(params["lowest"]), int(params["wanted"])
    # A container that was down is one replica less of one; what users then lost is told as an outage.
    return (0, 1) if trial.outage_total_s and trial.capacity.kept == 0 else None


def _left(name: str, results: RunResults) -> tuple[int, int] | None:
    """Of the same trials: replicas in rotation and wanted, if they were the same in all of them."""
    found = {
        _reduced(trial)
        for trial in _trials(results, name)
        if trial.capacity.kept is not None and _lost_one(trial)
    }
    return found.pop() if len(found) == 1 else None


def _recovery(row: OverallRow, t: Translator) -> str:
    if row.recovery_median_s is None and not row.never_recovered:
        return t.say("not known")
    by_hand = bool(row.operator_acts)
    parts = [t.say("needs a person") if by_hand else t.say("recovers by itself")]
    if row.recovery_median_s is None or (row.never_recovered and not by_hand):
        parts = []
    if row.recovery_median_s is not None:
        text = t.say("{median:duration} in the median", median=row.recovery_median_s)
        if row.recovery_worst_s is not None and row.drills > 1:
            text += ", " + t.say("{worst:duration} at the longest", worst=row.recovery_worst_s)
        parts.append(marked(text, t, modelled=row.modelled))
    if row.never_recovered:
        parts.append(
            t.say(
                "in {count:count} {count:plural:drill|drills} not recovered while it was watched",
                count=row.never_recovered,
            )
        )
    return ", ".join(parts)


def _burden(row: OverallRow, results: RunResults, t: Translator) -> str:
    if row.operator_acts is None:
        return t.say("not known")
    if row.operator_acts:
        text = t.say(
            "somebody must watch at all hours: {acts:count} {acts:plural:act|acts} of a person",
            acts=row.operator_acts,
        )
        if row.operator_s is not None:
            text += ", " + t.say("{time:duration} until restored, in all", time=row.operator_s)
        return marked(text, t, modelled=row.modelled)
    if row.never_recovered:
        return t.say(
            "nobody acted, and in {count:count} of its drills it did not recover", count=row.never_recovered
        )
    text = t.say("nothing to do: it recovered by itself")
    saved = next((claim for claim in results.claims if claim.code == "operator-work-80-less"), None)
    if _runs_as(results, row.contender) == "service" and saved is not None and saved.value is not None:
        less = t.say("{saved:ratio} less for the operator to do", saved=saved.value)
        text += ", " + marked(less, t, modelled=saved.modelled)
    return text


def _runs_as(results: RunResults, name: str) -> str:
    return next((one.runs_as for one in _mine(results, name)), "")


def _scaling(row: OverallRow, results: RunResults, t: Translator) -> str:
    if row.scale_gain is None or not scaled(row.contender, results):
        return unscaled(row.contender, results, t)
    ups = [
        scale
        for trial in _trials(results, row.contender)
        for scale in trial.scaling
        if scale.applied and scale.to_replicas > scale.from_replicas and scale.gain is not None
    ]
    text = t.say("{gain:factor} the work served after scaling up", gain=row.scale_gain)
    steps = {(scale.from_replicas, scale.to_replicas) for scale in ups}
    if len(steps) == 1:
        old, new = steps.pop()
        text += t.say(" ({old:count} → {new:count} replicas)", old=old, new=new)
    lost = [scale.failed_requests for trial in _trials(results, row.contender) for scale in trial.scaling]
    if lost:
        text += ", " + t.say("{lost:count} {lost:plural:request|requests} lost while scaling", lost=sum(lost))
    return text
