"""A deployment on the real local platform for a test: its records, waits with a deadline, and small programs to run."""

from __future__ import annotations

import asyncio
import os
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, TypeVar

from breakroom.journal.records import LogCaptured, Record, TaskChanged
from breakroom.platforms.local import LocalDeployment, LocalPlatform
from breakroom.spec.drill import Contender
from breakroom.spec.service import (
    Deploy,
    Healthcheck,
    Limits,
    Port,
    Resources,
    RestartPolicy,
    ServiceSpec,
    UpdateConfig,
)
from told.records import Told

R = TypeVar("R", bound=Record)
WITHIN = 15.0
MS = 1_000_000

# Answers every connection with what the task was told: id, name, slot, version, and APP.
SERVE = """
import os, socket, sys
with socket.create_server(("127.0.0.1", int(os.environ["PORT"]))) as server:
    names = ("BREAKROOM_TASK_ID", "BREAKROOM_TASK_NAME", "BREAKROOM_TASK_SLOT", "BREAKROOM_VERSION", "APP")
    body = " ".join(os.environ.get(name, "-") for name in names).encode()
    print("ready", flush=True)
    while True:
        client, _ = server.accept()
        with client:
            path = client.recv(4096).split()[1]
            status = b"503 Sick" if path == b"/sick" else b"200 OK"
            client.sendall(b"HTTP/1.1 " + status + b"\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
"""

# A daemon: forked twice, in a session of its own, its parent gone.
DAEMON = """
import os, signal, sys
reader, writer = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    os.write(writer, str(os.getpid()).encode())
    signal.pause()
print(os.getpid(), os.read(reader, 20).decode(), flush=True)
os.wait()
signal.pause()
"""


def program(code: str, *arguments: str) -> tuple[str, ...]:
    """A command line that runs some Python."""
    return ("{python}", "-I", "-S", "-c", code, *arguments)


def service(
    code: str = SERVE,
    *,
    command: tuple[str, ...] = (),
    replicas: int = 1,
    delay: int = 0,
    condition: Literal["none", "on-failure", "any"] = "any",
    memory: int | None = None,
    healthcheck: Healthcheck | None = None,
    published: int = 0,
    environment: dict[str, str] | None = None,
    image: str = "",
) -> ServiceSpec:
    """A service in few words."""
    return ServiceSpec(
        name="web",
        image=image,
        command=command or (() if image else program(code)),
        environment=environment or {},
        ports=(Port(target=3000, published=published),),
        healthcheck=healthcheck,
        deploy=Deploy(
            replicas=replicas,
            restart_policy=RestartPolicy(condition=condition, delay=delay),
            update_config=UpdateConfig(monitor=0),
            rollback_config=UpdateConfig(monitor=0),
            resources=Resources(limits=Limits(memory=memory)),
        ),
    )


class Lab(Told):
    """One deployment and everything that it has said."""

    within = WITHIN

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory = directory
        self.deployment: LocalDeployment

    async def running(self, *, after: int = 0, slot: int = 1, version: int = 1) -> TaskChanged:
        """Wait for a task that came to run after a moment."""
        return await self.record(
            TaskChanged,
            lambda r: (r.state, r.slot, r.version) == ("running", slot, version) and r.t > after,
            "running task",
        )

    async def over(self, task: str) -> TaskChanged:
        """Wait for a task's end."""
        words = {"complete", "shutdown", "failed", "rejected"}
        return await self.record(TaskChanged, lambda r: r.task == task and r.state in words, f"end of {task}")

    async def line(self, task: str, file: str = "") -> list[str]:
        """Wait for the first whole line of a task's log and return its words."""
        log = next((self.directory / "logs").glob(f"*/{file or task}.log"))
        words: list[str] = []

        def look() -> bool:
            text = log.read_text()
            words[:] = text.split("\n", 1)[0].split() if "\n" in text else []
            return bool(words)

        await eventually(look, f"line in the log of {task}")
        return words

    async def log(self, task: str) -> LogCaptured:
        """Wait for a task's captured log."""
        return await self.record(LogCaptured, lambda r: r.task == task, f"log of {task}")

    async def get(self, path: str = "/") -> str:
        """GET from the published port, tried until it is answered."""
        answers: list[str] = []

        def look() -> bool:
            try:
                with urllib.request.urlopen(self.deployment.endpoint.url(path), timeout=5) as response:
                    answers.append(response.read().decode())
            except OSError:
                return False
            return True

        await eventually(look, "answer at the published port")
        return answers[0]


@asynccontextmanager
async def deployed(
    directory: Path,
    spec: ServiceSpec,
    *,
    runs_as: Literal["container", "service"] = "service",
    memory_limit: str = "",
) -> AsyncIterator[Lab]:
    """Deploy for the block; remove after it, and insist that nothing is left."""
    lab = Lab(directory)
    lab.deployment = await LocalPlatform(memory_limit=memory_limit).deploy(
        Contender(name="test", runs_as=runs_as, service=spec),
        trial="drill/test/1",
        directory=directory,
        emit=lab.emit,
    )
    try:
        yield lab
    finally:
        left = await lab.deployment.remove()
    assert left == ()


async def eventually(condition: Callable[[], bool], what: str, within: float = WITHIN) -> None:
    """Wait for something that gives no notice."""
    deadline = asyncio.get_running_loop().time() + within
    while not await asyncio.to_thread(condition):
        assert asyncio.get_running_loop().time() < deadline, f"no {what} within {within:g} s"
        await asyncio.sleep(0.01)


def exists(pid: int) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return not Path("/proc/self").exists()
    return state != "Z"
