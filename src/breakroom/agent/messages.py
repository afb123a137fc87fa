"""Messages between breakroom and its agents on a run's own network: sealed, for one run and node, each good for once.

A message is a line of JSON, `{"body": "…", "mac": "…"}`; `mac` is HMAC-SHA256 over the kind and the body, with a key of
the run's own. A request names its run and its node; an answer the request. Requests bear a time and a number that is
used once (nonce), and belong to one life of the agent (session), which `hello` tells: so a recorded request is refused
while the agent remembers the nonce, by its time after that, and by the session once the agent was started anew.
Acts are not secret, only their origin matters: nothing is encrypted here.

Called by `resident` and by `platforms.docker.hands_remote`. Pure: time and nonces are given.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any, Literal

__all__ = ["MAX_LINE", "PORT", "WINDOW_NS", "Guard", "RefusedError", "seal", "sources_digest", "unseal"]

PORT = 7077
MAX_LINE = 1 << 20
WINDOW_NS = 60 * 10**9
"""How far a request's time may be from the agent's clock, by which the sender reckons: `hello` told it."""
Kind = Literal["request", "answer"]
_HELLO = "hello"


class RefusedError(Exception):
    """A message is not taken. `code`: `malformed`, `forged`, `not-for-me`, `stale`, `replayed`."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


def seal(key: bytes, kind: Kind, body: dict[str, Any]) -> str:
    """A message as a line without its end."""
    text = json.dumps(body, sort_keys=True)
    return json.dumps({"body": text, "mac": _mac(key, kind, text)})


def unseal(key: bytes, kind: Kind, line: str | bytes) -> dict[str, Any]:
    """The body of a message that was sealed with this key, as this kind.

    Raises:
        RefusedError: `malformed`, `forged`.
    """
    try:
        outer = json.loads(line)
        text, mac = outer["body"], outer["mac"]
        if not isinstance(text, str) or not isinstance(mac, str):
            raise TypeError("body and mac are texts")
    except (ValueError, KeyError, TypeError) as error:
        raise RefusedError("malformed", "this is no message of breakroom's") from error
    # Compared before anything of the body is looked at, in a time that does not depend on where it differs.
    if not hmac.compare_digest(_mac(key, kind, text).encode(), mac.encode()):
        raise RefusedError("forged", "the message was not sealed with this run's key")
    try:
        body = json.loads(text)
    except ValueError as error:
        raise RefusedError("malformed", "the message's body is no JSON") from error
    if not isinstance(body, dict):
        raise RefusedError("malformed", "the message's body is no mapping")
    return body


class Guard:
    """What an agent takes: requests for its own run and node and life, in time, each once."""

    def __init__(self, key: bytes, *, run: str, node: str, session: str) -> None:
        self._key = key
        self._run = run
        self._node = node
        self.session = session
        self._seen: dict[str, int] = {}

    def admit(self, line: str | bytes, now_ns: int) -> dict[str, Any]:
        """The request, if it is to be done.

        Raises:
            RefusedError: it is not; the code says why.
        """
        body = unseal(self._key, "request", line)
        if body.get("run") != self._run or body.get("node") != self._node:
            raise RefusedError("not-for-me", "the message is for another run or another node")
        nonce, sent, act = body.get("nonce"), body.get("time_ns"), body.get("act")
        if (
            not isinstance(nonce, str)
            or len(nonce) < 16
            or not isinstance(sent, int)
            or not isinstance(act, dict)
        ):
            raise RefusedError("malformed", "the request lacks a nonce, a time or an act")
        # `hello` changes nothing, and asks for the very things that a request must have.
        if act.get("act") != _HELLO:
            if body.get("session") != self.session:
                raise RefusedError("stale", "the request was made for an earlier life of this agent")
            if abs(sent - now_ns) > WINDOW_NS:
                raise RefusedError("stale", "the request's time is too far from this node's")
        self._forget(now_ns)
        if nonce in self._seen:
            raise RefusedError("replayed", "the request was received before")
        self._seen[nonce] = now_ns
        return body

    def answer(self, request: dict[str, Any], answer: dict[str, Any]) -> str:
        """The sealed answer to an admitted request."""
        body = {"run": self._run, "node": self._node, "nonce": request["nonce"], "answer": answer}
        return seal(self._key, "answer", body)

    def _forget(self, now_ns: int) -> None:
        # Kept for two windows: a request may bear a time one window ahead of this clock.
        for nonce in [nonce for nonce, then in self._seen.items() if now_ns - then > 2 * WINDOW_NS]:
            del self._seen[nonce]


def sources_digest() -> str:
    """A digest of this room's files: two ends with the same one understand each other."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _mac(key: bytes, kind: Kind, text: str) -> str:
    return hmac.new(key, f"breakroom {kind}\0{text}".encode(), hashlib.sha256).hexdigest()
