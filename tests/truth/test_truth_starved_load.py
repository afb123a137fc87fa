"""`breakroom load` starved for real: it must say that it does not know, and why, and blame nothing on the service.

Each test takes something away from a running generator (processor time, descriptors, ports, room on the disk, its life)
before a server that is in perfect order or that only waits.
"""

from __future__ import annotations

import json
import os
import resource
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from breakroom.i18n import translator
from breakroom.load.report import _BOTTLENECKS, render_report
from breakroom.load.summary import LoadReport, LoadSetup
from end_to_end.tool import UNKNOWN, Ended, Tool, wait_until
from truth.starving import frozen, in_namespace, of_program, quota

SERVER = Path(__file__).parent / "stalling_server.py"
NEVER = ("--first", "3600")
FOR_EVER = ("--first", "0.5", "--for", "3600", "--every", "3600")
"""It stands still soon, and the kernel alone answers handshakes."""
BY_THE_SERVICE = {"refused", "reset", "http-error", "bad-body"}
BY_THE_SERVICE_AT_WORK = BY_THE_SERVICE | {"timeout"}


@contextmanager
def serving(*options: str) -> Iterator[str]:
    """The URL of a server."""
    with subprocess.Popen(
        [sys.executable, str(SERVER), *options], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
        process.kill()


@contextmanager
def loading(tool: Tool, url: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A running `breakroom load` that has sent something already."""
    out = tool.directory / "out"
    process = tool.start("load", url, *options, "--workers", "1", "--out", str(out), "--json")
    try:
        wait_until(lambda: any(path.stat().st_size for path in out.glob("samples/load/*.bin")), seconds=60)
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[Ended, Any]:
    out, err = process.communicate(timeout=60)
    done = Ended(process.returncode, out, err)
    return done, done.json()


def assert_unknown(code: int, report: Any, bottleneck: str, *, not_seen: set[str]) -> None:
    assert (code, report["exit_code"], report["trusted"]) == (UNKNOWN, UNKNOWN, False)
    assert report["bottleneck"] == bottleneck
    assert not set(report["outcomes"]) & not_seen


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    return Tool(tmp_path)


def test_a_closed_load_that_was_stopped_does_not_take_its_own_standstill_for_the_service_s(
    tool: Tool,
) -> None:
    with serving(*NEVER) as url, loading(tool, url, "-c", "2", "--duration", "2s") as process:
        frozen(of_program(process.pid, "breakroom.load").pid, 0.8)
        _, report = ended(process)
    assert_unknown(process.returncode, report, "starved", not_seen=BY_THE_SERVICE_AT_WORK)
    assert report["still_longest_s"] >= 0.7


def test_an_open_load_that_was_stopped_was_late(tool: Tool) -> None:
    with serving(*NEVER) as url, loading(tool, url, "--rate", "100/s", "--duration", "2s") as process:
        frozen(of_program(process.pid, "breakroom.load").pid, 0.3)
        _, report = ended(process)
    assert_unknown(process.returncode, report, "lag", not_seen=BY_THE_SERVICE_AT_WORK)


@pytest.mark.parametrize(
    ("options", "bottleneck"),
    [(("-c", "4"), "starved"), (("--rate", "200/s"), "lag")],
    ids=["closed", "open"],
)
def test_a_load_with_a_tenth_of_a_core_is_unknown(
    tool: Tool, options: tuple[str, ...], bottleneck: str
) -> None:
    share = 0.1 if bottleneck == "starved" else 0.02
    with (
        quota(share) as confine,
        serving(*NEVER) as url,
        loading(tool, url, *options, "--duration", "2s", "--timeout", "20s") as process,
    ):
        confine(of_program(process.pid, "breakroom.load").pid)
        _, report = ended(process)
    assert_unknown(process.returncode, report, bottleneck, not_seen=BY_THE_SERVICE)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs prlimit(2)")
def test_a_load_without_descriptors_blames_nothing_on_the_service(tool: Tool) -> None:
    with (
        serving(*FOR_EVER) as url,
        loading(tool, url, "--rate", "100/s", "--duration", "2s", "--timeout", "1s") as process,
    ):
        resource.prlimit(of_program(process.pid, "breakroom.load").pid, resource.RLIMIT_NOFILE, (30, 30))
        _, report = ended(process)
    assert_unknown(process.returncode, report, "not-sent", not_seen=BY_THE_SERVICE)
    assert report["outcomes"]["not-sent"] > 50


def test_a_load_without_ports_blames_nothing_on_the_service(tool: Tool) -> None:
    server = shlex.join([sys.executable, str(SERVER), "--port", "39000", *FOR_EVER])
    load = "load http://127.0.0.1:39000/ --rate 100/s --duration 2s --timeout 1s --json"
    script = f"""
        ip link set lo up
        echo "40000 40019" > /proc/sys/net/ipv4/ip_local_port_range
        {server} > ready & server=$!
        until [ -s ready ]; do kill -0 $server; done
        status=0; {shlex.quote(sys.executable)} -m breakroom {load} || status=$?
        kill $server; exit $status
    """
    done = subprocess.run(
        in_namespace(script, "--net"),
        cwd=tool.directory,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert_unknown(done.returncode, report, "not-sent", not_seen=BY_THE_SERVICE)
    assert report["outcomes"]["not-sent"] > 50


def test_a_load_whose_samples_find_no_room_says_so(tool: Tool) -> None:
    with serving(*NEVER) as url:
        options = "--rate 1000/s --duration 6s --workers 1 --out full/out --lang ko"
        script = f"""
            mkdir full; mount -t tmpfs -o size=32k none full
            exec {shlex.quote(sys.executable)} -m breakroom load {url} {options}
        """
        done = subprocess.run(
            in_namespace(script, "--mount"),
            cwd=tool.directory,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
    assert done.returncode == UNKNOWN, done.stderr
    first, _, rest = done.stdout.partition("\n")
    assert "샘플을 기록하지 못했습니다" in first
    assert "No space left on device" in first
    assert not any(f"   {outcome}:" in rest for outcome in BY_THE_SERVICE_AT_WORK)


def test_a_load_whose_worker_was_killed_says_so(tool: Tool) -> None:
    with serving(*NEVER) as url, loading(tool, url, "-c", "2", "--duration", "60s") as process:
        of_program(process.pid, "breakroom.load").send_signal(signal.SIGKILL)
        _, report = ended(process)
    assert_unknown(process.returncode, report, "worker-died", not_seen=BY_THE_SERVICE_AT_WORK)
    assert report["died"] == "killed by signal 9"


def test_a_command_without_descriptors_does_not_say_that_nothing_listens(tool: Tool) -> None:
    code = (
        "import os, resource, sys\n"
        "from breakroom.load.command import *\n"
        "import asyncio, breakroom.load.target as t\n"
        "found = t.parse_target(sys.argv[1])\n"
        "async def go():\n"
        "    fds = []\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "    try:\n"
        "        while True: fds.append(os.open('/dev/null', os.O_RDONLY))\n"
        "    except OSError: pass\n"
        "    try: await t.find_address(found, check=True)\n"
        "    except t.TargetError as e: print(e.code, e)\n"
        "asyncio.run(go())\n"
    )
    with serving(*NEVER) as url:
        done = subprocess.run(
            [sys.executable, "-c", code, url], capture_output=True, text=True, timeout=60, check=False
        )
    assert done.stdout.startswith("no-resources"), done
    assert "nothing about the service" in done.stdout


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("bottleneck", list(_BOTTLENECKS))
def test_every_reason_is_said_in_the_reader_s_language(bottleneck: str, lang: Any) -> None:
    text = render_report(_report(bottleneck), translator(lang))
    unknown = {"en": "UNKNOWN, and no statement", "ko": "알 수 없음."}[lang]
    assert text.startswith(unknown) == (bottleneck != "cpu")
    assert ("generator" in text or "worker" in text or "request" in text) or lang == "ko"
    if lang == "ko":
        assert translator("ko").gettext(_BOTTLENECKS[bottleneck]) != _BOTTLENECKS[bottleneck]


@pytest.mark.parametrize(
    ("lang", "words"),
    [("en", "Closed model, 3 clients: each waits for its answer"), ("ko", "클라이언트 3개가")],
)
def test_a_closed_model_says_what_its_percentiles_hide(lang: Any, words: str) -> None:
    report = _report("")
    assert words not in render_report(report, translator(lang))
    closed = replace(report, setup=replace(report.setup, model="closed", concurrency=3))
    assert words in render_report(closed, translator(lang))


def _report(bottleneck: str) -> LoadReport:
    setup = LoadSetup(
        url="http://h/",
        address="127.0.0.1",
        model="open",
        concurrency=0,
        rate=10.0,
        stages="",
        keep_alive=False,
        workers=1,
        seed=1,
        timeout_s=1.0,
    )
    return LoadReport(
        setup=setup,
        server="",
        document_bytes=None,
        taken_s=1.0,
        intended=2,
        completed=2,
        outcomes={"ok": 1, "not-sent": 1},
        statuses={"200": 1},
        reused=0,
        received_bytes=10,
        requests_per_s=1.0,
        completed_per_s=2.0,
        time_per_request_s=None,
        time_per_request_across_s=0.5,
        received_bytes_per_s=10.0,
        connect=None,
        wait=None,
        total=None,
        percentiles_s={"50": 0.1},
        failed_median_s=None,
        tool=(),
        failed_max_s=None,
        histogram=(),
        lag_p50_s=0.0,
        lag_p99_s=0.1,
        lag_max_s=0.2,
        still_longest_s=0.7,
        still_share=0.3,
        bottleneck=bottleneck,
        died="killed by signal 9",
        generator_cpu=(0.5,),
        aborted=False,
    )
