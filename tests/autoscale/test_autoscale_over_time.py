"""The rule at work on a simulated service, in virtual time: it comes to the right number, and stays there."""

from __future__ import annotations

import math
from collections.abc import Callable

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from autoscale.simulation import SECOND, SimulatedService
from breakroom.spec.drill import AutoscaleSpec

CAPACITY = 120.0


def _utilisation(*, maximum: int = 40, up: int = 0, down: int = 10, dry_run: bool = False) -> AutoscaleSpec:
    return AutoscaleSpec(
        capacity=CAPACITY,
        minimum=1,
        maximum=maximum,
        cooldown_up=up * SECOND,
        cooldown_down=down * SECOND,
        dry_run=dry_run,
    )


def _latency(*, up: int = 0, down: int = 5) -> AutoscaleSpec:
    return AutoscaleSpec(
        metric="latency",
        target=0.2 * SECOND,
        minimum=1,
        maximum=40,
        cooldown_up=up * SECOND,
        cooldown_down=down * SECOND,
    )


def _service(
    spec: AutoscaleSpec, load: Callable[[float], float], *, replicas: int = 1, start: float = 0
) -> SimulatedService:
    return SimulatedService(
        spec=spec, load=load, capacity=CAPACITY, replicas=replicas, start=round(start * SECOND)
    )


@settings(deadline=None)
@given(st.floats(0, 3000), st.integers(1, 40), st.floats(0, 8), st.integers(0, 5), st.integers(0, 20))
def test_at_constant_load_utilisation_comes_to_its_number_and_stays(
    load: float, replicas: int, start: float, up: int, down: int
) -> None:
    service = _service(_utilisation(up=up, down=down), lambda _: load, replicas=replicas, start=start)
    service.run(120)
    last = service.replicas
    asked = load / (CAPACITY * 0.7)
    # Where it was already close enough, the tolerance leaves it.
    assert last == max(1, math.ceil(asked - 1e-9)) or abs(asked / last - 1) <= 0.1 + 1e-9
    assert set(service.run(100)) == {last}


@settings(deadline=None)
@given(st.floats(0, 3000), st.integers(1, 40), st.floats(0, 4), st.integers(0, 5))
def test_at_constant_load_utilisation_goes_one_way_only(
    load: float, replicas: int, start: float, up: int
) -> None:
    service = _service(_utilisation(up=up), lambda _: load, replicas=replicas, start=start)
    numbers = [replicas, *service.run(150)]
    assert numbers in (sorted(numbers), sorted(numbers, reverse=True))


@settings(deadline=None)
@given(st.floats(0, 3000), st.floats(-0.09, 0.09))
def test_a_ripple_within_the_tolerance_does_not_make_it_flap(load: float, ripple: float) -> None:
    service = _service(_utilisation(), lambda t: load * (1 + (ripple if int(t) % 2 else 0)))
    service.run(100)
    assert len(set(service.run(100))) == 1


@settings(deadline=None, max_examples=40)  # twenty-five minutes of a service's life each
@given(st.floats(10, 3000), st.integers(1, 40), st.floats(0, 4), st.integers(0, 5))
def test_at_constant_load_latency_comes_to_a_number_that_carries_it_and_stays(
    load: float, replicas: int, start: float, up: int
) -> None:
    # One request a second too many for 19 replicas is waited for a fifth of a second only after seven minutes: what is
    # too much by less than that may not be seen within the test.
    assume(not 0 < load % CAPACITY < 2)
    service = _service(_latency(up=up), lambda _: load, replicas=replicas, start=start)
    service.run(1200)
    last = service.replicas
    assert last * CAPACITY >= load
    assert set(service.run(300)) == {last}


def test_load_that_rises_and_falls_is_followed_within_seconds_up_and_after_the_window_down() -> None:
    def load(t: float) -> float:
        return 150 if t < 20 else 450 if t < 60 else 150

    service = _service(_utilisation(), load, replicas=2, start=1.5)
    numbers = service.run(100)
    assert numbers[:20] == [2] * 20
    # Twice two at first, then all that is asked for: 450 ÷ (120 x 0.7) = 5.4.
    assert numbers[20:23] == [4, 6, 6]
    assert set(numbers[23:60]) == {6}
    # The last decision that asked for six was at second 60.
    assert numbers[60:70] == [6] * 9 + [2]
    assert set(numbers[70:]) == {2}


def test_a_dip_that_is_shorter_than_the_window_takes_nothing_away() -> None:
    service = _service(_utilisation(), lambda t: 50 if 30 <= t < 38 else 400, replicas=5)
    assert set(service.run(80)) == {5}


def test_a_dry_run_decides_again_and_again_and_changes_nothing() -> None:
    service = _service(_utilisation(dry_run=True), lambda _: 400.0, replicas=3)
    assert set(service.run(20)) == {3}
    assert {decision.decided for _, decision in service.history} == {5}


def test_an_overload_under_latency_ends_and_what_was_too_much_is_taken_back() -> None:
    service = _service(_latency(), lambda _: 500.0, replicas=1, start=1)
    numbers = service.run(400)
    assert max(numbers) <= math.ceil(1.5 * 5) + 1
    assert numbers[-1] == 5
    codes = {decision.reason for _, decision in service.history}
    assert {
        "scaling.up-latency",
        "scaling.improving",
        "scaling.down-latency",
        "scaling.tried-before",
    } <= codes
