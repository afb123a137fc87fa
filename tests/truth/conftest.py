"""One real run of the shortened kill drill on a service that keeps its own books, with a watcher beside it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from end_to_end.tool import MINI_DRILL, Tool
from truth.evidence import Books, Trial, read_books, read_trials
from truth.tally import TALLY

HERE = Path(__file__).parent
SERVER = HERE / "witness_server.py"
DRILL = (
    MINI_DRILL.split("expect:", maxsplit=1)[0]
    + """\
service:
  command: "{python} {server} {{port}} {books}{options}"
  ports: ["3000"]
  healthcheck: {{test: ["HTTP", "/health"], interval: 2s, start_period: 10s, start_interval: 100ms}}
  deploy: {{replicas: 3, restart_policy: {{condition: any, delay: 500ms}}}}
expect: [orchestrated.operator_acts == 0]
"""
)


@dataclass(frozen=True)
class Deaths:
    """What the watcher saw of one process: alive after `alive_at`, dead before `dead_by`."""

    alive_at: int
    dead_by: int


@dataclass(frozen=True)
class Evidence:
    """What a run left: its own findings, the raw samples, and what the witnesses wrote down."""

    directory: Path
    results: dict[str, Any]
    trials: dict[str, Trial]
    books: dict[str, dict[str, Books]]
    """Contender → task → its books."""
    deaths: dict[int, Deaths]

    def found(self, contender: str) -> dict[str, Any]:
        """The findings about a contender's trial."""
        (trial,) = [trial for trial in self.results["trials"] if trial["contender"] == contender]
        return dict(trial)


def drill(books: Path, options: str = "") -> str:
    """The drill file's text."""
    head, _, tail = DRILL.partition("service:\n")
    return head + (
        ("service:\n" + tail).format(python=sys.executable, server=SERVER, books=books, options=options)
    )


@pytest.fixture(scope="package")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """The run."""
    tool = Tool(tmp_path_factory.mktemp("truth"))
    books = tool.directory / "books"
    books.mkdir()
    tool.write("witnessed.yaml", drill(books))
    deaths = tool.write("deaths.txt", "")
    watcher = subprocess.Popen(
        [sys.executable, str(HERE / "watcher.py"), str(books), str(deaths)], stdin=subprocess.PIPE
    )
    try:
        ended = tool.run_undisturbed("run", "witnessed.yaml", "--json")
    finally:
        watcher.communicate(timeout=20)
    assert ended.code == 0, ended.err
    lines = [[int(word) for word in line.split()] for line in deaths.read_text().splitlines()]
    trials = read_trials(tool.run_directory())
    all_books = read_books(books)
    return Evidence(
        directory=tool.run_directory(),
        results=json.loads((tool.run_directory() / "results.json").read_text()),
        trials=trials,
        books={
            contender: {r["task"]: all_books[r["pid"]] for r in trial.of("TaskChanged", state="running")}
            for contender, trial in trials.items()
        },
        deaths={pid: Deaths(alive_at, dead_by) for pid, alive_at, dead_by in lines},
    )


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if TALLY.judged + TALLY.not_judged:
        terminalreporter.section("truth")
        terminalreporter.write_line(TALLY.render())
