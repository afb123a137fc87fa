"""Helpers of the safety tests: the command as a user runs it, a host's whole state, runs that live or were killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docker_lab.base_image import BASE_IMAGE
from docker_lab.lab import Host

__all__ = ["Ended", "Machine", "make_ours", "make_theirs", "world"]

_SERVING_SECONDS = 60.0
_RUN = """
import json, sys
from pathlib import Path
from breakroom.journal.registry import register
registration = register(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
assert not registration.problem, registration.problem
registration.note(**json.loads(sys.argv[4]))
print("registered", flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Ended:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def deeds(self, *done: str) -> set[tuple[str, str]]:
        """What was done so, as (thing, name)."""
        return {(deed["thing"], deed["name"]) for deed in self.json["deeds"] if deed["done"] in done}

    def named(self, name: str) -> dict[str, Any]:
        """The only deed about the thing of that name."""
        (found,) = [deed for deed in self.json["deeds"] if deed["name"] == name]
        return dict(found)


@dataclass
class Machine:
    """A user's account: where their state is, and which daemon their `docker` talks to."""

    directory: Path
    docker_host: str = "unix:///nonexistent/docker.sock"
    host: Host | None = None
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
        return {
            **clean,
            "LC_ALL": "C.UTF-8",
            "COLUMNS": "200",
            "XDG_STATE_HOME": str(self.directory / "state"),
            "DOCKER_HOST": self.host.docker_host if self.host else self.docker_host,
            **self.extra,
        }

    def breakroom(self, *words: str, prefix: tuple[str, ...] = ()) -> Ended:
        command = [*prefix, sys.executable, "-m", "breakroom", *words]
        if self.host is not None:
            command = self.host.command(*command)
        done = subprocess.run(
            command,
            env=self.environment,
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def cleanup(self, *words: str) -> Ended:
        return self.breakroom("cleanup", "--json", *words)

    def begin_run(
        self, run: str, *, platform: str = "docker", facts: Mapping[str, Any] | None = None
    ) -> subprocess.Popen[str]:
        """A process that has registered a run, and lives until its standard input is closed."""
        where = self.directory / run
        where.mkdir(exist_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-c", _RUN, run, str(where), platform, json.dumps(dict(facts or {}))],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "registered\n"
        return process

    def cut_off_run(
        self, run: str, *, platform: str = "docker", facts: Mapping[str, Any] | None = None
    ) -> Path:
        """A run whose process was killed; returns its directory."""
        process = self.begin_run(run, platform=platform, facts=facts)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return self.directory / run

    @contextmanager
    def living_run(self, run: str, *, platform: str = "docker") -> Iterator[int]:
        """A run that is under way for the block; gives its process id."""
        process = self.begin_run(run, platform=platform)
        try:
            yield process.pid
        finally:
            process.communicate()

    @property
    def registered(self) -> set[str]:
        """The ids in the registry."""
        return {path.stem for path in (self.directory / "state" / "breakroom" / "runs").glob("*.json")}


def world(host: Host) -> dict[str, Any]:
    """Everything that a clean-up could touch on a host, as Docker and the kernel tell it."""
    swarm = host.docker("info", "--format", "{{.Swarm.LocalNodeState}}").strip()
    lists = {
        "containers": ("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}"),
        "networks": ("network", "ls", "--no-trunc", "--format", "{{.ID}} {{.Name}}"),
        "volumes": ("volume", "ls", "--format", "{{.Name}}"),
        "images": ("images", "--no-trunc", "--format", "{{.ID}} {{.Repository}}"),
    }
    if swarm == "active":
        lists |= {
            "services": ("service", "ls", "--format", "{{.ID}} {{.Name}} {{.Replicas}}"),
            "secrets": ("secret", "ls", "--format", "{{.ID}} {{.Name}}"),
            "configs": ("config", "ls", "--format", "{{.ID}} {{.Name}}"),
        }
    found: dict[str, Any] = {name: sorted(host.docker(*words).splitlines()) for name, words in lists.items()}
    if swarm == "active":
        nodes = host.docker("node", "ls", "-q").split()
        specs = [json.loads(host.docker("node", "inspect", node))[0]["Spec"] for node in nodes]
        found["nodes"] = [(spec["Availability"], spec.get("Labels", {})) for spec in specs]
    rules = host.run("iptables-save", check=False).splitlines()
    found["rules"] = [line.partition("[")[0] for line in rules if not line.startswith("#")]
    found["links"] = sorted(host.run("ip", "-o", "link").count(kind) for kind in ("veth", "br-"))
    return {"swarm": swarm, **found}


def marks(run: str, kind: str, flag: str = "--label") -> list[str]:
    """The words that label a thing as breakroom's."""
    return [flag, f"breakroom={kind}", flag, f"breakroom.run={run}"]


def make_ours(host: Host, run: str) -> set[tuple[str, str]]:
    """One of everything that a run can leave, in every state; returns (thing, name) of all of it."""
    made: set[tuple[str, str]] = set()
    tag = run.rsplit("-", 1)[-1]
    for state in ("running", "paused", "exited", "created"):
        name = f"{tag}-{state}"
        how = "create" if state == "created" else "run"
        detach = [] if state == "created" else ["--detach"]
        program = ["true"] if state == "exited" else ["sleep", "1000"]
        host.docker(how, *detach, "--name", name, *marks(run, "container"), BASE_IMAGE, *program)
        made.add(("container", name))
    host.docker("pause", f"{tag}-paused")
    host.docker("wait", f"{tag}-exited")
    host.docker("network", "create", *marks(run, "network"), f"{tag}-net")
    host.docker("network", "connect", f"{tag}-net", f"{tag}-running")
    host.docker("volume", "create", *marks(run, "volume"), f"{tag}-vol")
    made |= {("network", f"{tag}-net"), ("volume", f"{tag}-vol")}
    if host.docker("info", "--format", "{{.Swarm.LocalNodeState}}").strip() == "active":
        made |= _make_ours_in_swarm(host, run, tag)
    return made


def _make_ours_in_swarm(host: Host, run: str, tag: str) -> set[tuple[str, str]]:
    secret = host.directory / f"{tag}.txt"
    secret.write_text("x")
    host.docker("secret", "create", *marks(run, "secret"), f"{tag}-secret", str(secret))
    host.docker("config", "create", *marks(run, "config"), f"{tag}-config", str(secret))
    host.docker("network", "create", "--driver", "overlay", *marks(run, "network"), f"{tag}-overlay")
    host.docker(
        "service", "create", "--detach", "--no-resolve-image", "--name", f"{tag}-service", "--replicas", "2",
        "--network", f"{tag}-overlay", "--secret", f"{tag}-secret", "--stop-grace-period", "1s",
        *marks(run, "service"), *marks(run, "container", "--container-label"), BASE_IMAGE, "sleep", "1000",
    )  # fmt: skip
    first = _serving(host, f"{tag}-service", 2)[0]
    host.docker("pause", first)
    (node,) = host.docker("node", "ls", "-q").split()
    host.docker(
        "node", "update", "--availability", "pause", "--label-add", f"breakroom.drained-by={run}",
        "--label-add", "breakroom.was-availability=active", node,
    )  # fmt: skip
    name = host.docker("node", "inspect", "--format", "{{.Description.Hostname}}", node).strip()
    return {
        ("secret", f"{tag}-secret"),
        ("config", f"{tag}-config"),
        ("network", f"{tag}-overlay"),
        ("service", f"{tag}-service"),
        ("node", name),
    }


def _serving(host: Host, service: str, count: int) -> list[str]:
    """The ids of a service's containers, when so many run."""
    deadline = time.monotonic() + _SERVING_SECONDS
    words = (
        "ps",
        "-q",
        "--filter",
        f"label=com.docker.swarm.service.name={service}",
        "--filter",
        "status=running",
    )
    while len(found := host.docker(*words).split()) < count:
        assert time.monotonic() < deadline, f"{service} does not run"
        time.sleep(0.1)
    return found


def make_theirs(host: Host) -> None:
    """Another project's things, some with names or labels that look like ours and are not."""
    host.docker("run", "--detach", "--name", "theirs-running", BASE_IMAGE, "sleep", "1000")
    host.docker("run", "--detach", "--name", "breakroom-0000-web", BASE_IMAGE, "sleep", "1000")
    host.docker(
        "run", "--detach", "--name", "theirs-paused", "--label", "breakroomx=1", BASE_IMAGE, "sleep", "1000"
    )
    host.docker("pause", "theirs-paused")
    host.docker(
        "create", "--name", "theirs-created", "--label", "com.example.tool=breakroom", BASE_IMAGE, "true"
    )
    host.docker("network", "create", "breakroom-net")
    host.docker("volume", "create", "theirs")
    if host.docker("info", "--format", "{{.Swarm.LocalNodeState}}").strip() == "active":
        host.docker(
            "network", "create", "--driver", "overlay", "--label", "project=breakroom", "theirs-overlay"
        )
        host.docker(
            "service", "create", "--detach", "--no-resolve-image", "--name", "theirs-service",
            "--network", "theirs-overlay",
            "--label", "other=breakroom", "--stop-grace-period", "0s", BASE_IMAGE, "sleep", "1000",
        )  # fmt: skip
        _serving(host, "theirs-service", 1)
        (node,) = host.docker("node", "ls", "-q").split()
        host.docker("node", "update", "--label-add", "theirs=1", node)


def remove_theirs(host: Host) -> None:
    """The end of a test: what `make_theirs` made."""
    names = ("theirs-running", "breakroom-0000-web", "theirs-paused", "theirs-created")
    host.docker("service", "rm", "theirs-service", check=False)
    host.docker("rm", "--force", *names, check=False)
    host.docker("volume", "rm", "theirs", check=False)
    host.docker("network", "rm", "breakroom-net", check=False)
    # Swarm takes its time over a service's end, and the network goes after it.
    deadline = time.monotonic() + _SERVING_SECONDS
    of_service = ("ps", "-aq", "--filter", "label=com.docker.swarm.service.name=theirs-service")
    while True:
        left = host.docker(*of_service).split()
        if left:
            host.docker("rm", "--force", *left, check=False)
        network = "theirs-overlay" in host.docker("network", "ls", "--format", "{{.Name}}").split()
        if not left and not network:
            break
        if network:
            host.docker("network", "rm", "theirs-overlay", check=False)
        assert time.monotonic() < deadline, f"the other project's things do not go: {left}"
        time.sleep(0.1)
    for node in host.docker("node", "ls", "-q", check=False).split():
        host.docker("node", "update", "--label-rm", "theirs", node, check=False)
