"""The ingress and the proxies that it is compared with, each before one server. Used by the ingress's benchmark."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.context import Context, free_port, serving, started
from breakroom.ingress import messages as m

__all__ = ["haproxy", "nginx_stream", "our_ingress"]

STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
HAPROXY = """\
global
  nbthread 1
  maxconn 5000
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen bench
  bind 127.0.0.1:{port}
  server task 127.0.0.1:{backend}
"""
NGINX = """load_module {module}; daemon off; worker_processes 1; pid {dir}/pid; error_log /dev/null;
events {{ worker_connections 8192; }}
stream {{ server {{ listen 127.0.0.1:{port} backlog=4096; proxy_pass 127.0.0.1:{backend}; }} }}
"""


@contextmanager
def our_ingress(task_port: int) -> Iterator[tuple[int, int]]:
    """The ingress with one task; yields its port and its pid."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "breakroom.ingress", "--control-fd", str(theirs.fileno())]
    with ours, started(command, pass_fds=[theirs.fileno()]) as process:
        theirs.close()
        events = ours.makefile("rb")
        ours.sendall(m.encode(m.Publish(hosts=("127.0.0.1",))))
        published = m.decode_event(events.readline())
        assert isinstance(published, m.Published), published
        ours.sendall(m.encode(m.Enter(task="bench", host="127.0.0.1", port=task_port)))
        assert isinstance(m.decode_event(events.readline()), m.Rotation)
        yield published.port, process.pid


@contextmanager
def haproxy(context: Context, task_port: int) -> Iterator[tuple[int, int]]:
    """Haproxy with one thread; yields its port and its pid."""
    port = free_port()
    config = context.directory / "haproxy.cfg"
    config.write_text(HAPROXY.format(port=port, backend=task_port))
    words = [context.tools["haproxy"], "-f", str(config), "-db"]
    with started(words, stderr=subprocess.DEVNULL) as process:
        serving(port, process, "haproxy")
        yield port, process.pid


@contextmanager
def nginx_stream(context: Context, task_port: int) -> Iterator[tuple[int, int]]:
    """Nginx's stream proxy with one worker; yields its port and its pid."""
    port = free_port()
    config = context.directory / "stream.conf"
    config.write_text(NGINX.format(dir=context.directory, port=port, backend=task_port, module=STREAM_MODULE))
    with started([context.tools["nginx"], "-c", str(config)], stderr=subprocess.DEVNULL) as process:
        serving(port, process, "nginx stream")
        yield port, process.pid
