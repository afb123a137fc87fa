"""What goes wrong in the core.

Raised by `Orchestrator.handle` and read by the shell, which passes it to whoever sent the command.

    OrchestratorError
    ├── IllegalEvent     the event cannot happen in the present state; nothing was changed
    └── CoreBug          the core contradicted its own table; a defect of breakroom
"""

from __future__ import annotations

from breakroom.engine.core.model import Task, Transition

__all__ = ["CoreBug", "IllegalEvent", "OrchestratorError"]


class OrchestratorError(Exception):
    """Base of the core's errors."""


class IllegalEvent(OrchestratorError):  # noqa: N818  # the name is the contract with the shell
    """The event is impossible in the present state, and changed nothing.

    Attributes:
        event: the event as it came.
        reason: what is wrong and what would be right.
        task: the task concerned as it is, or None.
        history: the task's transitions so far, oldest first.
    """

    def __init__(self, event: object, reason: str, task: Task | None = None) -> None:
        self.event = event
        self.reason = reason
        self.task = task
        self.history: tuple[Transition, ...] = task.history if task else ()
        super().__init__(f"{type(event).__name__}: {reason}{_told(task)}")


class CoreBug(OrchestratorError):  # noqa: N818  # says what it is
    """The core tried a step that its own transition table does not have."""

    def __init__(self, reason: str, task: Task) -> None:
        self.task = task
        self.history = task.history
        super().__init__(f"{reason}{_told(task)}")


def _told(task: Task | None) -> str:
    """A task's history in one line, for an error message."""
    if task is None:
        return ""
    steps = ", ".join(f"{step.state.word} at {step.t / 1e9:.3f} s ({step.message})" for step in task.history)
    return f" [task {task.id}, {task.name}, wanted {task.desired.word}; history: {steps or 'none'}]"
