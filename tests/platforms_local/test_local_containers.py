"""A container restarted and replaced, a task asked directly, the kernel's OOM count: on the real local platform."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from breakroom.engine.shell.cgroups import find_controller
from breakroom.journal.records import RotationChanged, TaskChanged
from breakroom.platforms.base import PlatformError
from breakroom.platforms.one_request import ask_once
from breakroom.spec.service import ServiceSpec
from platforms_local.deployed import MS, SERVE, Lab, deployed, eventually, exists, service

DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{SERVE}"
HOG = "kept = [bytearray(b'x' * (1 << 20)) for _ in range(256)]"
Scenario = Callable[[Lab, TaskChanged], Awaitable[None]]


def _with_a_container(tmp_path: Path, scenario: Scenario, spec: ServiceSpec, memory_limit: str = "") -> None:
    async def main() -> None:
        async with deployed(tmp_path, spec, runs_as="container", memory_limit=memory_limit) as lab:
            await scenario(lab, await lab.running())

    asyncio.run(main())


def _app(word: str, code: str = SERVE, **changes: Any) -> ServiceSpec:
    return replace(service(code, environment={"APP": word}), **changes)


def test_a_replaced_container_serves_its_other_spec_at_the_same_port_with_a_version_one_higher(
    tmp_path: Path,
) -> None:
    async def scenario(lab: Lab, old: TaskChanged) -> None:
        assert (await lab.get()).split()[-2:] == ["1", "old"]
        endpoint = lab.deployment.endpoint
        await lab.deployment.replace(_app("new"))
        end = await lab.over(old.task)
        new = await lab.running(version=2)
        assert end.state == "shutdown"
        assert (new.slot, new.task != old.task) == (1, True)
        assert end.t <= new.t
        assert (await lab.get()).split()[-2:] == ["2", "new"]
        assert lab.deployment.endpoint == endpoint
        await lab.deployment.replace(_app("newest"))
        await lab.running(version=3)
        assert (await lab.get()).split()[-2:] == ["3", "newest"]

    _with_a_container(tmp_path, scenario, _app("old"))


def test_the_new_one_is_published_after_the_old_one_has_left(tmp_path: Path) -> None:
    async def scenario(lab: Lab, old: TaskChanged) -> None:
        await lab.get()
        asking = asyncio.ensure_future(lab.deployment.replace(_app("new")))
        left = await lab.record(
            RotationChanged, lambda r: r.task == old.task and not r.in_rotation, "old one's leaving"
        )
        await asking
        entered = await lab.record(RotationChanged, lambda r: r.task != old.task and r.in_rotation, "new one")
        assert left.t < entered.t
        await lab.get()

    _with_a_container(tmp_path, scenario, _app("old"))


def test_one_that_does_not_hear_is_killed_after_its_grace_and_replaced(tmp_path: Path) -> None:
    async def scenario(lab: Lab, old: TaskChanged) -> None:
        await lab.get()
        await lab.deployment.replace(_app("new"))
        assert (await lab.over(old.task)).exit_code == 137
        await lab.running(version=2)

    _with_a_container(tmp_path, scenario, _app("old", DEAF, stop_grace_period=300 * MS))


@pytest.mark.parametrize("state", ["hanging", "paused", "dead", "well"])
def test_a_restart_works_from_any_state(tmp_path: Path, state: str) -> None:
    async def scenario(lab: Lab, old: TaskChanged) -> None:
        await lab.get()
        if state == "hanging":
            await lab.deployment.signal_task(old.task, "SIGSTOP")
            # Before that a SIGTERM would overtake it: of signals that wait the kernel takes the lowest first.
            stopped = psutil.Process(old.pid or 0)
            await eventually(lambda: stopped.status() == psutil.STATUS_STOPPED, "stopped process")
        elif state == "paused":
            await lab.deployment.pause(old.task)
        elif state == "dead":
            await lab.deployment.signal_task(old.task, "SIGKILL")
            await lab.over(old.task)
        await lab.deployment.restart()
        end = await lab.over(old.task)
        # What hangs cannot hear SIGTERM; what is paused is let go on first, and can.
        assert end.exit_code == (137 if state in {"hanging", "dead"} else 143)
        again = await lab.running(after=end.t)
        assert (again.version, again.slot) == (1, 1)
        assert await lab.get()
        assert old.pid is not None
        assert not exists(old.pid)

    _with_a_container(tmp_path, scenario, _app("app", stop_grace_period=500 * MS))


def test_a_restart_to_come_is_called_off_by_a_restart_now(tmp_path: Path) -> None:
    async def scenario(lab: Lab, old: TaskChanged) -> None:
        await lab.get()
        task = old
        for _ in range(4):  # the fourth wait is 0.8 s
            await lab.deployment.signal_task(task.task, "SIGKILL")
            end = await lab.over(task.task)
            if _ < 3:
                task = await lab.running(after=end.t)
        await lab.deployment.restart()
        again = await lab.running(after=end.t)
        rows = [t for t in await lab.deployment.tasks() if t.state == "running"]
        assert [row.id for row in rows] == [again.task]

    _with_a_container(tmp_path, scenario, _app("app", restart="always"))


def test_a_replacement_that_cannot_run_is_refused_before_anything_is_stopped(tmp_path: Path) -> None:
    async def scenario(lab: Lab, old: TaskChanged) -> None:
        await lab.get()
        with pytest.raises(PlatformError) as caught:
            await lab.deployment.replace(service(command=("/no/such/program",)))
        assert caught.value.code == "program-missing"
        assert [(t.id, t.state) for t in await lab.deployment.tasks()] == [(old.task, "running")]

    _with_a_container(tmp_path, scenario, _app("old"))


def test_a_deployment_is_removed_in_the_midst_of_a_replacement(tmp_path: Path) -> None:
    async def scenario(lab: Lab, old: TaskChanged) -> None:
        await lab.get()
        asking = asyncio.ensure_future(lab.deployment.replace(_app("new")))
        await lab.record(
            TaskChanged, lambda r: r.task == old.task and r.desired == "shutdown", "wish to stop"
        )
        assert await lab.deployment.remove() == ()
        # Answered as called off, or not any more because the engine has ended: either is well.
        with contextlib.suppress(PlatformError):
            await asking
        assert not any(isinstance(r, TaskChanged) and r.version == 2 for r in lab.records)

    _with_a_container(tmp_path, scenario, _app("old", DEAF))


def test_a_service_is_neither_restarted_nor_replaced(tmp_path: Path) -> None:
    async def main() -> None:
        async with deployed(tmp_path, service()) as lab:
            task = await lab.running()
            for act in (lab.deployment.restart(), lab.deployment.replace(service())):
                with pytest.raises(PlatformError, match="it is a service") as caught:
                    await act
                assert caught.value.code == "refused"
            assert [t.id for t in await lab.deployment.tasks()] == [task.task]

    asyncio.run(main())


# --- one request to one task -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("illness", "seen"),
    [("sick", 503), ("slow&ms=1200", 200), ("hang", 0), ("exit&code=3", 3)],
    ids=["sick", "slow", "hang", "exit"],
)
def test_an_app_is_told_to_fall_ill_past_the_ingress(tmp_path: Path, illness: str, seen: int) -> None:
    async def main() -> None:
        async with deployed(tmp_path, service(image="health-app:latest", replicas=2)) as lab:
            one, other = await lab.running(slot=1), await lab.running(slot=2)
            for task in (one, other):
                await _ready(lab, task.task)
            status, body = await lab.deployment.request_task(one.task, "POST", f"/fail?mode={illness}")
            assert (status, json.loads(body)["mode"]) == (200, illness.partition("&")[0])
            if illness == "hang":
                with pytest.raises(PlatformError, match="was not answered") as caught:
                    await lab.deployment.request_task(one.task, "GET", "/health")
                assert caught.value.code == "no-answer"
            elif illness.startswith("exit"):
                assert (await lab.over(one.task)).exit_code == seen
                with pytest.raises(ProcessLookupError):
                    await lab.deployment.request_task(one.task, "GET", "/health")
            else:
                assert (await lab.deployment.request_task(one.task, "GET", "/health"))[0] == seen
                assert (await lab.deployment.request_task(one.task, "POST", "/recover"))[0] == 200
                assert (await lab.deployment.request_task(one.task, "GET", "/health"))[0] == 200
            # Only one of them was told.
            assert (await lab.deployment.request_task(other.task, "GET", "/health"))[0] == 200

    asyncio.run(main())


async def _ready(lab: Lab, task: str) -> None:
    (port,) = [t.port for t in await lab.deployment.tasks() if t.id == task]
    url = f"http://127.0.0.1:{port}/health"

    def look() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    await eventually(look, "app that listens")


@contextmanager
def _answers(sent: bytes, *, closes: bool) -> Iterator[int]:
    """A server that says this to its one client, whatever it asks."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(4096)
                client.sendall(sent)
                if not closes:
                    client.recv(4096)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def test_an_answer_is_whole_though_the_connection_stays_open() -> None:
    with _answers(b"HTTP/1.1 201 Made\r\nContent-Length: 2\r\n\r\nok", closes=False) as port:
        assert asyncio.run(ask_once("127.0.0.1", port, "POST", "/")) == (201, "ok")


@pytest.mark.parametrize(
    "sent", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"]
)
def test_half_an_answer_is_none(sent: bytes) -> None:
    with _answers(sent, closes=True) as port, pytest.raises(PlatformError) as caught:
        asyncio.run(ask_once("127.0.0.1", port, "GET", "/"))
    assert caught.value.code == "no-answer"


def test_what_is_no_address_of_a_page_is_not_sent() -> None:
    with pytest.raises(PlatformError, match="control characters"):
        asyncio.run(ask_once("127.0.0.1", 1, "GET", "/a b\r\nX: y"))


# --- the kernel's count ----------------------------------------------------------------------------------------


def _vmstat() -> int:
    lines = Path("/proc/vmstat").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def test_the_kernel_counts_a_task_that_its_limit_killed(tmp_path: Path) -> None:
    async def main() -> None:
        async with deployed(tmp_path, service(HOG, memory=48 << 20, condition="none")) as lab:
            before = _vmstat()
            task = await lab.running()
            assert (await lab.over(task.task)).oom_killed
            counted = await lab.deployment.oom_kills()
            assert counted is not None
            assert before <= counted <= _vmstat()
            assert counted >= 1

    if find_controller() is None:
        pytest.skip("no memory control group can be made here")
    asyncio.run(main())


def test_where_memory_is_watched_the_kernel_has_no_count(tmp_path: Path) -> None:
    async def main() -> None:
        async with deployed(tmp_path, service(), memory_limit="rss-watch") as lab:
            await lab.running()
            assert await lab.deployment.oom_kills() is None

    asyncio.run(main())
