"""What the contract says: one row a behaviour, with the sentence that is checked and where it is written down.

Filled by the scenario modules through `scenario`; read by the player, the tests and the table. A row's name is unique.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contract.scene import Scene

__all__ = [
    "CONTAINERS",
    "FRONTED",
    "ROWS",
    "SCENARIOS",
    "SERVICES",
    "Play",
    "Row",
    "Scenario",
    "row",
    "scenario",
]

Play = Callable[["Scene"], Awaitable[None]]

SERVICES = ("local", "swarm", "swarm-api")
"""Stages that run services. `swarm-api` is the second witness, see `raw_swarm`."""
FRONTED = ("local", "swarm")
"""… and that publish them where users reach them."""
CONTAINERS = ("local", "docker")
"""Platforms that run plain containers."""


@dataclass(frozen=True, slots=True)
class Row:
    """One behaviour. `source` is where it is said: SK swarmkit, M moby, CLI docker/cli; seen: found out by trying."""

    name: str
    sentence: str
    source: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """One play that several rows are read from."""

    name: str
    play: Play
    rows: tuple[Row, ...]
    platforms: tuple[str, ...]


SCENARIOS: dict[str, Scenario] = {}
ROWS: dict[str, tuple[Scenario, Row]] = {}


def row(name: str, sentence: str, source: str) -> Row:
    """One row of the contract."""
    return Row(name, sentence, source)


def scenario(*rows: Row, on: tuple[str, ...] = SERVICES) -> Callable[[Play], Play]:
    """Declare what a play shows, and on which platforms it is played."""

    def declare(play: Play) -> Play:
        name = getattr(play, "__name__", "")
        assert name not in SCENARIOS, name
        made = SCENARIOS[name] = Scenario(name, play, rows, on)
        for each in rows:
            assert each.name not in ROWS, each.name
            ROWS[each.name] = (made, each)
        return play

    return declare
