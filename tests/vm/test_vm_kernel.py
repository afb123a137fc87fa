"""What only a stock kernel has, on the virtual machine's own Docker: netem on a task's link, Swarm's mesh by IPVS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from vm.image import ROOT

pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(
        not os.environ.get("BREAKROOM_VM"),
        reason="needs IPVS and netem, and uses the machine's own Docker: scripts/test-vm",
    ),
]
MARK = "breakroom_vmtest"
DRILL = """\
name: mesh
service:
  image: improved-app:latest
  ports: ["3000"]
  healthcheck: {test: ["HTTP", "/health"], interval: 5s, timeout: 5s, start_period: 60s, start_interval: 1s}
  deploy: {replicas: 2, restart_policy: {delay: 1s}}
contenders:
  orchestrated: {runs_as: service}
probe: {rate: 5/s, timeout: 10s}
steady_state: {duration: 2s, availability: 100%, within: 120s}
timeline:
  - at: 0s
    kill: {tasks: 1}
recovered: {stable: 2s, within: 180s}
"""


@dataclass(frozen=True)
class Container:
    """A container of improved-app on the default bridge."""

    id: str
    pid: int
    url: str

    def fastest(self) -> float:
        """Seconds that the fastest of five requests from this machine took, connecting included."""
        # Five commands, since one would ask them all on one connection.
        words = ("curl", "-fs", "-o", "/dev/null", "-w", "%{time_total}", "-m", "30", self.url)
        return min(float(run(*words)) for _ in range(5))


def run(*words: str | Path, check: bool = True) -> str:
    """Run a command; what it printed."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def act(name: str, **words: Any) -> dict[str, Any]:
    """An act of the agent on this machine."""
    request = json.dumps({"act": name, "mark": MARK, **words}) + "\n"
    command = [sys.executable, "-m", "breakroom.agent", "act"]
    done = subprocess.run(command, input=request, capture_output=True, text=True, check=False)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture(scope="module", autouse=True)
def image() -> None:
    run(ROOT / "breakroom", "images", "--only", "improved-app:latest")


@pytest.fixture
def container() -> Iterator[Container]:
    name = run("docker", "run", "-d", "improved-app:latest").strip()
    form = "{{.State.Pid}} {{.NetworkSettings.IPAddress}}"
    pid, address = run("docker", "inspect", "-f", form, name).split()
    found = Container(name, int(pid), f"http://{address}:3000/health")
    deadline = time.monotonic() + 60
    while not run("curl", "-s", "-m", "5", found.url, check=False):
        assert time.monotonic() < deadline, "the container does not answer"
        time.sleep(0.2)
    yield found
    run("docker", "rm", "-f", name)


def test_this_kernel_has_netem_nftables_and_ipvs_and_the_probe_finds_them() -> None:
    found = act("probe")
    assert {name: found[name]["works"] for name in ("netem", "nft", "ip_vs")} == dict.fromkeys(
        ("netem", "nft", "ip_vs"), True
    ), found
    assert found["cgroup"]["version"] == 2


def test_netem_on_a_tasks_link_is_read_back_and_felt_and_removed(container: Container) -> None:
    named = {"container": container.id, "pid": container.pid}
    before = container.fastest()
    link = {"delay_ns": 400_000_000, "jitter_ns": 20_000_000}
    done = act("link-set", **named, link=link)
    assert done["ok"], done
    shown = act("link-show", **named)["links"]
    assert [(one["delay_ns"], one["jitter_ns"]) for one in shown.values()] == [(400_000_000, 20_000_000)]
    # What the container sends is late: its answer to the connection and its answer to the request.
    felt = container.fastest()
    assert felt >= 0.760
    assert felt > before
    assert act("link-clear", **named)["ok"]
    assert not act("link-show", **named)["links"]
    assert "netem" not in run("nsenter", "-t", str(container.pid), "-n", "tc", "qdisc", "show")
    assert container.fastest() < felt


def test_every_impairment_that_netem_knows_is_in_effect_as_asked(container: Container) -> None:
    named = {"container": container.id, "pid": container.pid}
    asked = {"loss": 0.25, "corrupt": 0.125, "duplicate": 0.5, "rate_bytes_per_s": 125_000}
    done = act("link-set", **named, link=asked)
    assert done["ok"], done
    (shown,) = act("link-show", **named)["links"].values()
    assert {name: pytest.approx(shown[name], abs=1e-6) for name in asked} == asked
    said = run("nsenter", "-t", str(container.pid), "-n", "tc", "qdisc", "show", "dev", "eth0")
    for words in ("loss 25%", "corrupt 12.5%", "duplicate 50%", "rate 1Mbit"):
        assert words in said, said
    assert act("link-clear", **named)["ok"]


def test_a_queueing_discipline_of_somebody_elses_is_left_alone(container: Container) -> None:
    named = {"container": container.id, "pid": container.pid}
    inside = ("nsenter", "-t", str(container.pid), "-n", "tc", "qdisc")
    run(*inside, "add", "dev", "eth0", "root", "netem", "delay", "1ms")
    refused = act("link-set", **named, link={"loss": 0.5})
    assert (refused["ok"], refused["code"]) == (False, "link-taken")
    act("link-clear", **named)
    assert "delay 1ms" in run(*inside, "show", "dev", "eth0")


def test_a_drill_on_swarm_goes_through_the_routing_mesh(tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text(DRILL)
    words = [str(ROOT / "breakroom"), "run", "mesh.yaml", "--platform", "swarm", "--init-swarm"]
    words += ["--out", "results", "--lang", "en"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=700)
    print(done.stdout, done.stderr)
    # Whether numbers can be judged on an emulated processor is not the point; that the run was whole is.
    assert done.returncode in {0, 1, 3}, done.stderr
    text = (tmp_path / "results" / "latest" / "journal.jsonl").read_text()
    assert '"published_port":"ipvs-mesh"' in text
    assert '"stage":"proved"' in text
    assert '"left-behind"' not in text
    assert run("docker", "info", "-f", "{{.Swarm.LocalNodeState}}").strip() == "inactive"
    assert not run("docker", "ps", "-aq").strip()
