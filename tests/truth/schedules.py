"""What a service is to do and who asks it: schedules that hypothesis draws, as values and as JSON.

Used by `truth.play`, `truth.judge` and their tests. Pure. Moments lie on the probe's own grid or anywhere beside it; a
state may be shorter than a spacing, and bad ones may follow each other. A *lane* is a few schedules with the same
clients, played one after the other by one service.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from hypothesis import strategies as st

from breakroom.spec.drill import LoadSpec, ProbeSpec

__all__ = [
    "BAD",
    "DEADLINE",
    "GOOD",
    "LEAD",
    "MS",
    "Lane",
    "Schedule",
    "batches",
    "from_json",
    "lanes_of",
    "to_json",
]

MS = 1_000_000
DEADLINE = 60 * MS
"""Of every request, probe or load."""
GOOD = ("fine", "slow")
BAD = {
    "refuse": "refused",
    "reset": "reset",
    "cut": "reset",
    "half": "reset",
    "hang": "timeout",
    "backlog": "timeout",
    "late": "timeout",
    "error": "http-error",
    "garbage": "bad-body",
    "wrong": "bad-body",
}
"""State → how a request that meets it must be found to have ended."""
_LONGEST = 1_100 * MS
_SHORTEST = MS // 5
LEAD = 60 * MS
"""For as long every schedule is fine at first, …"""
_TAIL = 80 * MS
"""… and at least for as long at its end."""
LOADS = ("none", "open", "open-kept", "closed", "closed-kept", "two-workers")


@dataclass(frozen=True)
class Schedule:
    """The service's states, each [name, ns, detail], and its clients."""

    rate: int
    """Of the probe, a second."""
    load: str
    numbered: bool
    """Whether every answer says which request it answers."""
    states: tuple[tuple[str, int, int], ...]

    @property
    def spacing(self) -> int:
        """Between two probes, ns."""
        return 1_000_000_000 // self.rate

    @property
    def length(self) -> int:
        """Of the whole schedule, ns."""
        return sum(length for _, length, _ in self.states)

    @property
    def probe(self) -> ProbeSpec:
        """The probe beside it."""
        return ProbeSpec(rate=self.rate, timeout=DEADLINE, expect_body="served")

    @property
    def load_spec(self) -> LoadSpec | None:
        """The load beside the probe."""
        kept = self.load.endswith("-kept")
        match self.load.split("-", maxsplit=1)[0]:
            case "open":
                return LoadSpec(model="open", rate=90, arrivals="poisson", keep_alive=kept, timeout=DEADLINE)
            case "closed":
                return LoadSpec(concurrency=2, keep_alive=kept, timeout=DEADLINE, pause_after_failure=15 * MS)
            case "two":
                return LoadSpec(model="open", rate=120, workers=2, timeout=DEADLINE)
        return None

    @property
    def clients(self) -> tuple[int, str, bool]:
        """What schedules of one lane have in common."""
        return self.rate, self.load, self.numbered


Lane = list[Schedule]


def to_json(lane: Lane) -> str:
    """One line."""
    return json.dumps([asdict(schedule) for schedule in lane], separators=(",", ":"))


def from_json(text: str) -> Lane:
    """The reverse."""
    return [
        Schedule(**{**one, "states": tuple(tuple(state) for state in one["states"])})
        for one in json.loads(text)
    ]


def lanes_of(schedules: list[Schedule], longest: int) -> list[Lane]:
    """The schedules in lanes of at most `longest`."""
    by_clients: dict[tuple[int, str, bool], Lane] = {}
    for schedule in schedules:
        by_clients.setdefault(schedule.clients, []).append(schedule)
    return [lane[at : at + longest] for lane in by_clients.values() for at in range(0, len(lane), longest)]


def _lengths(spacing: int) -> st.SearchStrategy[int]:
    """Less than a spacing, about two, or many."""
    return st.one_of(
        st.integers(_SHORTEST, spacing),
        st.integers(spacing, 4 * spacing),
        st.integers(4 * spacing, 250 * MS),
    )


@st.composite
def _states(draw: st.DrawFn, spacing: int) -> tuple[tuple[str, int, int], ...]:
    found: list[tuple[str, int, int]] = [("fine", LEAD + draw(st.integers(0, 2 * spacing)), 0)]
    at = found[0][1]
    for _ in range(draw(st.integers(6, 14))):
        last = found[-1][0]
        # Mostly good and bad in turn; else another bad one.
        names = sorted(BAD) if last in GOOD or draw(st.integers(0, 3)) == 0 else [*GOOD, "fine"]
        name = draw(st.sampled_from([name for name in names if name != last] or ["fine"]))
        length = draw(_lengths(spacing))
        if draw(st.booleans()):
            # It ends exactly when a probe is to be sent.
            length = max(1, (at + length) // spacing) * spacing - at
        length = length if length >= _SHORTEST else length + spacing
        at += length
        found.append((name, length, draw(_detail(name))))
        if at > _LONGEST:
            break
    if found[-1][0] == "fine":
        at -= found.pop()[1]
    # Each schedule of a lane begins when a probe is to be sent.
    return (*found, ("fine", _TAIL + -(at + _TAIL) % spacing, 0))


def _detail(name: str) -> st.SearchStrategy[int]:
    if name == "slow":
        return st.integers(3 * MS, DEADLINE - 25 * MS)
    if name == "late":
        return st.integers(DEADLINE + 10 * MS, 2 * DEADLINE)
    return st.sampled_from((500, 502, 503, 404)) if name == "error" else st.just(0)


@st.composite
def _lanes(draw: st.DrawFn, length: int) -> Lane:
    rate = draw(st.sampled_from((100, 200)))
    load = draw(st.sampled_from(LOADS))
    numbered = load.endswith("-kept") or load == "two-workers" or draw(st.booleans())
    states = draw(st.lists(_states(1_000_000_000 // rate), min_size=length, max_size=length))
    return [Schedule(rate=rate, load=load, numbered=numbered, states=one) for one in states]


def batches(size: int, length: int) -> st.SearchStrategy[list[Lane]]:
    """So many lanes, to be played at once, of so many schedules each."""
    return st.lists(_lanes(length), min_size=size, max_size=size)
