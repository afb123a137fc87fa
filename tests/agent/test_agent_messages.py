"""What an agent takes and refuses; pure, with a clock of the test's own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakroom.agent.messages import WINDOW_NS, Guard, RefusedError, seal, unseal

KEY = b"k" * 32
NOW = 1_000 * 10**9


def _guard() -> Guard:
    return Guard(KEY, run="run-1", node="node-1", session="life-1")


def _request(**changes: Any) -> dict[str, Any]:
    plain = {"run": "run-1", "node": "node-1", "nonce": "n" * 32, "time_ns": NOW, "session": "life-1"}
    return {**plain, "act": {"act": "probe"}, **changes}


def _refusal(guard: Guard, line: str, now: int = NOW) -> str:
    with pytest.raises(RefusedError) as caught:
        guard.admit(line, now)
    return caught.value.code


def test_messages_admit_a_request_once() -> None:
    guard = _guard()
    line = seal(KEY, "request", _request())
    assert guard.admit(line, NOW)["act"] == {"act": "probe"}
    assert _refusal(guard, line) == "replayed"
    assert _refusal(guard, line, NOW + WINDOW_NS) == "replayed"
    assert _refusal(guard, line, NOW + 10 * WINDOW_NS) == "stale"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"run": "run-2"}, "not-for-me"),
        ({"node": "node-2"}, "not-for-me"),
        ({"session": "life-0"}, "stale"),
        ({"time_ns": NOW - WINDOW_NS - 1}, "stale"),
        ({"time_ns": NOW + WINDOW_NS + 1}, "stale"),
        ({"nonce": "short"}, "malformed"),
        ({"nonce": None}, "malformed"),
        ({"act": "probe"}, "malformed"),
    ],
)
def test_messages_refuse_what_is_not_meant_for_now_and_here(changes: dict[str, Any], code: str) -> None:
    assert _refusal(_guard(), seal(KEY, "request", _request(**changes))) == code


def test_messages_refuse_another_key_and_another_kind() -> None:
    assert _refusal(_guard(), seal(b"x" * 32, "request", _request())) == "forged"
    # An answer that was overheard is no request, though it bears the right key.
    assert _refusal(_guard(), seal(KEY, "answer", _request())) == "forged"


@given(st.binary(max_size=300))
def test_messages_refuse_any_bytes(raw: bytes) -> None:
    assert _refusal(_guard(), raw.decode("latin-1")) in {"malformed", "forged"}


@given(st.data())
def test_messages_refuse_a_request_with_any_character_changed(data: st.DataObject) -> None:
    outer = json.loads(seal(KEY, "request", _request()))
    place = data.draw(st.integers(0, len(outer["body"]) - 1))
    other = data.draw(
        st.characters(min_codepoint=32, max_codepoint=126).filter(lambda c: c != outer["body"][place])
    )
    outer["body"] = outer["body"][:place] + other + outer["body"][place + 1 :]
    assert _refusal(_guard(), json.dumps(outer)) == "forged"


def test_messages_hello_needs_no_session_and_no_time_but_the_key() -> None:
    hello = _request(session="", time_ns=0, act={"act": "hello"})
    assert _guard().admit(seal(KEY, "request", hello), NOW)["act"] == {"act": "hello"}
    assert _refusal(_guard(), seal(b"x" * 32, "request", hello)) == "forged"


def test_messages_answer_names_its_request() -> None:
    guard = _guard()
    request = guard.admit(seal(KEY, "request", _request()), NOW)
    answer = unseal(KEY, "answer", guard.answer(request, {"ok": True}))
    assert answer == {"run": "run-1", "node": "node-1", "nonce": "n" * 32, "answer": {"ok": True}}
