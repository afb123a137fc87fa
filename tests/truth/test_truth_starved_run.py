"""Real runs of a drill in which breakroom itself is starved: the verdict is *unknown*, and says which part and why.

One run serves several tests: in each of its trials something else is taken away (from the probe, the ingress, the
engine, the main process), always after the fault, when a verdict would be spoiled most.
"""

from __future__ import annotations

import json
import os
import resource
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from end_to_end.tool import MINI_DRILL, UNKNOWN, Ended, Tool, wait_until
from truth.starving import frozen, in_namespace, of_program

STILL_S = 0.8
CONTENDERS = ("single", "single-restart", "orchestrated")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes through /proc")


def starve(tool: Tool, name: str, spoil: dict[str, Callable[[int], None]]) -> Ended:
    """Run the short drill; in each contender's trial call its `spoil` with the main process's pid after the fault."""
    drill = MINI_DRILL.split("expect:", maxsplit=1)[0].replace("name: mini", f"name: {name}")
    # All of them would be met, if what was measured were believed.
    tool.write(
        f"{name}.yaml", f"{drill}expect: [{', '.join(f'{one}.availability >= 1%' for one in CONTENDERS)}]\n"
    )
    process = tool.start("run", f"{name}.yaml", "--json")
    try:
        for contender in CONTENDERS:
            trial = f"{name}/{contender}/1"

            def fault_is_over(trial: str = trial) -> bool:
                return tool.journal_has_record(type="PhaseStarted", trial=trial, phase="recovering")

            assert wait_until(lambda: fault_is_over() or process.poll() is not None, seconds=60)
            spoil[contender](process.pid)
        out, err = process.communicate(timeout=90)
    finally:
        process.kill()
    return Ended(process.returncode, out, err)


def whys(results: dict[str, Any], contender: str) -> dict[str, dict[str, Any]]:
    """Code → parameters of why the contender's trial is unknown."""
    (trial,) = [trial for trial in results["trials"] if trial["contender"] == contender]
    return {why["code"]: why["params"] for why in trial["reasons_unknown"]}


def assert_nothing_is_passed_or_failed(ended: Ended) -> None:
    results = ended.json()
    assert ended.code == UNKNOWN, ended.err
    assert results["verdict"] == "unknown"
    assert {condition["verdict"] for drill in results["drills"] for condition in drill["conditions"]} == {
        "unknown"
    }


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tool, Ended]:
    """A run of which another part was stopped for a while in each trial."""
    tool = Tool(tmp_path_factory.mktemp("stopped"))
    parts = {
        "single": lambda pid: frozen(of_program(pid, "breakroom.ingress").pid, STILL_S),
        "single-restart": lambda pid: frozen(of_program(pid, "breakroom.engine").pid, STILL_S),
        "orchestrated": lambda pid: frozen(pid, STILL_S),
    }
    return tool, starve(tool, "stopped", parts)


@pytest.mark.parametrize(
    ("contender", "part"), [("single", "ingress"), ("single-restart", "engine"), ("orchestrated", "main")]
)
def test_a_part_of_the_tool_that_stood_still_is_named(
    stopped: tuple[Tool, Ended], contender: str, part: str
) -> None:
    _, ended = stopped
    assert_nothing_is_passed_or_failed(ended)
    said = whys(ended.json(), contender)["unknown.part-stood-still"]
    assert said["part"] == part
    assert said["still_s"] >= STILL_S - 0.15


@pytest.mark.parametrize(
    ("lang", "words"),
    [
        ("en", ["own balancer stood still", "own orchestrator stood still", "main process stood still"]),
        ("ko", ["로드 밸런서가", "오케스트레이터가", "주 프로세스가"]),
    ],
)
def test_that_is_said_in_the_reader_s_language(
    stopped: tuple[Tool, Ended], lang: str, words: list[str]
) -> None:
    tool, _ = stopped
    again = tool.run("report", str(tool.run_directory()), "--lang", lang)
    assert all(word in again.out for word in words), again


@pytest.fixture(scope="module")
def starved(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """A run of which the probe, the engine and the load lost something in turn."""

    def probe_without_descriptors(pid: int) -> None:
        worker = of_program(pid, "breakroom.load").pid
        kept = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        # As many as it has for itself: no connection can be opened any more.
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (4, kept[1]))
        wait_until(lambda: not psutil.pid_exists(worker), seconds=0.4)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, kept)

    def engine_without_descriptors(pid: int) -> None:
        engine = of_program(pid, "breakroom.engine").pid
        kept = resource.prlimit(engine, resource.RLIMIT_NOFILE)
        resource.prlimit(engine, resource.RLIMIT_NOFILE, (4, kept[1]))
        wait_until(lambda: not psutil.pid_exists(engine), seconds=0.6)
        if psutil.pid_exists(engine):
            resource.prlimit(engine, resource.RLIMIT_NOFILE, kept)

    def load_is_killed(pid: int) -> None:
        workers = [child for child in psutil.Process(pid).children() if "breakroom.load" in child.cmdline()]
        os.kill(workers[-1].pid, signal.SIGKILL)

    return starve(
        Tool(tmp_path_factory.mktemp("starved")),
        "starved",
        {
            "single": probe_without_descriptors,
            "single-restart": engine_without_descriptors,
            "orchestrated": load_is_killed,
        },
    )


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs prlimit(2)")
@pytest.mark.parametrize(
    ("contender", "code"),
    [
        ("single", "unknown.not-sent"),
        ("single-restart", "unknown.engine-limited"),
        ("orchestrated", "unknown.worker-died"),
    ],
)
def test_what_the_tool_ran_out_of_is_named(starved: Ended, contender: str, code: str) -> None:
    assert_nothing_is_passed_or_failed(starved)
    assert code in whys(starved.json(), contender)


def test_requests_that_the_probe_could_not_send_are_no_failures_of_the_service(starved: Ended) -> None:
    (trial,) = [trial for trial in starved.json()["trials"] if trial["contender"] == "single"]
    assert trial["outcomes"]["probe"].get("not-sent", 0) > 5


def test_a_run_without_local_ports_is_unknown(tmp_path: Path) -> None:
    tool = Tool(tmp_path)
    drill = MINI_DRILL.split("contenders:", maxsplit=1)[0].replace("extends: kill", "extends: pause") + (
        "contenders: {single: {operator: null}}\n"
        "probe: {rate: 100/s, timeout: 2s}\n"
        "timeline: [{at: 0s, pause: {tasks: 1, for: 1500ms}}]\n"
        "expect: [single.availability >= 1%]\n"
    )
    tool.write("ports.yaml", drill)
    script = f"""
        ip link set lo up
        echo "40000 40063" > /proc/sys/net/ipv4/ip_local_port_range
        exec {shlex.quote(sys.executable)} -m breakroom run ports.yaml --contender single --json
    """
    done = subprocess.run(
        in_namespace(script, "--net"),
        cwd=tool.directory,
        env={**os.environ, "XDG_STATE_HOME": f"{tool.directory}-state"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout, done.stderr
    results = json.loads(done.stdout)
    assert (done.returncode, results["verdict"]) == (UNKNOWN, "unknown")
    assert set(whys(results, "single")) & {"unknown.not-sent", "unknown.ingress-limited"}


def test_a_run_whose_disk_is_full_is_not_passed(tmp_path: Path) -> None:
    tool = Tool(tmp_path)
    tool.write("mini.yaml", MINI_DRILL)
    script = f"""
        mkdir full; mount -t tmpfs -o size=96k none full
        exec {shlex.quote(sys.executable)} -m breakroom run mini.yaml --out full/out
    """
    done = subprocess.run(
        in_namespace(script, "--mount"),
        cwd=tool.directory,
        env={**os.environ, "LC_ALL": "C.UTF-8", "XDG_STATE_HOME": f"{tool.directory}-state"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == UNKNOWN, done
    assert "No space left on device" in done.stdout + done.stderr
