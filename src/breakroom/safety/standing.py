"""Whose a thing is: of a run that is under way, of one that was cut off, or of one that nobody here knows.

Used by every sweeper before it touches anything. `judge` is pure; `Runs` reads the registry once and the processes
when it must.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from breakroom.i18n.terms import N_
from breakroom.journal.registry import RegisteredRun, journal_is_open
from breakroom.safety.deeds import Said, said

__all__ = ["Judgement", "Runs", "Wish", "judge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the user asked for. `run`: only that run's things. `force`: a living run's, too."""

    run: str = ""
    force: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a run's things may go. `why` is told where they may not; `asked` False: the user named another run."""

    may_go: bool
    why: Said = field(default_factory=Said)
    asked: bool = True


def judge(
    run: str, *, wish: Wish, entry: RegisteredRun | None, alive: Literal["yes", "no", "unknown"]
) -> Judgement:
    """Whether what is marked with `run` may be removed.

    Args:
        run: the id in the mark; empty for a mark without one.
        wish: what the user asked for.
        entry: the run in the registry, if it is there.
        alive: whether the run is under way, as far as this machine can tell.
    """
    if wish.run and wish.run != run:
        return Judgement(may_go=False, asked=False)
    if wish.force or alive == "no":
        return Judgement(may_go=True)
    if alive == "yes":
        pid = str(entry.pid) if entry is not None else "?"
        return Judgement(
            may_go=False,
            why=said(N_("the run is under way (process {pid}); end it with Ctrl-C, or use --force"), pid=pid),
        )
    if wish.run:
        return Judgement(may_go=True)
    return Judgement(
        may_go=False,
        why=said(
            N_(
                "nobody here knows the run, which another user or another machine may be running; if not: "
                "breakroom cleanup --run {run}"
            ),
            run=run or "''",
        ),
    )


class Runs:
    """The runs that this machine knows, and what may be done with each one's things."""

    def __init__(self, entries: Iterable[RegisteredRun], wish: Wish) -> None:
        self.wish = wish
        self.entries = {entry.run_id: entry for entry in entries}
        self._alive = {name: entry.alive for name, entry in self.entries.items()}
        self._open: dict[str, bool | None] = {}

    @property
    def cut_off(self) -> list[RegisteredRun]:
        """The registered runs whose process is gone and that the user's wish covers, oldest first."""
        return [entry for name, entry in self.entries.items() if not self._alive[name] and self._wanted(name)]

    @property
    def alive(self) -> list[RegisteredRun]:
        """The registered runs that are under way and that the user's wish covers."""
        return [entry for name, entry in self.entries.items() if self._alive[name] and self._wanted(name)]

    def judge(self, run: str, *, only_here: bool) -> Judgement:
        """Whether the things of `run` may go.

        `only_here`: nobody but this machine can have made them, so that a run with no process here is over.
        """
        return judge(run, wish=self.wish, entry=self.entries.get(run), alive=self._is_alive(run, only_here))

    def _is_alive(self, run: str, only_here: bool) -> Literal["yes", "no", "unknown"]:
        known = self._alive.get(run)
        if known is not None:
            return "yes" if known else "no"
        if run:
            if run not in self._open:
                self._open[run] = journal_is_open(run)
            if self._open[run]:
                return "yes"
            if self._open[run] is None:
                return "unknown"
        return "no" if only_here else "unknown"

    def _wanted(self, run: str) -> bool:
        return not self.wish.run or self.wish.run == run
