"""A server that knows the truth: it runs in a thread, counts every connection and request, and misbehaves on demand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from numpy.typing import NDArray

from breakroom.journal.records import Record
from breakroom.journal.samples import Outcome, read_samples
from breakroom.load.stream import Stream, open_stream, prepare_stream

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], Awaitable[bool]]


async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bool:
    """A plain answer; keeps the connection unless asked to close it."""
    writer.write(b"HTTP/1.1 200 OK\r\nX-Task-Id: web.1\r\nX-Version: v1\r\nContent-Length: 5\r\n")
    closing = b"connection: close" in request.lower()
    writer.write(b"Connection: close\r\n\r\nhello" if closing else b"\r\nhello")
    return not closing


class TruthServer:
    """Listens on a free loopback port; `handler` answers each request and says whether to go on."""

    def __init__(self, handler: Handler = answer) -> None:
        self.handler = handler
        self.connections = 0
        self.requests: list[bytes] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="truth", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                going = True
                while going:
                    request = await reader.readuntil(b"\r\n\r\n")
                    length = request.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                    request += await reader.readexactly(int(length or 0))
                    self.requests.append(request)
                    going = await self.handler(reader, writer, request)
        finally:
            self._tasks.discard(task)
            writer.close()


@pytest.fixture
def truth() -> Iterator[TruthServer]:
    with TruthServer() as server:
        yield server


class Streams:
    """Opens streams in a temporary run directory and keeps what they emit."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.records: list[Record] = []

    async def open(self, spec: Any, url: str, *, name: Any = "load", seed: int = 1) -> Stream:
        return await self._made(open_stream, spec, url, name, seed)

    async def prepare(self, spec: Any, url: str, *, name: Any = "load", seed: int = 1) -> Stream:
        return await self._made(prepare_stream, spec, url, name, seed)

    async def _made(self, make: Any, spec: Any, url: str, name: Any, seed: int) -> Stream:
        stream: Stream = await make(
            name=name,
            spec=spec,
            url=url,
            directory=self.directory,
            trial="drill/contender/1",
            emit=self.records.append,
            seed=seed,
        )
        return stream

    def run(self, spec: Any, url: str, *, name: Any = "load") -> NDArray[np.void]:
        """Run a load that ends by itself; returns its samples."""

        async def whole() -> NDArray[np.void]:
            stream = await self.open(spec, url, name=name)
            await stream.wait()
            return self.samples(stream)

        return asyncio.run(whole())

    @staticmethod
    def samples(stream: Stream) -> NDArray[np.void]:
        return np.concatenate([read_samples(path) for path in stream.paths])

    def last(self, kind: type[Any]) -> Any:
        return [record for record in self.records if isinstance(record, kind)][-1]


@pytest.fixture
def streams(tmp_path: Path) -> Streams:
    return Streams(tmp_path)


@pytest.fixture
def outcomes() -> Callable[[NDArray[np.void]], dict[str, int]]:
    """Counts by outcome name."""

    def count(samples: NDArray[np.void]) -> dict[str, int]:
        values, counts = np.unique(samples["outcome"], return_counts=True)
        return {Outcome(value).name: int(number) for value, number in zip(values, counts, strict=True)}

    return count
