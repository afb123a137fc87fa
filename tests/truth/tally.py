"""What the truth suite played and compared, added up over all schedules, for the summary at the end of the tests."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from truth.judge import SLACK, Judged, JudgedPart
from truth.schedules import MS, Schedule

__all__ = ["TALLY", "Tally"]


@dataclass
class Tally:
    """The sums."""

    judged: int = 0
    different: set[Schedule] = field(default_factory=set)
    not_judged: int = 0
    """Given up after several tries."""
    again: int = 0
    """Plays that said nothing, because the machine was too busy."""
    outages: int = 0
    shorter: int = 0
    start_errors: list[int] = field(default_factory=list)
    end_errors: list[int] = field(default_factory=list)
    sent: int = 0
    seen: int = 0
    refused: int = 0
    crossed: int = 0
    swallowed: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def count(self, one: Judged) -> None:
        """A lane: how many requests there were is known whether or not its schedules are judged."""
        for name in ("sent", "seen", "refused", "crossed", "swallowed"):
            setattr(self, name, getattr(self, name) + getattr(one, name))
        self.outcomes.update(one.outcomes)

    def add(self, schedule: Schedule, one: JudgedPart) -> None:
        """A schedule that was judged."""
        self.judged += 1
        self.different.add(schedule)
        self.outages += one.outages
        self.shorter += one.shorter
        self.start_errors += one.start_errors
        self.end_errors += one.end_errors

    def render(self) -> str:
        """As text."""
        edges = f"start {_worst(self.start_errors)}, end {_worst(self.end_errors)}"
        return (
            f"{self.judged} schedules judged ({len(self.different)} different) in {self.seconds:.0f} s; "
            f"{self.again} plays said nothing because the machine was too busy, {self.not_judged} were given up\n"
            f"{self.outages} outages of more than two spacings, {len(self.start_errors)} found; {self.shorter} shorter "
            "ones\n"
            f"edges off by at most (allowed: a spacing, 5 or 10 ms, and {SLACK // MS} ms): {edges}\n"
            f"{self.sent} requests sent = {self.seen} in the server's log + {self.refused} refused + {self.crossed} "
            f"reset and {self.swallowed} swallowed by the kernel at a closing\n"
            "outcomes: " + ", ".join(f"{name} {count}" for name, count in self.outcomes.most_common())
        )


def _worst(errors: list[int]) -> str:
    """The largest, and the median beside it."""
    if not errors:
        return "-"
    return f"{max(errors) / MS:.3f} ms (median {sorted(errors)[len(errors) // 2] / MS:.3f} ms)"


TALLY = Tally()
