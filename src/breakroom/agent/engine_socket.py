"""This node's own Docker, through its socket: helper containers, and what only an engine can do to a container.

Called by `resident`, which lives in a container of its own with nothing but Python and the socket. Standard library
only.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from breakroom.agent.cpu import LIMITS, limits_of
from breakroom.agent.errors import ActError

__all__ = ["ENGINE_ACTS", "SOCKET", "engine_act", "run_helper"]

SOCKET = "/var/run/docker.sock"
_ACT_SECONDS = 110.0
_GONE_SECONDS = 10.0
_FRAME = struct.Struct(">BxxxL")
_STDOUT = 1


def run_helper(config: dict[str, Any], name: str, line: bytes, *, stays: bool) -> bytes:
    """Run a helper: `line` to its standard input, its first line of output back.

    Args:
        config: as `helper.helper_config` makes it.
        name: the container's name.
        line: the act.
        stays: leave it running if the act was done; Docker removes it when it ends.

    Raises:
        ActError: `image-missing`, or `failed` with what Docker says.
    """
    container = str(_ask("POST", f"/containers/create?name={quote(name)}", config)["Id"])
    done = False
    try:
        with _attached(container) as stream:
            _ask("POST", f"/containers/{container}/start", None)
            stream.sendall(line)
            said, errors = _first_line(stream)
        if not said:
            raise ActError("failed", f"the helper said nothing; {errors.decode(errors='replace')[-400:]}")
        done = stays and bool(json.loads(said).get("ok"))
        return said
    finally:
        if not done:
            _remove(container)


ENGINE_ACTS = {
    "docker-cpu": "update",
    "docker-kill": "kill",
    "docker-look": "",
    "docker-pause": "pause",
    "docker-unpause": "unpause",
}
"""Acts of a container's engine, each with its word in the Engine API; none: nothing is changed."""
_RUN_LABEL = "breakroom.run"


def engine_act(act: dict[str, Any], run: str) -> dict[str, Any]:
    """Have the engine pause, unpause, kill (`signal`) or limit (`limits`) a container of that run; no other is touched.

    Returns:
        `ok`, and what `docker inspect` says afterwards: the container's `status`, whether it was `oom_killed`, and its
        limits of `cpu`, as `cpu.limits_of` has them.

    Raises:
        ActError: `gone`; `not-ours`: the container does not bear the run's label; `failed` with what Docker says.
    """
    container = quote(str(act.get("container") or "-"), safe="")
    labels = _ask("GET", f"/containers/{container}/json", None)["Config"].get("Labels") or {}
    if labels.get(_RUN_LABEL) != run:
        raise ActError("not-ours", f"container {container[:12]} is not of run {run}")
    word = ENGINE_ACTS[str(act["act"])]
    if word == "kill":
        word += f"?signal={quote(str(act.get('signal') or 'SIGKILL'))}"
    if word:
        _ask("POST", f"/containers/{container}/{word}", _limits(act) if word == "update" else None)
    shown = _ask("GET", f"/containers/{container}/json", None)
    state = shown["State"]
    return {
        "ok": True,
        "status": state["Status"],
        "oom_killed": bool(state.get("OOMKilled")),
        "cpu": limits_of(shown["HostConfig"]),
    }


def _limits(act: dict[str, Any]) -> dict[str, int]:
    """The CPU limits of an act, and nothing else that an update could change."""
    wanted = act.get("limits")
    if (
        not isinstance(wanted, dict)
        or not wanted
        or not all(name in LIMITS and isinstance(value, int) for name, value in wanted.items())
    ):
        raise ActError("bad-act", f"limits has whole numbers for {', '.join(LIMITS)}")
    return dict(wanted)


def _ask(method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
    connection = _Connection()
    try:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        response = connection.getresponse()
        raw = response.read()
    except OSError as error:
        raise ActError("failed", f"this node's Docker does not answer: {error}") from error
    finally:
        connection.close()
    if response.status >= http.client.BAD_REQUEST:
        raise _refused(response.status, raw)
    return dict(json.loads(raw)) if raw else {}


def _refused(status: int, raw: bytes) -> ActError:
    try:
        text = str(json.loads(raw)["message"])
    except (ValueError, KeyError, TypeError):
        text = raw.decode(errors="replace")
    code = "gone" if status == http.client.NOT_FOUND else "failed"
    if "no such image" in text.lower():
        code = "image-missing"
    return ActError(code, f"this node's Docker refuses: {text}")


@contextmanager
def _attached(container: str) -> Iterator[socket.socket]:
    connection = _Connection()
    try:
        path = f"/containers/{container}/attach?stream=1&stdin=1&stdout=1&stderr=1"
        connection.request("POST", path, None, {"Connection": "Upgrade", "Upgrade": "tcp"})
        response = connection.getresponse()
        if response.status != http.client.SWITCHING_PROTOCOLS:
            raise _refused(response.status, response.read())
        # Nothing was read ahead: the container says nothing before it is started.
        stream: socket.socket = connection.sock
        stream.settimeout(_ACT_SECONDS)
        yield stream
    except OSError as error:
        raise ActError("failed", f"the connection to a helper broke: {error}") from error
    finally:
        connection.close()


def _first_line(stream: socket.socket) -> tuple[bytes, bytes]:
    out, errors = bytearray(), bytearray()
    while b"\n" not in out:
        head = _exactly(stream, _FRAME.size)
        if not head:
            break
        number, size = _FRAME.unpack(head)
        (out if number == _STDOUT else errors).extend(_exactly(stream, size))
    return bytes(out.partition(b"\n")[0]), bytes(errors)


def _exactly(stream: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = stream.recv(size - len(data))
        if not piece:
            return b""
        data += piece
    return bytes(data)


def _remove(container: str) -> None:
    # It may be on its way out already (AutoRemove): 404 and 409 say so.
    with contextlib.suppress(ActError):
        _ask("DELETE", f"/containers/{container}?force=1", None)
    deadline = time.monotonic() + _GONE_SECONDS
    while time.monotonic() < deadline:
        try:
            _ask("GET", f"/containers/{container}/json", None)
        except ActError as error:
            if error.code == "gone":
                return
        time.sleep(0.05)


class _Connection(http.client.HTTPConnection):
    """HTTP over the Unix socket."""

    def __init__(self) -> None:
        super().__init__("docker", timeout=_ACT_SECONDS)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_ACT_SECONDS)
        self.sock.connect(SOCKET)
