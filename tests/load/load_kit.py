"""Answers for the server that knows the truth, and a wait: what the load tests share."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any


async def eventually(condition: Callable[[], bool], within: float = 20.0) -> None:
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110  # what is waited for is in other processes
            await asyncio.sleep(0.005)


def raw(text: bytes, *, close: bool = True) -> Any:
    """A handler that writes these bytes."""

    async def handler(_r: asyncio.StreamReader, writer: asyncio.StreamWriter, _q: bytes) -> bool:
        writer.write(text)
        await writer.drain()
        return not close

    return handler


def reset_after(text: bytes) -> Any:
    """A handler that writes these bytes and then resets the connection."""

    async def handler(_r: asyncio.StreamReader, writer: asyncio.StreamWriter, _q: bytes) -> bool:
        writer.write(text)
        await writer.drain()
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        return False

    return handler


async def hang(_r: asyncio.StreamReader, _w: asyncio.StreamWriter, _q: bytes) -> bool:
    await asyncio.Event().wait()
    return False
