"""What the agent's tests share: acts done on a host of the lab, containers to act on, waiting with a deadline."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from docker_lab.base_image import BASE_IMAGE
from docker_lab.lab import Host

MARK = "breakroom_test01"
PORT = 3000
_SERVER = ("python3", "-m", "http.server", str(PORT))


@dataclass(frozen=True)
class Target:
    """A container that serves, on a host."""

    host: Host
    id: str
    pid: int
    address: str

    @property
    def named(self) -> dict[str, Any]:
        """How an act names it."""
        return {"container": self.id, "pid": self.pid}

    def reached(self) -> bool:
        """Whether its host reaches it."""
        return answers(self.host, f"http://{self.address}:{PORT}/")

    def reaches_itself(self) -> bool:
        """Whether it reaches itself by loopback."""
        words = ("docker", "exec", self.id, "curl", "-sf", "-m", "2", f"http://localhost:{PORT}/")
        return subprocess.run(self.host.command(*words), capture_output=True, check=False).returncode == 0


def target(host: Host, *options: str) -> Target:
    """Start one; `options` are docker run's."""
    identity = host.docker(
        "run", "-d", "-m", "128m", "--memory-swap", "128m", *options, BASE_IMAGE, *_SERVER
    ).strip()
    form = "{{.State.Pid}} {{.NetworkSettings.IPAddress}}"
    pid, _, address = host.docker("inspect", "-f", form, identity).strip().partition(" ")
    found = Target(host, identity, int(pid), address)
    until(found.reaches_itself)
    return found


def answers(host: Host, url: str) -> bool:
    """Whether a host gets an answer there within a second."""
    words = host.command("curl", "-sf", "-o", "/dev/null", "-m", "1", url)
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def act(host: Host, name: str, **words: Any) -> dict[str, Any]:
    """Do an act on a host as root, as `LocalHands` does it; the answer, whatever it is."""
    done = subprocess.run(
        host.command(sys.executable, "-m", "breakroom.agent", "act"),
        input=json.dumps({"act": name, "mark": MARK, **words}) + "\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if answer["ok"] else 1), done.stderr
    return answer


def until(true: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)
