"""Samples on disk: whole records only, names beside them, and a tail that sees each exactly once."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from breakroom.journal.samples import (
    NOT_REACHED,
    SAMPLE_SIZE,
    Outcome,
    SampleTail,
    SampleWriter,
    pack_end,
    pack_times,
    read_names,
    read_samples,
    sample_dtype,
)


def _write(path: Path, count: int) -> None:
    writer = SampleWriter(path)
    task = writer.name("web.1.abc")
    for number in range(count):
        writer.add(number * 1000, 1, 20, NOT_REACHED, 300, 200, task, writer.name("v1"), Outcome.OK, 1)
    writer.close()


def test_the_layout_of_writer_and_reader_is_the_same() -> None:
    assert sample_dtype().itemsize == SAMPLE_SIZE == 32


def test_samples_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "probe-0.bin"
    _write(path, 3)
    samples = read_samples(path)
    assert samples["intended"].tolist() == [0, 1000, 2000]
    assert samples[0].tolist() == (0, 1, 20, NOT_REACHED, 300, 200, 1, 2, 0, 1)
    assert read_names(path) == ["", "web.1.abc", "v1"]


def test_a_packed_sample_is_the_same_as_a_plain_one(tmp_path: Path) -> None:
    path = tmp_path / "load-0.bin"
    writer = SampleWriter(path)
    writer.add(1 << 60, 1, 20, 30, 300, 200, 7, 65535, Outcome.OK, 1)
    writer.buffer += pack_times(1 << 60, 1, 20, 30, 300, pack_end(200, 7, 65535, Outcome.OK, 1))
    writer.close()
    plain, packed = read_samples(path)
    assert plain == packed


@given(cut=st.integers(min_value=0, max_value=5 * SAMPLE_SIZE))
def test_a_file_cut_anywhere_gives_its_whole_samples(cut: int) -> None:

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "probe-0.bin"
        _write(path, 5)
        path.write_bytes(path.read_bytes()[:cut])
        assert len(read_samples(path)) == cut // SAMPLE_SIZE


def test_a_tail_returns_each_sample_once_however_the_file_grows(tmp_path: Path) -> None:
    path = tmp_path / "load-0.bin"
    _write(path, 10)
    data = path.read_bytes()
    growing = tmp_path / "growing.bin"
    tail = SampleTail(growing)
    assert len(tail.read()) == 0
    seen: list[int] = []
    for start in range(0, len(data), 50):
        with growing.open("ab") as file:
            file.write(data[start : start + 50])
        seen += tail.read()["intended"].tolist()
    assert seen == [number * 1000 for number in range(10)]


def test_a_missing_file_gives_no_samples_and_the_empty_name(tmp_path: Path) -> None:
    assert len(read_samples(tmp_path / "none.bin")) == 0
    assert read_names(tmp_path / "none.bin") == [""]


def test_a_name_that_holds_a_line_break_stays_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    writer = SampleWriter(path)
    assert writer.name("a\nb") == 1
    assert writer.name("c") == 2
    writer.close()
    assert read_names(path) == ["", "a b", "c"]
