"""The three hosts as their user and their administrator see them: breakroom's commands, and the whole state of all."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from breakroom.journal.records import ActionChanged, Record
from breakroom.journal.store import JournalError, read_journal
from docker_lab.lab import Host, Lab

__all__ = ["Cluster", "Ended", "drill", "until"]

RecordT = TypeVar("RecordT", bound=Record)
_WITHIN = 300.0
_COUNTED = re.compile(r"counter packets \d+ bytes \d+")
TOO_BUSY = ("unknown.generator-lag", "unknown.probe-blind")
_UNKNOWN = 3


def drill(steps: Iterable[str], *, replicas: int = 4, more: str = "") -> str:
    """A drill of one service under load, with these steps, and more to expect."""
    lines = "".join(f"  - {{at: {number}s, {step}}}\n" for number, step in enumerate(steps))
    return f"""\
extends: kill
contenders:
  single: null
  single-restart: null
  orchestrated:
    deploy: {{replicas: {replicas}}}
load: {{model: closed, concurrency: 4, timeout: 2s}}
probe: {{rate: 25/s, timeout: 2s}}
steady_state: {{duration: 1s, availability: 50%, within: 60s}}
recovered: {{stable: 2s, within: 90s}}
timeline:
{lines}expect:
  - orchestrated.operator_acts == 0
{more}"""


def until(true: Callable[[], bool], what: str, *, seconds: float = _WITHIN) -> None:
    """Wait until it is true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what} did not come in {seconds:.0f} s"
        time.sleep(0.1)


class Ended:
    """A command that ended, and its run's results."""

    def __init__(self, code: int, said: str, directory: Path | None) -> None:
        self.code = code
        self.said = said
        self.directory = directory

    @property
    def results(self) -> dict[str, Any]:
        assert self.directory is not None, self.said
        return dict(json.loads((self.directory / "results.json").read_text()))

    @property
    def trial(self) -> dict[str, Any]:
        (trial,) = self.results["trials"]
        return dict(trial)

    @property
    def records(self) -> list[Record]:
        assert self.directory is not None, self.said
        return list(read_journal(self.directory).records)

    def of(self, kind: type[RecordT]) -> list[RecordT]:
        return [record for record in self.records if isinstance(record, kind)]

    def stage(self, stage: str) -> ActionChanged:
        """The first step's record of that stage."""
        found = [one for one in self.of(ActionChanged) if one.stage == stage and one.by == "timeline"]
        assert found, f"no step was {stage}; {self.said}"
        return found[0]

    def must_be_met(self) -> None:
        """The drill's verdict; a machine that was too busy to measure makes it unknown, rightly."""
        text = json.dumps(self.results)
        busy = self.code == _UNKNOWN and any(code in text for code in TOO_BUSY)
        assert self.code == 0 or busy, self.said


class Cluster:
    """The hosts and a user on the first. `directory`: theirs."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.hosts = lab.hosts
        self.manager = lab.hosts[0]
        self.directory = directory

    # --- the user ---------------------------------------------------------------------------------------------

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Begin a command of breakroom's on the first host."""
        return subprocess.Popen(
            self.manager.command(sys.executable, "-m", "breakroom", *words),
            cwd=self.directory,
            env={
                **os.environ,
                "LC_ALL": "C.UTF-8",
                "COLUMNS": "200",
                "XDG_STATE_HOME": str(self.directory / "state"),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def begin(self, text: str) -> subprocess.Popen[str]:
        """Begin a run of that drill."""
        (self.directory / "drill.yaml").write_text(text, encoding="utf-8")
        return self.start("run", "drill.yaml", "--platform", "swarm", "--use-swarm")

    def breakroom(self, *words: str) -> Ended:
        """Run a command to its end."""
        return self.end(self.start(*words))

    def end(self, process: subprocess.Popen[str], number: int | None = None) -> Ended:
        """Send it a signal, if there is one, and wait for its end."""
        try:
            if number is not None:
                process.send_signal(number)
            said, _ = process.communicate(timeout=_WITHIN)
        finally:
            process.kill()
        return Ended(process.returncode, said, self.run_directory)

    def run(self, text: str) -> Ended:
        """Run a drill to its end."""
        return self.end(self.begin(text))

    def in_force(self, process: subprocess.Popen[str]) -> ActionChanged:
        """Wait until the run's first step is proved."""
        found: list[ActionChanged] = []

        def proved() -> bool:
            if process.poll() is not None:
                said = process.stdout.read() if process.stdout else ""
                raise AssertionError(f"the run ended before its fault was in force: {said}")
            found[:] = [
                one for one in self.records if isinstance(one, ActionChanged) and one.stage == "proved"
            ]
            return bool(found)

        try:
            until(proved, "the fault")
        except BaseException:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=_WITHIN)
            raise
        return found[0]

    @property
    def run_directory(self) -> Path | None:
        """The only run's."""
        found = sorted(self.directory.glob("breakroom-results/2*"))
        return found[-1] if found else None

    @property
    def records(self) -> list[Record]:
        """What its journal holds by now."""
        try:
            return list(read_journal(self.run_directory).records) if self.run_directory else []
        except JournalError:
            return []

    # --- the administrator ------------------------------------------------------------------------------------

    def host(self, name: str) -> Host:
        """The host that is a node of that name."""
        (found,) = [host for host in self.hosts if host.namespace == name]
        return found

    def ready(self) -> None:
        """Wait until every node is."""
        words = ("node", "ls", "--format", "{{.Status}}")
        until(lambda: self.manager.docker(*words).split() == ["Ready"] * len(self.hosts), "all nodes ready")

    def world(self) -> dict[str, Any]:
        """All that breakroom could have touched, on all hosts: as Docker and the kernels tell it."""
        lists = {
            "services": ("service", "ls", "--format", "{{.ID}} {{.Name}}"),
            "secrets": ("secret", "ls", "--format", "{{.ID}} {{.Name}}"),
            "configs": ("config", "ls", "--format", "{{.ID}} {{.Name}}"),
        }
        found: dict[str, Any] = {
            name: sorted(self.manager.docker(*words).splitlines()) for name, words in lists.items()
        }
        for node in self.manager.docker("node", "ls", "-q").split():
            row = json.loads(self.manager.docker("node", "inspect", node))[0]
            spec, status = row["Spec"], row["Status"]["State"]
            found[f"node {row['Description']['Hostname']}"] = (
                spec["Role"], spec["Availability"], spec.get("Labels") or {}, status,
            )  # fmt: skip
        for host in self.hosts:
            found[host.namespace] = _host(host)
        return found

    def must_be(self, before: dict[str, Any]) -> None:
        """Wait until all is as it was; what is removed goes from other nodes a moment later."""
        now: dict[str, Any] = {}

        def same() -> bool:
            now.update(self.world())
            return now == before

        try:
            until(same, "the state of before", seconds=30)
        except AssertionError:
            differing = {
                name: _differing(before.get(name), now[name]) for name in now if now[name] != before.get(name)
            }
            raise AssertionError(f"not as before (before, now): {differing}") from None


def _differing(before: Any, now: Any) -> Any:
    if not isinstance(before, dict) or not isinstance(now, dict):
        return before, now
    return {key: (before.get(key), now[key]) for key in now if now[key] != before.get(key)}


def _host(host: Host) -> dict[str, Any]:
    rules = host.run("nft", "list", "ruleset").splitlines()
    queues = host.run("tc", "qdisc", "show").splitlines()
    lists = {
        "containers": ("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}"),
        "networks": ("network", "ls", "--no-trunc", "--format", "{{.ID}} {{.Name}}"),
        "volumes": ("volume", "ls", "--format", "{{.Name}}"),
    }
    return {
        **{name: sorted(host.docker(*words).splitlines()) for name, words in lists.items()},
        "rules": sorted(_COUNTED.sub("counter", line.strip()) for line in rules),
        # The cards of containers have names of their own each time.
        "queues": sorted(line for line in queues if " dev veth" not in line and " dev vx-" not in line),
    }
