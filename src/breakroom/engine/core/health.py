"""Health probes: when the next one runs and what its result means.

Called by the lifecycle when a process starts or stops and by the orchestrator when a probe is due or finished. Rules
of the container engine (moby `daemon/health.go`): the first probe after one interval; an interval counts from a
probe's end to the next one's start; within the start period a starting task is probed every `start_interval` and its
failures do not count; one success makes it healthy; `retries` failures in a row make it unhealthy.
"""

from __future__ import annotations

from breakroom.engine.core.instructions import HealthReport, RunProbe
from breakroom.engine.core.model import HealthStatus, Task
from breakroom.engine.core.store import Store
from breakroom.spec.service import Healthcheck

__all__ = ["begin", "judge", "probe_due", "schedule", "stop"]


DEFAULTS = Healthcheck(test=("NONE",))
"""What a zero stands for, as in a container engine's configuration."""


def begin(store: Store, task: Task) -> Task:
    """The process has started: its health is starting, the first probe comes after one interval."""
    task = store.change(task, health=HealthStatus.STARTING, failing_streak=0)
    schedule(store, task)
    return task


def stop(store: Store, task_id: str) -> None:
    """No more probes; one that is running may still answer and will be ignored."""
    store.timers.cancel(("probe", task_id))


def probe_due(store: Store, task: Task) -> None:
    """Run the probe."""
    store.probing[task.id] = store.now
    store.emit(RunProbe(task))


def judge(store: Store, task: Task, *, ok: bool, output: str) -> Task:
    """Take a finished probe into account, report it, and schedule the next one."""
    began = store.probing.pop(task.id)
    status, streak = _verdict(task, began, ok=ok)
    task = store.change(task, health=status, failing_streak=streak)
    store.emit(HealthReport(task.id, status, ok, streak, output))
    schedule(store, task)
    return task


def schedule(store: Store, task: Task) -> None:
    """Set the next probe, one interval from now."""
    store.timers.set(("probe", task.id), store.now + _interval(task, store.now))


def _verdict(task: Task, began: int, *, ok: bool) -> tuple[HealthStatus, int]:
    check = _check(task)
    if ok:
        return HealthStatus.HEALTHY, 0
    if task.health is HealthStatus.STARTING and began - _started(task) < check.start_period:
        return task.health, task.failing_streak
    streak = task.failing_streak + 1
    limit = check.retries or DEFAULTS.retries
    return (HealthStatus.UNHEALTHY if streak >= limit else task.health), streak


def _interval(task: Task, now: int) -> int:
    check = _check(task)
    if task.health is HealthStatus.STARTING and now - _started(task) < check.start_period:
        return check.start_interval or DEFAULTS.start_interval
    return check.interval or DEFAULTS.interval


def _check(task: Task) -> Healthcheck:
    check = task.spec.healthcheck
    assert check is not None, "probes are scheduled for tasks with a healthcheck alone"
    return check


def _started(task: Task) -> int:
    assert task.started is not None, "probes are scheduled for started tasks alone"
    return task.started
