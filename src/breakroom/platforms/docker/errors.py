"""What goes wrong between breakroom and a Docker daemon, in words that say what to do about it.

Used by everything that asks a daemon: errors of aiodocker and aiohttp end here and nowhere higher. Pure but for the
clock-free context manager `asking`.

    PlatformError.code   what happened
    daemon-missing       nothing listens where the daemon should be
    permission-denied    the socket is there and we may not use it
    daemon-died          it answered before and does not any more, or hung up in the middle of an answer
    tls-failed           the two ends do not trust each other, or do not speak TLS both
    ssh-failed           ssh could not reach the daemon; its own words are in the message
    image-missing        no such image on the daemon
    port-taken           the published port belongs to somebody else
    name-taken           a container, service or network of that name exists
    not-found            the object is gone
    refused              the daemon says no (a conflict, a wrong value); its words are in the message
    swarm-no-answer      the managers have no leader for now, or have lost their majority
    docker-error         anything else that the daemon answered
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import aiohttp
from aiodocker.exceptions import DockerError

from breakroom.platforms.base import PlatformError

__all__ = [
    "CONNECTION_LOST",
    "asking",
    "daemon_missing",
    "image_missing",
    "is_gone",
    "not_docker",
    "translate",
]

CONNECTION_LOST: Final = frozenset({"daemon-died", "daemon-missing", "ssh-failed"})
"""Codes after which nothing can be asked of the daemon any more."""

_NO_CONNECTION = 900
"""aiodocker's status for a request that never reached the daemon."""

_NO_LEADER = re.compile(r"DeadlineExceeded|context deadline exceeded|does not have a leader")
_PORT_TAKEN = re.compile(
    r"port is already allocated|address already in use|already in use by service|Ports are not available",
    re.IGNORECASE,
)
_NO_IMAGE = re.compile(
    r"no such image|image not known|repository does not exist|manifest unknown", re.IGNORECASE
)
_NAME_TAKEN = re.compile(
    r"name .{0,200}(already in use|conflicts with an existing)|already exists", re.IGNORECASE | re.DOTALL
)
_TLS_HINT = (
    "set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH (with ca.pem, cert.pem, key.pem), "
    "or check the context's certificates"
)
_START_HINT = (
    "start it (`sudo systemctl start docker`, or Docker Desktop), "
    "or run with `--platform local`, which needs none"
)
_ADDRESS_HINT = (
    "check the address (DOCKER_HOST, or `docker context ls`), and that the daemon there is started and listens on it; "
    "`--platform local` needs no Docker"
)


@contextmanager
def asking(doing: str, host: str, *, connected: bool = True) -> Iterator[None]:
    """Turn what a request raises into a `PlatformError`.

    Args:
        doing: what was being done, as the end of "cannot …": `start container web`.
        host: the daemon's address.
        connected: whether it has answered before; then a missing daemon has died.

    Raises:
        PlatformError: with a code of this module's table.
    """
    try:
        yield
    except (DockerError, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise translate(error, doing=doing, host=host, connected=connected) from error


def translate(error: BaseException, *, doing: str, host: str, connected: bool = True) -> PlatformError:
    """The `PlatformError` that says what happened; see `asking` for the arguments."""
    if isinstance(error, DockerError) and error.status != _NO_CONNECTION:
        return _answered(error, doing)
    cause = _root(error)
    if isinstance(cause, ssl.SSLError | ssl.CertificateError | aiohttp.ClientSSLError):
        return PlatformError(
            "tls-failed",
            f"cannot {doing}: the daemon at {host} and this machine do not agree on TLS: {cause}",
            _TLS_HINT,
        )
    if isinstance(cause, PermissionError):
        return _permission(doing, host)
    if isinstance(cause, asyncio.TimeoutError | TimeoutError):
        return PlatformError(
            "daemon-died" if connected else "daemon-missing",
            f"cannot {doing}: the Docker daemon at {host} does not answer",
            "see whether `docker info` answers; if it hangs as well, restart the daemon, or check the address",
        )
    if connected:
        return PlatformError(
            "daemon-died",
            f"cannot {doing}: the Docker daemon at {host} has stopped answering ({_brief(cause)})",
            "see its log (`journalctl -u docker`), start it, and run `breakroom cleanup` for what is left",
        )
    return daemon_missing(host, _brief(cause))


def daemon_missing(host: str, reason: str) -> PlatformError:
    """No daemon answers at `host`."""
    hint = _START_HINT if host.startswith("unix:") else _ADDRESS_HINT
    return PlatformError("daemon-missing", f"no Docker daemon answers at {host}: {reason}", hint)


def not_docker(host: str, source: str) -> PlatformError:
    """Something answers at `host`, and it does not speak as a Docker daemon; `source` named the address."""
    return PlatformError(
        "daemon-missing",
        f"what answers at {host} (by {source}) is not a Docker daemon",
        _ADDRESS_HINT,
    )


def image_missing(image: str, *, course: bool) -> PlatformError:
    """The daemon has no such image; `course`: it is one of breakroom's own sample images."""
    way = "build it with `breakroom images`" if course else f"get it with `docker pull {image}`, or build it"
    return PlatformError("image-missing", f"the Docker daemon has no image {image}", way)


def is_gone(error: BaseException) -> bool:
    """Whether the daemon said that the object does not exist (any more)."""
    return isinstance(error, DockerError) and error.status == 404


def _answered(error: DockerError, doing: str) -> PlatformError:
    """The daemon was reached and said no."""
    said = " ".join(str(error.message).split())
    text = f"cannot {doing}: {said}"
    if "HTTP request to an HTTPS server" in said:
        return PlatformError("tls-failed", f"{text}: the daemon speaks TLS", _TLS_HINT)
    if _PORT_TAKEN.search(said):
        return PlatformError(
            "port-taken", text, "end what holds the port (`docker ps`, `ss -ltnp`), or publish another one"
        )
    if _NO_IMAGE.search(said):
        return PlatformError(
            "image-missing", text, "`breakroom images` builds the course's; `docker pull` gets others"
        )
    if _NO_LEADER.search(said):
        return PlatformError(
            "swarm-no-answer", text, "the managers elect a leader, or most of them are gone: `docker node ls`"
        )
    if error.status == 404:
        return PlatformError("not-found", text)
    if error.status == 409 and _NAME_TAKEN.search(said):
        return PlatformError("name-taken", text, "remove it, or run `breakroom cleanup` if a run left it")
    if error.status in {400, 403, 406, 409, 503}:
        return PlatformError("refused", text)
    return PlatformError("docker-error", text)


def _permission(doing: str, host: str) -> PlatformError:
    return PlatformError(
        "permission-denied",
        f"cannot {doing}: you may not use the Docker socket {host}",
        "join the group that owns it (`sudo usermod -aG docker $USER`, then log in again), run with sudo, "
        "or run with `--platform local`, which needs no rights",
    )


def _root(error: BaseException) -> BaseException:
    """The error below the libraries' wrappings: aiodocker keeps it as context, aiohttp as `os_error`."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, aiohttp.ClientSSLError | TimeoutError):
            return error  # below a timeout is only that something was cancelled
        inner = getattr(error, "os_error", None) or error.__cause__
        if inner is None and isinstance(error, DockerError):
            inner = error.__context__
        if not isinstance(inner, BaseException):
            break
        error = inner
    return error


def _brief(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__
