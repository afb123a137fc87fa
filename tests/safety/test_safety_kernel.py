"""What a killed run left in the kernel: found by the run's mark in whatever namespace, and nothing of another run's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from docker_lab.base_image import BASE_IMAGE
from docker_lab.lab import Host
from safety.world import Machine

RUN = "20260101-120000-kill-ab12"
OTHER = "20260101-120001-kill-cd34"


def act(host: Host, name: str, mark: str, container: str) -> dict[str, Any]:
    """One act of the agent on a container, as a run does it."""
    identity, pid = host.docker("inspect", "--format", "{{.Id}} {{.State.Pid}}", container).split()
    words = {"act": name, "mark": mark, "container": identity, "pid": int(pid), "within_s": 600}
    done = subprocess.run(
        host.command(sys.executable, "-m", "breakroom.agent", "act"),
        input=json.dumps(words) + "\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    assert answer["ok"], answer
    return answer


@pytest.fixture
def cut(plain: Host) -> Iterator[Host]:
    """Two containers, each cut off by another run."""
    for name, mark in (("one", "breakroom_ab12"), ("two", "breakroom_cd34")):
        plain.docker("run", "--detach", "--name", f"cut-{name}", BASE_IMAGE, "sleep", "1000")
        assert act(plain, "partition-set", mark, f"cut-{name}")["active"]
    yield plain
    act(plain, "partition-clear", "breakroom_ab12", "cut-one")
    act(plain, "partition-clear", "breakroom_cd34", "cut-two")
    plain.docker("rm", "--force", "cut-one", "cut-two")


def test_only_the_cut_off_runs_marks_are_swept(cut: Host, tmp_path: Path) -> None:
    machine = Machine(tmp_path, host=cut)
    machine.cut_off_run(RUN)
    nobody = machine.cleanup("--run", "ab")
    assert nobody.json["deeds"] == [], "the beginning of a mark is nobody's mark"

    ended = machine.cleanup()
    assert ended.code == 0, ended.out
    swept = {deed["name"] for deed in ended.json["deeds"] if deed["thing"] == "kernel"}
    assert any("nft" in name for name in swept)
    assert any("process" in name for name in swept)
    assert not any("cd34" in name for name in swept)
    assert not act(cut, "partition-show", "breakroom_ab12", "cut-one")["active"]
    assert act(cut, "partition-show", "breakroom_cd34", "cut-two")["active"]
