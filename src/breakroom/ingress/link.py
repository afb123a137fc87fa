"""A bad network, modelled on a byte stream: times in, delivery times out.

Used by `impaired` for connections whose task has a `LinkSpec`. Pure and free of clocks: the caller gives the time of
every call, in nanoseconds, and asks what is due. The same calls with the same seed give the same answers.

A proxy sees a byte stream, not packets, so the model says when TCP would have delivered the bytes over such a network:

- delay and jitter: every chunk (what one read returned; segmentation offload makes one packet of it for netem too)
  takes `delay` ± a uniform `jitter`, never below zero; the order is kept, as the receiver's TCP does.
- rate: a token bucket of 10 ms (at least one segment) a direction, shared by all connections of the link. Payload is
  counted, headers are not.
- loss: each segment of 1448 bytes is lost with probability `loss`. A lost one that three others of its chunk followed
  is sent again when the third duplicate ACK is back (RFC 5681, 3.2); otherwise after the retransmission timeout, which
  doubles each time that the retransmission is lost as well (RFC 6298, 5.5). What follows a lost segment waits for it.
- RTO: SRTT + max(200 ms, 4·RTTVAR) (RFC 6298, 2.3, with Linux's TCP_RTO_MIN as the lower bound of the variance term);
  the model's path has SRTT = 2·delay and RTTVAR = ⅔·jitter, the mean deviation of two uniform jitters' sum.
- connecting: one round trip; a lost SYN or SYN-ACK costs 1 s, then 2 s, … (RFC 6298, 2.1), seven tries in all, as
  Linux's tcp_syn_retries = 6.
- partition: nothing is delivered. After healing, what was held comes with the first retransmission that the sender's
  backed-off timer then makes. A loss of 1 is a partition.

Not modelled: congestion control (no smaller window after a loss), lost ACKs, tail loss probes (RFC 8985).
"""

from __future__ import annotations

from collections import deque
from random import Random

import msgspec

__all__ = [
    "CLEAR",
    "CLOSE",
    "RESET",
    "SEGMENT",
    "Handshake",
    "Lane",
    "Link",
    "LinkSpec",
    "TokenBucket",
    "retransmission_after",
]

SEGMENT = 1448
"""Payload of a full segment: Ethernet's 1500 bytes without IPv4 and TCP headers with timestamps."""
_DUPLICATE_ACKS = 3
_RTO_MIN = 200_000_000
_RTO_MAX = 120 * 10**9
_SYN_RTO = 10**9
_SYN_TRIES = 7
_BURST_SECONDS_INVERSE = 100
CLOSE = "close"
RESET = "reset"


class LinkSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is wrong with a link. Delay, jitter, loss and rate hold for each direction by itself."""

    delay_ns: int = 0
    jitter_ns: int = 0
    loss: float = 0.0
    """Probability from 0 to 1 that a segment is lost."""
    rate_bytes_per_s: int | None = None
    """None or 0: unlimited."""
    partition: bool = False
    reset: bool = False
    """Every connection is reset, and so is every new one."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.delay_ns < 0 or self.jitter_ns < 0 or (self.rate_bytes_per_s or 0) < 0:
            raise ValueError("delay_ns, jitter_ns and rate_bytes_per_s may not be below 0")
        if not 0 <= self.loss <= 1:
            raise ValueError("loss is a probability from 0 to 1, like 0.05")

    @property
    def cut(self) -> bool:
        """Whether nothing passes."""
        return self.partition or self.loss >= 1

    @property
    def rto_ns(self) -> int:
        """The sender's retransmission timeout on this path, before any backoff."""
        return 2 * self.delay_ns + max(_RTO_MIN, 4 * 2 * self.jitter_ns // 3)

    def flight_ns(self, random: Random) -> int:
        """One passage in one direction."""
        if not self.jitter_ns:
            return self.delay_ns
        return max(0, self.delay_ns + random.randint(-self.jitter_ns, self.jitter_ns))


CLEAR = LinkSpec()
"""Nothing is wrong."""


class TokenBucket:
    """At most `burst` bytes at once and `rate` bytes a second over time. Exact in integers."""

    __slots__ = ("_credit", "_rate", "_then", "burst")

    def __init__(self, rate_bytes_per_s: int) -> None:
        self._rate = rate_bytes_per_s
        self.burst = max(SEGMENT, rate_bytes_per_s // _BURST_SECONDS_INVERSE)
        self._credit = self.burst * 10**9
        self._then: int | None = None

    def depart(self, now: int, size: int) -> int:
        """When `size` bytes (at most `burst`), offered now, may leave; never before what was offered earlier."""
        then = now if self._then is None else max(now, self._then)
        if self._then is not None:
            self._credit = min(self.burst * 10**9, self._credit + (then - self._then) * self._rate)
        missing = size * 10**9 - self._credit
        if missing > 0:
            wait = -(-missing // self._rate)
            then += wait
            # The wait is rounded up to whole nanoseconds; what that adds may not overfill the bucket.
            self._credit = min(self.burst * 10**9, self._credit + wait * self._rate)
        self._credit -= size * 10**9
        self._then = then
        return then


class _Parcel:
    """Bytes, or the stream's end, on their way."""

    __slots__ = ("due", "mark", "sent", "size")

    def __init__(self, sent: int, size: int, mark: str, due: int | None) -> None:
        self.sent = sent
        self.size = size
        self.mark = mark
        self.due = due


class Lane:
    """One direction of one connection."""

    __slots__ = ("_bucket", "_last", "_parcels", "_random", "_spec", "opens", "queued")

    def __init__(self, spec: LinkSpec, bucket: TokenBucket | None, random: Random, opens: int | None) -> None:
        self._spec = spec
        self._bucket = bucket
        self._random = random
        self._parcels: deque[_Parcel] = deque()
        self._last = 0
        self.opens = opens
        """When the connection is established and the first byte can leave; None: not yet known."""
        self.queued = 0
        """Bytes that were sent and not taken."""

    def send(self, now: int, size: int, mark: str = "") -> None:
        """Put `size` bytes, or a `mark` (`CLOSE`, `RESET`) of size 0, on the way."""
        self.queued += size
        if self._spec.cut or self.opens is None:
            self._parcels.append(_Parcel(now, size, mark, None))
            return
        start = max(now, self.opens)
        for due, amount in self._times(start, size):
            self._last = max(self._last, due)
            self._parcels.append(_Parcel(start, amount, mark, self._last))

    def next_due(self) -> int | None:
        """When `take` will next have something; None: nothing on the way, or held."""
        return self._parcels[0].due if self._parcels else None

    def take(self, now: int) -> tuple[int, str]:
        """How many bytes are delivered by now, and the mark that follows them, if any."""
        parcels = self._parcels
        size = 0
        while parcels and parcels[0].due is not None and parcels[0].due <= now:
            parcel = parcels.popleft()
            size += parcel.size
            if parcel.mark:
                self.queued -= size
                return size, parcel.mark
        self.queued -= size
        return size, ""

    @property
    def empty(self) -> bool:
        """Whether nothing is on the way."""
        return not self._parcels

    def established(self, opens: int) -> None:
        """The connection is set up at `opens`: what was held for it gets its times."""
        self.opens = opens
        if not self._spec.cut:
            self._release(opens)

    def relink(self, spec: LinkSpec, bucket: TokenBucket | None, now: int) -> None:
        """The link behaves as `spec` from now on. A partition holds what is on the way; its end releases it."""
        was_cut = self._spec.cut
        self._spec = spec
        self._bucket = bucket
        if spec.cut:
            self._last = 0  # What was planned is off.
            for parcel in self._parcels:
                parcel.due = None
        elif was_cut and self.opens is not None and self._parcels:
            first = max(self._parcels[0].sent, self.opens)
            self._release(max(now, retransmission_after(first, spec.rto_ns, now)))

    def _release(self, start: int) -> None:
        held, self._parcels = self._parcels, deque()
        for parcel in held:
            for due, amount in self._times(max(start, parcel.sent), parcel.size):
                self._last = max(self._last, due)
                self._parcels.append(_Parcel(parcel.sent, amount, parcel.mark, self._last))

    def _times(self, now: int, size: int) -> list[tuple[int, int]]:
        """(delivery time before ordering, bytes) of a chunk, neighbours of equal time joined."""
        spec = self._spec
        flight = spec.flight_ns(self._random)
        if not spec.loss and self._bucket is None:
            return [(now + flight, size)]
        sizes = [SEGMENT] * (size // SEGMENT)
        if size % SEGMENT or not size:
            sizes.append(size % SEGMENT)
        bucket = self._bucket
        departures = [bucket.depart(now, each) if bucket else now for each in sizes]
        lost = [spec.loss > 0 and self._random.random() < spec.loss for _ in sizes]
        times: list[tuple[int, int]] = []
        latest = 0
        for place, amount in enumerate(sizes):
            arrival = departures[place] + flight
            if lost[place]:
                arrival += self._recovery_ns(departures, lost, place)
            latest = max(latest, arrival)
            if times and times[-1][0] == latest:
                times[-1] = (latest, times[-1][1] + amount)
            else:
                times.append((latest, amount))
        return times

    def _recovery_ns(self, departures: list[int], lost: list[bool], place: int) -> int:
        """How much later than itself a lost segment's successful retransmission arrives."""
        spec = self._spec
        waited = 0
        timeout = spec.rto_ns
        followers = [departures[i] for i in range(place + 1, len(lost)) if not lost[i]]
        if len(followers) >= _DUPLICATE_ACKS:
            waited = followers[_DUPLICATE_ACKS - 1] - departures[place] + 2 * spec.delay_ns
            if self._random.random() >= spec.loss:
                return waited
        while True:
            waited += timeout
            if self._random.random() >= spec.loss:
                return waited
            timeout = min(2 * timeout, _RTO_MAX)


def retransmission_after(sent: int, timeout: int, now: int) -> int:
    """The first time from `now` on at which a segment first sent at `sent`, and never answered, is sent again."""
    while sent < now:
        sent += timeout
        timeout = min(2 * timeout, _RTO_MAX)
    return sent


class Handshake(msgspec.Struct, frozen=True):
    """How a connection is set up. Both None while the link is cut."""

    arrives: int | None
    """When the SYN reaches the task."""
    established: int | None
    """When the client's side has the answer and can send."""
    gives_up: int | None = None
    """When the client has run out of tries, if none of them passes."""


class Link:
    """A task's link: what its connections share. Made anew whenever the link changes."""

    __slots__ = ("_connections", "_name", "down", "spec", "up")

    def __init__(self, spec: LinkSpec, name: str) -> None:
        self.spec = spec
        self._name = name
        rate = spec.rate_bytes_per_s
        self.up = TokenBucket(rate) if rate else None
        """Towards the task."""
        self.down = TokenBucket(rate) if rate else None
        self._connections = 0

    def connection(self) -> int:
        """The number of the next connection over this link, from 1."""
        self._connections += 1
        return self._connections

    def random(self, number: int, what: str) -> Random:
        """The random numbers of the link's connection `number` for one purpose."""
        return Random(f"{self.spec.seed}/{self._name}/{number}/{what}")  # noqa: S311  a model's dice, not a secret

    def handshake(self, began: int, usable: int, random: Random) -> Handshake:
        """Set up a connection whose first SYN left at `began`; tries before the link was `usable` were in vain."""
        spec = self.spec
        if spec.cut:
            return Handshake(None, None)
        at, timeout = began, _SYN_RTO
        for _ in range(_SYN_TRIES):
            if at >= usable and random.random() >= spec.loss:
                arrives = at + spec.flight_ns(random)
                if random.random() >= spec.loss:
                    return Handshake(arrives, arrives + spec.flight_ns(random))
            at += timeout
            timeout *= 2
        return Handshake(None, None, at)

    def lanes(self, number: int, opens: int | None = None) -> tuple[Lane, Lane]:
        """The two directions of connection `number`, towards the task and back; `opens` if it stands already."""
        return (
            Lane(self.spec, self.up, self.random(number, "up"), opens),
            Lane(self.spec, self.down, self.random(number, "down"), opens),
        )
