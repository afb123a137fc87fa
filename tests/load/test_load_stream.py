"""Streams against a server that knows the truth: exact counts, framings, and every outcome."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable
from itertools import islice
from pathlib import Path
from time import monotonic_ns
from typing import Any

import numpy as np
import psutil
import pytest

from breakroom.journal.records import StreamClosed, StreamOpened, ToolCost
from breakroom.journal.samples import NOT_REACHED, Outcome, read_names
from breakroom.spec.arrivals import planned_offsets
from breakroom.spec.drill import LoadSpec, ProbeSpec, Stage
from load.load_kit import eventually, hang, raw, reset_after

SECOND = 1_000_000_000
MS = 1_000_000


# --- counts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 3])
def test_a_closed_load_sends_exactly_its_requests(
    truth: Any, streams: Any, outcomes: Any, workers: int
) -> None:
    samples = streams.run(LoadSpec(requests=500, concurrency=7, workers=workers), truth.url)
    assert outcomes(samples) == {"OK": 500}
    assert len(truth.requests) == truth.connections == 500
    closed = streams.last(StreamClosed)
    assert (closed.intended, closed.sent, closed.completed) == (500, 500, 500)
    costs = [record for record in streams.records if isinstance(record, ToolCost)]
    assert len(costs) == workers
    assert all(cost.max_rss_bytes > 1 << 20 and cost.wall_ns > 0 for cost in costs)


def test_kept_alive_connections_are_used_again(truth: Any, streams: Any, outcomes: Any) -> None:
    samples = streams.run(LoadSpec(requests=300, concurrency=5, keep_alive=True), truth.url)
    assert outcomes(samples) == {"OK": 300}
    assert len(truth.requests) == 300
    assert truth.connections == np.count_nonzero(samples["flags"] == 0) <= 5


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "new"])
def test_answers_that_change_are_told_apart(truth: Any, streams: Any, outcomes: Any, keep: bool) -> None:
    bodies = (b"ok", b"ok", b"OK", b"longer", b"", b"ok")
    sent: list[tuple[int, bytes]] = []

    async def varied(_r: asyncio.StreamReader, writer: asyncio.StreamWriter, _q: bytes) -> bool:
        number = len(sent)
        status = b"503 Busy" if number % 7 == 3 else b"200 OK"
        task = b"web.%d" % (number // 5 % 3)
        sent.append((int(status[:3]), task))
        body = bodies[number % len(bodies)]
        ending = b"Connection: close\r\n" if number % 13 == 12 or not keep else b""
        writer.write(
            b"HTTP/1.1 %s\r\nX-Task-Id: %s\r\nContent-Length: %d\r\n%s\r\n%s"
            % (status, task, len(body), ending, body)
        )
        return not ending

    truth.handler = varied
    spec = LoadSpec(requests=400, concurrency=1, keep_alive=keep, pause_after_failure=0)
    samples = streams.run(spec, truth.url)
    names = [name.encode() for name in read_names(streams.directory / streams.last(StreamOpened).files[0])]
    got = [(int(sample["status"]), names[sample["task"]]) for sample in samples]
    assert got == sent
    failed = sum(status == 503 for status, _ in sent)
    assert outcomes(samples) == {"OK": 400 - failed, "HTTP_ERROR": failed}
    assert truth.connections == np.count_nonzero(samples["flags"] == 0) == (400 // 13 + 1 if keep else 400)
    ends = samples["intended"] + samples["total"].astype(np.int64) * 1000
    assert (samples["intended"][1:] >= ends[:-1]).all()


def test_kept_alive_requests_still_time_out(truth: Any, streams: Any, outcomes: Any) -> None:
    async def stalls(_r: asyncio.StreamReader, writer: asyncio.StreamWriter, _q: bytes) -> bool:
        if len(truth.requests) % 10 == 0:
            await asyncio.Event().wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return True

    truth.handler = stalls
    spec = LoadSpec(requests=50, concurrency=1, keep_alive=True, timeout=100 * MS, pause_after_failure=0)
    assert outcomes(streams.run(spec, truth.url)) == {"OK": 45, "TIMEOUT": 5}


def test_a_closed_load_never_has_more_outstanding_than_its_concurrency(truth: Any, streams: Any) -> None:
    now, most = 0, 0

    async def slow(_r: asyncio.StreamReader, writer: asyncio.StreamWriter, _q: bytes) -> bool:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.002)
        now -= 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return False

    truth.handler = slow
    streams.run(LoadSpec(requests=120, concurrency=6), truth.url)
    assert most == 6


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
def test_an_open_load_sends_each_planned_arrival_once(
    truth: Any, streams: Any, outcomes: Any, workers: int, arrivals: Any
) -> None:
    stages = (Stage(rate=200.0, duration=300 * MS), Stage(rate=600.0, duration=300 * MS))
    spec = LoadSpec(model="open", stages=stages, arrivals=arrivals, workers=workers)
    samples = streams.run(spec, truth.url)
    opened = streams.last(StreamOpened)
    assert sorted(samples["intended"] - opened.t0) == list(planned_offsets(spec, 1))
    assert outcomes(samples) == {"OK": len(samples)}
    assert len(truth.requests) == len(samples)


def test_stopping_in_mid_run_leaves_one_sample_for_each_arrival_that_was_due(
    truth: Any, streams: Any
) -> None:
    async def slow(_r: asyncio.StreamReader, writer: asyncio.StreamWriter, _q: bytes) -> bool:
        await asyncio.sleep(0.2)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return False

    truth.handler = slow
    spec = ProbeSpec(rate=300.0)

    async def run() -> None:
        stream = await streams.open(spec, truth.url, name="probe")
        await eventually(lambda: len(truth.requests) >= 30)
        closed = await stream.stop()
        again = await stream.stop()
        samples = streams.samples(stream)
        offsets = sorted(samples["intended"] - stream.t0)
        assert offsets == list(islice(planned_offsets(spec, 1), len(offsets)))
        assert closed is again
        assert closed.intended == closed.completed == len(samples) == len(truth.requests)
        assert (samples["outcome"] == Outcome.OK).all()

    asyncio.run(run())


def test_the_names_of_task_and_version_are_in_the_samples(truth: Any, streams: Any) -> None:
    samples = streams.run(LoadSpec(requests=3, concurrency=1), truth.url)
    names = read_names(streams.directory / streams.last(StreamOpened).files[0])
    assert [names[number] for number in samples["task"]] == ["web.1"] * 3
    assert [names[number] for number in samples["version"]] == ["v1"] * 3


def test_the_stream_tells_its_plan_and_files(truth: Any, streams: Any) -> None:
    streams.run(LoadSpec(requests=2, concurrency=2, workers=2, path="/x?y=1"), truth.url)
    opened = streams.last(StreamOpened)
    assert opened.files == (
        "samples/drill_contender_1/load-0.bin",
        "samples/drill_contender_1/load-1.bin",
    )
    assert opened.url == f"{truth.url}x?y=1"
    assert opened.plan["requests"] == 2
    assert opened.plan["seed"] == 1
    assert truth.requests[0].startswith(b"GET /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:")


def test_method_headers_and_body_reach_the_server(truth: Any, streams: Any) -> None:
    spec = LoadSpec(requests=1, concurrency=1, method="POST", headers={"X-A": "b", "host": "h"}, body="däta")
    streams.run(spec, truth.url)
    (request,) = truth.requests
    assert request.startswith(b"POST / HTTP/1.1\r\nhost: h\r\n")
    assert b"\r\nX-A: b\r\n" in request
    assert b"\r\nContent-Length: 5\r\n" in request
    assert request.endswith("\r\n\r\ndäta".encode())


def test_a_body_larger_than_the_socket_buffers_is_sent_whole(truth: Any, streams: Any, outcomes: Any) -> None:
    spec = LoadSpec(requests=3, concurrency=3, method="PUT", body="x" * 8_000_000)
    assert outcomes(streams.run(spec, truth.url)) == {"OK": 3}
    assert [len(request) > 8_000_000 for request in truth.requests] == [True] * 3


# --- framings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"z" * 100_000,
    ],
)
def test_every_framing_is_a_whole_response(truth: Any, streams: Any, outcomes: Any, response: bytes) -> None:
    truth.handler = raw(response)
    assert outcomes(streams.run(LoadSpec(requests=4, concurrency=2), truth.url)) == {"OK": 4}


def test_an_answer_to_head_is_whole_without_its_body(truth: Any, streams: Any, outcomes: Any) -> None:
    truth.handler = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", close=False)
    spec = LoadSpec(requests=4, concurrency=1, method="HEAD", keep_alive=True)
    assert outcomes(streams.run(spec, truth.url)) == {"OK": 4}
    assert truth.connections == 1


def test_a_chunked_answer_in_pieces_keeps_the_connection(truth: Any, streams: Any, outcomes: Any) -> None:
    async def pieces(_r: asyncio.StreamReader, writer: asyncio.StreamWriter, _q: bytes) -> bool:
        for piece in (
            b"HTTP/1.1 200 OK\r\nTransfer-Enco",
            b"ding: chunked\r\n\r\n3\r",
            b"\nabc\r\n0\r\n\r",
            b"\n",
        ):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        return True

    truth.handler = pieces
    assert outcomes(streams.run(LoadSpec(requests=20, concurrency=2, keep_alive=True), truth.url)) == {
        "OK": 20
    }
    assert truth.connections == 2


# --- outcomes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("handler", "expected", "status"),
    [
        (raw(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"), "HTTP_ERROR", 503),
        (raw(b"HTTP/1.1 204 None\r\n\r\n"), "HTTP_ERROR", 204),
        (raw(b"220 smtp.example ESMTP\r\n"), "BAD_BODY", 0),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnope"), "BAD_BODY", 200),
        (raw(b""), "RESET", 0),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal"), "RESET", 200),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"), "RESET", 200),
        (reset_after(b""), "RESET", 0),
        (reset_after(b"HTTP/1.1 200 OK\r\nContent-Le"), "RESET", 0),
        (hang, "TIMEOUT", 0),
    ],
)
def test_each_way_to_fail_has_its_outcome(
    truth: Any,
    streams: Any,
    outcomes: Any,
    handler: Callable[..., Awaitable[bool]],
    expected: str,
    status: int,
) -> None:
    truth.handler = handler
    spec = ProbeSpec(rate=100.0, timeout=300 * MS, expect_body="hello")

    async def run() -> None:
        stream = await streams.open(spec, truth.url, name="probe")
        await eventually(lambda: len(truth.requests) >= 3)
        await stream.stop()
        samples = streams.samples(stream)
        assert outcomes(samples) == {expected: len(samples)}
        assert set(samples["status"]) == {status}
        assert (samples["connect"] != NOT_REACHED).all()
        if expected == "TIMEOUT":
            assert (samples["total"] >= 300_000).all()
            assert (samples["first_byte"] == NOT_REACHED).all()

    asyncio.run(run())


def test_nobody_listening_is_refused(streams: Any, outcomes: Any) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        spec = LoadSpec(requests=20, concurrency=2, pause_after_failure=MS)
        samples = streams.run(spec, f"http://127.0.0.1:{bound.getsockname()[1]}/")
    assert outcomes(samples) == {"REFUSED": 20}
    assert (samples["connect"] == NOT_REACHED).all()
    assert streams.last(StreamClosed).bottleneck != "not-sent"


@pytest.mark.skipif(
    sys.platform != "linux", reason="the order in which Linux tries local ports is relied upon"
)
def test_a_socket_joined_to_itself_counts_as_refused(streams: Any, outcomes: Any) -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    with socket.socket() as bound:
        # connect() tries ports of the range's own parity one after another: it must come by this one.
        port = next(p for p in range(first + 1000, last, 2) if bound.connect_ex(("127.0.0.1", p)) != 0)
    spec = LoadSpec(requests=(last - first) // 2 + 2000, concurrency=4, pause_after_failure=0)
    samples = streams.run(spec, f"http://127.0.0.1:{port}/")
    assert outcomes(samples) == {"REFUSED": spec.requests}


def test_a_full_backlog_ends_in_timeout_not_in_ok(streams: Any, outcomes: Any) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as deaf:
        spec = LoadSpec(model="open", rate=200.0, requests=20, timeout=400 * MS)
        samples = streams.run(spec, f"http://127.0.0.1:{deaf.getsockname()[1]}/")
    assert outcomes(samples) == {"TIMEOUT": 20}
    # Some connections never stood: that phase must not be made up.
    assert (samples["connect"] == NOT_REACHED).any()


def test_an_answer_after_the_deadline_is_a_timeout(truth: Any, streams: Any, outcomes: Any) -> None:
    released = asyncio.Event()

    async def late(_r: asyncio.StreamReader, writer: asyncio.StreamWriter, _q: bytes) -> bool:
        await released.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return False

    truth.handler = late
    samples = streams.run(LoadSpec(requests=3, concurrency=3, timeout=200 * MS), truth.url)
    assert outcomes(samples) == {"TIMEOUT": 3}


def test_a_kept_alive_connection_that_the_server_drops_before_answering_is_a_reset(
    truth: Any, streams: Any, outcomes: Any
) -> None:
    async def every_second(_r: asyncio.StreamReader, writer: asyncio.StreamWriter, _q: bytes) -> bool:
        if len(truth.requests) % 2 == 0:
            return False
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return True

    truth.handler = every_second
    samples = streams.run(
        LoadSpec(requests=20, concurrency=1, keep_alive=True, pause_after_failure=0), truth.url
    )
    assert outcomes(samples) == {"OK": 10, "RESET": 10}
    assert set(samples[samples["outcome"] == Outcome.RESET]["flags"]) == {1}


def test_an_idle_connection_that_the_server_closed_is_not_used_again(
    truth: Any, streams: Any, outcomes: Any
) -> None:
    truth.handler = raw(
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    )  # says nothing of closing, and closes
    spec = LoadSpec(model="open", rate=50.0, requests=15, keep_alive=True)
    assert outcomes(streams.run(spec, truth.url)) == {"OK": 15}
    assert truth.connections == 15


@pytest.mark.skipif(
    sys.platform != "linux", reason="TCP_CORK, which puts an answer and its end in one segment"
)
@pytest.mark.parametrize("every", [1, 2, 3])
def test_a_connection_that_ends_with_its_answer_is_not_used_again(
    truth: Any, streams: Any, outcomes: Any, every: int
) -> None:
    async def now_and_then(_r: asyncio.StreamReader, writer: asyncio.StreamWriter, _q: bytes) -> bool:
        closes = len(truth.requests) % every == 0
        if closes:
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return not closes

    truth.handler = now_and_then
    spec = LoadSpec(requests=60, concurrency=1, keep_alive=True, pause_after_failure=0)
    assert outcomes(streams.run(spec, truth.url)) == {"OK": 60}
    assert truth.connections == 60 // every


def test_a_failed_client_of_a_closed_load_pauses(truth: Any, streams: Any) -> None:
    truth.handler = raw(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
    samples = streams.run(LoadSpec(requests=4, concurrency=1, pause_after_failure=50 * MS), truth.url)
    ends = samples["intended"] + samples["total"].astype(np.int64) * 1000
    assert (samples["intended"][1:] - ends[:-1] >= 49 * MS).all()


def test_a_stop_that_comes_together_with_the_start_is_obeyed(truth: Any, streams: Any) -> None:
    async def run() -> None:
        stream = await streams.open(LoadSpec(concurrency=2), truth.url)
        began = asyncio.get_running_loop().time()
        closed = await stream.stop()  # both messages may reach the worker in one piece
        assert closed.bottleneck != "worker-died"
        assert asyncio.get_running_loop().time() - began < 3

    asyncio.run(run())


def test_a_prepared_stream_sends_nothing_until_it_begins(truth: Any, streams: Any) -> None:
    async def run() -> None:
        stream = await streams.prepare(LoadSpec(requests=5, concurrency=1), truth.url)
        assert not truth.requests
        assert not streams.records
        begun = monotonic_ns()
        stream.begin()
        closed = await stream.wait()
        # Five in all, and each of them later: none was sent while it was only prepared.
        assert closed.completed == len(truth.requests) == 5
        assert streams.samples(stream)["intended"].min() >= begun

    asyncio.run(run())


def test_a_prepared_stream_that_never_begins_leaves_no_process_and_no_record(
    truth: Any, streams: Any
) -> None:
    async def run() -> None:
        stream = await streams.prepare(LoadSpec(concurrency=2, workers=2), truth.url)
        await stream.kill()
        assert not any(psutil.pid_exists(pid) for pid in stream.pids)
        assert not streams.records

    asyncio.run(run())
