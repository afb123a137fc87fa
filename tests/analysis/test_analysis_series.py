"""Chart lines: every request is in exactly one bin, and the lines say what the samples say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from breakroom.analysis.series import BIN_WIDTHS_S, MAX_BINS, MAX_FAILURES, bin_width_ns, trial_series
from breakroom.journal.store import JOURNAL_NAME, read_journal
from breakroom.spec.drill import LoadSpec

if TYPE_CHECKING:
    from analysis.conftest import Kit


def test_the_lines_of_a_trial(kit: Kit) -> None:
    scene = kit.scene()
    trial = kit.orchestrated(scene, load=LoadSpec(concurrency=1))
    trial.stream("load", [kit.sample(20 * n, version="2") for n in range(10)], opened=0, closed=3_400)
    trial.stats(-1_000, "t1", 50, 100)
    trial.stats(500, "t1", 60, 100)
    series = trial_series(scene.journal(), "kill/orchestrated/1")
    probe = series.streams["probe"]
    assert series.bin_s == 0.05
    assert 0.0 in series.at_s
    assert sum(map(sum, probe.outcomes.values())) == 737
    assert sum(probe.outcomes["reset"]) == 1
    assert probe.outcomes["reset"][series.at_s.index(-0.05)] == 1
    assert series.failures_total == 1
    (failure,) = series.failures
    shown: tuple[object, ...] = (failure.at_s, failure.outcome, failure.after_s)
    assert shown == (
        pytest.approx(-0.003),
        "reset",
        pytest.approx(0.003),
    )
    assert probe.p99_s[series.at_s.index(1.0)] == pytest.approx(0.005)
    assert probe.goodput_per_s[series.at_s.index(1.0)] == pytest.approx(100)
    assert series.memory[0].memory_bytes == (50, 60)
    assert series.memory[0].limit_bytes == 100
    assert series.rotation.value == (3, 2, 3)
    assert series.rotation.at_s[-2:] == pytest.approx((0.001, 0.3))
    assert series.wanted.value == (3,)
    assert {name: sum(counts) for name, counts in series.versions.items()} == {"1": 736, "2": 10}
    assert series.streams["load"].p50_s[0] is None


def test_many_failures_are_thinned_out_but_counted(kit: Kit) -> None:
    scene = kit.scene()
    kit.single(scene, act=60_000.0)
    series = trial_series(scene.journal(), "kill/single/1")
    assert series.failures_total == 6_021
    assert len(series.failures) == MAX_FAILURES
    assert series.failures[0].at_s == pytest.approx(-0.003)
    assert series.failures[-1].at_s == pytest.approx(60.197)


@pytest.mark.parametrize("seconds", [0.001, 1, 29.9, 30, 60, 300, 3_600, 90_000, 10**8])
def test_bins_never_grow_in_number(seconds: float) -> None:
    width = bin_width_ns(round(seconds * 1e9))
    assert seconds * 1e9 / width + 1 <= MAX_BINS
    assert width / 1e9 >= BIN_WIDTHS_S[0]


def test_an_unknown_trial_is_an_error(kit: Kit) -> None:
    scene = kit.scene()
    kit.orchestrated(scene)
    with pytest.raises(KeyError, match="kill/none/1"):
        trial_series(scene.journal(), "kill/none/1")


def test_a_journal_cut_at_any_record_still_gives_lines(kit: Kit) -> None:
    scene = kit.scene()
    kit.orchestrated(scene)
    scene.journal()
    path = scene.directory / JOURNAL_NAME
    lines = path.read_bytes().splitlines(keepends=True)
    for kept in range(2, len(lines)):
        path.write_bytes(b"".join(lines[:kept]))
        series = trial_series(read_journal(scene.directory), "kill/orchestrated/1")
        assert len(series.at_s) <= MAX_BINS
        assert all(len(stream.p50_s) == len(series.at_s) for stream in series.streams.values())


def test_answers_that_come_after_the_end_are_no_burst_at_the_end(kit: Kit) -> None:
    scene = kit.scene()
    trial = kit.orchestrated(scene, load=LoadSpec(concurrency=20))
    queued = [kit.sample(3_300 + n, latency=4_000 + 10 * n) for n in range(20)]
    served = [kit.sample(20 * n) for n in range(160)]
    trial.stream("load", [*served, *queued], opened=0, closed=8_000)
    load = trial_series(scene.journal(), "kill/orchestrated/1").streams["load"]
    assert max(load.goodput_per_s) == pytest.approx(60)  # 3 of 50/s in a bin of 50 ms
    assert sum(load.outcomes["ok"]) == 180
