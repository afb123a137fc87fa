"""HTTP/1.x as bytes: reads one request's head, writes one response. No socket, no clock.

Used by `server` for every request of a sample app. It understands what clients of a small service send (RFC 9112) and
refuses everything else with the status that says why, because a server that guesses hides mistakes of its clients.

`json`, `http` and `dataclasses` would be shorter, and each costs several milliseconds at every start of a replica.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing it from `typing` would cost 4 ms a start
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "MAX_BODY",
    "MAX_HEAD",
    "REASONS",
    "Refusal",
    "Request",
    "Response",
    "parse_head",
    "render",
    "to_json",
]

MAX_HEAD = 8 * 1024
"""Bytes that a request line and its headers may take."""
MAX_BODY = 64 * 1024
"""Bytes of a request's body that are read (and thrown away)."""
BLOCK = 512
"""Bodies are filled up with blanks to a multiple of this. `ab` counts every answer whose length differs from the
first one's as failed, and a counter in the body that goes from 9 to 10 would be enough."""

REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}

TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


class Refusal(Exception):  # noqa: N818 - it is an answer to the client, not an error of ours
    """The request cannot be served; `status` and `why` are the answer. The connection is closed after it."""

    def __init__(self, status: int, why: str) -> None:
        self.status = status
        self.why = why
        super().__init__(f"{status} {why}")


class Request:
    """One request's head. Header values that a sample app has no use for are checked and dropped."""

    __slots__ = ("body_length", "keep_alive", "method", "path", "query", "version", "wants_continue")

    def __init__(self, method: str, target: str, version: str) -> None:
        path, _, query = target.partition("?")
        self.method = method
        self.path = path
        self.query = dict(pair.partition("=")[::2] for pair in query.split("&") if pair)
        self.version = version
        self.keep_alive = version == "HTTP/1.1"
        self.body_length = 0
        self.wants_continue = False


class Response:
    """What a page answers: a status, a body that becomes JSON, and what should happen besides.

    `delay` seconds pass before it is sent; `then` is called once it was sent.
    """

    __slots__ = ("body", "delay", "headers", "status", "then")

    def __init__(
        self,
        body: dict[str, object],
        status: int = 200,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        delay: float = 0.0,
        then: Callable[[], None] | None = None,
    ) -> None:
        self.body = body
        self.status = status
        self.headers = headers
        self.delay = delay
        self.then = then


def parse_head(received: bytes | bytearray) -> tuple[Request, int] | None:
    """Read a request's head from the start of what was received.

    Returns:
        The request and how many bytes its head took, or None while the head is not complete.

    Raises:
        Refusal: it is not a request that this server understands; known as early as the bytes allow.
    """
    end = received.find(b"\r\n\r\n")
    if end > MAX_HEAD or (end < 0 and len(received) > MAX_HEAD):
        raise Refusal(431, f"the request line and headers take more than {MAX_HEAD} bytes")
    if end < 0:
        _check_beginning(received)
        return None
    lines = received[:end].decode("latin-1").split("\r\n")
    request = _request_line(lines[0])
    _read_headers(request, lines[1:])
    return request, end + 4


def _check_beginning(received: bytes | bytearray) -> None:
    """Refuse at once what can never become a request (TLS, bare line feeds), not when time has run out."""
    if received and not 65 <= received[0] <= 90:
        raise Refusal(400, "a request begins with a method such as GET; is this TLS or another protocol?")
    newline = received.find(b"\n")
    if newline > 0 and received[newline - 1] != 13:
        raise Refusal(400, "lines end with CR LF, this one ends with LF alone")


def _request_line(line: str) -> Request:
    parts = line.split(" ")
    if len(parts) != 3:
        raise Refusal(400, "a request line has three parts: METHOD TARGET HTTP/1.1")
    method, target, version = parts
    if not method or not TOKEN.issuperset(method):
        raise Refusal(400, "the method is not a word")
    if version not in {"HTTP/1.1", "HTTP/1.0"}:
        if version.startswith("HTTP/"):
            raise Refusal(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
        raise Refusal(400, "the request line does not end with HTTP/1.1")
    if target.startswith("http://"):  # absolute form, as sent through a proxy
        target = "/" + target[len("http://") :].partition("/")[2]
    if not target.startswith("/") or not target.isascii() or not target.isprintable():
        raise Refusal(400, "the target is not a path: it begins with / and holds printable ASCII")
    return Request(method, target, version)


def _read_headers(request: Request, lines: list[str]) -> None:
    hosts = 0
    lengths: set[str] = set()
    for line in lines:
        name, colon, value = line.partition(":")
        value = value.strip(" \t")
        if not colon or not name or not TOKEN.issuperset(name):
            raise Refusal(400, "a header line is NAME: VALUE, without a space before the colon")
        if "\r" in value or "\n" in value or "\0" in value:
            raise Refusal(400, "a header value holds a control character")
        name = name.lower()
        if name == "host":
            hosts += 1
        elif name == "content-length":
            lengths.add(value)
        elif name == "transfer-encoding":
            raise Refusal(501, "transfer codings are not spoken here; send Content-Length")
        elif name == "connection":
            _read_connection(request, value)
        elif name == "expect":
            request.wants_continue = value.lower() == "100-continue"
    if hosts > 1 or (hosts == 0 and request.version == "HTTP/1.1"):
        raise Refusal(400, "HTTP/1.1 requires exactly one Host header")
    if lengths:
        request.body_length = _content_length(lengths)


def _read_connection(request: Request, value: str) -> None:
    options = {option.strip().lower() for option in value.split(",")}
    if "close" in options:
        request.keep_alive = False
    elif "keep-alive" in options:
        request.keep_alive = True


def _content_length(values: set[str]) -> int:
    value = values.pop()
    if values or not value.isascii() or not value.isdigit():
        raise Refusal(400, "Content-Length is not one whole number")
    # Length first: turning a number of thousands of digits into an int is work that a stranger should not command.
    if len(value) > 10 or int(value) > MAX_BODY:
        raise Refusal(413, f"a body may have at most {MAX_BODY} bytes")
    return int(value)


def render(
    response: Response, headers: tuple[tuple[str, str], ...], *, keep_alive: bool, body: bool = True
) -> bytes:
    """A response as bytes.

    Args:
        response: what a page answered.
        headers: the server's own headers, put before the page's.
        keep_alive: whether the connection stays open afterwards; said in `Connection`.
        body: false for HEAD, whose answer has the length of a body that is not sent.
    """
    content = to_json(response.body).encode(errors="replace")
    content += b" " * (-(len(content) + 1) % BLOCK) + b"\n"
    lines = [f"HTTP/1.1 {response.status} {REASONS[response.status]}"]
    lines += [f"{name}: {value}" for name, value in headers + response.headers]
    lines.append("Content-Type: application/json")
    lines.append(f"Content-Length: {len(content)}")
    lines.append("Connection: keep-alive" if keep_alive else "Connection: close")
    head = "\r\n".join(lines).encode("ascii") + b"\r\n\r\n"
    return head + content if body else head


ESCAPES = {code: f"\\u{code:04x}" for code in range(32)}
ESCAPES |= {ord('"'): '\\"', ord("\\"): "\\\\", ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}


def to_json(value: object) -> str:
    """JSON text of a value made of dict (text keys), list, tuple, str, int, float, bool and None.

    Raises:
        TypeError: the value holds anything else.
    """
    if isinstance(value, str):
        return '"' + value.translate(ESCAPES) + '"'
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{to_json(key)}: {to_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(to_json(item) for item in value) + "]"
    raise TypeError(f"{type(value).__name__} has no JSON form")
