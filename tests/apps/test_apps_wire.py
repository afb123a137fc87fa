"""The apps' HTTP and JSON as bytes: properties over anything that may come."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakroom.apps.wire import MAX_HEAD, REASONS, Refusal, Response, parse_head, render, to_json

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)


@given(VALUES)
def test_json_text_means_the_value_it_was_made_of(value: object) -> None:
    assert json.loads(to_json(value)) == value


def test_a_value_without_json_form_is_an_error() -> None:
    with pytest.raises(TypeError, match="set has no JSON form"):
        to_json({"a": {1, 2}})


@given(st.binary(max_size=MAX_HEAD + 100))
def test_any_bytes_are_a_request_or_incomplete_or_refused(received: bytes) -> None:
    try:
        parsed = parse_head(received)
    except Refusal as refusal:
        status = refusal.status
    else:
        status = 0
        assert parsed is None or parsed[1] <= len(received)
    assert status == 0 or status in REASONS


@given(st.binary(), st.integers(0, 60))
def test_a_request_is_the_same_however_much_came_with_it(behind: bytes, cut: int) -> None:
    head = b"GET /a?mode=sick&ms=5 HTTP/1.1\r\nHost: web\r\nContent-Length: 3\r\n\r\n"
    assert parse_head(head[: min(cut, len(head) - 1)]) is None
    parsed = parse_head(head + behind)
    assert parsed is not None
    request, taken = parsed
    assert taken == len(head)
    assert (request.path, request.query, request.body_length) == ("/a", {"mode": "sick", "ms": "5"}, 3)


@given(st.dictionaries(TEXT, TEXT | st.integers(), max_size=5), st.booleans())
def test_a_response_says_the_length_its_body_has(body: dict[str, object], keep_alive: bool) -> None:
    sent = render(Response(body), (("X-Task-Id", "t"),), keep_alive=keep_alive)
    head, _, content = sent.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert int(headers["Content-Length"]) == len(content)
    assert headers["Connection"] == ("keep-alive" if keep_alive else "close")
    assert json.loads(content) == body
