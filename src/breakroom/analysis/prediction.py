"""What a bad link does to a probe's latency, from first principles: no measurement under the fault goes into it.

Called by `analysis.impairment`. Pure; random numbers have a fixed seed, so that one journal gives one result.

A probe is one request on a new connection, and its packets (each smaller than one segment) are, in order: SYN, SYN-ACK,
request, response. The ACK that ends the handshake costs nothing, since the request carries it too. breakroom's ingress
spoils both directions of the link between it and the task, so all four cross the bad link (`passages` 4); netem
shapes what the container *sends*, so SYN-ACK and response do (2). With `d` the delay, `j` the jitter, `p` the loss:

- delay: every passage takes `d` ± a uniform `j`, never below 0: on average `passages x d` more for a request hit.
- loss: a try of the handshake succeeds with probability `(1-p)^2` (ingress) or `1-p` (netem); after the n-th failure
  the next try is `2^(n-1)` s later (RFC 6298, 2.1; Linux's tcp_syn_retries: 7 tries). A lost request or response is
  sent again after the RTO, doubled for each further loss (RFC 6298, 5.5). A request of `k` packets that cross meets at
  least one loss with probability `1 - (1-p)^k`.
- RTO: RTT + max(200 ms, 4·RTTVAR) (RFC 6298, 2.3; 200 ms: Linux's TCP_RTO_MIN). The ingress's model has RTT `2d` and
  RTTVAR `2j/3` (docs/ingress.md); under netem RTT is `d` and RTTVAR, after the handshake's one sample, RTT/2 (RFC
  6298, 2.2).
- partition: nothing passes. A request that is hit has its SYN sent again 1, 3, 7, … s after the first; the first of
  them that comes after the partition's end gets through, if the request has not timed out by then. Requests are hit at
  any time at which the replica was in rotation (`ends_within_s`: how long before the end that was).

Of all requests `share` cross the bad link: round-robin over the replicas. A request's latency is one drawn from those
before the fault plus what its packets cost. One above the timeout has failed; quantiles are of the others.

Assumed: the service itself is as fast as before, and nothing waits in line because of the fault.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from breakroom.analysis.latency import rank

__all__ = ["DRAWS", "LinkModel", "Predicted", "predict"]

DRAWS = 40_000
_SEED = 20_240_501
_SYN_TRIES = 7
_RTO_MIN_S = 0.2
_RTO_MAX_S = 120.0

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkModel:
    """The bad link, in seconds and probabilities. `share`: of the connections that cross it."""

    delay_s: float
    jitter_s: float
    loss: float
    partition: bool
    both_ways: bool
    share: float
    timeout_s: float
    ends_within_s: tuple[float, float] = (math.inf, math.inf)
    """Of a partition: least and greatest time from a request that is hit to the end of it."""

    @property
    def passages(self) -> int:
        """How often a request on a new connection crosses the link, before anything is lost."""
        return 4 if self.both_ways else 2

    @property
    def packets(self) -> int:
        """How many packets of a request can be lost: as many as cross the link."""
        return self.passages

    @property
    def rto_s(self) -> float:
        """The first retransmission timeout of an established connection."""
        if self.both_ways:
            return 2 * self.delay_s + max(_RTO_MIN_S, 8 * self.jitter_s / 3)
        return self.delay_s + max(_RTO_MIN_S, 2 * self.delay_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """Quantiles of answered requests, and those of `q - e` and `q + e` for the error of a share among `count`."""

    quantiles: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    failed_share: float
    meets_loss: float
    """Share of all requests that meet at least one loss."""


def predict(
    model: LinkModel, before_us: NDArray[np.uint32], quantiles: Sequence[float], count: int
) -> Predicted | None:
    """What is to be expected; None without latencies before the fault.

    Args:
        model: The link.
        before_us: Latencies of ok probes before it was spoilt, µs.
        quantiles: Which are asked for.
        count: How many probes they will be compared with.
    """
    if not len(before_us):
        return None
    random = np.random.default_rng(_SEED)
    base = random.choice(before_us, DRAWS).astype(np.float64) / 1e6
    # Exactly the share, not one by chance: it is known.
    hit = np.arange(DRAWS) < round(model.share * DRAWS)
    total = base + np.where(hit, _cost(model, random), 0.0)
    answered = np.sort(total[total < model.timeout_s])
    errors = [2 * math.sqrt(q * (1 - q) / max(count, 1)) for q in quantiles]
    return Predicted(
        quantiles=tuple(_quantile(answered, q) for q in quantiles),
        low=tuple(_quantile(answered, q - e) for q, e in zip(quantiles, errors, strict=True)),
        high=tuple(_quantile(answered, q + e) for q, e in zip(quantiles, errors, strict=True)),
        failed_share=1 - len(answered) / DRAWS,
        meets_loss=model.share * (1 - (1 - model.loss) ** model.packets),
    )


def _quantile(ordered: Floats, share: float) -> float | None:
    if not len(ordered):
        return None
    return float(ordered[rank(min(max(share, 0.0), 1.0), len(ordered))])


def _cost(model: LinkModel, random: np.random.Generator) -> Floats:
    """What each of `DRAWS` requests that are hit takes longer."""
    if model.partition:
        low, high = model.ends_within_s
        left = random.uniform(low, high, DRAWS) if math.isfinite(high) else np.full(DRAWS, math.inf)
        waited: Floats = np.exp2(np.ceil(np.log2(np.maximum(left, 0.0) + 1))) - 1
        return waited
    cost = np.zeros(DRAWS)
    for _ in range(model.passages):
        cost += np.maximum(model.delay_s + random.uniform(-model.jitter_s, model.jitter_s, DRAWS), 0.0)
    if model.loss:
        cost += _handshake(model, random)
        for _ in range(model.passages // 2):
            cost += _resent(model, random)
    return cost


def _handshake(model: LinkModel, random: np.random.Generator) -> Floats:
    """How long a SYN or SYN-ACK that was lost is waited for: 1, 2, 4, … s."""
    fails = 1 - (1 - model.loss) ** (2 if model.both_ways else 1)
    lost = random.geometric(1 - fails, DRAWS) - 1
    waited = np.exp2(np.minimum(lost, _SYN_TRIES)) - 1.0
    return np.where(lost >= _SYN_TRIES, math.inf, waited)


def _resent(model: LinkModel, random: np.random.Generator) -> Floats:
    """How long a lost request or response is waited for: the RTO, twice that, …, never more than 120 s at once."""
    lost = random.geometric(1 - model.loss, DRAWS) - 1
    waits = np.minimum(model.rto_s * np.exp2(np.arange(int(lost.max()) + 1)), _RTO_MAX_S)
    return np.concatenate(([0.0], np.cumsum(waits)))[lost]
