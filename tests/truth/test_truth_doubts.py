"""What spoils a measurement makes its verdict *unknown* (exit code 3) and never a pass: a real run, spoiled afterwards.

Each test takes a copy of the run that passed, changes its journal or samples as a fault of the tool or of the machine
would have, and has the findings made again.
"""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from breakroom.analysis.results import RunResults
from breakroom.analysis.run import analyse
from breakroom.cli.exits import UNKNOWN, of_verdict
from breakroom.journal.samples import SAMPLE_SIZE, Outcome
from breakroom.journal.store import read_journal
from end_to_end.tool import Tool
from truth.conftest import Evidence, drill

Line = dict[str, Any]
OF = "mini/orchestrated/1"


@pytest.fixture
def copy(evidence: Evidence, tmp_path: Path) -> Path:
    """A copy of the run's journal and samples."""
    directory = tmp_path / "copy"
    shutil.copytree(evidence.directory, directory, ignore=shutil.ignore_patterns("report*", "logs"))
    return directory


def edit(directory: Path, change: Callable[[Line], Line | None]) -> None:
    """Put each record of the journal through `change`; None leaves it out."""
    path = directory / "journal.jsonl"
    records = [change(json.loads(line)) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(record) + "\n" for record in records if record is not None))


def spoil(directory: Path, stream: str, change: Callable[[int, list[int]], None]) -> None:
    """Put each sample of the contender's stream through `change`, which gets its number and its fields."""
    (path,) = (directory / "samples").rglob(f"*orchestrated*/{stream}-0.bin")
    fields = [list(one) for one in struct.iter_unpack("<qIIIIHHHBB", path.read_bytes())]
    for number, one in enumerate(fields):
        change(number, one)
    path.write_bytes(b"".join(struct.pack("<qIIIIHHHBB", *one) for one in fields))


def judged(directory: Path) -> tuple[RunResults, list[str]]:
    """The findings, and the codes of why the contender's trial is unknown."""
    results = analyse(read_journal(directory))
    found = [trial for trial in results.trials if trial.contender == "orchestrated"]
    return results, [why.code for trial in found for why in trial.reasons_unknown]


def assert_unknown(directory: Path, code: str) -> None:
    results, codes = judged(directory)
    assert code in codes
    assert results.verdict == "unknown"
    assert of_verdict(results.verdict) == UNKNOWN == 3


def test_the_run_as_it_was_passes(copy: Path) -> None:
    results, codes = judged(copy)
    assert (results.verdict, codes) == ("met", [])
    assert [drill.same_plan for drill in results.drills] == [True]


@pytest.mark.parametrize(
    ("key", "value"),
    [("image", "another"), ("seed", 99), ("environment", {"SERVICE_TIME_MS": "1"}), ("timeline", [])],
)
def test_another_plan_for_one_contender_is_not_the_same_plan(copy: Path, key: str, value: object) -> None:
    def change(record: Line) -> Line:
        if record["type"] == "TrialStarted" and record["trial"] == OF:
            record["shared_plan"][key] = value
        return record

    edit(copy, change)
    results, _ = judged(copy)
    assert [drill.same_plan for drill in results.drills] == [False]
    assert results.verdict == "unknown"


@pytest.mark.parametrize(("stream", "key", "value"), [("load", "concurrency", 4), ("probe", "timeout", 9)])
def test_a_stream_that_ran_with_other_settings_than_the_plan_is_not_the_same_plan(
    copy: Path, stream: str, key: str, value: object
) -> None:
    def change(record: Line) -> Line:
        if record["type"] == "StreamOpened" and record["trial"] == OF and record["stream"] == stream:
            record["plan"][key] = value
        return record

    edit(copy, change)
    results, codes = judged(copy)
    assert codes == ["unknown.plan-mismatch"]
    assert [drill.same_plan for drill in results.drills] == [False]
    assert results.verdict == "unknown"


def test_a_request_sent_at_another_moment_is_not_the_same_plan(copy: Path) -> None:
    def change(number: int, fields: list[int]) -> None:
        fields[0] += 1 if number == 50 else 0

    spoil(copy, "probe", change)
    assert_unknown(copy, "unknown.plan-mismatch")
    assert [drill.same_plan for drill in judged(copy)[0].drills] == [False]


@pytest.mark.parametrize("stage", ["unproved", "failed", None])
def test_a_fault_without_proof_is_unknown(copy: Path, stage: str | None) -> None:
    def change(record: Line) -> Line | None:
        if record["type"] == "ActionChanged" and record["trial"] == OF and record["stage"] == "proved":
            if stage is None:
                return None
            record.update(stage=stage, proved_t=None)
        return record

    edit(copy, change)
    assert_unknown(copy, "unknown.fault-failed" if stage == "failed" else "unknown.fault-unproved")


def test_a_second_fault_without_proof_is_unknown_too(copy: Path) -> None:
    path = copy / "journal.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    mine = [r for r in lines if r["type"] == "ActionChanged" and r["trial"] == OF and r["by"] == "timeline"]
    second = [{**r, "action": "step-2", "t": r["t"] + 1_000_000} for r in mine if r["stage"] != "proved"]
    at = lines.index(mine[-1]) + 1
    path.write_text("".join(json.dumps(r) + "\n" for r in [*lines[:at], *second, *lines[at:]]))
    assert_unknown(copy, "unknown.fault-unproved")


def test_a_lagging_probe_is_unknown(copy: Path) -> None:
    def change(_: int, fields: list[int]) -> None:
        fields[1] = 30_000  # µs; the spacing is 20 ms

    spoil(copy, "probe", change)
    assert_unknown(copy, "unknown.generator-lag")


def test_a_probe_that_stood_still_once_is_unknown(copy: Path) -> None:
    def change(number: int, fields: list[int]) -> None:
        fields[1] = 600_000 if number == 40 else fields[1]

    spoil(copy, "probe", change)
    assert_unknown(copy, "unknown.probe-blind")


def test_a_probe_that_could_not_send_is_unknown(copy: Path) -> None:
    def change(number: int, fields: list[int]) -> None:
        fields[8] = int(Outcome.NOT_SENT) if number == 40 else fields[8]

    spoil(copy, "probe", change)
    assert_unknown(copy, "unknown.not-sent")


@pytest.mark.parametrize("stream", ["probe", "load"])
def test_samples_that_are_missing_are_noticed(copy: Path, stream: str) -> None:
    (path,) = (copy / "samples").rglob(f"*orchestrated*/{stream}-0.bin")
    path.write_bytes(path.read_bytes()[:-SAMPLE_SIZE])
    assert_unknown(copy, "unknown.samples-missing")


def test_a_probe_without_samples_is_unknown(copy: Path) -> None:
    (path,) = (copy / "samples").rglob("*orchestrated*/probe-0.bin")
    path.unlink()
    assert_unknown(copy, "unknown.no-probe")


def test_a_journal_cut_off_anywhere_before_the_last_trials_end_is_never_a_pass(copy: Path) -> None:
    path = copy / "journal.jsonl"
    data = path.read_bytes()
    last = data.rindex(b'"type":"TrialEnded"')
    first = data.index(b"\n") + 1
    for cut in range(first, last, max(1, (last - first) // 25)):
        path.write_bytes(data[:cut])
        results = analyse(read_journal(copy))
        assert results.verdict == "unknown", cut
        assert results.outcome == "cut-off"


def test_a_kill_that_the_process_survives_ends_with_exit_code_3(tool: Tool) -> None:
    books = tool.directory / "books"
    books.mkdir()
    text = drill(books, " --ignore SIGUSR1") + "timeline: [{at: 0s, kill: {tasks: 1, signal: SIGUSR1}}]\n"
    tool.write("survived.yaml", text)
    ended = tool.run("run", "survived.yaml", "--contender", "orchestrated", "--json")
    assert ended.code == UNKNOWN, ended.err
    (trial,) = ended.json()["trials"]
    assert trial["fault_proved"] is False
    codes = {why["code"] for why in trial["reasons_unknown"]}
    assert codes - {"unknown.generator-lag", "unknown.probe-blind"} == {"unknown.fault-unproved"}
    assert ended.json()["verdict"] == "unknown"


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    """The command line in an empty directory."""
    return Tool(tmp_path)
