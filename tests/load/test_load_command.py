"""`breakroom load`: what it sends, what it reports, and how it refuses."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from breakroom.journal.records import StreamClosed
from breakroom.journal.samples import NOT_REACHED, Outcome, SampleWriter, read_samples
from breakroom.load.command import LoadError, LoadOptions, LoadProgress, run_load
from breakroom.load.report import render_report
from breakroom.load.summary import LoadReport, LoadSetup, summarise


def test_it_sends_n_requests_and_reports_them(truth: Any) -> None:
    seen: list[LoadProgress] = []
    report = run_load(LoadOptions(url=truth.url, requests=200, concurrency=4), seen.append)
    assert len(truth.requests) == 200
    assert (report.completed, report.ok, report.failed, report.exit_code) == (200, 200, 0, 0)
    assert report.document_bytes == 5
    assert report.statuses == {"200": 200}
    assert list(report.percentiles_s) == ["50", "66", "75", "80", "90", "95", "98", "99", "99.9", "100"]
    assert sorted(report.percentiles_s.values()) == list(report.percentiles_s.values())
    assert sum(bar.count for bar in report.histogram) == 200
    assert report.received_bytes == 200 * len(
        b"HTTP/1.1 200 OK\r\nX-Task-Id: web.1\r\nX-Version: v1\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
    )
    assert seen[0].target == f"{truth.url} (127.0.0.1)"
    assert (seen[-1].completed, seen[-1].ok, seen[-1].planned_requests) == (200, 200, 200)


def test_failures_are_counted_by_outcome_and_give_exit_code_1(truth: Any) -> None:
    async def every_fourth(_r: Any, writer: Any, _q: bytes) -> bool:
        sick = len(truth.requests) % 4 == 0
        writer.write(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % (b"500 No" if sick else b"200 OK"))
        return False

    truth.handler = every_fourth
    report = run_load(LoadOptions(url=truth.url, requests=40))
    assert report.outcomes == {"ok": 30, "http-error": 10}
    assert report.exit_code == 1
    text = render_report(report)
    assert "http-error:            10" in text
    assert "(500: 10)" in text


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "new"])
def test_the_server_and_the_length_that_are_told_are_those_of_the_last_answer(truth: Any, keep: bool) -> None:
    async def a_proxy_once(_r: Any, writer: Any, _q: bytes) -> bool:
        name, body = (b"proxy", b"busy!") if len(truth.requests) == 5 else (b"app", b"ok")
        status = b"503 Busy" if name == b"proxy" else b"200 OK"
        writer.write(
            b"HTTP/1.1 %s\r\nServer: %s\r\nContent-Length: %d\r\n" % (status, name, len(body))
            + (b"\r\n" if keep else b"Connection: close\r\n\r\n")
            + body
        )
        return keep

    truth.handler = a_proxy_once
    options = LoadOptions(url=truth.url, requests=40, concurrency=1, keep_alive=keep)
    report = run_load(options)
    assert (report.ok, report.server, report.document_bytes) == (39, "app", 2)


def test_an_open_load_has_as_many_arrivals_as_rate_times_duration(truth: Any) -> None:
    report = run_load(LoadOptions(url=truth.url, rate="200/s", duration="500ms"))
    assert report.intended == report.completed == len(truth.requests) == 100
    assert report.time_per_request_s is None
    assert "Sent after the planned time" in render_report(report)


def test_stages_are_read_and_sent(truth: Any) -> None:
    report = run_load(LoadOptions(url=truth.url, stages="100/s:200ms, 200/s:200ms"))
    assert report.completed == 20 + 40
    assert "Rate:                     100/s:200ms, 200/s:200ms" in render_report(report)


def test_a_duration_ends_a_closed_load(truth: Any) -> None:
    report = run_load(LoadOptions(url=truth.url, duration="300ms", concurrency=2))
    assert report.completed == len(truth.requests) > 2
    assert not report.aborted


def test_keep_alive_method_header_and_body_are_sent(truth: Any, tmp_path: Path) -> None:
    body = bytes(range(256))
    (tmp_path / "body").write_bytes(body)
    options = LoadOptions(
        url=truth.url, requests=10, keep_alive=True, headers=("X-One: 1",), body_file=tmp_path / "body"
    )
    report = run_load(options)
    assert report.reused == 9
    # One connection more than used: the check that somebody listens.
    assert truth.connections == 2
    assert all(
        r.startswith(b"POST / ") and b"\r\nX-One: 1\r\n" in r and r.endswith(body) for r in truth.requests
    )


def test_samples_are_kept_with_out_and_removed_without(truth: Any, tmp_path: Path, monkeypatch: Any) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    run_load(LoadOptions(url=truth.url, requests=5, out=tmp_path / "kept"))
    run_load(LoadOptions(url=truth.url, requests=5))
    assert len(read_samples(tmp_path / "kept" / "samples" / "load" / "load-0.bin")) == 5
    assert not list(temporary.iterdir())
    with pytest.raises(LoadError, match="already holds samples"):
        run_load(LoadOptions(url=truth.url, requests=5, out=tmp_path / "kept"))


def test_the_json_form_is_json_and_says_what_the_report_says(truth: Any) -> None:
    report = run_load(LoadOptions(url=truth.url, requests=20))
    read = json.loads(json.dumps(report.to_json()))
    assert (read["ok"], read["failed"], read["exit_code"]) == (20, 0, 0)
    assert read["percentiles_s"]["99.9"] == report.percentiles_s["99.9"]
    assert read["setup"]["url"] == truth.url


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_with_the_report_so_far(truth: Any, number: signal.Signals) -> None:
    code = (
        "import sys; from breakroom.load.command import *; from breakroom.load.report import *\n"
        "def tell(p):\n    print(p.completed, flush=True)\n"
        f"r = run_load(LoadOptions(url={truth.url!r}, duration='60s', concurrency=2), tell)\n"
        "print(render_report(r)); sys.exit(r.exit_code)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while int(process.stdout.readline()) == 0:
            pass
        process.send_signal(number)
        rest = process.stdout.read()
        assert process.wait(20) == 3
    assert "(aborted)" in rest
    assert f"Complete requests:        {len(truth.requests)}  (aborted)" in rest


def test_a_worker_that_dies_gives_exit_code_3(truth: Any) -> None:
    def kill(progress: LoadProgress) -> None:
        if progress.completed:
            children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
            for child in children:
                if b"breakroom.load" in Path(f"/proc/{child}/cmdline").read_bytes():
                    os.kill(int(child), signal.SIGKILL)

    if not Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists():
        pytest.skip("finds its children through /proc")
    report = run_load(LoadOptions(url=truth.url, duration="60s", workers=1), kill)
    assert report.bottleneck == "worker-died"
    assert report.exit_code == 3
    assert report.completed > 0
    assert "worker died" in render_report(report)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "ftp://x/"}, "not an http URL"),
        ({"url": "https://x/"}, "https"),
        ({"url": "http://no-such-host.invalid/"}, "no address is known"),
        ({"requests": 0}, "-n must be"),
        ({"requests": 5, "concurrency": 6}, "-c cannot be greater than -n"),
        ({"rate": "10/s"}, "needs an end"),
        ({"rate": "fast", "duration": "1s"}, "not a rate"),
        ({"rate": "1/s", "stages": "1/s:1s"}, "exclude each other"),
        ({"stages": "100/s"}, "RATE:DURATION"),
        ({"stages": "1/s:1s", "concurrency": 3}, "closed model"),
        ({"arrivals": "poisson"}, "open model"),
        ({"duration": "5"}, "not a duration"),
        ({"timeout": "0"}, "above zero"),
        ({"headers": ("nocolon",)}, "not a header"),
        ({"headers": ("A: b\r\nC: d",)}, "not a header"),
        ({"method": "G ET"}, "not an HTTP method"),
        ({"body_file": Path("no-such-file")}, "cannot be read"),
    ],
)
def test_wrong_use_is_explained_with_exit_code_2(truth: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(LoadError, match=words) as caught:
        run_load(LoadOptions(**{"url": truth.url, **options}))
    assert caught.value.exit_code == 2
    assert not truth.requests


def test_nothing_listening_is_said_before_any_request() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(LoadError, match=r"nothing accepts connections at .*refused") as caught:
            run_load(LoadOptions(url=f"127.0.0.1:{bound.getsockname()[1]}", requests=10))
    assert caught.value.exit_code == 3


# --- the arithmetic of the report, on samples whose numbers are known -------------------------------------------------


def _report(path: Path, latencies_us: list[int], *, failed_us: tuple[int, ...] = ()) -> LoadReport:
    writer = SampleWriter(path)
    for index, latency in enumerate(latencies_us):
        writer.add(index * 1_000_000, 10, 110, latency, latency, 200, 0, 0, Outcome.OK)
    for latency in failed_us:
        writer.add(0, 0, NOT_REACHED, NOT_REACHED, latency, 0, 0, 0, Outcome.REFUSED)
    writer.close()
    setup = LoadSetup(
        url="http://h/",
        address="127.0.0.1",
        model="closed",
        concurrency=10,
        rate=0.0,
        stages="",
        keep_alive=False,
        workers=1,
        seed=1,
        timeout_s=1.0,
    )
    count = len(latencies_us) + len(failed_us)
    closed = StreamClosed(t=0, stream="load", intended=count, sent=count, completed=count)
    return summarise(setup, [path], closed, [], tool=[], aborted=False)


def test_percentiles_are_values_that_occurred_by_nearest_rank(tmp_path: Path) -> None:
    report = _report(tmp_path / "s", list(range(1001, 2001)))
    wanted = {"50": 1.5, "66": 1.66, "99": 1.99, "99.9": 1.999, "100": 2.0}
    assert {key: report.percentiles_s[key] * 1e3 for key in wanted} == pytest.approx(wanted)


def test_phases_rates_and_time_taken_are_computed_from_the_samples(tmp_path: Path) -> None:
    report = _report(tmp_path / "s", [1110] * 100)
    assert report.taken_s == pytest.approx(99e-3 + 1.11e-3)
    assert report.completed_per_s == pytest.approx(100 / report.taken_s)
    assert report.time_per_request_s == pytest.approx(report.taken_s / 10)
    assert report.connect is not None
    assert report.wait is not None
    assert (report.connect.median_s, report.wait.median_s) == pytest.approx((100e-6, 1000e-6))


def test_failed_requests_stay_out_of_the_latency_but_not_out_of_the_count(tmp_path: Path) -> None:
    report = _report(tmp_path / "s", [1000] * 10, failed_us=(5, 7, 9))
    assert report.percentiles_s["100"] == pytest.approx(1e-3)
    assert (report.failed_median_s, report.failed_max_s) == pytest.approx((7e-6, 9e-6))
    assert report.outcomes == {"ok": 10, "refused": 3}
    assert report.exit_code == 1


@pytest.mark.parametrize(
    "latencies", [[5] * 3, [10, 20, 30], list(np.logspace(0, 6, 500).astype(int)), [0, 1]]
)
def test_the_histogram_holds_every_ok_request_once(tmp_path: Path, latencies: list[int]) -> None:
    report = _report(tmp_path / "s", [int(value) for value in latencies])
    assert sum(bar.count for bar in report.histogram) == len(latencies)
    assert "Latency of ok requests" in render_report(report)


def test_a_load_without_a_single_sample_is_unknown(tmp_path: Path) -> None:
    report = _report(tmp_path / "s", [])
    assert report.exit_code == 3
    assert "Complete requests:        0" in render_report(report)
