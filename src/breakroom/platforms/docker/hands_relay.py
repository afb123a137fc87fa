"""The relay: a container on the manager's own node through which breakroom reaches the agents' overlay network.

Used by `platforms.docker.hands_remote` alone. breakroom itself is on no overlay network; the relay is, listens to
nobody, and is spoken to through `docker attach`: a line of JSON in for each request, one out for each answer, by ids.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiodocker.containers import DockerContainer
from aiodocker.exceptions import DockerError
from aiodocker.stream import Stream

from breakroom.agent.messages import PORT
from breakroom.platforms.docker.connect import Daemon
from breakroom.platforms.docker.hands_image import AGENT_IMAGE
from breakroom.platforms.docker.names import labels, object_name

__all__ = ["Relay"]

_ANSWER_SECONDS = 5.0
"""What the relay may take beyond the wait that it was asked for."""
_LOOK_AGAIN_S = 0.1
_STDOUT = 1


class Relay:
    """The relay container and the lines to and from it."""

    def __init__(self, container: DockerContainer, stream: Stream) -> None:
        self._container = container
        self._stream = stream
        self._waiting: dict[int, asyncio.Future[str]] = {}
        self._number = 0
        self._reading = asyncio.get_running_loop().create_task(self._read(), name="read the agents' relay")

    @classmethod
    async def open(cls, daemon: Daemon, run: str, network: str) -> Relay:
        """Start it on that network and attach to it; nothing is left if that fails.

        Raises:
            PlatformError: Docker refuses.
        """
        config: dict[str, Any] = {
            "Image": AGENT_IMAGE,
            "Cmd": ["relay"],
            "Labels": labels("relay", run),
            "OpenStdin": True,
            "StdinOnce": True,
            "AttachStdin": True,
            "AttachStdout": True,
            "AttachStderr": False,
            "Tty": False,
            "HostConfig": {
                "AutoRemove": True,
                "CapDrop": ["ALL"],
                "LogConfig": {"Type": "none"},
                "NetworkMode": network,
                "ReadonlyRootfs": True,
                "SecurityOpt": ["no-new-privileges"],
            },
        }
        with daemon.asking("start the relay to the agents"):
            container = await daemon.docker.containers.create(config, name=object_name(run, "relay"))
            stream = container.attach(stdin=True, stdout=True)
            try:
                await stream.__aenter__()
                await container.start()
            except BaseException:
                await stream.close()
                await asyncio.shield(container.delete(force=True))
                raise
        return cls(container, stream)

    async def ask(self, address: str, line: str, wait: float) -> str:
        """Send a line to an agent, and wait for its answer.

        Raises:
            ConnectionRefusedError: nothing was sent. ConnectionError: there is no answer.
        """
        self._number += 1
        number = self._number
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            order = {"id": number, "to": [address, PORT], "line": line, "wait_s": wait}
            await self._stream.write_in(json.dumps(order).encode() + b"\n")
            async with asyncio.timeout(wait + _ANSWER_SECONDS):
                return await answer
        except ConnectionError:
            raise
        except (TimeoutError, RuntimeError, AssertionError, OSError) as error:
            raise ConnectionError(str(error) or "the relay does not answer") from error
        finally:
            del self._waiting[number]

    async def close(self) -> None:
        """End it and see it removed. Raises what aiodocker raises."""
        self._reading.cancel()
        await asyncio.wait([self._reading])
        await self._stream.close()
        try:
            await self._container.delete(force=True)
        except DockerError as error:
            if error.status != 409:
                raise
        while True:
            try:
                await self._container.show()
            except DockerError as error:
                if error.status == 404:
                    return
                raise
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _read(self) -> None:
        rest = b""
        while (message := await self._stream.read_out()) is not None:
            if message.stream != _STDOUT:
                continue
            *lines, rest = (rest + message.data).split(b"\n")
            for raw in lines:
                told = json.loads(raw)
                answer = self._waiting.get(told["id"])
                if answer is None or answer.done():
                    continue
                if "line" in told:
                    answer.set_result(told["line"])
                elif told.get("unsent"):
                    answer.set_exception(ConnectionRefusedError(told["error"]))
                else:
                    answer.set_exception(ConnectionError(told["error"]))
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionError("the relay container has ended"))
