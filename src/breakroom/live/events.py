"""Which records of a run are worth a line to the person watching, and in which words.

Used by the live and the plain view, so that both tell the same story. Pure: a record in, a sentence or nothing out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from breakroom.i18n import Translator
from breakroom.i18n.terms import N_
from breakroom.journal.records import (
    ActionChanged,
    PhaseStarted,
    Problem,
    Record,
    RotationChanged,
    ScalingDecided,
    TaskChanged,
    TrialEnded,
    UpdateChanged,
)

__all__ = ["Line", "describe", "phase_words", "state_words"]

Tone = Literal["plain", "good", "bad", "fault", "act", "quiet"]


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence, when it happened (monotonic ns), and how to colour it."""

    t: int
    text: str
    tone: Tone = "plain"


def phase_words(phase: str, tr: Translator) -> str:
    """A phase of a trial, as a person would call it."""
    return {
        "deploying": tr.gettext("deploying"),
        "steadying": tr.gettext("waiting for steady state"),
        "faulting": tr.gettext("breaking it"),
        "recovering": tr.gettext("watching the recovery"),
        "undoing": tr.gettext("cleaning up"),
        "done": tr.gettext("done"),
    }.get(phase, phase)


def state_words(state: str, *, in_rotation: bool, tr: Translator) -> str:
    """A task's state; `serving` where it is in rotation. Swarm's own words stay as they are."""
    return tr.gettext("serving") if in_rotation else state


def describe(record: Record, tr: Translator) -> Line | None:
    """The line for a record, or None where it is not worth one."""
    match record:
        case PhaseStarted(phase=phase):
            return Line(record.t, phase_words(phase, tr), "quiet")
        case ActionChanged():
            return _action(record, tr)
        case TaskChanged():
            return _task(record, tr)
        case RotationChanged():
            return _rotation(record, tr)
        case ScalingDecided(decision="up" | "down"):
            return _scaling(record, tr)
        case UpdateChanged(message=message):
            return Line(record.t, message)
        case Problem(code="contender-left-out"):
            return None  # said before anything was drawn
        case Problem(code=code, params=params):
            return Line(record.t, tr.message(code, params), "bad" if record.severity == "error" else "plain")
        # Of a skipped trial its problem has said all.
        case TrialEnded(outcome=outcome, reason=reason) if outcome not in {"completed", "skipped"}:
            return Line(
                record.t,
                tr.say("ended: {outcome:trial_outcome} ({reason})", outcome=outcome, reason=reason),
                "bad",
            )
        case _:
            return None


KILL = {
    "intended": N_("killing {tasks} with {signal}"),
    "proved": N_("proved: {tasks} is dead, by the kernel's exit notice"),
    "unproved": N_("not proved: no exit of {tasks} was seen"),
    "failed": N_("could not be killed: {reason}"),
}
API_KILL = KILL | {"intended": N_("killing {tasks} through the platform's API, with {signal}")}
IN_FORCE = {
    "proved": N_("proved: it is in force ({means})"),
    "unproved": N_("not proved: nothing shows that it is in force ({means})"),
    "failed": N_("could not be done: {reason}"),
}
PAUSE = IN_FORCE | {
    "intended": N_("pausing {tasks}"),
    "undone": N_("{tasks} may go on"),
}
HANG = IN_FORCE | {
    "intended": N_("making {tasks} hang"),
    "undone": N_("{tasks} may go on"),
}
MEMORY = IN_FORCE | {
    "intended": N_("filling the memory of {tasks}"),
    "undone": N_("the memory of {tasks} is left alone again"),
}
NETWORK = IN_FORCE | {
    "intended": N_("making the network of {tasks} bad"),
    "undone": N_("the network of {tasks} is good again"),
}
PARTITION = IN_FORCE | {
    "intended": N_("cutting off {tasks}"),
    "undone": N_("{tasks} can be reached again"),
}
DRAIN = IN_FORCE | {
    "intended": N_("draining the node {node}, with {tasks}"),
    "undone": N_("the node {node} is as available as before"),
}
NODE_LOSS = IN_FORCE | {
    "intended": N_("the node {node} is lost, with {tasks}"),
    "undone": N_("the node {node} is back"),
}
CPU = IN_FORCE | {
    "intended": N_("starving {tasks} of processor time"),
    "undone": N_("{tasks} may use the processor again"),
}
REQUEST = {
    "intended": N_("telling {tasks} to fall ill: {method} {path}"),
    "proved": N_("proved: {tasks} answers as an ill one does"),
    "unproved": N_("not proved: {tasks} does not look ill"),
    "failed": N_("could not be done: {reason}"),
}
OOM = {
    "intended": N_("waiting until the load fills the memory up to its limit"),
    "proved": N_("proved: {tasks} was killed at its memory limit ({means})"),
    "unproved": N_("not proved: no replica was killed at its memory limit"),
}
SCALE = {
    "intended": N_("scaling from {from_replicas:count} to {replicas:count} replicas"),
    "unproved": N_("not proved: nothing came of the scaling"),
    "failed": N_("could not be scaled: {reason}"),
    "inapplicable": N_("a single container cannot be scaled; it stays one"),
}
UPDATE = {
    "intended": N_("bringing out the new release {image}"),
    "unproved": N_("not proved: nothing came of the new release"),
    "failed": N_("the new release was refused: {reason}"),
}
ROLLBACK = {
    "intended": N_("going back to the release before"),
    "unproved": N_("not proved: nothing came of the rollback"),
    "failed": N_("the rollback was refused: {reason}"),
}
BY_OPERATOR = {
    "intended": N_("the operator model puts the release before back"),
    "proved": N_("the release before was put back by the operator model: {tasks}"),
    "unproved": N_("the operator model's rollback had no effect"),
    "failed": N_("the operator model could not put the release before back: {reason}"),
}
LOAD = {
    "intended": N_("the load begins"),
    "unproved": N_("not proved: the load sent nothing"),
}
RESTART = {
    "intended": N_("the operator model restarts the container"),
    "proved": N_("restarted by the operator model: {tasks}"),
    "unproved": N_("the operator model's restart had no effect"),
    "failed": N_("the operator model could not restart it: {reason}"),
}
AUTOSCALE = {
    "proved": N_("proved: {replicas:count} {replicas:plural:replica is|replicas are} in rotation"),
    "unproved": N_(
        "not proved: it was not seen that {replicas:count} {replicas:plural:replica was|replicas were} in rotation"
    ),
    "failed": N_("the autoscaler could not scale: {reason}"),
}
"""Its decision has said before what is meant to be done."""
SENTENCES = {
    "autoscale": AUTOSCALE,
    "kill": KILL,
    "api_kill": API_KILL,
    "pause": PAUSE,
    "hang": HANG,
    "memory": MEMORY,
    "network": NETWORK,
    "partition": PARTITION,
    "drain": DRAIN,
    "node_loss": NODE_LOSS,
    "restart": RESTART,
    "cpu": CPU,
    "request": REQUEST,
    "oom": OOM,
    "scale": SCALE,
    "update": UPDATE,
    "rollback": ROLLBACK,
    "load": LOAD,
}


def _action(record: ActionChanged, tr: Translator) -> Line | None:
    kind = "node_loss" if record.kind == "partition" and "node" in record.detail else record.kind
    by_operator = record.by == "operator-model"
    if record.by == "autoscaler":
        kind = "autoscale"
    sentences = BY_OPERATOR if by_operator and kind == "rollback" else SENTENCES.get(kind, {})
    sentence = sentences.get(record.stage)
    if sentence is None:
        return None
    detail = record.detail
    text = tr.say(
        sentence,
        tasks=list(record.tasks),
        from_replicas=detail.get("from"),
        **{
            word: detail.get(word)
            for word in ("node", "signal", "reason", "method", "path", "replicas", "image")
        },
        means=detail.get("means", []),
    )
    planned = kind in {"scale", "update", "rollback", "load", "autoscale"}
    return Line(record.proved_t or record.t, text, "act" if by_operator or planned else "fault")


def _scaling(record: ScalingDecided, tr: Translator) -> Line:
    why = tr.message(record.reason, record.params)
    if record.dry_run:
        return Line(record.t, tr.say("autoscaler, dry run: {why}", why=why), "quiet")
    return Line(record.t, tr.say("autoscaler: {why}", why=why), "act")


def _task(record: TaskChanged, tr: Translator) -> Line | None:
    if record.state in {"failed", "rejected"}:
        text = tr.say(
            "{task} (slot {slot}) {state}: {error}",
            task=record.task,
            slot=record.slot,
            state=record.state,
            error=record.error,
        )
        return Line(record.t, text, "bad")
    # A running task that is asked to stop, or whose process has ended, is reported once more; only its becoming running
    # is news.
    if record.state == "running" and record.desired == "running" and record.exit_code is None:
        text = tr.say("{task} (slot {slot}) is running", task=record.task, slot=record.slot)
        return Line(record.t, text)
    return None


def _rotation(record: RotationChanged, tr: Translator) -> Line:
    if record.in_rotation:
        return Line(record.t, tr.say("{task} is in rotation", task=record.task), "good")
    text = tr.say(
        "{task} left the rotation ({reason}), {open:count} {open:plural:connection|connections} open",
        task=record.task,
        reason=record.reason,
        open=record.open_connections,
    )
    return Line(record.t, text, "bad" if record.reason == "cut" else "quiet")
