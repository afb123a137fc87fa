"""Goodput, saturation, balance and the generator's own trust, on streams made of arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from breakroom.analysis.capacity import capacity
from breakroom.analysis.periods import AFTER, BEFORE, DURING, WINDOW, Periods, label
from breakroom.analysis.reading import StreamData, stream_from_arrays
from breakroom.analysis.results import TrialResults
from breakroom.analysis.run import analyse
from breakroom.journal.records import StreamOpened
from breakroom.journal.samples import Outcome
from breakroom.spec.drill import LoadSpec

if TYPE_CHECKING:
    from analysis.conftest import Kit

S = 1_000_000_000
PERIODS = Periods(window_start=9 * S, window_end=20 * S, before_start=5 * S, hit=10 * S, during_end=14 * S)


def load_stream(spec: LoadSpec, intended: Any, total_us: Any, outcome: Any = None) -> StreamData:
    opened = StreamOpened(
        t=0, stream="load", model=spec.model, t0=0, files=(), plan=msgspec.to_builtins(spec), url=""
    )
    times = np.asarray(intended, np.int64)
    return stream_from_arrays(
        opened,
        None,
        intended=times,
        total=np.asarray(total_us, np.uint32),
        outcome=np.zeros(len(times), np.uint8) if outcome is None else np.asarray(outcome, np.uint8),
    )


def closed(per_second: dict[tuple[int, int], int], concurrency: int, fastest_us: int = 20_000) -> StreamData:
    """A closed load that ends `n` requests a second in each stretch [a, b), all clients always waiting in line."""
    ends: list[np.ndarray] = []
    totals: list[np.ndarray] = []
    for (start, stop), rate in per_second.items():
        count = (stop - start) * rate
        ends.append(start * S + (np.arange(count) * S) // rate)
        totals.append(np.full(count, concurrency * 1_000_000 // rate))
    end, total = np.concatenate(ends), np.concatenate(totals)
    total[0] = fastest_us
    return load_stream(LoadSpec(concurrency=concurrency), end - total * 1_000, total)


def test_capacity_kept_is_goodput_during_over_before() -> None:
    stream = closed({(0, 10): 300, (10, 12): 200, (12, 13): 100, (13, 20): 300}, 60)
    result = capacity(stream, label(stream, PERIODS), PERIODS, 3)
    assert result.saturated is True
    assert result.before_per_s == pytest.approx(300)
    assert result.during_per_s == pytest.approx((2 * 200 + 100 + 300) / 4)
    assert result.after_per_s == pytest.approx(300, rel=0.01)
    assert result.kept == pytest.approx(200 / 300)
    assert result.lowest == pytest.approx(100 / 300)


def test_a_load_whose_clients_never_wait_in_line_says_nothing_about_capacity() -> None:
    stream = closed({(0, 20): 300}, 60, fastest_us=190_000)
    result = capacity(stream, label(stream, PERIODS), PERIODS, 3)
    assert result.saturated is False
    assert result.kept is None
    assert result.during_per_s == pytest.approx(300)


def test_a_generator_that_does_not_keep_its_clients_busy_does_not_saturate() -> None:
    times = np.arange(0, 20 * S, S // 100)
    total = np.where(np.arange(len(times)) == 0, 1_000, 10_000)
    stream = load_stream(LoadSpec(concurrency=50), times, total)
    assert capacity(stream, label(stream, PERIODS), PERIODS, 1).saturated is False


def test_an_open_load_saturates_only_if_it_already_failed_before_the_fault() -> None:
    times = np.arange(0, 20 * S, S // 100)
    outcome = np.zeros(len(times), np.uint8)
    spec = LoadSpec(model="open", rate=100)
    fine = load_stream(spec, times, np.full(len(times), 5_000), outcome)
    assert capacity(fine, label(fine, PERIODS), PERIODS, 1).saturated is False
    outcome[600:700:2] = Outcome.TIMEOUT
    over = load_stream(spec, times, np.full(len(times), 5_000), outcome)
    assert capacity(over, label(over, PERIODS), PERIODS, 1).saturated is True


def test_a_load_that_ran_out_of_requests_says_nothing_of_capacity_kept() -> None:
    stream = closed({(0, 11): 300}, 60)
    spec = LoadSpec(concurrency=60, requests=len(stream))
    short = load_stream(spec, stream.intended, stream.total)
    result = capacity(short, label(short, PERIODS), PERIODS, 3)
    assert result.saturated is True
    assert result.kept is None


def test_a_total_loss_keeps_nothing() -> None:
    stream = closed({(0, 10): 300, (14, 20): 300}, 60)
    result = capacity(stream, label(stream, PERIODS), PERIODS, 1)
    assert result.kept == pytest.approx(0, abs=0.01)
    assert result.lowest == 0.0


def test_without_load_or_fault_nothing_is_said() -> None:
    stream = closed({(0, 20): 300}, 60)
    assert capacity(None, label(stream, PERIODS), PERIODS, 1).before_per_s is None
    assert capacity(stream, label(stream, None), None, 1).before_per_s is None


def test_each_request_lies_in_one_period_and_none_is_lost() -> None:
    random = np.random.default_rng(5)
    stream = load_stream(
        LoadSpec(), random.integers(0, 25 * S, 20_000), random.integers(0, 3_000_000, 20_000)
    )
    labels = label(stream, PERIODS)
    ends = stream.ends()
    in_one = sum(((labels & bit) != 0).astype(int) for bit in (BEFORE, DURING, AFTER))
    assert np.all(in_one <= 1)
    assert np.array_equal(
        (labels & WINDOW) != 0, (ends >= PERIODS.window_start) & (stream.intended < PERIODS.window_end)
    )
    after_fault = (ends >= 10 * S) & (stream.intended < PERIODS.window_end)
    assert np.array_equal((labels & (DURING | AFTER)) != 0, after_fault)


def with_load(kit: Kit, samples: list[Any], load: LoadSpec, **values: Any) -> TrialResults:
    scene = kit.scene()
    trial = kit.orchestrated(scene, load=load)
    trial.stream("load", samples, opened=-4_003, closed=3_400, **values)
    (result,) = analyse(scene.journal()).trials
    return result


def test_uneven_requests_per_task_are_told_with_their_probability(kit: Kit) -> None:
    samples = [kit.sample(-2_500 + number, task="t1") for number in range(600)]
    result = with_load(kit, samples, LoadSpec(concurrency=1))
    # The probe gives each task 100; the load adds 600 to one.
    assert result.balance.per_task == {"t1": 700, "t2": 100, "t3": 100}
    assert result.balance.largest_to_smallest == 7.0
    assert result.balance.chi_square == pytest.approx((400**2 + 2 * 200**2) / 300)
    assert result.balance.p_value == pytest.approx(0.0, abs=1e-12)


def test_a_task_that_answered_nothing_counts_with_none(kit: Kit) -> None:
    scene = kit.scene()
    trial = kit.orchestrated(scene)
    trial.running(-4_800, "t9", 9)
    (result,) = analyse(scene.journal()).trials
    assert result.balance.per_task["t9"] == 0
    assert result.balance.largest_to_smallest is None
    assert result.balance.p_value is not None
    assert result.balance.p_value < 1e-6


def test_a_load_that_fails_with_the_fault_counts_towards_recovery(kit: Kit) -> None:
    samples = [kit.sample(ms, latency=1) for ms in range(-2_000, 3_000, 5)]
    for sample in samples:
        if 0 <= sample.intended < 200:
            sample.outcome = Outcome.RESET
    result = with_load(kit, samples, LoadSpec(concurrency=1))
    assert result.recovery_time_s == pytest.approx(
        0.197
    )  # the probe at 197 ms succeeded, after the last error at 195
    assert result.cut.within is False
    assert result.explanation[0].code.startswith("lost.")


def test_a_load_that_fails_without_any_fault_does_not_count_towards_recovery(kit: Kit) -> None:
    samples = [kit.sample(ms, latency=1) for ms in range(-2_000, 3_000, 5)]
    for sample in samples[::7]:
        sample.outcome = Outcome.TIMEOUT
    result = with_load(kit, samples, LoadSpec(concurrency=1))
    assert result.recovery_time_s == pytest.approx(0.007)


def test_a_lagging_open_load_is_not_trusted(kit: Kit) -> None:
    samples = [kit.sample(-4_003 + 10 * n, lag=50) for n in range(700)]
    result = with_load(kit, samples, LoadSpec(model="open", rate=100))
    (why,) = result.reasons_unknown
    assert why.code == "unknown.generator-lag"
    assert why.params == {"stream": "load", "lag_s": 0.05, "limit_s": 0.01}


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"bottleneck": "cpu"}, "unknown.generator-cpu"),
        ({"bottleneck": "starved"}, "unknown.generator-starved"),
        ({"bottleneck": "worker-died"}, "unknown.worker-died"),
        ({"bottleneck": "samples-unwritable"}, "unknown.samples-unwritable"),
        ({"bottleneck": "of a later version"}, "unknown.generator-bottleneck"),
        ({"lost": 3}, "unknown.requests-missing"),
        ({"bottleneck": "lag"}, None),
    ],
)
def test_what_the_generator_says_of_itself_is_heard(
    kit: Kit, values: dict[str, Any], code: str | None
) -> None:
    result = with_load(kit, [kit.sample(ms) for ms in range(0, 100, 5)], LoadSpec(concurrency=1), **values)
    assert [why.code for why in result.reasons_unknown] == ([code] if code else [])


def test_a_poisson_load_is_checked_against_its_plan_over_several_workers(kit: Kit) -> None:
    from itertools import islice

    from breakroom.spec.arrivals import planned_offsets

    load = LoadSpec(model="open", rate=500, arrivals="poisson")
    samples = [kit.sample(0) for _ in range(1_000)]
    for sample, offset in zip(samples, islice(planned_offsets(load, 8), 1_000), strict=True):
        sample.intended = -4_003 + offset / 1e6
    result = with_load(kit, samples, load, workers=3)
    assert result.plan.arrivals_checked == 737 + 1_000
    assert result.plan.arrivals_matched is True
    samples.pop(500)
    assert with_load(kit, samples, load).plan.arrivals_matched is False


@pytest.mark.parametrize("odd_ns", [0, 1, 4_999_999, 9_999_999])
def test_goodput_before_does_not_depend_on_where_its_begin_falls_between_two_steps(odd_ns: int) -> None:
    # 300/s from 4 s on; the period before the fault is a part of a step longer or shorter than whole steps.
    times = np.arange(4 * S, 15 * S, S // 300, dtype=np.int64)
    stream = load_stream(LoadSpec(concurrency=3), times, np.full(len(times), 1_000))
    periods = Periods(
        window_start=9 * S, window_end=20 * S, before_start=9 * S - odd_ns, hit=10 * S, during_end=14 * S
    )
    result = capacity(stream, label(stream, periods), periods, 1)
    assert result.before_per_s == pytest.approx(300, abs=1.1)


def test_capacity_kept_is_known_to_one_burst_of_answers() -> None:
    # 300/s in bursts of 30 every 100 ms: a during of 4 s holds 1200 of them at full capacity.
    times = np.repeat(np.arange(4 * S, 20 * S, S // 10, dtype=np.int64), 30)
    stream = load_stream(LoadSpec(concurrency=30), times, np.full(len(times), 100_000))
    stream.total[0] = 20_000
    result = capacity(stream, label(stream, PERIODS), PERIODS, 1)
    assert result.saturated is True
    assert result.kept is not None
    assert result.resolution == pytest.approx(30 / 1200, rel=0.02)
    assert result.lowest_resolution == pytest.approx(30 / 300, rel=0.02)
    assert result.kept == pytest.approx(1, abs=30 / 1200)
