"""Taking everything away, and looking whether it is gone.

Used by `engine.shell.requests` for the request `remove`. The core is told, so that the journal shows tasks
stopped on purpose and nothing is replaced; but its waits (two seconds of draining, the grace period) are for
users who are not there any more, so the signals are sent here at once. What is found afterwards is reported,
not assumed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from typing import TYPE_CHECKING

from breakroom.engine.core.events import Event, RemoveContainer, RemoveService, StopContainer
from breakroom.engine.shell import procfs
from breakroom.engine.shell.command import MARKER

if TYPE_CHECKING:
    from breakroom.engine.shell.engine import Engine
    from breakroom.engine.shell.requests import Requests

__all__ = ["remove_everything"]

_KILL_SECONDS = 2.0
_LOOK_SECONDS = 0.005


async def remove_everything(engine: Engine, requests: Requests, grace: float) -> list[str]:
    """Stop every task within `grace` seconds, end the ingress, and return what is still on the machine."""
    node = engine.node
    if node is None:
        return []
    engine.sampler.stop()
    name = requests.name
    if name:
        service = requests.runs_as == "service"
        await _tell(engine, RemoveService(name) if service else StopContainer(name))
    _signal_all(engine, stop=True)
    await _until_stopped(engine, grace)
    _signal_all(engine, stop=False)
    await _until_stopped(engine, _KILL_SECONDS)
    if name and requests.runs_as == "container":
        await _tell(engine, RemoveContainer(name))
    engine.driver.stop()
    await node.close()
    await engine.ingress.close()
    await _until_no_children()
    node.ports.close()
    return await asyncio.to_thread(_left_behind, engine.marker, requests.published) + [
        *node.memory.close(),
        *node.freezer.close(),
        *node.throttle.close(),
    ]


async def _tell(engine: Engine, event: Event) -> None:
    """Give the core an event; a refusal means that there is nothing to stop any more."""
    handled: asyncio.Future[object] = engine.loop.create_future()
    engine.feed(event, None, handled.set_result)
    await handled


def _signal_all(engine: Engine, *, stop: bool) -> None:
    node = engine.node
    assert node is not None
    for task in node.running():
        if stop:
            node.stop(task)
        else:
            node.kill(task)


async def _until_stopped(engine: Engine, seconds: float) -> None:
    """Wait for the ends of all running tasks, at most so long."""
    node = engine.node
    assert node is not None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await node.all_stopped()


async def _until_no_children() -> None:
    """Kill what is left below the engine until nothing is, or until it cannot be killed."""
    deadline = time.monotonic() + _KILL_SECONDS
    while (left := procfs.children_of(os.getpid())) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(_LOOK_SECONDS)


def _left_behind(marker: str, published: tuple[int, tuple[str, ...]] | None) -> list[str]:
    """Processes with this engine's mark, and published addresses that are still taken."""
    left = [f"process {pid}" for pid in procfs.marked_processes(MARKER, marker)]
    port, hosts = published or (0, ())
    for host in hosts:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((host, port))
            except OSError:
                left.append(f"port {port} on {host}")
    return left
