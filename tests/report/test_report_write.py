"""Writing: from a journal on disk to report files, each whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from breakroom.analysis.results import RunResults
from breakroom.analysis.series import TrialSeries
from breakroom.journal.records import (
    ActionChanged,
    RunStarted,
    StreamClosed,
    StreamOpened,
    TaskChanged,
    TrialEnded,
    TrialStarted,
)
from breakroom.journal.samples import NOT_REACHED, Outcome, SampleWriter
from breakroom.journal.store import Journal, JournalWriter, read_journal
from breakroom.report import update_latest, write_report, write_results

Made = tuple[RunResults, dict[str, TrialSeries]]
MS = 1_000_000
ZERO = 5_000 * MS


def _journal(directory: Path, trials: tuple[str, ...]) -> Journal:
    """A short true run on disk: a probe of 100/s, a kill after one second, half a second of refusals."""
    writer = JournalWriter(directory)
    writer.append(
        RunStarted(
            t=0,
            run_id="r",
            version="0",
            unix_ns=0,
            argv=(),
            platform="local",
            pace="quick",
            seed=1,
            repeat=1,
            trials=trials,
        )
    )
    for trial in trials:
        _trial(writer, directory, trial)
    writer.close()
    return read_journal(directory)


def _trial(writer: JournalWriter, directory: Path, trial: str) -> None:
    drill, contender, repeat = trial.split("/")
    name = f"{contender}.bin"
    writer.append(
        TrialStarted(
            t=ZERO - 2_000 * MS,
            trial=trial,
            drill=drill,
            contender=contender,
            repeat=int(repeat),
            runs_as="container",
            seed=1,
            shared_plan={},
            plan_digest="d",
            plan={},
        )
    )
    state = {"trial": trial, "service": "web", "slot": 1, "node": "local", "desired": "running"}
    writer.append(TaskChanged(t=ZERO - 1_500 * MS, task="web.1", state="running", **state))  # type: ignore[arg-type]  # a dict of mixed fields
    samples = SampleWriter(directory / name)
    start = ZERO - 1_000 * MS
    writer.append(
        StreamOpened(
            t=start,
            trial=trial,
            stream="probe",
            model="open",
            t0=start,
            files=(name,),
            plan={},
            url="http://127.0.0.1",
        )
    )
    for number in range(200):
        at = start + number * 10 * MS
        down = ZERO <= at < ZERO + 500 * MS
        outcome = Outcome.REFUSED if down else Outcome.OK
        first = NOT_REACHED if down else 2_000
        samples.add(at, 20, 100, first, 2_100, 0 if down else 200, 0, 0, int(outcome))
    samples.close()
    for stage in ("intended", "done", "proved"):
        writer.append(
            ActionChanged(
                t=ZERO,
                trial=trial,
                action="kill-1",
                kind="kill",
                by="timeline",
                stage=stage,
                tasks=("web.1",),
                proved_t=ZERO,
            )
        )
    writer.append(
        StreamClosed(t=ZERO + 1_000 * MS, trial=trial, stream="probe", intended=200, sent=200, completed=200)
    )
    writer.append(TrialEnded(t=ZERO + 1_000 * MS, trial=trial, outcome="completed"))


def _names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_a_report_is_written_from_a_journal_on_disk(made: Callable[..., Made], tmp_path: Path) -> None:
    results, _ = made()
    journal = _journal(tmp_path, tuple(trial.id for trial in results.trials))
    paths = write_report(tmp_path, results, journal, "ko")
    html = paths.html.read_text(encoding="utf-8")
    assert paths.html == tmp_path / "report.html"
    assert '<html lang="ko">' in html
    assert '"timeline:0"' in html
    assert "## 오케스트레이션 효과 분석" in paths.markdown.read_text(encoding="utf-8")


def test_a_journal_without_the_trials_still_gives_the_tables(
    made: Callable[..., Made], tmp_path: Path
) -> None:
    results, _ = made()
    paths = write_report(tmp_path, results, _journal(tmp_path, ()), "en")
    html = paths.html.read_text(encoding="utf-8")
    assert "timeline:0" not in html
    assert 'class="comparison"' in html


def test_results_can_be_read_back(made: Callable[..., Made], tmp_path: Path) -> None:
    results, _ = made(repeat=3)
    data = write_results(tmp_path, results).read_bytes()
    assert data.endswith(b"}\n")
    assert msgspec.json.decode(data, type=RunResults) == results


def test_writing_again_replaces_the_files_and_leaves_no_others(
    made: Callable[..., Made], tmp_path: Path
) -> None:
    results, _ = made()
    journal = _journal(tmp_path, ())
    before = _names(tmp_path)
    for lang in ("en", "ko"):
        write_report(tmp_path, results, journal, lang)
        write_results(tmp_path, results)
    written = {"report.html", "report.md", "results.json", "junit.xml", "failure-log.txt"}
    assert _names(tmp_path) - before == written
    assert (tmp_path / "report.md").read_text(encoding="utf-8").startswith("# breakroom: 복제본")


def test_a_failed_write_keeps_the_old_file_and_leaves_no_part(
    made: Callable[..., Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, _ = made()
    (tmp_path / "results.json").write_bytes(b"old")

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_results(tmp_path, results)
    assert _names(tmp_path) == {"results.json"}
    assert (tmp_path / "results.json").read_bytes() == b"old"


def test_latest_points_to_the_newest_run(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        assert update_latest(tmp_path / name) == tmp_path / "latest"
    assert (tmp_path / "latest").readlink() == Path("two")
    assert _names(tmp_path) == {"latest", "one", "two"}


def test_something_else_called_latest_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "latest").mkdir()
    with pytest.raises(FileExistsError, match="not a link"):
        update_latest(tmp_path / "run")
    assert (tmp_path / "latest").is_dir()
