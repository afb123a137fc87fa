"""Work in another network namespace, in a forked process of its own: the caller never leaves its own.

Called by the acts on links, partitions, sweeping and probing. The work gets no argument that is not closed over and
gives back what JSON can say. Standard library only.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from breakroom.agent.container import held, is_alive
from breakroom.agent.errors import ActError, from_os_error

__all__ = ["each_namespace", "in_container_network", "in_network", "in_new_network", "own_network"]

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
_NAMED = ("/run/netns", "/run/docker/netns")
_INIT_ROOT = "/proc/1/root"


def in_network(descriptor: int, work: Callable[[], Any]) -> Any:
    """Do `work` in the network namespace behind an open file.

    Raises:
        ActError: entering failed (`permission-denied`), or the work raised it.
    """
    return _forked(lambda: _enter(_LIBC.setns(descriptor, _CLONE_NEWNET), "enter a network namespace"), work)


def in_new_network(work: Callable[[], Any]) -> Any:
    """Do `work` in a network namespace that is made for it and ends with it.

    Raises:
        ActError: it cannot be made, or the work raised it.
    """
    return _forked(lambda: _enter(_LIBC.unshare(_CLONE_NEWNET), "make a network namespace"), work)


def own_network(work: Callable[[], Any]) -> Any:
    """Do `work` in a forked process that stays in this namespace; the node's own, if the agent runs in that.

    Raises:
        ActError: the work raised it.
    """
    return _forked(lambda: None, work)


def in_container_network(container: str, pid: int, work: Callable[[], Any]) -> Any:
    """Do `work` in the network namespace of a container.

    Raises:
        ActError: `gone`, `not-in-container`, `unsupported` for a container in the node's own network, or the work's.
    """
    with held(pid, container) as pidfd:
        try:
            descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise from_os_error(error, f"open the network namespace of container {container[:12]}") from error
        try:
            if not is_alive(pidfd):
                raise ActError("gone", f"container {container[:12]} has just ended")
            if os.fstat(descriptor).st_ino in _node_networks():
                raise ActError(
                    "unsupported",
                    f"container {container[:12]} uses the node's own network; what is done to it would hit the node",
                )
            return in_network(descriptor, work)
        finally:
            os.close(descriptor)


def each_namespace() -> Iterator[tuple[str, int]]:
    """Every network namespace of this node that can be reached: (where it was found, an open file), each once.

    The file is closed when the next one is asked for. Namespaces of processes, and named ones without a process; a
    stale name under /run/netns is an ordinary file, which cannot be entered.
    """
    seen: set[tuple[int, int]] = set()
    paths = [Path("/proc/self/ns/net"), *Path("/proc").glob("[0-9]*/ns/net")]
    for root in ("", _INIT_ROOT):
        for place in _NAMED:
            try:
                paths += sorted(Path(root + place).iterdir())
            except OSError:
                continue
    for path in paths:
        try:
            status = path.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            seen.add((status.st_dev, status.st_ino))
            yield str(path), descriptor
        finally:
            os.close(descriptor)


def _node_networks() -> set[int]:
    found = set()
    for path in ("/proc/1/ns/net", "/proc/self/ns/net"):
        try:
            found.add(Path(path).stat().st_ino)
        except OSError:
            continue
    return found


def _enter(result: int, doing: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise from_os_error(OSError(number, os.strerror(number)), doing)


def _forked(enter: Callable[[], None], work: Callable[[], Any]) -> Any:
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _child(writer, enter, work)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        raw = stream.read()
    os.waitpid(child, 0)
    if not raw:
        raise ActError("failed", "the process that entered the network namespace died")
    answer = json.loads(raw)
    if "code" in answer:
        raise ActError(answer["code"], answer["message"])
    return answer["result"]


def _child(writer: int, enter: Callable[[], None], work: Callable[[], Any]) -> None:
    try:
        try:
            enter()
            answer = {"result": work()}
        except ActError as error:
            answer = {"code": error.code, "message": str(error)}
        except Exception as error:  # noqa: BLE001  # the parent raises it; there is nobody else to tell
            answer = {"code": "failed", "message": f"{type(error).__name__}: {error}"}
        with os.fdopen(writer, "wb") as stream:
            stream.write(json.dumps(answer).encode())
    finally:
        os._exit(0)
