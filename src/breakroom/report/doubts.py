"""What a reader must know before believing the numbers: problems and doubts, the same of one drill's trials said once.

Called by `report.view` and the terminal's summary, so that both say the same. A drill that nobody asked for and that
the platform cannot play is no doubt; `impossible` has why. Findings in, text out. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from breakroom.analysis.results import DrillResults, Reason, RunResults
from breakroom.i18n import Translator

__all__ = ["Doubt", "doubts", "impossible"]

SKIPPED = "trial-skipped"
"""The journal's note of what the analysis gives as the trial's own reason: `unknown.skipped`."""
WORST_BY = ("lag_s",)
"""Parameters by which the sentence of the worst trial can stand for those of the others."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """One sentence, and what it is about: a trial, contenders of a drill, or (empty) the run."""

    where: str
    text: str


def doubts(results: RunResults, t: Translator) -> tuple[Doubt, ...]:
    """Problems of the run, then why trials cannot be trusted."""
    told = [
        (str(problem.params.get("trial", "")), problem)
        for problem in results.problems
        if problem.code != SKIPPED
    ]
    quiet = {drill.name for drill in results.drills if not drill.counts}
    told += [
        (trial.id, why)
        for trial in results.trials
        for why in trial.reasons_unknown
        if not (why.code == "unknown.skipped" and trial.drill in quiet)
    ]
    groups: dict[tuple[str, str], list[tuple[str, Reason]]] = {}
    for trial, why in told:
        groups.setdefault((trial.partition("/")[0], why.code), []).append((trial, why))
    return tuple(dict.fromkeys(one for (drill, _), found in groups.items() for one in _said(drill, found, t)))


def _said(drill: str, found: Sequence[tuple[str, Reason]], t: Translator) -> Iterator[Doubt]:
    """The group's sentence; those that differ by how bad it was are said by the worst, others one by one."""
    by_text: dict[str, list[str]] = {}
    for trial, why in found:
        by_text.setdefault(t.reason(why), []).append(trial)
    word = next((word for word in WORST_BY if all(word in why.params for _, why in found)), None)
    if len(by_text) > 1 and word is not None:
        worst = max((why for _, why in found), key=lambda why: float(why.params[word] or 0.0))
        text = t.say("{text} The worst of {count:count} trials.", text=t.reason(worst), count=len(found))
        yield Doubt(_where(drill, [trial for trial, _ in found], t), text)
        return
    for text, trials in by_text.items():
        yield Doubt(_where(drill, trials, t), text)


def _where(drill: str, trials: Sequence[str], t: Translator) -> str:
    """A trial's id; of several trials the drill and its contenders."""
    if len(set(trials)) == 1 or not drill:
        return trials[0]
    names = dict.fromkeys(trial.split("/")[1] for trial in trials if trial.count("/") == 2)
    return f"{drill} ({t.listing(names)})"


def impossible(drill: DrillResults, results: RunResults, t: Translator) -> str:
    """Why the platform cannot play the drill; empty where it played it against any contender."""
    mine = [trial for trial in results.trials if trial.drill == drill.name]
    if not mine or any(trial.outcome != "skipped" for trial in mine):
        return ""
    whys = [t.reason(why) for trial in mine for why in trial.reasons_unknown if why.code == "unknown.skipped"]
    return " ".join(dict.fromkeys(whys))
