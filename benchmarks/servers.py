"""The servers that load is put on: an nginx, and a small one in C, both counting what they serve.

Used by the benchmarks of load and ingress. What a tool says that it sent is never believed alone: `Served` asks the
server before and after. All on loopback.
"""

from __future__ import annotations

import re
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.context import BrokenError, Context, free_port, pinned, serving, started

__all__ = ["Server", "c_server", "nginx"]

NGINX = """daemon off; worker_processes {workers}; pid {dir}/pid; error_log /dev/null;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000000;
  client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f;
  uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 "{body}"; }} }}
  server {{ listen 127.0.0.1:{status}; location / {{ stub_status; }} }} }}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs."""

    port: int
    status_url: str
    status_pattern: str

    @property
    def url(self) -> str:
        """Where load goes."""
        return f"http://127.0.0.1:{self.port}/"

    def served(self) -> int:
        """How many requests it has served, all connections together."""
        with urllib.request.urlopen(self.status_url, timeout=10) as answer:
            match = re.search(self.status_pattern, answer.read().decode())
        if match is None:
            raise BrokenError(f"{self.status_url} does not say what was served")
        return int(match[1])


@contextmanager
def counted(server: Server, name: str, claimed: list[int], beyond: int) -> Iterator[None]:
    """What is measured within must have been served: `claimed` (filled within) requests, and at most `beyond` more.

    Raises:
        BrokenError: the server counted another number.
    """
    before = server.served()
    yield
    # Asking is a request too.
    served = server.served() - before - 1
    wanted = sum(claimed)
    if not wanted <= served <= wanted + beyond:
        raise BrokenError(f"{name} says that {wanted} requests were answered; the server served {served}")


@contextmanager
def nginx(context: Context, workers: int = 2, core: int | None = None) -> Iterator[Server]:
    """An nginx, on one core if that is given."""
    directory = context.directory / f"nginx-{workers}-{core}"
    directory.mkdir(exist_ok=True)
    port, status = free_port(), free_port()
    config = directory / "nginx.conf"
    config.write_text(NGINX.format(dir=directory, port=port, status=status, workers=workers, body="x" * 64))
    command = pinned(core, [context.tools["nginx"], "-c", str(config)])
    with started(command, stderr=subprocess.DEVNULL) as process:
        serving(port, process, "nginx")
        yield Server(port, f"http://127.0.0.1:{status}/", r"(\d+) \s*Reading")


@contextmanager
def c_server(context: Context) -> Iterator[Server]:
    """The server in C behind the proxies."""
    program = context.directory / "backend"
    source = Path(__file__).with_name("ingress_backend.c")
    subprocess.run([context.tools["cc"], "-O2", "-o", str(program), str(source)], check=True)
    with started([str(program), "0"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield Server(port, f"http://127.0.0.1:{port}/served", r"^(\d+)")
