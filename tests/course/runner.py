"""Runs the course's commands on this machine, one after another, and writes down what came of each.

Used by `test_course_commands` in the virtual machine: the commands start a Swarm and spoil the network's interface. It
keeps a log that a person can read, and each command's whole output in a file beside it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from course.commands import Command

__all__ = ["Outcome", "Runner"]

_HELPERS = r"""
running() { docker service ps "$1" --filter desired-state=running --format '{{.CurrentState}}' | grep -c '^Running'; }
served_by() {
    for _ in $(seq "$1"); do curl -s -m 10 -o /dev/null -D - "$2"; done | grep -i '^x-task-id' | sort -u | wc -l
}
# Seconds of the fastest of five answers; fails if not one of them came.
fastest() {
    for _ in 1 2 3 4 5; do "$@" curl -fs -m 10 -o /dev/null -w '%{http_code} %{time_total}\n' "$URL"; done |
        sed -n 's/^200 //p' | sort -n | head -1 | grep .
}
fastest_here() { URL=http://localhost:8080/ fastest; }
fastest_from_neighbour() {
    URL=http://$(hostname -I | awk '{print $1}'):8080/ fastest ip netns exec neighbour
}
"""
_TERMINAL_WORDS = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>])|\r")
_SHOWN_LINES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a command."""

    ok: bool
    text: str
    """Its part of the log."""


@dataclass(slots=True, kw_only=True)
class Runner:
    """Carries on from command to command: the directory, the interface, and what runs in the background."""

    directory: Path
    interface: str
    log: Path
    _beside: dict[str, tuple[subprocess.Popen[bytes], Path]] = field(default_factory=dict)
    _begun: float = field(default_factory=time.monotonic)

    def run(self, command: Command) -> Outcome:
        """Run one, check its outcome, and note both."""
        lines = [f"── {command.step} · {command.id} · at {time.monotonic() - self._begun:.0f} s"]
        if command.extra:
            lines.append(f"(not in the handout: {command.why})")
        lines += [
            f"$ {line}" if number == 0 else f"> {line}"
            for number, line in enumerate(command.line.splitlines())
        ]
        if how := command.how(self.interface):
            lines.append(f"({how})")
        begun = time.monotonic()
        code, output = self._carry_out(command)
        lines += [f"  | {line}" for line in _shown(output)]
        if not command.background:
            lines.append(f"  exit {code} after {time.monotonic() - begun:.1f} s")
        ok, said, took = self._check(command, code, output)
        lines.append(f"{'✔' if ok else '✘'} {command.outcome}  ({took:.1f} s)")
        lines += [f"    {line}" for line in said.splitlines()]
        text = "\n".join(lines) + "\n\n"
        with self.log.open("a", encoding="utf-8") as log:
            log.write(text)
        return Outcome(ok=ok, text=text)

    def end(self) -> None:
        """End what still runs in the background."""
        for process, _ in self._beside.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _carry_out(self, command: Command) -> tuple[int, Path]:
        """Returns its exit code (0 while it runs in the background) and the file with its output."""
        if command.join:
            process, output = self._beside.pop(command.join)
            return self._await(process, command.seconds), output
        output = self.log.with_name(f"{command.id}.out")
        with output.open("wb") as file:
            process = subprocess.Popen(
                command.words(self.interface),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TERM": "xterm", "LINES": "40", "COLUMNS": "160"},
                start_new_session=True,
            )
        if command.background:
            self._beside[command.id] = (process, output)
            return 0, output
        return self._await(process, command.limit), output

    @staticmethod
    def _await(process: subprocess.Popen[bytes], seconds: float) -> int:
        """Its exit code; after `seconds` it gets Ctrl-C, upon which `ab` says how far it came."""
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGINT)
        try:
            return process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.wait()

    def _check(self, command: Command, code: int, output: Path) -> tuple[bool, str, float]:
        """Whether the outcome was seen, what the last try printed, and how long it took to be so."""
        environment = {**os.environ, "OUT": str(output), "RC": str(code), "INTERFACE": self.interface}
        begun = time.monotonic()
        while True:
            done = subprocess.run(
                ["bash", "-c", _HELPERS + command.check],
                cwd=self.directory, env=environment, capture_output=True, text=True, check=False, timeout=300,
            )  # fmt: skip
            took = time.monotonic() - begun
            if done.returncode == 0 or took > command.within:
                return done.returncode == 0, (done.stdout + done.stderr).strip(), took
            time.sleep(0.5)


def _shown(output: Path) -> list[str]:
    """The output's lines for the log: without a terminal's control words, and long ones without their middle."""
    text = _TERMINAL_WORDS.sub("", output.read_text(encoding="utf-8", errors="replace"))
    lines = [line.rstrip()[:200] for line in text.splitlines() if line.strip()]
    if len(lines) <= _SHOWN_LINES:
        return lines
    half = _SHOWN_LINES // 2
    return [*lines[:half], f"… {len(lines) - _SHOWN_LINES} lines …", *lines[-half:]]
