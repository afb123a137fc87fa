"""Reads an HTTP/1.x response from bytes that arrive in any pieces. Pure; used by `load.client` in the workers.

Written by hand because it pays: a server's response heads are alike, request after request, so a head that was seen
before is one dictionary look-up (`HeadCache`), which no general parser can match. Tests compare it with
httptools (llhttp) on responses cut at arbitrary places.

Rules: RFC 9112, sections 4 (status line), 5 (fields), 6 (body length) and 7 (chunked). Stricter than it must be: lines
end in CRLF, a head is at most 64 KiB.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["CHUNKED", "UNTIL_CLOSE", "BadResponseError", "Head", "HeadCache", "ResponseReader"]

UNTIL_CLOSE = -1
"""As a `Head.length`: the body ends where the connection does."""
CHUNKED = -2
"""As a `Head.length`: the body says itself where it ends."""

_MAX_HEAD = 64 * 1024
_MAX_LINE = 4 * 1024
_MAX_CACHED = 1024
_MAX_NAME = 200
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [^\x00-\x08\x0a-\x1f\x7f]*)?")
_FIELD_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")
_DIGITS = re.compile(rb"[0-9]{1,18}")
_NO_CONTENT = 204
_NOT_MODIFIED = 304
_SWITCHING = 101
_FINAL = 200


class BadResponseError(Exception):
    """What came is not an HTTP/1.x response."""


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and fields of a response, as far as a load generator needs them."""

    status: int
    length: int
    """Of the body in bytes, or `UNTIL_CLOSE` or `CHUNKED`."""
    keep_alive: bool
    """Whether the connection may be used again afterwards."""
    interim: bool
    """1xx: the response proper is still to come."""
    task: int
    version: int
    server: str


class HeadCache:
    """Parsed heads by their bytes, at most about a thousand.

    Args:
        name: Gives a task's or version's name its number in samples (`SampleWriter.name`).
        head_only: The requests are HEAD ones, whose responses have no body whatever the fields say.
    """

    def __init__(self, name: Callable[[str], int], *, head_only: bool = False) -> None:
        self.known: dict[bytes, Head] = {}
        self._name = name
        self._head_only = head_only

    def read(self, raw: bytes) -> Head:
        """The head that `raw`, up to and with its empty line, spells.

        Raises:
            BadResponseError: it is not one.
        """
        head = self.known.get(raw)
        if head is None:
            head = self._parse(raw)
            if len(self.known) >= _MAX_CACHED:
                self.known.clear()
            self.known[raw] = head
        return head

    def _parse(self, raw: bytes) -> Head:
        status_line, *lines = raw[:-4].split(b"\r\n")
        match = _STATUS_LINE.fullmatch(status_line)
        if match is None:
            raise BadResponseError("the status line is not HTTP/1.x")
        status = int(match[2])
        fields = _fields(lines)
        length = _body_length(fields)
        no_body = status < _FINAL or status in {_NO_CONTENT, _NOT_MODIFIED}
        if no_body or self._head_only:
            length = 0
        return Head(
            status=status,
            length=length,
            keep_alive=_keeps_alive(fields, minor=match[1], status=status, length=length),
            interim=status < _FINAL and status != _SWITCHING,
            task=self._name(_text(fields, b"x-task-id")),
            version=self._name(_text(fields, b"x-version")),
            server=_text(fields, b"server"),
        )


def _fields(lines: list[bytes]) -> dict[bytes, list[bytes]]:
    fields: dict[bytes, list[bytes]] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _FIELD_NAME.fullmatch(name) or b"\n" in value or b"\r" in value or b"\0" in value:
            raise BadResponseError("a header line is malformed")
        fields.setdefault(name.lower(), []).append(value.strip(b" \t"))
    return fields


def _body_length(fields: dict[bytes, list[bytes]]) -> int:
    if b"transfer-encoding" in fields:
        codings = b",".join(fields[b"transfer-encoding"]).lower().split(b",")
        return CHUNKED if codings[-1].strip() == b"chunked" else UNTIL_CLOSE
    values = {part.strip() for value in fields.get(b"content-length", ()) for part in value.split(b",")}
    if not values:
        return UNTIL_CLOSE
    value = values.pop()
    if values or not _DIGITS.fullmatch(value):
        raise BadResponseError("Content-Length is not one number")
    return int(value)


def _keeps_alive(fields: dict[bytes, list[bytes]], *, minor: bytes, status: int, length: int) -> bool:
    if length == UNTIL_CLOSE or status == _SWITCHING:
        return False
    options = {part.strip() for part in b",".join(fields.get(b"connection", ())).lower().split(b",")}
    # Both framings at once is how responses are smuggled: RFC 9112, 6.3 wants such a connection closed.
    if b"close" in options or (b"transfer-encoding" in fields and b"content-length" in fields):
        return False
    return minor == b"1" or b"keep-alive" in options


def _text(fields: dict[bytes, list[bytes]], name: bytes) -> str:
    """A field's first value, fit to stand on a line of its own."""
    value = fields.get(name, [b""])[0][:_MAX_NAME].decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "?" for char in value)


class ResponseReader:
    """Reads one response that comes in pieces.

    Args:
        heads: The cache to read heads through.
        needle: Bytes to look for in the body; `found` tells. The body itself is not kept.
    """

    __slots__ = (
        "_heads",
        "_left",
        "_needle",
        "_pending",
        "_state",
        "_tail",
        "body_bytes",
        "excess",
        "found",
        "head",
    )

    def __init__(self, heads: HeadCache, needle: bytes = b"") -> None:
        self.head: Head | None = None
        self.body_bytes = 0
        self.excess = False
        """Whether bytes came after the response's end: the connection cannot be used again."""
        self.found = not needle
        self._heads = heads
        self._needle = needle
        self._tail = b""
        self._pending = b""
        self._left = 0
        self._state: Callable[[bytes], bytes | None] = self._in_head

    @property
    def complete(self) -> bool:
        """Whether the whole response has been read."""
        return self._state == self._after_end

    def feed(self, data: bytes) -> bool:
        """Read more bytes, not empty; returns `complete`.

        Raises:
            BadResponseError: this is not HTTP/1.x.
        """
        rest: bytes | None = self._pending + data if self._pending else data
        self._pending = b""
        # Each state reads what it can: it gives back what is left for the next state, or None to wait for more.
        while rest:
            rest = self._state(rest)
        return self.complete

    def end_of_stream(self) -> bool:
        """The connection has ended; returns whether that completes the response."""
        if self.head is not None and self._state == self._in_body and self.head.length == UNTIL_CLOSE:
            self._state = self._after_end
        return self.complete

    def _in_head(self, data: bytes) -> bytes | None:
        if not b"HTTP/1.".startswith(data[:7]):
            raise BadResponseError("it does not start with HTTP/1.")
        end = data.find(b"\r\n\r\n") + 4
        if end < len(b"\r\n\r\n"):  # find gave -1
            return self._wait(data, _MAX_HEAD)
        head = self._heads.read(data[:end])
        if not head.interim:
            self.head = head
            self._left = head.length
            self._state = self._in_chunk_size if head.length == CHUNKED else self._in_body
            if head.length == 0:
                self._state = self._after_end
        return data[end:]

    def _in_body(self, data: bytes) -> bytes | None:
        if self._left == UNTIL_CLOSE:
            self._take(data)
            return None
        part = data[: self._left]
        self._take(part)
        self._left -= len(part)
        if self._left == 0:
            self._state = self._after_end
        return data[len(part) :]

    def _in_chunk_size(self, data: bytes) -> bytes | None:
        line, end, rest = data.partition(b"\r\n")
        if not end:
            return self._wait(data, _MAX_LINE)
        match = _CHUNK_SIZE.fullmatch(line)
        if match is None:
            raise BadResponseError("a chunk's size is malformed")
        self._left = int(match[1], 16)
        self._state = self._in_chunk if self._left else self._in_trailer
        return rest

    def _in_chunk(self, data: bytes) -> bytes | None:
        part = data[: self._left]
        self._take(part)
        self._left -= len(part)
        if self._left == 0:
            self._state = self._after_chunk
        return data[len(part) :]

    def _after_chunk(self, data: bytes) -> bytes | None:
        if not b"\r\n".startswith(data[:2]):
            raise BadResponseError("a chunk is longer than it said")
        if len(data) < len(b"\r\n"):
            return self._wait(data, _MAX_LINE)
        self._state = self._in_chunk_size
        return data[2:]

    def _in_trailer(self, data: bytes) -> bytes | None:
        line, end, rest = data.partition(b"\r\n")
        if not end:
            return self._wait(data, _MAX_LINE)
        if not line:
            self._state = self._after_end
        return rest

    def _after_end(self, _data: bytes) -> bytes | None:
        self.excess = True
        return None

    def _wait(self, data: bytes, limit: int) -> bytes | None:
        if len(data) > limit:
            raise BadResponseError(f"a line or head is longer than {limit} bytes")
        self._pending = data
        return None

    def _take(self, part: bytes) -> None:
        self.body_bytes += len(part)
        if not self.found:
            # The end of the last piece is looked at again, for a needle that lies across two of them.
            window = self._tail + part
            self.found = self._needle in window
            self._tail = window[-len(self._needle) :]
