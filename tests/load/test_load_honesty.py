"""The generator about itself: no coordinated omission, deaths, starvation, and wrong targets."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from breakroom.journal.records import Problem
from breakroom.journal.samples import SAMPLE_SIZE, Outcome, read_samples
from breakroom.load.messages import Go, Plan, encode
from breakroom.load.stream import TargetError, open_stream
from breakroom.spec.arrivals import planned_offsets
from breakroom.spec.drill import LoadSpec, ProbeSpec
from load.load_kit import eventually, hang

SECOND = 1_000_000_000
MS = 1_000_000


def test_a_stall_shows_in_all_requests_that_were_due_in_it(truth: Any, streams: Any) -> None:
    """Coordinated omission: a client that waits for the stalled answer would report one slow request, not sixty."""

    class Stall:
        begin = end = 0.0

    async def stall_once(_r: asyncio.StreamReader, writer: asyncio.StreamWriter, _q: bytes) -> bool:
        loop = asyncio.get_running_loop()
        if len(truth.requests) == 20:
            Stall.begin, Stall.end = loop.time(), loop.time() + 0.6
        if loop.time() < Stall.end:
            await asyncio.sleep(Stall.end - loop.time())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return False

    truth.handler = stall_once
    samples = streams.run(LoadSpec(model="open", rate=100.0, requests=100), truth.url)
    begin, end = int(Stall.begin * 1e9), int(Stall.end * 1e9)  # asyncio's clock is the monotonic one
    during = samples[(samples["intended"] > begin) & (samples["intended"] < end)]
    assert len(during) >= 59
    ends = during["intended"] + during["total"].astype(np.int64) * 1000
    assert (ends >= end - 2 * MS).all()
    assert during["total"].max() >= 550_000


def test_a_killed_worker_closes_the_stream_and_its_samples_can_be_read(truth: Any, streams: Any) -> None:
    async def run() -> None:
        stream = await streams.open(ProbeSpec(rate=200.0), truth.url, name="probe")
        await eventually(lambda: stream.paths[0].stat().st_size > 20 * SAMPLE_SIZE)
        os.kill(stream.pids[0], signal.SIGKILL)
        closed = await stream.wait()
        samples = streams.samples(stream)
        assert closed.bottleneck == "worker-died"
        assert closed.completed == len(samples) > 20
        assert (samples["outcome"] == Outcome.OK).all()
        problem = streams.last(Problem)
        assert problem.code == "worker-died"
        assert problem.severity == "error"
        assert problem.params == {"stream": "probe", "worker": 0, "reason": "killed by signal 9"}
        assert await stream.stop() is closed

    asyncio.run(run())


def test_one_dead_worker_of_two_does_not_stop_the_other(truth: Any, streams: Any) -> None:
    async def run() -> None:
        stream = await streams.open(LoadSpec(model="open", rate=200.0, workers=2), truth.url)
        await eventually(lambda: len(truth.requests) > 20)
        os.kill(stream.pids[1], signal.SIGKILL)
        await eventually(lambda: any(isinstance(record, Problem) for record in streams.records))
        seen = len(truth.requests)
        await eventually(lambda: len(truth.requests) > seen + 10)
        assert not stream.ended.is_set()
        closed = await stream.stop()
        assert closed.bottleneck == "worker-died"

    asyncio.run(run())


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs prlimit(2)")
def test_without_descriptors_requests_are_not_sent_and_the_stream_says_so(
    truth: Any, streams: Any, outcomes: Any
) -> None:
    truth.handler = hang
    spec = ProbeSpec(rate=200.0, timeout=SECOND)

    async def run() -> None:
        stream = await streams.open(spec, truth.url, name="probe")
        resource.prlimit(stream.pids[0], resource.RLIMIT_NOFILE, (30, 30))
        await eventually(lambda: any(p.outcomes[Outcome.NOT_SENT] > 10 for p in stream.progress))
        closed = await stream.stop()
        samples = streams.samples(stream)
        counts = outcomes(samples)
        assert counts.keys() == {"TIMEOUT", "NOT_SENT"}
        assert closed.bottleneck == "not-sent"
        assert closed.sent == closed.intended - counts["NOT_SENT"]
        assert len(samples) == closed.intended
        offsets = sorted(samples["intended"] - stream.t0)
        assert offsets == list(islice(planned_offsets(spec, 1), len(offsets)))

    asyncio.run(run())


def test_a_generator_that_was_suspended_says_that_it_lagged(truth: Any, streams: Any) -> None:
    async def run() -> None:
        stream = await streams.open(ProbeSpec(rate=100.0), truth.url, name="probe")
        await eventually(lambda: len(truth.requests) > 5)
        os.kill(stream.pids[0], signal.SIGSTOP)
        await asyncio.sleep(0.3)  # the suspension itself, which lateness is measured against
        os.kill(stream.pids[0], signal.SIGCONT)
        closed = await stream.stop()
        assert closed.bottleneck == "lag"
        assert closed.lag_max_ns >= 250 * MS
        assert streams.samples(stream)["lag"].max() * 1000 >= 250 * MS

    asyncio.run(run())


def test_a_worker_ends_when_its_control_socket_does(truth: Any, tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        command = [sys.executable, "-P", "-m", "breakroom.load", "--control-fd", str(theirs.fileno())]
        with subprocess.Popen(command, pass_fds=[theirs.fileno()]) as worker:
            theirs.close()
            plan = Plan(
                samples=str(tmp_path / "s.bin"),
                family=socket.AF_INET,
                host="127.0.0.1",
                port=truth.port,
                request=b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                probe=ProbeSpec(rate=100.0),
            )
            ours.sendall(encode(plan))
            assert b'"Ready"' in ours.recv(4096)
            ours.sendall(encode(Go(t0=0)))
            asyncio.run(eventually(lambda: (tmp_path / "s.bin").stat().st_size > 5 * SAMPLE_SIZE))
            ours.close()
            assert worker.wait(10) == 1
    assert len(read_samples(tmp_path / "s.bin")) > 5


def test_no_worker_is_left_when_opening_fails(truth: Any, streams: Any) -> None:
    streams.directory.joinpath("samples").write_text("in the way")
    with pytest.raises(OSError, match="samples"):
        streams.run(ProbeSpec(), truth.url, name="probe")


def test_workers_do_not_outlive_a_failing_start(truth: Any, streams: Any) -> None:
    class FullDiskError(Exception):
        pass

    def fail(_record: object) -> None:
        raise FullDiskError

    async def run() -> None:
        before = await asyncio.to_thread(_load_workers)
        with pytest.raises(FullDiskError):
            await open_stream(
                name="load",
                spec=LoadSpec(workers=2),
                url=truth.url,
                directory=streams.directory,
                trial="t",
                emit=fail,
                seed=1,
            )
        assert await asyncio.to_thread(_load_workers) == before
        async with asyncio.timeout(20):
            with pytest.raises(asyncio.CancelledError):
                await _cancelled_soon(streams.open(LoadSpec(workers=2), truth.url))
        await eventually(lambda: _load_workers() == before)

    asyncio.run(run())
    assert not truth.requests


async def _cancelled_soon(opening: Any) -> None:
    task = asyncio.ensure_future(opening)
    await eventually(lambda: bool(_load_workers()) or task.done())
    task.cancel()
    await task


def _load_workers() -> set[int]:
    """Our children that are load workers."""
    children = psutil.Process().children()
    return {child.pid for child in children if "breakroom.load" in _arguments(child)}


def _arguments(child: psutil.Process) -> list[str]:
    try:
        return child.cmdline()
    except psutil.Error:
        return []


def test_a_cancelled_stop_kills_the_workers(truth: Any, streams: Any) -> None:
    truth.handler = hang

    async def run() -> None:
        stream = await streams.open(ProbeSpec(rate=100.0, timeout=60 * SECOND), truth.url, name="probe")
        await eventually(lambda: len(truth.requests) > 3)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await stream.stop()
        assert stream.ended.is_set()
        with pytest.raises(ProcessLookupError):
            os.kill(stream.pids[0], 0)

    asyncio.run(run())


def test_workers_stay_in_a_session_of_their_own_and_ignore_ctrl_c(truth: Any, streams: Any) -> None:
    async def run() -> None:
        stream = await streams.open(ProbeSpec(rate=100.0), truth.url, name="probe")
        assert os.getsid(stream.pids[0]) == stream.pids[0] != os.getsid(0)
        await eventually(lambda: len(truth.requests) > 3)
        os.kill(stream.pids[0], signal.SIGINT)
        seen = len(truth.requests)
        await eventually(lambda: len(truth.requests) > seen + 10)
        assert (await stream.stop()).bottleneck != "worker-died"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://127.0.0.1/", "bad-url"),
        ("http://127.0.0.1:99999/", "bad-url"),
        ("http:///x", "bad-url"),
        ("http://no-such-host.invalid/", "unresolvable"),
    ],
)
def test_a_wrong_target_is_an_error_before_anything_starts(streams: Any, url: str, code: str) -> None:
    with pytest.raises(TargetError) as caught:
        streams.run(ProbeSpec(), url, name="probe")
    assert caught.value.code == code
    assert not streams.records


def test_headers_cannot_smuggle_lines(truth: Any, streams: Any) -> None:
    with pytest.raises(TargetError, match="not a header"):
        streams.run(LoadSpec(requests=1, headers={"X": "a\r\nY: b"}), truth.url)


def test_a_worker_loads_nothing_heavy() -> None:
    code = "import sys, breakroom.load.worker; print(*sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    counts = Counter(name.partition(".")[0] for name in out.stdout.split())
    assert counts["msgspec"]
    assert not counts.keys() & {"numpy", "asyncio", "click", "ruamel"}
