"""How many old tasks are remembered, and when they are forgotten.

Called whenever a task was created or ended. As in Swarm, a slot keeps `HISTORY_LIMIT` tasks in all, the running one
included (swarmkit `manager/orchestrator/taskreaper`, `TaskHistoryRetentionLimit` 5).
"""

from __future__ import annotations

from breakroom.engine.core.instructions import Forget
from breakroom.engine.core.model import Desired, Task
from breakroom.engine.core.store import Store

__all__ = ["HISTORY_LIMIT", "forget", "over", "prune"]

HISTORY_LIMIT = 5
"""Tasks kept for each slot (swarmkit's default `TaskHistoryRetentionLimit`)."""


def over(task: Task) -> bool:
    """Whether the task may be forgotten: not wanted, ended, and no process of it is left."""
    return not task.wanted and task.state.terminal and not task.alive and not task.start_pending


def forget(store: Store, task: Task) -> None:
    """Drop the task and tell the shell to drop what it keeps for it."""
    store.drop(task.id)
    store.emit(Forget(task.id))


def prune(store: Store, service: str, slot: int) -> None:
    """Forget what the slot no longer needs: its oldest ended tasks beyond the limit, and all that are to be removed."""
    tasks = store.in_slot(service, slot)
    excess = len(tasks) - HISTORY_LIMIT
    for task in tasks:
        removable = over(task)
        if removable and (excess > 0 or task.desired == Desired.REMOVE):
            forget(store, task)
            excess -= 1
