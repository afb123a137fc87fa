"""The shape of every benchmark's outcome: rows of figures, and how a goal is judged. Pure.

Used by all of `benchmarks`. A row holds one figure a round for breakroom and for each peer that was there; all else
(medians, ratios, whether a goal was reached) is computed from these.
"""

from __future__ import annotations

import math
import statistics
from typing import Literal

import msgspec

__all__ = ["OURS", "Goal", "Judged", "Row", "Run", "judge", "judge_all", "merged", "ratio"]

OURS = "breakroom"
Judged = Literal["reached", "not reached", "peer missing"]


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """One condition: on the ratio to `peer` (`best`: to the best one), or without a peer on our median."""

    text: str
    peer: str = ""
    at_least: float | None = None
    at_most: float | None = None


class Row(msgspec.Struct, kw_only=True):
    """One line of the table."""

    bench: str
    """Which benchmark it is of: the name by which it is run."""
    name: str
    unit: str
    better: Literal["more", "less"] = "more"
    figures: dict[str, list[float]]
    """Contestant (`OURS` or a peer) → one figure a round, in the order of the rounds."""
    missing: dict[str, str] = {}
    """Peer → why it could not be measured."""
    goals: list[Goal] = []
    beside: dict[str, dict[str, list[float]]] = {}
    """Further figures, without a goal: what (with its unit) → contestant → one a round."""
    note: str = ""

    def median(self, contestant: str) -> float:
        """Over the rounds."""
        return statistics.median(self.figures[contestant])

    @property
    def peers(self) -> list[str]:
        """Those that were measured, without breakroom."""
        return [name for name in self.figures if name != OURS]


class Run(msgspec.Struct, kw_only=True):
    """What one or several invocations measured."""

    machine: dict[str, str]
    rounds: int
    rows: list[Row]
    seconds: dict[str, float] = {}
    """Benchmark → how long it took."""
    when: dict[str, str] = {}
    """Benchmark → the day on which it was measured."""


def ratio(row: Row, peer: str) -> float:
    """How many times better breakroom's median is than the peer's; above 1 it is ahead.

    Not a number where a median is not above zero (a latency that was lost in the noise): then there is no ratio.
    """
    ours, theirs = row.median(OURS), row.median(peer)
    if ours <= 0 or theirs <= 0:
        return math.nan
    if row.better == "less":
        ours, theirs = theirs, ours
    return ours / theirs


def best_peer(row: Row) -> str:
    """The peer with the best median."""
    choose = max if row.better == "more" else min
    return choose(row.peers, key=row.median)


def judge(row: Row, goal: Goal) -> Judged:
    """Whether the goal was reached in these figures."""
    if goal.peer:
        peer = goal.peer
        if peer == "best":
            if not row.peers:
                return "peer missing"
            peer = best_peer(row)
        if peer not in row.figures:
            return "peer missing"
        value = ratio(row, peer)
    else:
        value = row.median(OURS)
    high = goal.at_most is None or value <= goal.at_most
    low = goal.at_least is None or value >= goal.at_least
    return "reached" if high and low else "not reached"


def judge_all(row: Row) -> list[tuple[Goal, Judged]]:
    """Every goal of the row with its judgement."""
    return [(goal, judge(row, goal)) for goal in row.goals]


def merged(old: Run | None, new: Run, order: list[str]) -> Run:
    """The new run's benchmarks in place of the old run's; `order` is that of the benchmarks."""
    if old is None:
        return new
    fresh = {row.bench for row in new.rows}
    rows = [row for row in old.rows if row.bench not in fresh] + new.rows
    place = {name: number for number, name in enumerate(order)}
    return Run(
        machine={**old.machine, **new.machine},
        rounds=new.rounds,
        rows=sorted(rows, key=lambda row: place.get(row.bench, len(place))),
        seconds={**old.seconds, **new.seconds},
        when={**old.when, **new.when},
    )
