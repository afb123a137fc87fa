"""What the judge of the truth suite lets pass: a request that the kernel swallowed, and nothing like it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from truth.evidence import Request
from truth.judge import is_swallowed
from truth.play import Change, Played
from truth.schedules import DEADLINE, MS

_AT = 1_000 * MS
_PLAYED = Played(
    changes=[Change(_AT, _AT + 20_000, "refuse"), Change(_AT + 500 * MS, _AT + 500 * MS + 20_000, "fine")],
    taken=[],
    samples={},
    closed={},
    parts=[],
)


def _begun(at: int) -> Request:
    """A request that waited for its connection until its deadline."""
    return Request("probe", at, None, at + DEADLINE, DEADLINE // 1000, 0, 0, "", "timeout")


@pytest.mark.parametrize(
    ("at", "swallowed"),
    [
        (_AT - 30 * MS, False),
        (_AT - 3 * MS, False),
        (_AT - MS, True),
        (_AT + 10_000, True),
        (_AT + 30_000, False),
        (_AT + MS, False),
        (_AT + 500 * MS + 10_000, False),
    ],
    ids=["long-before", "before", "just-before", "within", "just-after", "after", "at-an-opening"],
)
def test_only_a_connection_begun_while_the_listener_closes_is_swallowed(at: int, swallowed: bool) -> None:
    assert is_swallowed(_PLAYED, _begun(at)) is swallowed


@pytest.mark.parametrize("other", [{"connected": _AT + 15_000}, {"outcome": "refused"}, {"outcome": "reset"}])
def test_what_had_a_connection_or_an_answer_is_not_swallowed(other: dict[str, object]) -> None:
    assert not is_swallowed(_PLAYED, replace(_begun(_AT + 10_000), **other))  # type: ignore[arg-type]
