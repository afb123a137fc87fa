"""Memory that only grows: every replica's life, what the limit killed, and whether starting again cured it.

Called by `analysis.trial` for trials in which the memory limit killed, or was to kill. Pure. How much a request takes
is the slope of a line fitted (least squares) through a replica's memory samples, over the number of requests that it
had answered by then: two independent witnesses, the platform's and the users'. The line ends where the first request
was given up by its client: the app may have done its work all the same, and nobody counted it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from breakroom.analysis.facts import Action, TaskLife, TrialFacts
from breakroom.analysis.reading import StreamData
from breakroom.analysis.results import LeakFinding, MemoryLife
from breakroom.journal.records import TaskStats
from breakroom.journal.samples import Outcome

__all__ = ["CURED_BELOW", "leak"]

CURED_BELOW = 0.8
"""Restarted replicas that grow by less than this share of what the first ones did have been cured of something."""
_FEWEST_STATS = 3
_FEWEST_REQUESTS = 20
_FIFTH = 5


def leak(facts: TrialFacts, streams: Mapping[str, StreamData], window_end: int) -> LeakFinding | None:
    """The finding; None where nobody ran out of memory and none was to."""
    start = facts.phases.get("faulting", facts.started.t)
    kills = {life.task: at for life in facts.tasks.values() if (at := _killed(life, start, window_end))}
    asked = [action for action in facts.actions if action.kind == "oom" and action.by == "timeline"]
    if not kills and not asked:
        return None
    answers = {
        life.task: _answers(streams, life, min(_next_start(facts, life, window_end), window_end))
        for life in facts.tasks.values()
    }
    lives = [
        _life(facts, life, answers[life.task], window_end, _given_up(streams, life.created))
        for life in facts.tasks.values()
    ]
    kept = sorted((one for one in lives if one is not None), key=lambda one: (one.slot, one.started_at_s))
    first_kill = min(kills.values(), default=None)
    first = [one for one in kept if facts.tasks[one.task].created < start]
    again = [one for one in kept if first_kill is not None and facts.tasks[one.task].created >= first_kill]
    growth, regrowth = _median_growth(first), _median_growth(again)
    early, late = _latencies([answers[task] for task in kills])
    before, after = (_counted(asked, word) for word in ("oom_kills_before", "oom_kills_after"))
    return LeakFinding(
        lives=tuple(kept),
        oom_kills=len(kills),
        kernel_oom_kills=after - before if before is not None and after is not None else None,
        bytes_per_request_first=growth,
        bytes_per_request_restarted=regrowth,
        cured=_cured(growth, regrowth),
        latency_first_s=early,
        latency_last_s=late,
    )


def _killed(life: TaskLife, start: int, until: int) -> int | None:
    """When the limit killed it in the time of observation."""
    return next(
        (change.t for change in life.changes if change.oom_killed and start <= change.t < until), None
    )


def _answers(
    streams: Mapping[str, StreamData], life: TaskLife, until: int
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """When a task's answers of whatever outcome had come, ascending, and the latency of each that was ok (else 0).

    `until`: when observation ended, or the next task began that answers by the same name.
    """
    name = _answers_as(life)
    ends, totals = [np.zeros(0, np.int64)], [np.zeros(0, np.uint32)]
    for stream in streams.values():
        if name not in stream.names:
            continue
        which = stream.task == stream.names.index(name)
        end = stream.ends()[which]
        ok = stream.outcome[which] == Outcome.OK
        inside = (end >= life.created) & (end < until)
        ends.append(end[inside])
        totals.append(np.where(ok, stream.total[which], 0).astype(np.uint32)[inside])
    at, total = np.concatenate(ends), np.concatenate(totals)
    order = np.argsort(at, kind="stable")
    return at[order], total[order]


def _answers_as(life: TaskLife) -> str:
    """A container answers by its own id at every start, of which the later ones have a number as tasks (`ID.2`)."""
    return life.task.partition(".")[0]


def _next_start(facts: TrialFacts, life: TaskLife, until: int) -> int:
    later = [
        other.created
        for other in facts.tasks.values()
        if other.created > life.created and _answers_as(other) == _answers_as(life)
    ]
    return min(later, default=until)


def _given_up(streams: Mapping[str, StreamData], since: int) -> int | None:
    """When the first request from `since` on was to be sent that its client gave up; None: none was."""
    found = [
        int(given_up[0])
        for stream in streams.values()
        if len(given_up := stream.intended[(stream.outcome == Outcome.TIMEOUT) & (stream.intended >= since)])
    ]
    return min(found, default=None)


def _life(
    facts: TrialFacts,
    life: TaskLife,
    answers: tuple[NDArray[np.int64], NDArray[np.uint32]],
    until: int,
    given_up: int | None,
) -> MemoryLife | None:
    stats = [one for one in facts.stats if one.task == life.task and one.t < until]
    started = life.process_started
    if not stats or started is None:
        return None
    ended = life.ended if life.ended is not None and life.ended < until else None
    limits = [one.memory_limit_bytes for one in stats if one.memory_limit_bytes]
    return MemoryLife(
        task=life.task,
        slot=life.slot,
        started_at_s=facts.seconds(started),
        ended_at_s=None if ended is None else facts.seconds(ended),
        oom=any(change.oom_killed for change in life.changes),
        first_bytes=stats[0].memory_bytes,
        peak_bytes=max(one.memory_bytes for one in stats),
        limit_bytes=limits[-1] if limits else None,
        served=len(answers[0]),
        bytes_per_request=_growth(
            [one for one in _grown(stats, over=ended is not None) if given_up is None or one.t < given_up],
            answers[0],
        ),
    )


def _grown(stats: list[TaskStats], *, over: bool) -> list[TaskStats]:
    """Of a replica that has ended, the samples up to its peak: its memory is freed before its end is known."""
    if not over:
        return stats
    peak = max(range(len(stats)), key=lambda index: stats[index].memory_bytes)
    return stats[: peak + 1]


def _growth(stats: list[TaskStats], answered: NDArray[np.int64]) -> float | None:
    """The fitted line's slope; None where there are too few samples or requests for one."""
    if len(stats) < _FEWEST_STATS:
        return None
    served = np.searchsorted(answered, [one.t for one in stats], side="right").astype(np.float64)
    memory = np.array([one.memory_bytes for one in stats], np.float64)
    if served[-1] - served[0] < _FEWEST_REQUESTS:
        return None
    away = served - served.mean()
    return float((away * (memory - memory.mean())).sum() / (away**2).sum())


def _median_growth(lives: list[MemoryLife]) -> float | None:
    known = [life.bytes_per_request for life in lives if life.bytes_per_request is not None]
    return float(np.median(known)) if known else None


def _cured(first: float | None, again: float | None) -> bool | None:
    """Whether those that were started again grow more slowly; None where either is not known or nothing grew."""
    if first is None or again is None or first <= 0:
        return None
    return again < CURED_BELOW * first


def _latencies(
    answers: list[tuple[NDArray[np.int64], NDArray[np.uint32]]],
) -> tuple[float | None, float | None]:
    """Median latency of the first and of the last fifth of what the killed replicas answered well, all together."""
    early, late = [np.zeros(0, np.uint32)], [np.zeros(0, np.uint32)]
    for _, total in answers:
        ok = total[total > 0]
        fifth = len(ok) // _FIFTH
        if fifth:
            early.append(ok[:fifth])
            late.append(ok[-fifth:])
    values = [np.concatenate(part) for part in (early, late)]
    first, last = (float(np.median(part)) / 1e6 if len(part) else None for part in values)
    return first, last


def _counted(actions: list[Action], word: str) -> int | None:
    known = [action.detail[word] for action in actions if isinstance(action.detail.get(word), int)]
    if not known:
        return None
    return int(min(known) if word.endswith("before") else max(known))
