"""The journal on disk: nothing that was appended is lost, nothing torn is believed."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakroom.journal.records import (
    ActionChanged,
    PhaseStarted,
    Problem,
    Record,
    TaskChanged,
    decode,
    encode,
)
from breakroom.journal.store import JOURNAL_NAME, JournalError, JournalWriter, read_journal

texts = st.text(max_size=40)
times = st.integers(min_value=0, max_value=2**62)
records: st.SearchStrategy[Record] = st.one_of(
    st.builds(PhaseStarted, t=times, trial=texts, phase=st.sampled_from(["deploying", "steadying", "done"])),
    st.builds(
        TaskChanged,
        t=times,
        trial=texts,
        task=texts,
        service=texts,
        slot=st.integers(0, 500),
        node=texts,
        state=texts,
        desired=texts,
        exit_code=st.none() | st.integers(0, 255),
        oom_killed=st.booleans(),
    ),
    st.builds(
        ActionChanged,
        t=times,
        action=texts,
        kind=texts,
        by=st.sampled_from(["timeline", "operator-model", "person"]),
        stage=st.sampled_from(["intended", "done", "proved"]),
        tasks=st.lists(texts, max_size=3).map(tuple),
        detail=st.dictionaries(texts, st.integers() | texts | st.none(), max_size=3),
    ),
)


@given(st.lists(records, max_size=20))
def test_every_record_comes_back_as_it_was_written(written: list[Record]) -> None:
    assert [decode(encode(record).rstrip(b"\n")) for record in written] == written


def test_a_line_that_was_torn_is_skipped_and_counted(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path)
    for number in range(3):
        writer.append(PhaseStarted(t=number, phase="steadying"))
    writer.close()
    path = tmp_path / JOURNAL_NAME
    path.write_bytes(path.read_bytes()[:-7])
    journal = read_journal(tmp_path)
    assert [record.t for record in journal.records] == [0, 1]
    assert journal.torn_lines == 1


def test_listeners_hear_of_records_until_they_are_removed(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path)
    heard: list[Record] = []
    unlisten = writer.listen(heard.append)
    writer.append(PhaseStarted(t=1, phase="done"))
    unlisten()
    writer.append(PhaseStarted(t=2, phase="done"))
    writer.close()
    assert [record.t for record in heard] == [1]


def test_records_of_a_process_that_was_killed_are_all_there(tmp_path: Path) -> None:
    code = (
        "import sys, os, pathlib\n"
        "from breakroom.journal.records import PhaseStarted\n"
        "from breakroom.journal.store import JournalWriter\n"
        "writer = JournalWriter(pathlib.Path(sys.argv[1]))\n"
        "for number in range(500):\n"
        "    writer.append(PhaseStarted(t=number, phase='done'))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    process = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert process.returncode == -signal.SIGKILL
    assert [record.t for record in read_journal(tmp_path).records] == list(range(500))


def _limit_file_size() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))


def test_a_full_disk_is_reported_once_and_later_records_still_reach_listeners(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from breakroom.journal.records import PhaseStarted\n"
        "from breakroom.journal.store import JournalWriter\n"
        "writer = JournalWriter(pathlib.Path(sys.argv[1]))\n"
        "failures, heard = [], []\n"
        "writer.on_failure = failures.append\n"
        "writer.listen(heard.append)\n"
        "for number in range(50):\n"
        "    writer.append(PhaseStarted(t=number, phase='done'))\n"
        "writer.close()\n"
        "print(len(failures), len(heard), failures[0])\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        preexec_fn=_limit_file_size,
    )
    failures, heard, message = process.stdout.split(maxsplit=2)
    assert (failures, heard) == ("1", "50")
    assert "cannot write the journal" in message
    kept = read_journal(tmp_path).records
    assert [record.t for record in kept] == list(range(len(kept)))
    assert 0 < len(kept) < 50


def test_lines_that_the_disk_refused_are_written_when_it_takes_them_again(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path)
    real = writer._fd
    writer._fd = os.open("/dev/full", os.O_WRONLY) if Path("/dev/full").exists() else -1
    writer.append(Problem(t=1, severity="note", code="x"))
    os.close(writer._fd) if writer._fd >= 0 else None
    writer._fd = real
    writer.append(Problem(t=2, severity="note", code="y"))
    writer.close()
    assert [record.t for record in read_journal(tmp_path).records] == [1, 2]
    assert writer.failure is not None


def test_a_directory_without_a_journal_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no journal to read at"):
        read_journal(tmp_path)


def test_an_empty_journal_is_an_error(tmp_path: Path) -> None:
    (tmp_path / JOURNAL_NAME).write_bytes(b"")
    with pytest.raises(JournalError, match="no record"):
        read_journal(tmp_path)
