"""Many replicas on one machine: how fast they start, come back when half are killed at once, and what idling costs.

Run it: `python benchmarks/bench_replicas.py [--replicas 200] [--idle 10]`.
The replicas are `tiny_server.py` behind the ingress, restart delay 0. They are back when every wanted task is
running, in rotation, and answers a GET on its own port. Idle CPU is the CPU time of the engine and the ingress, as
the kernel counts it, over the idle time; the target is below 3 % of a core for both together.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import psutil

from breakroom.journal.records import Record, RotationChanged, TaskChanged, TaskStats
from breakroom.platforms.base import TaskView
from breakroom.platforms.local import LocalDeployment, LocalPlatform
from breakroom.spec.drill import Contender
from breakroom.spec.service import Deploy, Port, RestartPolicy, ServiceSpec

TARGET_PERCENT = 3.0
GIVE_UP_SECONDS = 120.0
AT_A_TIME = 20


class Fleet:
    """What the records say of the tasks."""

    def __init__(self) -> None:
        self.running: set[str] = set()
        self.in_rotation: set[str] = set()
        self.news = asyncio.Event()
        self.stats = 0

    def emit(self, record: Record) -> None:
        """Take a record in."""
        match record:
            case TaskChanged(task=task, state=state):
                (self.running.add if state == "running" else self.running.discard)(task)
            case RotationChanged(task=task, in_rotation=enters):
                (self.in_rotation.add if enters else self.in_rotation.discard)(task)
            case TaskStats():
                self.stats += 1
        self.news.set()

    async def serving(self, wanted: int) -> None:
        """Wait until exactly so many tasks run and are in rotation."""
        async with asyncio.timeout(GIVE_UP_SECONDS):
            while len(self.running & self.in_rotation) != wanted:
                self.news.clear()
                await self.news.wait()


async def answers(task: TaskView, turn: asyncio.Semaphore) -> None:
    """Ask a task on its own port until it answers."""
    assert task.port is not None
    give_up = time.monotonic() + GIVE_UP_SECONDS
    async with turn:
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", task.port)
                writer.write(b"GET / HTTP/1.1\r\n\r\n")
                answer = await reader.read()
                writer.close()
                if answer.endswith(task.id.encode()):
                    return
            except OSError:
                if time.monotonic() > give_up:
                    raise
            await asyncio.sleep(0.002)


async def all_answer(deployment: LocalDeployment) -> list[TaskView]:
    turn = asyncio.Semaphore(AT_A_TIME)
    tasks = [task for task in await deployment.tasks() if task.state == "running"]
    async with asyncio.TaskGroup() as group:
        for task in tasks:
            group.create_task(answers(task, turn), name=task.id)
    return tasks


def cpu_seconds(pids: list[int]) -> float:
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)


async def measure(replicas: int, idle: float, directory: Path) -> float:
    server = Path(__file__).with_name("tiny_server.py").resolve()
    spec = ServiceSpec(
        name="tiny",
        command=("{python}", "-I", "-S", str(server)),
        ports=(Port(target=3000),),
        deploy=Deploy(replicas=replicas, restart_policy=RestartPolicy(delay=0)),
    )
    fleet = Fleet()
    begun = time.monotonic()
    deployment = await LocalPlatform().deploy(
        Contender(name="bench", runs_as="service", service=spec),
        trial="bench",
        directory=directory,
        emit=fleet.emit,
    )
    rows: list[tuple[str, str]] = []
    try:
        await fleet.serving(replicas)
        tasks = await all_answer(deployment)
        rows.append((f"{replicas} replicas started and answering", f"{time.monotonic() - begun:.2f} s"))
        victims = random.Random(1).sample(tasks, replicas // 2)
        begun = time.monotonic()
        for task in victims:
            assert task.pid is not None
            os.kill(task.pid, signal.SIGKILL)
        victim_ids = {task.id for task in victims}
        while fleet.running & victim_ids:
            fleet.news.clear()
            await fleet.news.wait()
        noticed = time.monotonic() - begun
        await fleet.serving(replicas)
        tasks = await all_answer(deployment)
        rows += [
            (f"{len(victims)} killed at once: all ends noticed", f"{noticed:.2f} s"),
            ("all replaced and answering", f"{time.monotonic() - begun:.2f} s"),
        ]
        engine = deployment.engine_pid
        ours = [
            engine,
            *(p.pid for p in psutil.Process(engine).children() if "breakroom.ingress" in p.cmdline()),
        ]
        await asyncio.sleep(1)
        before, stats_before = [cpu_seconds([pid]) for pid in ours], fleet.stats
        await asyncio.sleep(idle)
        shares = [100 * (cpu_seconds([pid]) - was) / idle for pid, was in zip(ours, before, strict=True)]
        rows += [
            ("idle CPU of the engine", f"{shares[0]:.2f} % of a core"),
            ("idle CPU of the ingress", f"{sum(shares[1:]):.2f} % of a core"),
            (
                "memory samples taken per task while idle",
                f"{(fleet.stats - stats_before) / replicas / idle:.2f} /s",
            ),
            ("engine's resident memory", f"{psutil.Process(engine).memory_info().rss / 2**20:.1f} MiB"),
        ]
    finally:
        begun = time.monotonic()
        left = await deployment.remove()
        rows.append(
            ("removed", f"{time.monotonic() - begun:.2f} s, left behind: {', '.join(left) or 'nothing'}")
        )
        for name, value in rows:
            print(f"{name:45}{value}")
    return sum(shares)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--replicas", type=int, default=200)
    parser.add_argument("--idle", type=float, default=10.0, help="seconds")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        percent = asyncio.run(measure(args.replicas, args.idle, Path(directory)))
    met = percent < TARGET_PERCENT
    print(
        f"idle CPU together: {percent:.2f} % (target: below {TARGET_PERCENT:g} %): {'met' if met else 'NOT MET'}"
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
