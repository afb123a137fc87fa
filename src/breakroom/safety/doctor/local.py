"""Checks of the machine itself: what `--platform local` needs, and what makes its numbers better.

Called by `examine`. A service is really deployed under an engine, asked over HTTP and removed; ports are bound; a file
is written where results go. Nothing is left.
"""

from __future__ import annotations

import asyncio
import errno
import os
import platform as host
import resource
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path

import psutil

from breakroom.i18n.terms import N_
from breakroom.journal.records import Record, RotationChanged, TaskChanged
from breakroom.platforms.base import Capabilities, PlatformError
from breakroom.platforms.local import LocalDeployment, LocalPlatform
from breakroom.safety.deeds import Said, said
from breakroom.safety.doctor.rows import Row
from breakroom.spec.drill import Contender
from breakroom.spec.service import Deploy, Healthcheck, Port, ServiceSpec

__all__ = [
    "check_cores",
    "check_deploy",
    "check_disk",
    "check_memory_limit",
    "check_open_files",
    "check_pause",
    "check_ports",
    "check_python",
]

COURSE_PORTS = (8080, 8081)
_OLDEST = (3, 11)
_SERVING_SECONDS = 8.0
_ASK_SECONDS = 2.0
_FEW_FILES = 4096
"""The course's `ab -c 200` needs 200 connections in the load, 400 in the ingress; drills may ask for a few thousand."""
_TRIED_BYTES = 1 << 20
_LITTLE_ROOM = 500 << 20


async def check_python() -> Row:
    """The interpreter and the system that it runs on."""
    found = said(
        N_("{implementation} {version} on {system} {release} ({machine})"),
        implementation=host.python_implementation(),
        version=host.python_version(),
        system=host.system(),
        release=host.release(),
        machine=host.machine(),
    )
    if sys.version_info < _OLDEST or os.name != "posix":
        return Row(
            area="local",
            check="python",
            status="missing",
            needed=True,
            found=found,
            means=said(N_("breakroom needs Linux or macOS and Python 3.11")),
            way=said(N_("on Windows: install WSL 2 and run breakroom in it")),
        )
    if sys.platform != "linux":
        return Row(
            area="local",
            check="python",
            status="degraded",
            found=found,
            means=said(N_("no control groups here: memory limits are watched, pausing is by signal")),
            way=said(N_("for exact limits run it on Linux, for instance in a virtual machine")),
        )
    return Row(area="local", check="python", status="ok", found=found)


async def check_deploy() -> Row:
    """Deploy a sample service under a real engine, ask it over HTTP, remove it, and look that nothing is left."""
    began = time.monotonic()
    try:
        left = await _deploy_ask_remove()
    except (PlatformError, OSError, TimeoutError) as error:
        hint = getattr(error, "hint", "")
        return Row(
            area="local",
            check="deploy",
            status="missing",
            needed=True,
            found=_words(str(error) or type(error).__name__),
            means=said(N_("drills do not run on the platform local")),
            way=_words(hint)
            if hint
            else said(N_("the message says what to mend; processes and loopback are needed")),
        )
    found = said(N_("served and removed in {took:duration}"), took=time.monotonic() - began)
    if left:
        why = said(N_("left behind: {what}"), what=", ".join(left))
        return Row(
            area="local",
            check="deploy",
            status="degraded",
            found=why,
            means=said(N_("runs will report the same")),
            way=said(N_("breakroom cleanup")),
        )
    return Row(area="local", check="deploy", status="ok", needed=True, found=found)


async def _deploy_ask_remove() -> tuple[str, ...]:
    service = ServiceSpec(
        name="doctor",
        image="health-app:latest",
        ports=(Port(target=3000, published=0, host_ip="127.0.0.1"),),
        healthcheck=Healthcheck(
            test=("HTTP", "/health"), start_period=5_000_000_000, start_interval=50_000_000
        ),
        deploy=Deploy(replicas=1),
    )
    contender = Contender(name="doctor", runs_as="service", service=service)
    serving = asyncio.Event()

    def emit(record: Record) -> None:
        if isinstance(record, RotationChanged) and record.in_rotation:
            serving.set()
        if isinstance(record, TaskChanged) and record.error:
            failures.append(record.error)

    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix=f"breakroom-doctor-{os.getpid()}-") as name:
        deployment: LocalDeployment = await LocalPlatform().deploy(
            contender, trial="doctor", directory=Path(name), emit=emit
        )
        try:
            try:
                async with asyncio.timeout(_SERVING_SECONDS):
                    await serving.wait()
            except TimeoutError:
                raise PlatformError(
                    "not-serving",
                    f"the service did not serve within {_SERVING_SECONDS:g} s"
                    + (f"; {failures[-1]}" if failures else ""),
                ) from None
            await _ask(deployment.endpoint.host, deployment.endpoint.port)
        finally:
            left = await deployment.remove()
    return left


async def _ask(address: str, port: int) -> None:
    """One request; anything but 200 is an error."""
    async with asyncio.timeout(_ASK_SECONDS):
        reader, writer = await asyncio.open_connection(address, port)
        try:
            writer.write(b"GET /health HTTP/1.1\r\nHost: doctor\r\nConnection: close\r\n\r\n")
            await writer.drain()
            line = await reader.readline()
        finally:
            writer.close()
    if b" 200 " not in line:
        raise PlatformError("not-serving", f"the service answered {line.decode(errors='replace').strip()!r}")


async def check_memory_limit(capabilities: Capabilities) -> Row:
    """How a memory limit is enforced: found out by making a control group with one."""
    means = capabilities.how.get("memory_limit", "")
    if means.startswith("cgroup"):
        return Row(
            area="local", check="memory-limit", status="ok", found=said(N_("{means}, tried"), means=means)
        )
    return Row(
        area="local",
        check="memory-limit",
        status="degraded",
        found=said(N_("no control group can be made here")),
        means=said(
            N_(
                "memory is watched and the replica killed when it is over: some milliseconds late, and said so"
            )
        ),
        way=said(
            N_(
                "run as root, or in a group of your own: systemd-run --user --scope -p Delegate=yes breakroom …"
            )
        ),
    )


async def check_pause(capabilities: Capabilities) -> Row:
    """How a task is frozen."""
    if capabilities.how.get("pause") == "freezer":
        return Row(
            area="local",
            check="pause",
            status="ok",
            found=said(N_("{means}, tried"), means="cgroup v2 freezer"),
        )
    return Row(
        area="local",
        check="pause",
        status="ok",
        found=said(N_("by SIGSTOP to each process, and looked at in /proc")),
    )


async def check_open_files() -> Row:
    """How many files and sockets one process may have open: tried by opening them."""
    allowed, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = hard if hard != resource.RLIM_INFINITY else sys.maxsize
    tried = min(most, _FEW_FILES)
    opened = await asyncio.to_thread(_open_many, tried)
    if opened >= _FEW_FILES - 64:
        return Row(
            area="local",
            check="open-files",
            status="ok",
            found=said(N_("{count:count} opened"), count=opened),
        )
    return Row(
        area="local",
        check="open-files",
        status="degraded",
        found=said(N_("{count:count} opened, {allowed:count} allowed"), count=opened, allowed=allowed),
        means=said(
            N_("loads with more than {count:count} connections do not fit"), count=max(0, opened // 2 - 50)
        ),
        way=said(N_("raise the hard limit: `ulimit -Hn 65536` as root, or /etc/security/limits.conf")),
    )


def _open_many(count: int) -> int:
    """Open so many descriptors, with the limit that the hard one allows, and close them again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened: list[int] = []
    try:
        if soft != resource.RLIM_INFINITY and soft < count:
            resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
        while len(opened) < count:
            opened.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except (OSError, ValueError):
        pass
    finally:
        for number in opened:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return len(opened)


async def check_ports(ports: tuple[int, ...] = COURSE_PORTS) -> Row:
    """Whether the ports that the course publishes are free: tried by listening on them."""
    taken = [port for port in ports if not _can_listen(port)]
    names = ", ".join(map(str, ports))
    if not taken:
        return Row(area="local", check="ports", status="ok", found=said(N_("{ports} free"), ports=names))
    return Row(
        area="local",
        check="ports",
        status="degraded",
        found=said(N_("taken: {ports}"), ports=", ".join(map(str, taken))),
        means=said(N_("drills that publish them stop at the start; the built-in ones take any free port")),
        way=said(N_("`ss -ltnp` shows who listens; end it, or publish another port in the drill")),
    )


def _can_listen(port: int) -> bool:
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind((address, port))
                sock.listen(1)
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            # No IPv6 here: then nobody can hold the port there either.
    return True


async def check_disk(out: Path) -> Row:
    """Whether results can be written where they go, and how much fits: tried with a file."""
    return await asyncio.to_thread(_try_disk, out)


def _try_disk(out: Path) -> Row:
    directory = out.absolute()
    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(b"\0" * _TRIED_BYTES)
            file.flush()
            os.fsync(file.fileno())
        free = shutil.disk_usage(directory).free
    except OSError as error:
        return Row(
            area="local",
            check="disk",
            status="missing",
            needed=True,
            found=said(
                N_("{directory}: {trouble}"), directory=str(directory), trouble=error.strerror or str(error)
            ),
            means=said(N_("no run can be kept there")),
            way=said(N_("name a directory that can be written: --out DIR, or BREAKROOM_OUT")),
        )
    found = said(N_("{free:size} free in {directory}"), free=free, directory=str(directory))
    if free < _LITTLE_ROOM:
        return Row(
            area="local",
            check="disk",
            status="degraded",
            found=found,
            means=said(N_("a minute of load takes some megabytes; a disk that fills up ends the run")),
            way=said(N_("make room, or name another place: --out DIR, or BREAKROOM_OUT")),
        )
    return Row(area="local", check="disk", status="ok", needed=True, found=found)


async def check_cores() -> Row:
    """Whether load, ingress and service can run at the same time."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 1
    found = said(N_("{count:count} usable"), count=allowed)
    if allowed >= 2:
        return Row(area="local", check="cores", status="ok", found=found)
    return Row(
        area="local",
        check="cores",
        status="degraded",
        found=found,
        means=said(N_("the load and the service wait for each other: some verdicts will be unknown")),
        way=said(N_("use a machine with two cores or more")),
    )


def _words(text: str) -> Said:
    return said(N_("{trouble}"), trouble=text)
