"""The service that the contract's scenarios deploy: one small program that does what its environment says.

The same words run as a process on `local` and in the test base image (which has python3 and curl) under Docker.
"""

from __future__ import annotations

from typing import Literal

from breakroom.spec.service import (
    Deploy,
    Healthcheck,
    Port,
    RestartPolicy,
    ServiceSpec,
    UpdateConfig,
)
from docker_lab.base_image import BASE_IMAGE

__all__ = ["MS", "S", "check", "rolling", "service"]

S = 1_000_000_000
MS = 1_000_000

# EXIT_AFTER s → exit EXIT_CODE (only in slot FAIL_SLOT, if that is set). SIGTERM → exit TERM_CODE, after TERM_AFTER s;
# TERM_CODE=never ignores it. /health is 503 until HEALTHY_AFTER s and after SIGUSR1. /slow answers after 4 s.
PROGRAM = """
import os, signal, socket, threading, time
env = os.environ.get
began = time.monotonic()
sick = threading.Event()
slot = env("BREAKROOM_TASK_SLOT") or env("SLOT", "")
task = env("BREAKROOM_TASK_ID", "-")
doomed = not env("FAIL_SLOT") or env("FAIL_SLOT") == slot
def leave(code, after=0.0):
    time.sleep(after)
    os._exit(code)
def spawn(call, *words):
    threading.Thread(target=call, args=words, daemon=True).start()
def term(*_):
    if env("TERM_CODE") != "never":
        spawn(leave, int(env("TERM_CODE", "0")), float(env("TERM_AFTER", "0")))
signal.signal(signal.SIGTERM, term)
signal.signal(signal.SIGUSR1, lambda *_: sick.set())
print("began", task, flush=True)
if env("EXIT_AFTER") and doomed:
    spawn(leave, int(env("EXIT_CODE", "1")), float(env("EXIT_AFTER")))
def serve(client):
    with client:
        while True:
            text = b""
            while b"\\r\\n\\r\\n" not in text:
                part = client.recv(4096)
                if not part:
                    return
                text += part
            path = text.split()[1]
            if path == b"/slow":
                time.sleep(4)
            ill = sick.is_set() or time.monotonic() - began < float(env("HEALTHY_AFTER", "0"))
            status = b"503 Sick" if path == b"/health" and ill else b"200 OK"
            body = (task + " " + env("RELEASE", "one")).encode()
            client.sendall(b"HTTP/1.1 " + status + b"\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
def safely(client):
    try:
        serve(client)
    except OSError:
        pass
with socket.create_server((env("HOST") or "127.0.0.1", int(env("PORT", "3000"))), backlog=64) as server:
    while True:
        spawn(safely, server.accept()[0])
"""


def check(
    *, interval: float = 0.6, retries: int = 2, timeout: float = 3.0, start_period: float = 0.0
) -> Healthcheck:
    """The course's health command, at short intervals; times in seconds."""
    return Healthcheck(
        test=("CMD-SHELL", "curl -fs -o /dev/null http://localhost:3000/health || exit 1"),
        interval=int(interval * S),
        timeout=int(timeout * S),
        retries=retries,
        start_period=int(start_period * S),
        start_interval=int(interval * S),
    )


def service(
    name: str,
    *,
    replicas: int = 1,
    condition: Literal["none", "on-failure", "any"] = "any",
    delay: float = 0.0,
    max_attempts: int = 0,
    window: float = 0.0,
    healthcheck: Healthcheck | None = None,
    update: UpdateConfig | None = None,
    rollback: UpdateConfig | None = None,
    grace: float = 10.0,
    restart: str = "no",
    memory: int | None = None,
    command: tuple[str, ...] = (),
    image: str = BASE_IMAGE,
    **environment: str,
) -> ServiceSpec:
    """A service that runs the program; times in seconds, environment as keywords."""
    spec = ServiceSpec(
        name=name,
        image=image,
        command=command or ("python3", "-I", "-S", "-u", "-c", PROGRAM),
        environment=environment,
        ports=(Port(target=3000, published=0),),
        healthcheck=healthcheck,
        stop_grace_period=int(grace * S),
        restart=restart,
        deploy=Deploy(
            replicas=replicas,
            restart_policy=RestartPolicy(
                condition=condition, delay=int(delay * S), max_attempts=max_attempts, window=int(window * S)
            ),
            update_config=update or UpdateConfig(monitor=int(0.5 * S)),
            rollback_config=rollback or UpdateConfig(monitor=int(0.5 * S)),
        ),
    )
    if memory is None:
        return spec
    from dataclasses import replace

    from breakroom.spec.service import Limits, Resources

    return replace(spec, deploy=replace(spec.deploy, resources=Resources(limits=Limits(memory=memory))))


def rolling(
    *,
    parallelism: int = 1,
    delay: float = 0.0,
    monitor: float = 0.5,
    action: Literal["pause", "continue", "rollback"] = "pause",
    ratio: float = 0.0,
    order: Literal["stop-first", "start-first"] = "stop-first",
) -> UpdateConfig:
    """An update config; times in seconds."""
    return UpdateConfig(
        parallelism=parallelism,
        delay=int(delay * S),
        monitor=int(monitor * S),
        failure_action=action,
        max_failure_ratio=ratio,
        order=order,
    )
