"""Where requests go and what they look like on the wire: URL, address, request bytes. Used by `load.stream`.

Everything that can be wrong with a target is found here, in the main process, before a worker starts.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from breakroom import __version__
from breakroom.load.outcomes import of_this_machine

__all__ = ["Address", "Target", "TargetError", "build_request", "find_address", "parse_target"]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PATH = re.compile(r"/[!-~]*")
_FIELD_VALUE = re.compile(r"[\t -~\x80-\xff]*")
_HAS_BODY = frozenset({"POST", "PUT", "PATCH"})
_CONNECT_TIMEOUT = 5.0


class TargetError(Exception):
    """The target cannot be used. `code` is stable: bad-url, bad-request, unresolvable or not-listening."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed URL."""

    host: str
    port: int
    path: str
    """With the query; always starts with a slash."""

    @property
    def url(self) -> str:
        """As an http URL."""
        return f"http://{self.authority}{self.path}"

    @property
    def authority(self) -> str:
        """`HOST:PORT` as in URLs and `Host` headers; port 80 is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 80 else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Address:
    """A numeric address to connect to."""

    family: int
    host: str
    port: int


def parse_target(url: str, path: str = "/") -> Target:
    """Read an http URL; `path` takes the place of the URL's own path unless it is only `/`.

    Raises:
        TargetError: not a URL that can be requested.
    """
    text = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(text)
        port = parts.port or 80
    except ValueError as error:
        raise TargetError(
            "bad-url", f"{url!r} is not a URL ({error}); write http://HOST:PORT/PATH"
        ) from error
    if parts.scheme == "https":
        raise TargetError(
            "bad-url", f"{url!r} is https, which breakroom cannot send; write http://HOST:PORT/PATH"
        )
    if parts.scheme != "http" or not parts.hostname:
        raise TargetError("bad-url", f"{url!r} is not an http URL; write http://HOST:PORT/PATH")
    own = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    chosen = own if path == "/" else path
    if not _PATH.fullmatch(chosen):
        raise TargetError(
            "bad-url", f"{chosen!r} is not a path: it starts with / and is percent-encoded, like /a%20b"
        )
    return Target(host=parts.hostname, port=port, path=chosen)


def build_request(
    target: Target,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    keep_alive: bool = False,
) -> bytes:
    """The request as it goes over the wire; the caller's headers replace ours of the same name.

    Raises:
        TargetError: the method or a header cannot be sent.
    """
    if not _TOKEN.fullmatch(method):
        raise TargetError("bad-request", f"{method!r} is not an HTTP method; write one like GET or POST")
    fields = {"host": ("Host", target.authority), "user-agent": ("User-Agent", f"breakroom/{__version__}")}
    fields["accept"] = ("Accept", "*/*")
    if not keep_alive:
        fields["connection"] = ("Connection", "close")
    if body or method.upper() in _HAS_BODY:
        fields["content-length"] = ("Content-Length", str(len(body)))
    for name, value in (headers or {}).items():
        if not _TOKEN.fullmatch(name) or not _FIELD_VALUE.fullmatch(value):
            raise TargetError(
                "bad-request", f"{name + ': ' + value!r} is not a header; write it as NAME: VALUE"
            )
        fields[name.lower()] = (name, value)
    lines = [
        f"{method} {target.path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in fields.values()),
        "",
        "",
    ]
    return "\r\n".join(lines).encode("latin-1") + body


async def find_address(target: Target, *, check: bool) -> Address:
    """Resolve the host to the one address that every worker connects to.

    A name with several addresses (`localhost` is often ::1 and 127.0.0.1) gives the first that accepts a connection.
    To find that out one connection is made and closed again; with a numeric host only if `check`.

    Args:
        target: Whose host to resolve.
        check: Whether it is an error if nothing listens.

    Raises:
        TargetError: the name does not resolve; or, if `check`, nothing accepts connections there. Code `no-resources`:
            this machine has no descriptor or port to find out.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except OSError as error:
        if of_this_machine(error.errno):
            raise _no_resources(target, error) from error
        raise TargetError(
            "unresolvable",
            f"no address is known for the host {target.host!r} ({error.strerror}); is it spelled right?",
        ) from error
    addresses = [Address(family, str(sockaddr[0]), target.port) for family, _, _, _, sockaddr in found]
    if len(addresses) == 1 and not check:
        return addresses[0]
    problem: Exception | None = None
    for address in addresses:
        try:
            await _try_connect(address)
        except (OSError, TimeoutError) as error:
            problem = error
        else:
            return address
    if check and isinstance(problem, OSError) and of_this_machine(problem.errno):
        raise _no_resources(target, problem) from problem
    if check:
        raise TargetError(
            "not-listening",
            f"nothing accepts connections at {target.authority} ({_reason(problem)}); is the service running, "
            "and is this its published port?",
        ) from problem
    return addresses[0]


async def _try_connect(address: Address) -> None:
    async with asyncio.timeout(_CONNECT_TIMEOUT):
        _, writer = await asyncio.open_connection(address.host, address.port, family=address.family)
    writer.close()
    await writer.wait_closed()


def _no_resources(target: Target, error: OSError) -> TargetError:
    return TargetError(
        "no-resources",
        f"no connection to {target.authority} could be begun: {error.strerror}; this machine is at its limit, "
        "which says nothing about the service (`ulimit -n`, net.ipv4.ip_local_port_range)",
    )


def _reason(problem: Exception | None) -> str:
    if isinstance(problem, ConnectionRefusedError):
        return "connection refused"
    if isinstance(problem, TimeoutError):
        return f"no answer within {_CONNECT_TIMEOUT:.0f} s"
    return str(problem)
