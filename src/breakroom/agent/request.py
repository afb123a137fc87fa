"""One HTTP request, with a time limit for the whole of it: how a service itself is told to fall ill.

Called by `acts` inside a container's network namespace, and by `platforms.docker.direct` where a port of the container
can be reached from outside. Standard library only.
"""

from __future__ import annotations

import http.client
import socket
import time
from typing import Any

from breakroom.agent.errors import ActError

__all__ = ["SECONDS", "ask"]

SECONDS = 2.0
"""From the first packet to the last byte of the answer."""
_BODY_BYTES = 64 << 10


def ask(host: str, port: int, method: str, path: str) -> tuple[int, str]:
    """Send it; the answer's status and the beginning of its body. Redirects are not followed.

    Raises:
        ActError: `no-answer`: nobody listens, or the answer did not come whole and in time; `bad-act`: method or path
            is none.
    """
    if not path.startswith("/"):
        raise ActError("bad-act", f"a path begins with /, and {path!r} does not")
    connection = http.client.HTTPConnection(host, port)
    try:
        with _Timed(socket.AF_INET6 if ":" in host else socket.AF_INET) as stream:
            stream.connect((host, port))
            connection.sock = stream
            connection.request(method, path, headers={"Connection": "close"})
            answer = connection.getresponse()
            # Not to its end: an app that was told to hang may answer, and never close.
            body = answer.read(_BODY_BYTES)
            if answer.length and len(body) < _BODY_BYTES:
                raise http.client.IncompleteRead(body, answer.length)
            return answer.status, body.decode(errors="replace")
    except (http.client.InvalidURL, ValueError) as error:
        raise ActError("bad-act", f"this cannot be asked: {error}") from error
    except (OSError, http.client.HTTPException) as error:
        said = str(error) or type(error).__name__
        raise ActError("no-answer", f"{method} {path} on port {port}: {said}") from error
    finally:
        connection.close()


class _Timed(socket.socket):
    """A socket whose time limit is for all that is done with it, not for each piece."""

    def __init__(self, family: socket.AddressFamily) -> None:
        super().__init__(family, socket.SOCK_STREAM)
        self.settimeout(SECONDS)
        self._deadline = time.monotonic() + SECONDS

    def recv_into(self, *words: Any, **named: Any) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self.settimeout(left)
        return super().recv_into(*words, **named)
