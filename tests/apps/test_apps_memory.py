"""The leak is real memory of the set amount, and the improved app has none."""

from __future__ import annotations

import sys

import psutil
import pytest

from apps.apps_kit import Running, running

MIB = 1024 * 1024


def grown_by(app: Running, requests: int) -> int:
    """Bytes by which the process grew over this many requests, as the kernel counts them."""
    process = psutil.Process(app.process.pid)
    app.ask()
    before = process.memory_info().rss
    client = app.keep_alive()
    for _ in range(requests):
        client.request("GET", "/")
        client.getresponse().read()
    client.close()
    return int(process.memory_info().rss - before)


@pytest.mark.parametrize("leak", [20_000, 100_000, 1_000_000])
def test_every_request_leaks_the_set_amount_of_resident_memory(leak: int) -> None:
    requests = 60 * MIB // leak
    with running("memory-leak-app", LEAK_BYTES=str(leak)) as app:
        assert grown_by(app, requests) == pytest.approx(requests * leak, rel=0.1)
        assert app.stats()["leaked_bytes"] == (requests + 1) * leak


def test_by_default_512_mib_are_gone_well_before_the_course_has_sent_its_10000_requests() -> None:
    with running("memory-leak-app") as app:
        each = grown_by(app, 400) / 400
        assert 4_000 < 512 * MIB / each < 7_000


def test_the_improved_app_does_not_grow() -> None:
    with running("improved-app", LEAK_BYTES="100000") as app:
        assert grown_by(app, 2000) < 2 * MIB


def test_an_app_can_be_told_not_to_leak() -> None:
    with running("memory-leak-app", LEAK_BYTES="0") as app:
        assert grown_by(app, 1000) < 2 * MIB


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_stats_tell_the_resident_memory_as_the_kernel_counts_it() -> None:
    with running("memory-leak-app", LEAK_BYTES="5000000") as app:
        for _ in range(5):
            app.ask()
        told = app.stats()["rss_bytes"]
        assert told == pytest.approx(psutil.Process(app.process.pid).memory_info().rss, rel=0.05)


def test_the_log_says_how_large_the_app_has_become_until_its_end() -> None:
    with running("memory-leak-app", LEAK_BYTES=str(MIB)) as app:
        grown_by(app, 99)
        resident = psutil.Process(app.process.pid).memory_info().rss / MIB
        app.process.kill()
        lines = [line for line in app.rest_of_log().splitlines() if "remembers" in line]
    first, last = lines[0].split(), lines[-1].split()
    assert first[first.index("remembers") + 1] == "4"
    told = [float(word) for word in last if word.replace(".", "", 1).isdigit() and "." in word]
    visits = int(last[last.index("remembers") + 1])
    assert 90 <= visits <= 100
    assert told[0] == visits
    assert told[1] == pytest.approx(resident, rel=0.15)
    assert len(lines) < 25


def test_an_app_that_does_not_leak_has_nothing_to_say_about_it() -> None:
    with running("memory-leak-app", LEAK_BYTES="0") as app:
        grown_by(app, 50)
        app.process.kill()
        assert "remembers" not in app.rest_of_log()
