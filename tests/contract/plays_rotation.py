"""Rotation: when a task gets new connections, and what becomes of those it has."""

# ruff: noqa: E501  # a row of the contract reads as a row of a table

from __future__ import annotations

import asyncio

from breakroom.journal.records import RotationChanged
from breakroom.platforms.base import Endpoint
from contract.program import check, service
from contract.rows import FRONTED, row, scenario
from contract.scene import SLACK, Scene, seconds

__all__: list[str] = []


class Client:
    """One kept-alive connection to the published port."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, endpoint: Endpoint) -> Client:
        """A new connection."""
        return cls(*await asyncio.open_connection(endpoint.host, endpoint.port))

    async def ask(self, path: str = "/") -> str:
        """The id of the task that answers; empty if the connection ended instead."""
        try:
            async with asyncio.timeout(15):
                self._writer.write(f"GET {path} HTTP/1.1\r\nHost: contract\r\n\r\n".encode())
                head = await self._reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                return (await self._reader.readexactly(length)).decode().split()[0]
        except (OSError, asyncio.IncompleteReadError):
            return ""

    def close(self) -> None:
        """End it."""
        self._writer.close()


async def asked(endpoint: Endpoint) -> str:
    """Who answers a new connection."""
    client = await Client.connect(endpoint)
    try:
        return await client.ask()
    finally:
        client.close()


async def client_of(scene: Scene, task: str) -> Client:
    """A connection that the task has answered on."""
    for _ in range(20):
        client = await Client.connect(scene.deployment.endpoint)
        if await client.ask() == task:
            return client
        client.close()
    raise AssertionError(f"no connection of 20 came to task {task}")


async def answered_by(scene: Scene, tasks: set[str]) -> None:
    """Wait until each of the tasks has answered: they listen."""
    seen: set[str] = set()
    async with asyncio.timeout(20):
        while not tasks <= seen:
            try:
                seen.add(await asked(scene.deployment.endpoint))
            except OSError:
                await asyncio.sleep(0.05)


@scenario(
    row("rotation-running", "Without a healthcheck a task is in rotation as soon as it runs", "M executor/container/controller.go Start"),
    row("rotation-round-robin", "New connections go to the tasks in turn", "IPVS rr"),
    row("drain-first", "A graceful stop takes the task out of rotation first: drain", "M controller.go Shutdown"),
    row("drain-2s", "… and the stop signal comes 2 s later", "M defaultGossipConvergeDelay"),
    row("drain-existing", "A connection that it had is still served meanwhile", "M controller.go Shutdown"),
    row("drain-no-new", "… and it gets no new one", "M controller.go Shutdown"),
    row("crash-cut", "A task that crashes is out of rotation at once: cut, no drain", "libnetwork sandbox teardown"),
    row("crash-connection", "… and the connections that it had end", "the kernel"),
    row("rotation-replacement", "Its replacement comes into rotation when it runs", "M controller.go Start"),
    on=FRONTED,
)  # fmt: skip
async def rotation(scene: Scene) -> None:
    async with scene.deployed(service("rota", replicas=2, delay=0.5)):
        one, two = await scene.all_running(2)
        entered = [await _rotation(scene, task.task, inside=True) for task in (one, two)]
        with scene.row("rotation-running"):
            for task, change in zip((one, two), entered, strict=True):
                assert -0.5 <= seconds(change, task) <= 5, seconds(change, task)
        await answered_by(scene, {one.task, two.task})
        with scene.row("rotation-round-robin"):
            answers = [await asked(scene.deployment.endpoint) for _ in range(10)]
            assert answers == [answers[0], answers[1]] * 5, answers
            assert len(set(answers)) == 2
        kept = await client_of(scene, two.task)
        await scene.deployment.scale(1)
        left = await _rotation(scene, two.task, inside=False)
        with scene.row("drain-existing"):
            assert await kept.ask() == two.task
        with scene.row("drain-no-new"):
            answers = [await asked(scene.deployment.endpoint) for _ in range(4)]
            assert set(answers) == {one.task}, answers
        ended = await scene.over_or_gone(two.task)
        with scene.row("drain-first"):
            assert left.reason == "drain"
        with scene.row("drain-2s"):
            took = seconds(ended, left)
            assert 1.9 <= took <= 2 + SLACK, f"{took:.2f} s from leaving rotation to the end"
        kept.close()
        held = await client_of(scene, one.task)
        await scene.deployment.signal_task(one.task, "SIGKILL")
        cut = await _rotation(scene, one.task, inside=False)
        with scene.row("crash-connection"):
            assert await held.ask() == ""
        failed = await scene.over(one.task)
        with scene.row("crash-cut"):
            assert cut.reason == "cut"
            assert seconds(cut, failed) <= 0.5, f"{seconds(cut, failed):.2f} s after its end was told"
        again = await scene.running(beside=(one.task,))
        with scene.row("rotation-replacement"):
            assert seconds(await _rotation(scene, again.task, inside=True), again) >= -0.5
        held.close()


@scenario(
    row("rotation-healthy", "With a healthcheck a task is not in rotation before it is healthy", "M executor/container/controller.go Start"),
    row("rotation-unhealthy", "A task that becomes unhealthy leaves rotation before it is stopped: drain", "M executor/container/controller.go Wait"),
    row("rotation-unhealthy-2s", "… 2 s before its stop signal", "M defaultGossipConvergeDelay"),
    on=FRONTED,
)  # fmt: skip
async def rotation_by_health(scene: Scene) -> None:
    async with scene.deployed(
        service("rotahealth", healthcheck=check(retries=6), HEALTHY_AFTER="2", TERM_CODE="143", delay=30)
    ):
        running = await scene.running()
        entered = await _rotation(scene, running.task, inside=True)
        with scene.row("rotation-healthy"):
            starting = scene.first(running.task, "starting")
            assert starting is not None
            assert seconds(entered, starting) >= 1.8, f"{seconds(entered, starting):.2f} s after its start"
        await scene.deployment.signal_task(running.task, "SIGUSR1")
        left = await _rotation(scene, running.task, inside=False)
        ended = await scene.over(running.task)
        with scene.row("rotation-unhealthy"):
            assert left.reason == "drain"
        with scene.row("rotation-unhealthy-2s"):
            took = seconds(ended, left)
            assert 1.9 <= took <= 2 + SLACK, f"{took:.2f} s from leaving rotation to the end"


async def _rotation(scene: Scene, task: str, *, inside: bool) -> RotationChanged:
    return await scene.record(
        RotationChanged,
        lambda r: r.task == task and r.in_rotation is inside,
        f"{task} {'in' if inside else 'out of'} rotation",
    )
