"""How fast the ingress passes connections on, beside haproxy with one thread in TCP mode.

Run it: `python benchmarks/bench_ingress.py [--rounds 5] [--requests 20000] [--keep-alive-requests 80000]`.
ab (100 clients at a time) asks a small server written in C through each proxy, the proxies taking turns, first with a
new connection for each request, then with keep-alive. Printed are the medians in requests per second, and ours over
haproxy's. The target is a ratio of at least 0.9 in both.

Needs `ab` (apache2-utils) and `cc`; without `haproxy` only our own figures are printed. Linux only.
"""

from __future__ import annotations

import argparse
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from breakroom.ingress import messages as m

TARGET = 0.9
CLIENTS = 100
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


@contextmanager
def running(command: list[str], **options: object) -> Iterator[subprocess.Popen[str]]:
    """The process, ended afterwards."""
    with subprocess.Popen(command, text=True, **options) as process:  # type: ignore[call-overload]  # passed through
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


@contextmanager
def backend(directory: Path) -> Iterator[int]:
    """The server in C; yields its port."""
    program = directory / "backend"
    source = Path(__file__).with_name("ingress_backend.c")
    subprocess.run(["cc", "-O2", "-o", str(program), str(source)], check=True)
    with running([str(program), "0"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())


@contextmanager
def our_ingress(task_port: int) -> Iterator[int]:
    """The ingress with one task; yields its port."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "breakroom.ingress", "--control-fd", str(theirs.fileno())]
    with ours, running(command, pass_fds=[theirs.fileno()]):
        theirs.close()
        events = ours.makefile("rb")
        ours.sendall(m.encode(m.Publish(hosts=("127.0.0.1",))))
        published = m.decode_event(events.readline())
        assert isinstance(published, m.Published), published
        ours.sendall(m.encode(m.Enter(task="bench", host="127.0.0.1", port=task_port)))
        assert isinstance(m.decode_event(events.readline()), m.Rotation)
        yield published.port


@contextmanager
def haproxy(task_port: int, directory: Path) -> Iterator[int]:
    """Haproxy with one thread; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    config = directory / "haproxy.cfg"
    config.write_text(HAPROXY.format(port=port, backend=task_port))
    with running(["haproxy", "-f", str(config), "-db"], stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except ConnectionRefusedError:
                continue
            yield port
            return
        sys.exit("haproxy ended by itself; try `haproxy -f` with the configuration in this file")


def requests_per_second(port: int, count: int, *, keep_alive: bool) -> float:
    """One run of ab, in which every request must be answered."""
    command = ["ab", "-q", "-n", str(count), "-c", str(CLIENTS), f"http://127.0.0.1:{port}/"]
    if keep_alive:
        command.insert(1, "-k")
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    failed = re.search(r"Failed requests:\s+(\d+)", text)
    speed = re.search(r"Requests per second:\s+([\d.]+)", text)
    if failed is None or speed is None or failed[1] != "0":
        sys.exit(f"ab did not get all its answers:\n{text}")
    return float(speed[1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--keep-alive-requests", type=int, default=80_000)
    options = parser.parse_args()
    missing = [name for name in ("ab", "cc", "haproxy") if shutil.which(name) is None]
    if missing:
        print(f"missing: {', '.join(missing)}")
    if {"ab", "cc"} & set(missing):
        sys.exit("nothing can be measured without ab (apache2-utils) and cc")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        task_port = stack.enter_context(backend(directory))
        ports = {"ingress": stack.enter_context(our_ingress(task_port))}
        if "haproxy" not in missing:
            ports["haproxy"] = stack.enter_context(haproxy(task_port, directory))
        ports["(no proxy)"] = task_port
        for label, count, keep_alive in (
            ("new connections", options.requests, False),
            ("keep-alive", options.keep_alive_requests, True),
        ):
            figures: dict[str, list[float]] = {name: [] for name in ports}
            for _ in range(options.rounds):
                for name, port in ports.items():
                    figures[name].append(requests_per_second(port, count, keep_alive=keep_alive))
            report(label, figures)


def report(label: str, figures: dict[str, list[float]]) -> None:
    """Print the medians with their range, and the ratio."""
    medians = {name: statistics.median(each) for name, each in figures.items()}
    print(f"\n{label}, requests per second: median (lowest-highest)")
    for name, each in figures.items():
        print(f"  {name:<11} {medians[name]:>9,.0f} ({min(each):,.0f}-{max(each):,.0f})")
    if "haproxy" in medians:
        ratio = medians["ingress"] / medians["haproxy"]
        print(f"  ingress / haproxy = {ratio:.2f} (target at least {TARGET})")


if __name__ == "__main__":
    main()
