"""Lines of JSON over one half of a socket pair, written to the kernel at once.

Used by the engine towards its main process and its ingress, and by `platforms.local_client` towards the
engine. A stream transport may hold what is written until the loop's next turn; here `send` tries the kernel
first, because a crashed task must leave the ingress before anything else is done; and what nobody waits for is
`post`ed, so that whoever it wakes does not compete with what is being done.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

__all__ = ["LineChannel"]

_CHUNK = 1 << 18


class LineChannel:
    """A duplex of lines. `on_line` is called for each whole line, without its newline; `on_eof` once at the end."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        on_line: Callable[[bytes], None],
        on_eof: Callable[[], None],
    ) -> None:
        sock.setblocking(False)
        self._loop = loop
        self._sock = sock
        self._on_line = on_line
        self._on_eof = on_eof
        self._received = b""
        self._unsent = bytearray()
        self._posted: list[bytes] = []
        self._open = True
        self._drained: list[asyncio.Future[None]] = []
        loop.add_reader(sock, self._readable)

    @property
    def backlog(self) -> int:
        """Bytes that the other side has not taken yet."""
        return len(self._unsent) + sum(map(len, self._posted))

    def send(self, line: bytes) -> None:
        """Hand `line` (with its newline) to the kernel, or keep it until the kernel takes it; dropped after the end."""
        if self._posted:
            self._posted.append(line)
            self.flush()
        else:
            self._send(line)

    def post(self, line: bytes) -> None:
        """As `send`, but after what the caller is about: on the loop's next turn, in one piece with others.

        Whoever reads is woken by each piece, and then wants a processor: on a machine with few, the one on which
        something more urgent is being done.
        """
        self._posted.append(line)
        if len(self._posted) == 1:
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send what was posted."""
        if self._posted:
            line = b"".join(self._posted)
            self._posted.clear()
            self._send(line)

    def _send(self, line: bytes) -> None:
        if not self._open:
            return
        if self._unsent:
            self._unsent += line
            return
        try:
            sent = self._sock.send(line)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            # The reader sees the end of file and reports it; a writer has nothing to add.
            return
        if sent < len(line):
            self._unsent += line[sent:]
            self._loop.add_writer(self._sock, self._writable)

    async def drained(self) -> None:
        """Return when everything was handed to the kernel, or the other side is gone."""
        self.flush()
        if self._open and self._unsent:
            done: asyncio.Future[None] = self._loop.create_future()
            self._drained.append(done)
            await done

    def close(self) -> None:
        """Close the socket. `on_eof` is not called."""
        self.flush()
        if self._open:
            self._open = False
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
            self._sock.close()
            self._tell_drained()

    def _tell_drained(self) -> None:
        for done in self._drained:
            if not done.done():
                done.set_result(None)
        self._drained.clear()

    def _writable(self) -> None:
        try:
            sent = self._sock.send(self._unsent)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            sent = len(self._unsent)
        del self._unsent[:sent]
        if not self._unsent:
            self._loop.remove_writer(self._sock)
            self._tell_drained()

    def _readable(self) -> None:
        try:
            data = self._sock.recv(_CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            self._on_eof()
            return
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            if line:
                self._on_line(line)
