"""`python -m breakroom.agent relay`: from standard input to the agents on the run's network, and back.

It runs in a container that is attached to that network, on the node that breakroom talks to; breakroom speaks to it
through `docker attach`. It holds no key: it can neither read more than what passes nor make a message of its own.
It ends when its standard input does, which is when breakroom does.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from typing import Any

from breakroom.agent.messages import MAX_LINE

__all__ = ["relay"]

_CONNECT_SECONDS = 3.0


class _NotConnectedError(Exception):
    """Nothing was sent: the order may be given again."""


def relay() -> None:
    """Pass lines until the input ends.

    In: `{"id", "to": [address, port], "line", "wait_s"}`. Out: `{"id", "line"}`, or `{"id", "error"}` where nobody
    answered; with `unsent` if nobody can have received it.
    """
    lock = threading.Lock()
    for raw in sys.stdin:
        order = json.loads(raw)
        threading.Thread(target=_pass, args=(order, lock), daemon=True).start()


def _pass(order: dict[str, Any], lock: threading.Lock) -> None:
    answer: dict[str, Any] = {"id": order["id"]}
    try:
        answer["line"] = _exchange(tuple(order["to"]), order["line"], float(order["wait_s"]))
    except _NotConnectedError as error:
        answer["error"], answer["unsent"] = str(error), True
    except (OSError, ValueError, TypeError) as error:
        answer["error"] = str(error) or type(error).__name__
    with lock:
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _exchange(address: tuple[str, int], line: str, wait: float) -> str:
    try:
        connected = socket.create_connection(address, timeout=min(_CONNECT_SECONDS, wait))
    except OSError as error:
        raise _NotConnectedError(str(error) or type(error).__name__) from error
    with connected as connection:
        connection.settimeout(wait)
        connection.sendall(line.encode() + b"\n")
        with connection.makefile("rb") as stream:
            answer = stream.readline(MAX_LINE)
    if not answer.endswith(b"\n"):
        raise OSError("the agent hung up")
    return answer.decode().rstrip("\n")
