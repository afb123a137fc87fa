"""A daemon behind ssh, as `docker -H ssh://…` reaches it: by the user's own `ssh`, with their keys and configuration.

Used by `connect` for `ssh://` addresses. A private Unix socket stands for the daemon; each connection to it becomes
the standard input and output of one `ssh … docker system dial-stdio`. Nothing is copied here: ssh holds the
connection itself. Each ssh ends with its connection, or with `close`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from breakroom.platforms.base import PlatformError

__all__ = ["SshTunnel", "ssh_command"]

_CONNECT_SECONDS = 30
_KEPT = 2000


def ssh_command(host: str) -> list[str]:
    """The words that docker/cli would run for this address (its `connhelper`).

    Raises:
        PlatformError: `docker-host`: the address has no host, a password, or a query.
    """
    parts = urlsplit(host)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if not parts.hostname or parts.password or parts.query or parts.fragment or port == -1:
        raise PlatformError(
            "docker-host", f"{host!r} is no ssh address of a Docker daemon", "write ssh://USER@HOST[:PORT]"
        )
    words = ["ssh", "-o", f"ConnectTimeout={_CONNECT_SECONDS}", "-T"]
    if parts.username:
        words += ["-l", parts.username]
    if port is not None:
        words += ["-p", str(port)]
    words += ["--", parts.hostname, "docker"]
    if parts.path not in {"", "/"}:
        words += ["--host", f"unix://{parts.path}"]
    return [*words, "system", "dial-stdio"]


class SshTunnel:
    """Forwards connections to `path` to the daemon at the other end."""

    def __init__(self, host: str, environment: Mapping[str, str]) -> None:
        self._command = ssh_command(host)
        self._environment = dict(environment)
        self._directory = Path(
            tempfile.mkdtemp(prefix=f"breakroom-ssh-{os.getpid()}-")
        )  # for this user alone
        self.path = self._directory / "docker.sock"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._accepting: asyncio.Task[None] | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._processes: set[asyncio.subprocess.Process] = set()
        self.complaint = ""
        """The end of what ssh last said on its standard error."""

    def open(self) -> None:
        """Begin to take connections.

        Raises:
            PlatformError: `ssh-failed`: there is no ssh here.
        """
        if shutil.which("ssh", path=self._environment.get("PATH")) is None:
            raise PlatformError(
                "ssh-failed",
                "the Docker daemon is behind ssh, and there is no `ssh` here",
                "install OpenSSH's client",
            )
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._listener.setblocking(False)
        self._accepting = asyncio.get_running_loop().create_task(self._accept(), name="docker over ssh")

    async def close(self) -> None:
        """End every ssh and remove the socket."""
        tasks = [*self._serving, *([self._accepting] if self._accepting else [])]
        for process in self._processes:
            _end(process)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listener.close()
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(self._listener)
            task = loop.create_task(self._serve(connection), name="one ssh")
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

    async def _serve(self, connection: socket.socket) -> None:
        with connection:
            # The child writes and reads as programs do, and a non-blocking socket would be an error to it.
            connection.setblocking(True)
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=connection.fileno(),
                stdout=connection.fileno(),
                stderr=asyncio.subprocess.PIPE,
                env=self._environment,
                # Ctrl-C at the terminal is for breakroom, which still has things to remove over this connection.
                start_new_session=True,
            )
        self._processes.add(process)
        try:
            assert process.stderr is not None
            said = b""
            while data := await process.stderr.read(4096):
                said = (said + data)[-_KEPT:]
                self.complaint = said.decode(errors="replace").strip()
            await process.wait()
        finally:
            _end(process)
            await asyncio.shield(process.wait())
            self._processes.discard(process)


def _end(process: asyncio.subprocess.Process) -> None:
    # Not by `process.kill`: it reaps a child that has just ended, behind the back of asyncio's watcher.
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
