"""The response reader: every framing, any cut, and agreement with llhttp."""

from __future__ import annotations

from itertools import pairwise

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakroom.load.response import BadResponseError, HeadCache, ResponseReader

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nT: 1\r\n\r\n"
)
UNTIL_CLOSE = b"HTTP/1.0 200 OK\r\n\r\nhello"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN


class Names:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, text: str) -> int:
        self.seen.append(text)
        return len(self.seen) if text else 0


def _read(
    pieces: list[bytes], *, needle: bytes = b"", head_only: bool = False, end: bool = False
) -> ResponseReader:
    reader = ResponseReader(HeadCache(Names(), head_only=head_only), needle)
    for piece in pieces:
        if piece:
            reader.feed(piece)
    if end:
        reader.end_of_stream()
    return reader


def _cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


class Oracle:
    """What llhttp makes of the same bytes."""

    def __init__(self, data: bytes) -> None:
        self.body = b""
        self.complete = False
        self.status = 0
        self.keep_alive = False
        self.parser = httptools.HttpResponseParser(self)
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete = True
        self.status = self.parser.get_status_code()
        self.keep_alive = self.parser.should_keep_alive()


cuts = st.lists(st.integers(0, 500), max_size=8)


@given(cuts, st.sampled_from([PLAIN, CHUNKED, INTERIM]))
def test_a_response_reads_the_same_however_it_is_cut(places: list[int], data: bytes) -> None:
    reader = _read(_cut(data, places), needle=b"hello")
    assert reader.complete
    assert reader.found
    assert not reader.excess
    assert reader.head is not None
    assert reader.head.status == 200
    assert reader.body_bytes == (11 if data is CHUNKED else 5)


@given(
    cuts,
    st.sampled_from([200, 204, 301, 304, 404, 500, 503]),
    st.binary(max_size=60),
    st.sampled_from(["length", "chunked"]),
    st.sampled_from(["", "close", "keep-alive", "Keep-Alive, X"]),
    st.sampled_from(["1.0", "1.1"]),
)
def test_it_agrees_with_llhttp(
    places: list[int], status: int, body: bytes, framing: str, connection: str, version: str
) -> None:
    lines = [f"HTTP/{version} {status} Some Reason"]
    if connection:
        lines.append(f"Connection: {connection}")
    if status in {204, 304}:
        body = b""
    if framing == "length":
        lines.append(f"Content-Length: {len(body)}")
        payload = body
    else:
        lines.append("transfer-encoding: Chunked")
        chunks = [body[i : i + 7] for i in range(0, len(body), 7)]
        payload = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    if status in {204, 304}:
        payload = b""
    data = "\r\n".join([*lines, "", ""]).encode() + payload
    oracle = Oracle(data)
    reader = _read(_cut(data, places), needle=body[1:5])
    assert reader.head is not None
    assert reader.complete == oracle.complete
    assert reader.head.status == oracle.status
    assert reader.body_bytes == len(oracle.body)
    assert reader.found
    assert reader.head.keep_alive == oracle.keep_alive


@given(cuts, st.sampled_from([PLAIN, CHUNKED, UNTIL_CLOSE]), st.integers(0, 500))
def test_a_response_cut_short_is_never_complete(places: list[int], data: bytes, end: int) -> None:
    short = data[: end % len(data)]
    reader = _read(_cut(short, places), end=True)
    until_close = data is UNTIL_CLOSE and b"\r\n\r\n" in short
    assert reader.complete == until_close


@given(st.binary(max_size=200), cuts)
def test_noise_is_refused_or_waited_on_but_breaks_nothing(noise: bytes, places: list[int]) -> None:
    try:
        reader = _read(_cut(noise, places))
    except BadResponseError:
        return
    assert not reader.complete or noise.startswith(b"HTTP/1.")


@given(cuts)
def test_a_body_without_the_expected_text_is_noticed(places: list[int]) -> None:
    assert not _read(_cut(PLAIN, places), needle=b"hullo").found


def test_a_body_until_close_ends_with_the_stream() -> None:
    reader = _read([UNTIL_CLOSE])
    assert not reader.complete
    assert reader.end_of_stream()
    assert reader.body_bytes == 5


def test_an_answer_to_head_has_no_body() -> None:
    assert _read([b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"], head_only=True).complete


def test_bytes_after_the_end_are_noticed() -> None:
    assert _read([PLAIN + b"x"]).excess


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000,
    ],
)
def test_what_is_not_http_is_refused(data: bytes) -> None:
    with pytest.raises(BadResponseError):
        _read([data])


def test_task_and_version_become_numbers_and_cannot_break_lines() -> None:
    names = Names()
    raw = b"HTTP/1.1 200 OK\r\nX-Task-ID: web.1\r\nx-version: a\xc2\x85b\r\nContent-Length: 0\r\n\r\n"
    head = HeadCache(names).read(raw)
    assert names.seen == ["web.1", "a?b"]
    assert (head.task, head.version) == (1, 2)


def test_the_head_cache_stays_bounded() -> None:
    cache = HeadCache(Names())
    for number in range(5000):
        cache.read(b"HTTP/1.1 200 OK\r\nX-Number: %d\r\nContent-Length: 0\r\n\r\n" % number)
    assert len(cache.known) <= 1024
