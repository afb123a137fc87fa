"""What keeps replicas running: our engine, supervisord, circus, Docker Swarm, each as a context manager.

Used by the benchmarks of replacements and of many replicas. Each starts processes of its own and ends them. The
Swarm is that of the tests' lab: a `dockerd` in a network namespace, which touches nothing of the machine's own Docker.
"""

from __future__ import annotations

import asyncio
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.context import ROOT, BrokenError, Context, environment, free_port, started
from breakroom.journal.records import Record
from breakroom.platforms.local import LocalDeployment, LocalPlatform
from breakroom.platforms.local_images import resolve
from breakroom.spec.drill import Contender
from breakroom.spec.service import Deploy, Port, RestartPolicy, ServiceSpec

__all__ = ["App", "Keeper", "circus", "our_engine", "sample_app", "supervisord", "swarm", "swarm_missing"]

SERVICE = "bench"


@dataclass(frozen=True, slots=True)
class App:
    """A program to keep running."""

    command: tuple[str, ...]
    environment: dict[str, str]


@dataclass(slots=True)
class Keeper:
    """One that is up and keeps its replicas."""

    port: int
    """Where the users ask; 0: nobody asks."""
    pids: Callable[[], list[int]]
    """Its replicas now."""
    own: list[int] = field(default_factory=list)
    """Its own processes, whose CPU and memory are its cost."""
    prefix: tuple[str, ...] = ()
    """Words before a command that is to reach the port."""
    fleet: Any = None
    """Ours alone: what the records say."""


def sample_app() -> App:
    """The sample app that replaces the crashed one everywhere."""
    spec = resolve(ServiceSpec(name=SERVICE, image="improved-app:v1", ports=(Port(target=3000),)))
    return App(tuple(spec.command or ()), dict(spec.environment))


def children_of(pid: int, app: App) -> list[int]:
    """The replicas among a process's children: those that run the app's program, not a fork on its way to it."""
    program = app.command[-1]
    found = []
    for child in psutil.Process(pid).children():
        try:
            if program in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child.pid)
        except psutil.NoSuchProcess:
            continue
    return found


# --- ours -------------------------------------------------------------------------------------------------------------


class Loop:
    """An event loop on a thread of its own, so that the platform's client lives while others are measured."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="bench-loop", daemon=True)
        self._thread.start()

    def do(self, work: Any) -> Any:
        """Run a coroutine there; its result."""
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self.loop)
        return future.result(180)

    def end(self) -> None:
        """Stop it."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@contextmanager
def our_engine(
    context: Context, app: App, replicas: int = 1, emit: Callable[[Record], None] = lambda _: None
) -> Iterator[Keeper]:
    """Breakroom's engine and ingress."""
    spec = ServiceSpec(
        name=SERVICE,
        command=app.command,
        environment=app.environment,
        ports=(Port(target=3000),),
        deploy=Deploy(replicas=replicas, restart_policy=RestartPolicy(delay=0)),
    )
    directory = context.directory / f"ours-{time.monotonic_ns()}"
    directory.mkdir()
    loop = Loop()
    try:
        deployment: LocalDeployment = loop.do(
            LocalPlatform().deploy(
                Contender(name=SERVICE, runs_as="service", service=spec),
                trial=SERVICE,
                directory=directory,
                emit=emit,
            )
        )

        def pids() -> list[int]:
            tasks = loop.do(deployment.tasks())
            return [task.pid for task in tasks if task.state == "running" and task.pid is not None]

        try:
            engine = deployment.engine_pid
            own = [engine]
            own += [p.pid for p in psutil.Process(engine).children() if "breakroom.ingress" in p.cmdline()]
            yield Keeper(port=deployment.endpoint.port, pids=pids, own=own)
        finally:
            left = loop.do(deployment.remove())
        if left:
            raise BrokenError(f"the engine left behind: {', '.join(left)}")
    finally:
        loop.end()


# --- peers ------------------------------------------------------------------------------------------------------------

SUPERVISOR = """[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
pidfile={dir}/supervisord.pid
minfds=10000
[program:app]
command={command}
numprocs={replicas}
process_name=%(program_name)s_%(process_num)04d
autorestart=true
stdout_logfile=/dev/null
stdout_logfile_maxbytes=0
stderr_logfile=/dev/null
stderr_logfile_maxbytes=0
"""
CIRCUS = """[circus]
endpoint = tcp://127.0.0.1:{endpoint}
pubsub_endpoint = tcp://127.0.0.1:{pubsub}
statsd = false
check_delay = {check}
[watcher:app]
cmd = {program}
args = {arguments}
numprocesses = {replicas}
copy_env = true
max_retry = -1
warmup_delay = 0
"""


@contextmanager
def supervisord(context: Context, app: App, replicas: int = 1) -> Iterator[Keeper]:
    """Supervisord with one program."""
    port = free_port()
    config = context.directory / "supervisord.conf"
    config.write_text(
        SUPERVISOR.format(dir=context.directory, command=shlex.join(app.command), replicas=replicas)
    )
    words = [context.tools["supervisord"], "-c", str(config)]
    with _keeping(words, app, port) as keeper:
        yield keeper


@contextmanager
def circus(context: Context, app: App, replicas: int = 1, *, check: float = 5) -> Iterator[Keeper]:
    """Circus with one watcher, without its statistics. `check`: how often it looks after its processes, in seconds."""
    port = free_port()
    config = context.directory / f"circus-{check}.ini"
    config.write_text(
        CIRCUS.format(
            endpoint=free_port(),
            pubsub=free_port(),
            program=app.command[0],
            arguments=shlex.join(app.command[1:]),
            replicas=replicas,
            check=check,
        )
    )
    with _keeping([context.tools["circusd"], str(config)], app, port) as keeper:
        yield keeper


@contextmanager
def _keeping(words: list[str], app: App, port: int) -> Iterator[Keeper]:
    env = environment(**app.environment, PORT=str(port))
    with started(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        yield Keeper(port=port, pids=lambda: children_of(process.pid, app), own=[process.pid])
        # They end their replicas before they go, one after the other; what is left then is killed.
        left = children_of(process.pid, app)
        process.terminate()
        psutil.wait_procs([psutil.Process(process.pid)], timeout=10)
        for pid in left:
            try:
                psutil.Process(pid).kill()
            except psutil.NoSuchProcess:
                continue


# --- Docker Swarm -----------------------------------------------------------------------------------------------------


def _lab() -> Any:
    tests = str(ROOT / "tests")
    if tests not in sys.path:
        sys.path.append(tests)
    from docker_lab import lab  # a part of the tests, on the path since the line above

    return lab


def swarm_missing() -> str:
    """Why there is no Swarm to compare with; empty if there is one."""
    missing: str = _lab().missing()
    if not missing and not any(Path(place, "docker").exists() for place in ("/usr/bin", "/usr/local/bin")):
        missing = "not installed: docker"
    return missing


@contextmanager
def swarm(app: App) -> Iterator[Keeper]:
    """One replica as a service of a Swarm of one node, restart delay 0, its port published on the node."""
    lab_module = _lab()
    from docker_lab.base_image import BASE_IMAGE, base_image

    # The app is in the checkout, which is mounted where it is; Python is the image's.
    source = str(ROOT / "src")
    command = ["python3", *app.command[1:]]
    lab = lab_module.Lab("bbench", 1)
    lab.up(tied=True)
    try:
        host = lab.hosts[0]
        lab.load_image(base_image(), BASE_IMAGE)
        lab.swarm()
        env = [word for name, value in app.environment.items() for word in ("--env", f"{name}={value}")]
        host.docker(
            "service", "create", "--detach", "--name", SERVICE, "--restart-delay", "0s", "--restart-condition", "any",
            "--no-resolve-image", "--publish", "mode=host,published=8080,target=3000",
            "--env", "PORT=3000", "--env", "HOST=0.0.0.0", *env,
            "--mount", f"type=bind,source={source},target={source},readonly", BASE_IMAGE, *command,
        )  # fmt: skip

        def pids() -> list[int]:
            running = host.docker("ps", "-q", "--filter", f"label=com.docker.swarm.service.name={SERVICE}")
            if not running.split():
                return []
            return [
                int(pid) for pid in host.docker("inspect", "-f", "{{.State.Pid}}", *running.split()).split()
            ]

        own = [host.daemon_pid] if host.daemon_pid else []
        yield Keeper(port=8080, pids=pids, own=own, prefix=tuple(host.command()))
    finally:
        lab.down()
