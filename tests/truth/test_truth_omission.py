"""Coordinated omission: what users of a service that stands still now and then wait, and what a closed model shows.

The server writes down itself when it stood still and when it answered. From that, and the moments at which requests
were planned, plain arithmetic says what each client of an open model must have seen; `breakroom load` must agree.
"""

from __future__ import annotations

import math
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from end_to_end.tool import UNKNOWN, Ended, Tool

SERVER = Path(__file__).parent / "stalling_server.py"
EVERY_S, FOR_S, RATE, SECONDS = 2.0, 0.4, 200, 5
CLIENTS = 2
SPREAD_S = 0.1
"""Between an answer's sending and its receipt on a busy machine, where the generator says that it was not starved."""


@dataclass(frozen=True)
class Book:
    """What the server wrote down, in ns."""

    stalls: list[tuple[int, int]]
    answers: list[int]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The URL of a fresh server, and its log."""
    log = tmp_path / "log"
    options = ["--every", str(EVERY_S), "--for", str(FOR_S), "--log", str(log), "--answers"]
    with subprocess.Popen(
        [sys.executable, str(SERVER), *options], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/", log
        process.kill()


def read_book(log: Path) -> Book:
    rows = [line.split() for line in log.read_text().splitlines()]
    stalls = [(int(row[1]), int(row[2])) for row in rows if row[0] == "stall"]
    return Book(stalls, [int(row[1]) for row in rows if row[0] == "answer"])


def load(tool: Tool, url: str, *options: str) -> tuple[Ended, Any, list[tuple[int, int]]]:
    """Run `breakroom load`; the report, and (intended, total) of each request in ns.

    Again where the machine kept the generator from its work, which it says: at most three times.
    """
    for number in range(3):
        out = tool.directory / f"out-{number}"
        ended = tool.run("load", url, *options, "--workers", "1", "--out", str(out), "--json")
        if ended.code != UNKNOWN:
            break
    (path,) = out.glob("samples/load/*.bin")
    rows = list(struct.iter_unpack("<qIIIIHHHBB", path.read_bytes()))
    return ended, ended.json(), [(row[0], row[4] * 1000) for row in rows]


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[math.ceil(round(share * len(values), 9)) - 1]


def test_an_open_model_shows_a_stall_as_its_users_see_it(tmp_path: Path, server: tuple[str, Path]) -> None:
    url, log = server
    tool = Tool(tmp_path)
    ended, report, requests = load(tool, url, "--rate", f"{RATE}/s", "--duration", f"{SECONDS}s")
    assert ended.code == 0, ended
    assert report["omits_waiting"] is False
    assert len(requests) == RATE * SECONDS
    book = read_book(log)
    begun = min(intended for intended, _ in requests)
    stalls = [stall for stall in book.stalls if stall[1] > begun]
    assert len(stalls) >= 2

    # Nobody who came while it stood still was answered before it went on: to the microsecond of the samples.
    remaining = [
        next((end - intended for begin, end in stalls if begin <= intended < end), 0)
        for intended, _ in requests
    ]
    for (_, total), least in zip(requests, remaining, strict=True):
        assert total >= least - 2_000
    waited = sum(least > 0 for least in remaining)
    assert waited / len(requests) == pytest.approx(FOR_S / EVERY_S, rel=0.5)

    # It answers in the order in which it was asked, so the n-th answer was the n-th request's.
    planned = sorted(intended for intended, _ in requests)
    answers = [t for t in book.answers if t > begun][: len(planned)]
    seen = [(answer - intended) / 1e9 for intended, answer in zip(planned, answers, strict=True)]
    for share, name in ((0.5, "50"), (0.9, "90"), (0.99, "99"), (1.0, "100")):
        floor = percentile([value / 1e9 for value in remaining], share)
        found = report["percentiles_s"][name]
        assert found >= floor - 1e-5, name
        assert found == pytest.approx(percentile(seen, share), abs=SPREAD_S), name
    assert report["percentiles_s"]["99"] > 0.8 * FOR_S


def test_a_closed_model_hides_it_and_says_so(tmp_path: Path, server: tuple[str, Path]) -> None:
    url, log = server
    tool = Tool(tmp_path)
    ended, report, requests = load(tool, url, "-c", str(CLIENTS), "--duration", "3s")
    assert ended.code == 0, ended
    assert report["omits_waiting"] is True
    begun = min(intended for intended, _ in requests)
    stalls = [stall for stall in read_book(log).stalls if stall[1] > begun]

    # Each of its clients meets a stall at most once, however many users would have come meanwhile.
    slow = [total for _, total in requests if total > FOR_S * 1e9 / 2]
    assert 1 <= len(slow) <= CLIENTS * len(stalls)
    assert report["percentiles_s"]["50"] < FOR_S / 4
    assert report["percentiles_s"]["100"] >= max(slow) / 1e9 - 1e-5

    text = tool.run("load", url, "-n", "2", "--lang", "ko").out
    assert "폐쇄 모델" in text
    assert "(closed model)" in text
