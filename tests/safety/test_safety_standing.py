"""Whose a thing is, decided without any process: what may go, what is left, and why."""

from __future__ import annotations

from typing import Literal

import pytest

from breakroom.safety.standing import Wish, judge

RUN = "20260101-120000-kill-ab12"
Alive = Literal["yes", "no", "unknown"]


@pytest.mark.parametrize(
    ("alive", "wish", "may_go"),
    [
        ("no", Wish(), True),
        ("yes", Wish(), False),
        ("unknown", Wish(), False),
        ("yes", Wish(run=RUN), False),
        ("unknown", Wish(run=RUN), True),
        ("yes", Wish(force=True), True),
        ("unknown", Wish(force=True), True),
        ("no", Wish(run="another"), False),
        ("yes", Wish(run="another", force=True), False),
    ],
)
def test_what_may_go(alive: Alive, wish: Wish, *, may_go: bool) -> None:
    judged = judge(RUN, wish=wish, entry=None, alive=alive)
    assert judged.may_go is may_go
    assert judged.asked is (wish.run in {"", RUN})
    if judged.asked and not may_go:
        assert judged.why, "what is left has a reason"
