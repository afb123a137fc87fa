"""The link's model under virtual time: every time is given, nothing waits."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakroom.ingress.link import (
    CLEAR,
    CLOSE,
    RESET,
    SEGMENT,
    Lane,
    Link,
    LinkSpec,
    TokenBucket,
    retransmission_after,
)

MS = 10**6
S = 10**9


def _lane(spec: LinkSpec, seed: int = 0) -> Lane:
    rate = spec.rate_bytes_per_s
    return Lane(spec, TokenBucket(rate) if rate else None, Random(seed), 0)


def _drain(lane: Lane) -> list[tuple[int, int, str]]:
    """Take everything, each at the time it is due."""
    taken = []
    while (due := lane.next_due()) is not None:
        size, mark = lane.take(due)
        taken.append((due, size, mark))
    return taken


specs = st.builds(
    LinkSpec,
    delay_ns=st.integers(0, 500 * MS),
    jitter_ns=st.integers(0, 700 * MS),
    loss=st.floats(0, 0.6),
    rate_bytes_per_s=st.none() | st.integers(500, 10_000_000),
)
sends = st.lists(st.tuples(st.integers(0, 50 * MS), st.integers(1, 70_000)), min_size=1, max_size=20)


@given(spec=specs, plan=sends, seed=st.integers())
def test_every_byte_is_delivered_once_in_order_and_never_early(
    spec: LinkSpec, plan: list[tuple[int, int]], seed: int
) -> None:
    lane = _lane(spec, seed)
    now = 0
    sent: list[int] = []
    for gap, size in plan:
        now += gap
        lane.send(now, size)
        sent.extend([now] * size)
    lane.send(now, 0, CLOSE)
    taken = _drain(lane)
    dues = [due for due, _, _ in taken]
    assert dues == sorted(dues)
    assert sum(size for _, size, _ in taken) == len(sent)
    assert [mark for _, _, mark in taken if mark] == [CLOSE]
    assert taken[-1][2] == CLOSE
    assert lane.queued == 0
    passed = 0
    for due, size, _ in taken:
        passed += size
        if size:
            assert due >= sent[passed - 1] + max(0, spec.delay_ns - spec.jitter_ns)


@given(spec=specs, plan=sends, seed=st.integers())
def test_the_same_seed_gives_the_same_times(spec: LinkSpec, plan: list[tuple[int, int]], seed: int) -> None:
    def run() -> list[tuple[int, int, str]]:
        lane = _lane(spec, seed)
        for when, size in plan:
            lane.send(when, size)
        return _drain(lane)

    assert run() == run()


@given(spec=specs, plan=sends)
def test_no_more_passes_than_the_rate_and_one_burst_allow(
    spec: LinkSpec, plan: list[tuple[int, int]]
) -> None:
    rate = spec.rate_bytes_per_s or 1000
    spec = msgspec.structs.replace(spec, rate_bytes_per_s=rate)
    lane = _lane(spec)
    now = 0
    for gap, size in plan:
        now += gap
        lane.send(now, size)
    burst = TokenBucket(rate).burst
    passed = 0
    for due, size, _ in _drain(lane):
        passed += size
        assert passed * S <= burst * S + rate * due


@given(
    rate=st.integers(1, 10**9),
    offers=st.lists(st.tuples(st.integers(0, S), st.integers(1, SEGMENT)), min_size=1, max_size=40),
)
def test_a_token_bucket_holds_its_rate_over_every_window(rate: int, offers: list[tuple[int, int]]) -> None:
    bucket = TokenBucket(rate)
    now = 0
    left: list[tuple[int, int]] = []
    for gap, size in offers:
        now += gap
        left.append((bucket.depart(now, size), size))
        assert left[-1][0] >= now
    for first in range(len(left)):
        for last in range(first, len(left)):
            window = left[last][0] - left[first][0]
            assert sum(size for _, size in left[first : last + 1]) * S <= bucket.burst * S + rate * window


def test_a_token_bucket_lets_a_steady_stream_pass_at_exactly_its_rate() -> None:
    bucket = TokenBucket(100_000)
    departures = [bucket.depart(0, 1000) for _ in range(101)]
    assert departures[0] == 0
    assert departures[100] == (101_000 - bucket.burst) * S // 100_000


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.3])
def test_the_share_of_segments_that_have_to_be_sent_again_is_the_loss(loss: float) -> None:
    lane = _lane(LinkSpec(loss=loss, delay_ns=MS))
    count = 20_000
    late = 0
    for number in range(count):
        when = number * 1000 * S  # far apart: none waits for another
        lane.send(when, 100)
        late += sum(due > when + MS for due, _, _ in _drain(lane))
    spread = (loss * (1 - loss) / count) ** 0.5
    assert abs(late / count - loss) < 5 * spread


def test_a_lost_last_segment_costs_the_retransmission_timeout_doubling_each_time() -> None:
    spec = LinkSpec(loss=0.5, delay_ns=10 * MS)
    lane = _lane(spec)
    waits = set()
    for number in range(2000):
        when = number * 1000 * S
        lane.send(when, 100)
        waits |= {due - when for due, _, _ in _drain(lane)}
    rto = spec.rto_ns
    assert rto == 220 * MS
    assert waits >= {10 * MS + rto * (2**tries - 1) for tries in range(5)}
    assert all((wait - 10 * MS) % rto == 0 for wait in waits)


def test_a_lost_segment_with_followers_costs_a_round_trip() -> None:
    spec = LinkSpec(loss=0.02, delay_ns=50 * MS)
    quick = 0
    for seed in range(300):
        lane = _lane(spec, seed)
        lane.send(0, 40 * SEGMENT)
        times = {due for due, _, _ in _drain(lane)}
        assert min(times) >= 50 * MS
        quick += 150 * MS in times
    # One or more of the first 37 is lost, and its first retransmission is not: about half of the runs.
    assert quick > 100


def test_what_follows_a_lost_segment_waits_for_it() -> None:
    spec = LinkSpec(loss=0.3, delay_ns=5 * MS)
    for seed in range(50):
        lane = _lane(spec, seed)
        for number in range(20):
            lane.send(number * MS, 10)
        dues = [due for due, _, _ in _drain(lane)]
        assert dues == sorted(dues)


def test_the_timeout_follows_rfc_6298_with_linux_s_bounds() -> None:
    assert LinkSpec().rto_ns == 200 * MS
    assert LinkSpec(delay_ns=100 * MS).rto_ns == 400 * MS
    assert LinkSpec(delay_ns=100 * MS, jitter_ns=90 * MS).rto_ns == 200 * MS + 240 * MS


def test_jitter_is_centred_on_the_delay() -> None:
    spec = LinkSpec(delay_ns=100 * MS, jitter_ns=20 * MS)
    random = Random(1)
    flights = [spec.flight_ns(random) for _ in range(20_000)]
    assert 80 * MS <= min(flights) < 81 * MS
    assert 119 * MS < max(flights) <= 120 * MS
    assert abs(sum(flights) / len(flights) - 100 * MS) < MS


def test_a_partition_holds_everything_and_healing_delivers_it_with_a_retransmission() -> None:
    lane = _lane(CLEAR)
    lane.send(0, 10)
    lane.relink(LinkSpec(partition=True), None, 0)
    lane.send(S, 5)
    lane.send(2 * S, 0, RESET)
    assert lane.next_due() is None
    assert lane.take(100 * S) == (0, "")
    lane.relink(CLEAR, None, 3 * S)
    # Sent at 0, and again at 0.2, 0.6, 1.4, 3.0 s: the last meets the healed link.
    assert _drain(lane) == [(3 * S, 15, RESET)]
    assert lane.empty


@given(sent=st.integers(0, 100 * S), timeout=st.integers(200 * MS, 10 * S), wait=st.integers(0, 1000 * S))
def test_a_retransmission_comes_after_healing_within_the_backed_off_timeout(
    sent: int, timeout: int, wait: int
) -> None:
    now = sent + wait
    again = retransmission_after(sent, timeout, now)
    assert now <= again <= now + max(wait + timeout, 0)
    assert again <= now + 120 * S or wait < timeout


def test_a_total_loss_is_a_partition() -> None:
    lane = _lane(LinkSpec(loss=1.0))
    lane.send(0, 10)
    assert lane.next_due() is None


def test_connecting_takes_a_round_trip() -> None:
    link = Link(LinkSpec(delay_ns=30 * MS), "a")
    hands = link.handshake(7, 7, link.random(1, "setup"))
    assert (hands.arrives, hands.established) == (7 + 30 * MS, 7 + 60 * MS)


def test_lost_syns_cost_one_second_then_two_then_four() -> None:
    link = Link(LinkSpec(loss=0.5), "a")
    waits = {link.handshake(0, 0, link.random(n, "setup")).established for n in range(3000)}
    assert waits == {None, *(S * (2**tries - 1) for tries in range(7))}


def test_a_connection_that_never_gets_through_gives_up_after_seven_tries() -> None:
    link = Link(LinkSpec(loss=0.99), "a")
    gave_up = [link.handshake(0, 0, link.random(n, "setup")).gives_up for n in range(20)]
    assert 127 * S in gave_up


def test_a_syn_sent_into_a_partition_is_answered_after_healing_when_it_is_sent_again() -> None:
    link = Link(CLEAR, "a")
    assert link.handshake(0, int(2.5 * S), link.random(1, "setup")).established == 3 * S


def test_nothing_leaves_before_the_connection_stands() -> None:
    link = Link(LinkSpec(delay_ns=10 * MS), "a")
    up, _ = link.lanes(1)
    up.send(0, 5)
    assert up.next_due() is None
    up.established(20 * MS)
    assert _drain(up) == [(30 * MS, 5, "")]


def test_connections_of_a_link_share_its_bandwidth() -> None:
    link = Link(LinkSpec(rate_bytes_per_s=144_800), "a")
    first, _ = link.lanes(1, 0)
    second, _ = link.lanes(2, 0)
    first.send(0, 50 * SEGMENT)
    second.send(0, 50 * SEGMENT)
    assert _drain(second)[-1][0] == 990 * MS


@pytest.mark.parametrize(
    "wrong", [{"loss": -0.1}, {"loss": 2}, {"delay_ns": -1}, {"jitter_ns": -1}, {"rate_bytes_per_s": -5}]
)
def test_an_impossible_link_is_an_error(wrong: dict[str, float]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, LinkSpec)
