"""Hands on a node: who does the acts of `breakroom.agent` there, on this daemon's machine.

Called by the platforms `docker` and `swarm` and by cleanup. Two ways, the same acts and answers: as root on the
daemon's own machine a process does them; anywhere else a helper container does, made of breakroom's own image on that
daemon, with only the capabilities that the act needs (`agent.helper`). For other nodes of a Swarm see `hands_remote`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from aiodocker.containers import DockerContainer
from aiodocker.exceptions import DockerError
from aiodocker.stream import Stream

from breakroom.agent.helper import LASTING, helper_config
from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker.connect import Daemon
from breakroom.platforms.docker.hands_image import AGENT_IMAGE, require_agent_image
from breakroom.platforms.docker.names import labels, mark, object_name

__all__ = ["Act", "Answer", "Hands", "HelperHands", "LocalHands", "checked", "hands_for", "read_line"]

Act = dict[str, Any]
Answer = dict[str, Any]
_ACT_SECONDS = 120.0
_GONE_SECONDS = 10.0
_LOOK_AGAIN_S = 0.05
_STDOUT = 1
_HINTS = {
    "permission-denied": "run breakroom as root, or let it use a helper container (a user of the Docker group)",
    "link-taken": "remove it, or choose another task: breakroom never replaces what it has not made",
}


class Hands(Protocol):
    """Does acts on one node. See docs/agent.md for the acts."""

    means: str
    """`process`, `helper container` or `agent`: goes into the journal."""

    async def act(self, act: Act) -> Answer:
        """Do one act; the run's mark is put in where the act has none.

        Returns:
            The act's answer, which has `ok: true` and `at`, the time of the act by the node's clocks.

        Raises:
            PlatformError: it was not done; `code` is the act's (`agent.errors`) or the daemon's.
        """
        ...

    async def close(self) -> tuple[str, ...]:
        """End what lasting acts have left running; returns what is still there."""
        ...


async def hands_for(daemon: Daemon, run: str) -> Hands:
    """The hands on the node of a daemon: a process where that can be, a helper container otherwise.

    Raises:
        PlatformError: `image-missing`: a helper container is needed and its image is not there.
    """
    if daemon.local and os.geteuid() == 0:
        return LocalHands(run)
    await require_agent_image(daemon)
    return HelperHands(daemon, run)


class LocalHands:
    """Acts done by a process of this machine, as root."""

    means = "process"

    def __init__(self, run: str) -> None:
        self._run = run

    async def act(self, act: Act) -> Answer:
        """See `Hands.act`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "breakroom.agent",
            "act",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_ACT_SECONDS):
                out, errors = await process.communicate(_line(act, self._run))
        except TimeoutError as error:
            raise _silent(act, "the process that does it") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return checked(act, out, errors)

    async def close(self) -> tuple[str, ...]:
        """See `Hands.close`."""
        return await _swept(self, self._run)


class HelperHands:
    """Acts done by a helper container on the daemon."""

    means = "helper container"

    def __init__(self, daemon: Daemon, run: str, *, image: str = AGENT_IMAGE) -> None:
        self._daemon = daemon
        self._run = run
        self._image = image
        self._lasting: dict[str, str] = {}
        """Helpers that have left something running, each with the container that it is about (empty: the node)."""

    async def act(self, act: Act) -> Answer:
        """See `Hands.act`."""
        config = helper_config(act, image=self._image, labels=labels("helper", self._run))
        name = object_name(self._run, "helper", secrets.token_hex(4))
        doing = f"do {act.get('act')} by a helper container"
        with self._daemon.asking(doing):
            container = await self._created(config, name)
        stays = False
        try:
            with self._daemon.asking(doing):
                async with asyncio.timeout(_ACT_SECONDS), _attached(container) as stream:
                    await container.start()
                    await stream.write_in(_line(act, self._run))
                    out, errors = await read_line(stream)
            answer = checked(act, out, errors)
            stays = act.get("act") in LASTING
        finally:
            if stays:
                self._lasting[container.id] = str(act.get("container") or "")
            else:
                await asyncio.shield(self._remove(container.id))
        if act.get("act") in {"memory-free", "partition-clear"}:
            await self._let_go(str(act.get("container") or ""))
        return answer

    async def close(self) -> tuple[str, ...]:
        """See `Hands.close`."""
        left = await _swept(self, self._run) if self._lasting else ()
        for container in tuple(self._lasting):
            await self._remove(container)
        return left

    async def _created(self, config: dict[str, Any], name: str) -> DockerContainer:
        """Create it; whoever is cancelled meanwhile leaves nothing: the daemon may have made it already."""
        making = asyncio.ensure_future(self._daemon.docker.containers.create(config, name=name))
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            made = await making
            await self._remove(made.id)
            raise

    async def _let_go(self, about: str) -> None:
        """Wait for the helpers whose work on that container has just been ended; those with other work stay."""
        for helper in [helper for helper, container in self._lasting.items() if container == about]:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._gone(helper)
                    self._lasting.pop(helper, None)

    async def _remove(self, container: str) -> None:
        """Remove it, running or not, and see that it is gone; the daemon may be removing it already.

        Raises:
            PlatformError: it is still there.
        """
        with self._daemon.asking("remove a helper container"):
            try:
                await self._daemon.docker.containers.container(container).delete(force=True)
            except DockerError as error:
                if error.status not in {404, 409}:
                    raise
            async with asyncio.timeout(_GONE_SECONDS):
                await self._gone(container)
        self._lasting.pop(container, None)

    async def _gone(self, container: str) -> None:
        while True:
            try:
                await self._daemon.docker.containers.container(container).show()
            except DockerError as error:
                if error.status == 404:
                    return
                raise
            await asyncio.sleep(_LOOK_AGAIN_S)


def checked(act: Act, out: bytes, errors: bytes = b"") -> Answer:
    """An answer as it came, if the act was done.

    Raises:
        PlatformError: it was not, or there is no answer.
    """
    try:
        answer = json.loads(out)
        done = answer["ok"]
    except (ValueError, KeyError, TypeError) as error:
        said = " ".join(errors.decode(errors="replace").split())[-400:] or "nothing"
        raise PlatformError(
            "act-failed", f"{act.get('act')}: no answer from the one who does it; it said {said}"
        ) from error
    if not done:
        code = str(answer.get("code", "act-failed"))
        raise PlatformError(code, f"{act.get('act')}: {answer.get('message', '')}", _HINTS.get(code, ""))
    return dict(answer)


async def read_line(stream: Stream) -> tuple[bytes, bytes]:
    """The first line that a container writes to standard output, and what it wrote to standard error until then."""
    out, errors = bytearray(), bytearray()
    while b"\n" not in out:
        message = await stream.read_out()
        if message is None:
            break
        (out if message.stream == _STDOUT else errors).extend(message.data)
    return bytes(out.partition(b"\n")[0]), bytes(errors)


@asynccontextmanager
async def _attached(container: DockerContainer) -> AsyncIterator[Stream]:
    stream = container.attach(stdin=True, stdout=True, stderr=True, logs=False)
    async with stream:
        yield stream


async def _swept(hands: Hands, run: str) -> tuple[str, ...]:
    answer = await hands.act({"act": "sweep", "mark": mark(run)})
    return tuple(f"{thing['kind']} {thing['what']} in {thing['where']}" for thing in answer["left"])


def _line(act: Act, run: str) -> bytes:
    return json.dumps({"mark": mark(run), **act}).encode() + b"\n"


def _silent(act: Act, who: str) -> PlatformError:
    return PlatformError("act-failed", f"{act.get('act')}: {who} has not answered for {_ACT_SECONDS:.0f} s")
