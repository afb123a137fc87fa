"""How long a killed replica is missed: the replacement's way to its first answer, beside the app's own cold start.

Run it: `python benchmarks/bench_replace.py [--rounds 20] [--memory 512m] [--image improved-app:v1]`.
Three medians over the rounds, in milliseconds:

cold     the sample app alone: from spawn to its first successful GET
direct   SIGKILL of the one replica (restart delay 0) to the replacement's first answer on its own port
ingress  SIGKILL to the first answer at the published port

The target: `ingress` is at most `cold` + 20 ms. Rounds of the three kinds take turns, so that a busy moment of the
machine hits all alike. A replica has run for 0.2 s when it is killed. A GET on a new connection is tried again
0.3 ms after each failure.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from breakroom.journal.records import Record, RotationChanged, TaskChanged
from breakroom.platforms.local import LocalDeployment, LocalPlatform
from breakroom.platforms.local_images import resolve
from breakroom.spec.drill import Contender
from breakroom.spec.service import Deploy, Limits, Port, Resources, RestartPolicy, ServiceSpec
from breakroom.spec.units import parse_size

TARGET_MS = 20.0
RETRY_SECONDS = 0.0003
SETTLE_SECONDS = 0.2
GIVE_UP_SECONDS = 10.0


@dataclass
class Times:
    """Milliseconds of every round, by what was measured."""

    rows: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, ns: int) -> None:
        """Keep one time."""
        self.rows.setdefault(name, []).append(ns / 1e6)

    def median(self, name: str) -> float:
        """Over the rounds."""
        return statistics.median(self.rows[name])

    def table(self) -> str:
        """For people."""
        lines = [f"{'':28}{'median':>9}{'min':>9}{'max':>9}{'n':>5}"]
        for name, row in self.rows.items():
            lines.append(f"{name:28}{self.median(name):9.2f}{min(row):9.2f}{max(row):9.2f}{len(row):5}")
        return "\n".join(lines)


async def first_answer(host: str, port: int) -> int:
    """The time of the first 200 from there."""
    loop = asyncio.get_running_loop()
    give_up = time.monotonic() + GIVE_UP_SECONDS
    while time.monotonic() < give_up:
        with socket.socket() as sock:
            sock.setblocking(False)
            try:
                await loop.sock_connect(sock, (host, port))
                await loop.sock_sendall(
                    sock, b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                )
                answer = await loop.sock_recv(sock, 64)
                if b" 200 " in answer:
                    return time.monotonic_ns()
            except OSError:
                pass
        await asyncio.sleep(RETRY_SECONDS)
    raise SystemExit(f"nothing answered at {host}:{port} within {GIVE_UP_SECONDS:g} s")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def cold_start(spec: ServiceSpec) -> int:
    """Nanoseconds from spawning the app alone to its first answer."""
    port = free_port()
    env = {**os.environ, **spec.environment, "PORT": str(port)}
    begun = time.monotonic_ns()
    # Blocking on purpose: the time of the spawn is part of what is measured.
    with subprocess.Popen(  # noqa: ASYNC220  # see above
        spec.command, env=env, stdout=subprocess.DEVNULL
    ) as app:
        try:
            return await first_answer("127.0.0.1", port) - begun
        finally:
            app.send_signal(signal.SIGKILL)


class Watched:
    """A deployment of one replica, and what its records said and when."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.news = asyncio.Event()
        self.deployment: LocalDeployment | None = None

    def emit(self, record: Record) -> None:
        """Keep a record."""
        self.records.append(record)
        self.news.set()

    async def running(self, after: int) -> TaskChanged:
        """The first record of a task that came to run after a moment."""
        while True:
            for record in self.records:
                if isinstance(record, TaskChanged) and record.state == "running" and record.t > after:
                    return record
            self.news.clear()
            await self.news.wait()

    def time_of(self, kind: type[Record], after: int, **fields: object) -> int:
        """When a record of that kind and those fields was first made after a moment."""
        for record in self.records:
            matches = isinstance(record, kind) and record.t >= after
            if matches and all(getattr(record, name) == value for name, value in fields.items()):
                return record.t
        raise SystemExit(f"no {kind.__name__} with {fields} was recorded")

    async def kill(self) -> tuple[int, str]:
        """SIGKILL the replica past the engine; the moment, and the task."""
        assert self.deployment is not None
        # A service that has run for a while is what crashes; without the pause this would be a crash within a restart.
        await asyncio.sleep(SETTLE_SECONDS)
        task = next(task for task in await self.deployment.tasks() if task.state == "running")
        assert task.pid is not None
        at = time.monotonic_ns()
        os.kill(task.pid, signal.SIGKILL)
        return at, task.id


async def replaced_direct(watched: Watched, times: Times) -> None:
    killed_at, old = await watched.kill()
    new = await watched.running(killed_at)
    assert watched.deployment is not None
    port = next(task.port for task in await watched.deployment.tasks() if task.id == new.task)
    assert port is not None
    answered = await first_answer("127.0.0.1", port)
    times.add("direct", answered - killed_at)
    times.add(
        "  kill → exit seen", watched.time_of(TaskChanged, killed_at, task=old, exit_code=137) - killed_at
    )
    times.add("  kill → out of rotation", watched.time_of(RotationChanged, killed_at, task=old) - killed_at)
    times.add("  kill → replacement runs", new.t - killed_at)


async def replaced_ingress(watched: Watched, times: Times) -> None:
    killed_at, _old = await watched.kill()
    # The old task may answer once more from a connection that its kernel had accepted; wait for its exit first.
    await watched.running(killed_at)
    assert watched.deployment is not None
    endpoint = watched.deployment.endpoint
    times.add("ingress", await first_answer(endpoint.host, endpoint.port) - killed_at)


async def measure(args: argparse.Namespace, directory: Path) -> Times:
    memory = parse_size(args.memory) if args.memory else None
    spec = ServiceSpec(
        name="web",
        image=args.image,
        ports=(Port(target=3000),),
        deploy=Deploy(
            restart_policy=RestartPolicy(delay=0), resources=Resources(limits=Limits(memory=memory))
        ),
    )
    platform = LocalPlatform()
    times = Times()
    watched = Watched()
    print(f"memory limit: {args.memory or 'none'} ({(await platform.capabilities()).how['memory_limit']})")
    watched.deployment = await platform.deploy(
        Contender(name="bench", runs_as="service", service=spec),
        trial="bench",
        directory=directory,
        emit=watched.emit,
    )
    endpoint = watched.deployment.endpoint
    try:
        await first_answer(endpoint.host, endpoint.port)
        for _ in range(args.rounds):
            times.add("cold", await cold_start(resolve(spec)))
            await replaced_direct(watched, times)
            await replaced_ingress(watched, times)
    finally:
        left = await watched.deployment.remove()
        print(f"left behind: {', '.join(left) or 'nothing'}")
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--memory", default="", help="memory limit of the replica, such as 512m")
    parser.add_argument("--image", default="improved-app:v1")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        times = asyncio.run(measure(args, Path(directory)))
    print(times.table())
    difference = times.median("ingress") - times.median("cold")
    met = difference <= TARGET_MS
    print(
        f"ingress - cold: {difference:.2f} ms (target: at most {TARGET_MS:g} ms): {'met' if met else 'NOT MET'}"
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
