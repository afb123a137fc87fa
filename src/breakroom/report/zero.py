"""What a trial's times count from, in words: the fault, or in a drill without one the first act or the load.

Called by the charts and the tables of moments. The analysis has the rule (docs/numbers.md, *zero*); here it is read off
the marks. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from breakroom.analysis.results import TrialResults
from breakroom.i18n import Translator

__all__ = ["axis_title", "moments_note", "zero_of"]

ACTS = frozenset({"mark.action", "mark.scale", "mark.inapplicable"})
FAULT = "fault"


def zero_of(trials: Iterable[TrialResults]) -> str:
    """`fault`, or the kind of act that the times of these trials of one drill count from."""
    known = {trial.contender: _zero(trial) for trial in trials}
    kinds = [kind for kind in known.values() if kind]
    return FAULT if FAULT in kinds or not kinds else kinds[0]


def _zero(trial: TrialResults) -> str:
    """An act's mark is its command, which comes before its effect: the last command until zero is the one."""
    if any(mark.label.code.startswith("mark.fault") for mark in trial.marks):
        return FAULT
    acts = [mark for mark in trial.marks if mark.label.code in ACTS and mark.at_s <= 0]
    if not acts:
        return ""
    last = max(acts, key=lambda mark: mark.at_s)
    return "scale" if last.label.code == "mark.scale" else str(last.label.params.get("kind", ""))


def axis_title(zero: str, t: Translator) -> str:
    """The title of a time axis."""
    if zero == FAULT:
        return t.say("seconds after the fault took effect")
    if zero == "load":
        return t.say("seconds after the load set in")
    return t.say("seconds after the first act took effect: {kind:action}", kind=zero)


def moments_note(zero: str, t: Translator) -> str:
    """What stands below a table of moments."""
    if zero == FAULT:
        return t.say("Time after the fault took effect; a dash: it did not happen, or was not seen.")
    if zero == "load":
        return t.say("Time after the load set in; a dash: it did not happen, or was not seen.")
    return t.say(
        "Time after the first act took effect ({kind:action}); a dash: it did not happen, or was not seen.",
        kind=zero,
    )
