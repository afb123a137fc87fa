"""Health probes against real replicas: commands, shell lines and GETs, and what becomes of one that does not end."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from breakroom.journal.records import HealthChanged, RotationChanged
from breakroom.spec.service import Healthcheck
from platforms_local.deployed import MS, deployed, eventually, exists, service

GET = (
    "import sys, urllib.request as u;"
    "print(u.urlopen(sys.argv[1]).read().decode().split()[0], __import__('os').environ['PORT'])"
)


def check(
    *test: str, timeout: int = 5000 * MS, retries: int = 3, start_period: int = 10_000 * MS
) -> Healthcheck:
    """At short intervals, but with time to start: a busy machine needs longer for that than the retries take."""
    return Healthcheck(
        test=test,
        interval=50 * MS,
        timeout=timeout,
        retries=retries,
        start_period=start_period,
        start_interval=50 * MS,
    )


@pytest.mark.parametrize(
    "test",
    [
        ("HTTP", "/"),
        ("HTTP", "http://localhost:3000/"),
        ("CMD", sys.executable, "-c", GET, "http://localhost:3000/"),
        ("CMD-SHELL", f'{sys.executable} -c "{GET}" http://127.0.0.1:3000/ || exit 1'),
    ],
    ids=["http-path", "http-url", "cmd", "cmd-shell"],
)
def test_a_task_enters_rotation_when_its_probe_succeeds(tmp_path: Path, test: tuple[str, ...]) -> None:
    async def scenario() -> None:
        async with deployed(tmp_path, service(healthcheck=check(*test))) as lab:
            task = await lab.running()
            healthy = await lab.record(HealthChanged, lambda r: r.status == "healthy", "healthy probe")
            entered = await lab.record(RotationChanged, lambda r: r.in_rotation, "entry into rotation")
            assert healthy.task == entered.task == task.task
            assert healthy.t <= entered.t
            assert healthy.duration_ns > 0
            # The probe reached this very task on its own port.
            assert task.task in healthy.output
            assert [view.healthy for view in await lab.deployment.tasks()] == [True]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("test", "output"),
    [
        (("HTTP", "/sick"), "HTTP/1.1 503 Sick"),
        (("CMD", "/bin/sh", "-c", "echo oh dear >&2; exit 3"), "oh dear"),
        (("CMD", "no-such-check"), "cannot run no-such-check"),
    ],
    ids=["status", "exit", "missing"],
)
def test_a_failing_probe_keeps_the_task_out_and_says_why(
    tmp_path: Path, test: tuple[str, ...], output: str
) -> None:
    async def scenario() -> None:
        health = check(*test, retries=2, start_period=0)
        async with deployed(tmp_path, service(healthcheck=health, condition="none")) as lab:
            sick = await lab.record(HealthChanged, lambda r: r.status == "unhealthy", "unhealthy probe")
            assert sick.failing_streak == 2
            assert not sick.ok
            assert sick.output.startswith(output)
            assert not any(isinstance(record, RotationChanged) for record in lab.records)

    asyncio.run(scenario())


def test_a_probe_over_its_time_fails_and_its_processes_are_killed(tmp_path: Path) -> None:
    async def scenario() -> None:
        pids = tmp_path / "pids"
        line = f"sleep 60 & echo $! >> {pids}; wait"
        health = check("CMD-SHELL", line, timeout=300 * MS, retries=1)
        async with deployed(tmp_path, service(healthcheck=health, condition="none")) as lab:
            sick = await lab.record(HealthChanged, lambda r: not r.ok, "failed probe")
            assert "exceeded its timeout of 0.3 s" in sick.output
            assert sick.duration_ns >= 300 * MS
            sleeper = int(pids.read_text().split()[0])
            await eventually(lambda: not exists(sleeper), "end of what the probe started")

    asyncio.run(scenario())


def test_a_get_over_its_time_fails(tmp_path: Path) -> None:
    async def scenario() -> None:
        listen = "s = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))"
        silent = f"import os, socket, signal; {listen}; signal.pause()"
        health = check("HTTP", "/", timeout=300 * MS, retries=1)
        async with deployed(tmp_path, service(silent, healthcheck=health, condition="none")) as lab:
            await lab.record(
                HealthChanged, lambda r: "no answer to GET / within 0.3 s" in r.output, "timeout"
            )

    asyncio.run(scenario())


def test_output_is_kept_to_4_kib_and_more_does_not_block_the_probe(tmp_path: Path) -> None:
    async def scenario() -> None:
        health = check("CMD", sys.executable, "-c", "print('x' * 1_000_000)")
        async with deployed(tmp_path, service(healthcheck=health)) as lab:
            healthy = await lab.record(HealthChanged, lambda r: r.ok, "healthy probe")
            assert healthy.output == "x" * 4096

    asyncio.run(scenario())


def test_a_probe_dies_with_its_task(tmp_path: Path) -> None:
    async def scenario() -> None:
        pids = tmp_path / "pids"
        health = check("CMD-SHELL", f"echo $$ >> {pids}; exec sleep 60", timeout=60_000 * MS)
        async with deployed(tmp_path, service(healthcheck=health, condition="none")) as lab:
            await eventually(pids.exists, "probe")
            await eventually(lambda: bool(pids.read_text()), "probe's pid")
            task = (await lab.deployment.tasks())[0]
            await lab.deployment.signal_task(task.id, "SIGKILL")
            await lab.over(task.id)
            probe = int(pids.read_text().split()[0])
            await eventually(lambda: not exists(probe), "end of the probe")
            assert not any(isinstance(record, HealthChanged) for record in lab.records)

    asyncio.run(scenario())
