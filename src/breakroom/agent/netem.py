"""netem's own units, and which queueing disciplines are breakroom's. Pure.

netem counts time in ticks of the packet scheduler (64 ns; /proc/net/psched) in 32 bits, and since Linux 4.16 in ns
beside them; probabilities as fractions of 2**32 - 1; rates in bytes a second (linux/pkt_sched.h). The kernel has no
room for a name on a queueing discipline, so ours are known by two numbers that nobody else combines: the handle's major
number, 0xb000 to 0xbfff, and the queue's limit, both made from the run's mark. Handles that the kernel gives out begin
at 0x8001.

Called by `links`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from breakroom.agent.errors import ActError

__all__ = ["Link", "differences", "from_options", "handle_of", "is_ours", "limit_of", "link_from"]

_FULL = 0xFFFFFFFF
_TICK_NS = 64
_MAX_TIME_NS = _FULL * _TICK_NS
_MAJOR, _MAJOR_MASK = 0xB000, 0xF000
_LIMIT, _LIMIT_STEPS = 20_000, 4096
_PROBABILITY_SLACK = 2 / _FULL


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What is wrong with what an interface sends.

    Probabilities are from 0 to 1; rate None: unlimited; seed 0: the kernel's own.
    """

    delay_ns: int = 0
    jitter_ns: int = 0
    loss: float = 0.0
    corrupt: float = 0.0
    duplicate: float = 0.0
    rate_bytes_per_s: int | None = None
    seed: int = 0

    def parameters(self, limit: int) -> dict[str, Any]:
        """As netem's netlink options in pyroute2's names; `wire` has the ones that pyroute2 does not know."""
        rate = {"packet_overhead": 0, "cell_size": 0, "cell_overhead": 0}
        # All of them, also those that are 0: netem keeps what a change does not name.
        attributes: list[list[Any]] = [
            ["TCA_NETEM_LATENCY64", self.delay_ns],
            ["TCA_NETEM_JITTER64", self.jitter_ns],
            ["TCA_NETEM_CORRUPT", {"prob_corrupt": _fraction(self.corrupt), "corr_corrupt": 0}],
            ["TCA_NETEM_RATE", {"rate": self.rate_bytes_per_s or 0, **rate}],
        ]
        if self.seed:
            attributes.append(["TCA_NETEM_PRNG_SEED", self.seed])
        return {
            "delay": self.delay_ns // _TICK_NS,
            "jitter": self.jitter_ns // _TICK_NS,
            "limit": limit,
            "loss": _fraction(self.loss),
            "gap": 0,
            "duplicate": _fraction(self.duplicate),
            "attrs": attributes,
        }


def link_from(words: dict[str, Any]) -> Link:
    """Read a link as an act has it.

    Raises:
        ActError: `bad-act`: an unknown word, or a value that netem has no room for.
    """
    known = set(Link.__slots__)
    if unknown := set(words) - known:
        raise ActError(
            "bad-act", f"a link has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(known))}"
        )
    link = Link(**{name: value for name, value in words.items() if value is not None})
    for name in ("delay_ns", "jitter_ns"):
        value = getattr(link, name)
        if not isinstance(value, int) or not 0 <= value <= _MAX_TIME_NS:
            raise ActError(
                "bad-act", f"{name} must be a whole number from 0 to {_MAX_TIME_NS}, not {value!r}"
            )
    for name in ("loss", "corrupt", "duplicate"):
        value = getattr(link, name)
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ActError("bad-act", f"{name} is a probability from 0 to 1, not {value!r}")
    if not 0 <= (link.rate_bytes_per_s or 0) <= _FULL:
        raise ActError("bad-act", f"rate_bytes_per_s must be at most {_FULL}, netem's 32 bits")
    if not 0 <= link.seed < 1 << 64:
        raise ActError("bad-act", "seed must fit 64 bits")
    return link


def from_options(options: Any) -> Link:
    """What netem says that it does, read from pyroute2's message."""
    corrupt = options.get_attr("TCA_NETEM_CORRUPT")
    rate = options.get_attr("TCA_NETEM_RATE")
    delay, jitter = options.get_attr("TCA_NETEM_LATENCY64"), options.get_attr("TCA_NETEM_JITTER64")
    return Link(
        delay_ns=options["delay"] * _TICK_NS if delay is None else int(delay),
        jitter_ns=options["jitter"] * _TICK_NS if jitter is None else int(jitter),
        loss=options["loss"] / _FULL,
        corrupt=corrupt["prob_corrupt"] / _FULL if corrupt else 0.0,
        duplicate=options["duplicate"] / _FULL,
        rate_bytes_per_s=(rate["rate"] or None) if rate else None,
        seed=int(options.get_attr("TCA_NETEM_PRNG_SEED") or 0),
    )


def differences(wanted: Link, found: Link) -> list[str]:
    """In what `found` is not what was wanted, beyond netem's own resolution. The seed is not compared: old kernels, and
    netem without anything random in it, do not tell it.
    """  # noqa: D205  # one sentence that does not fit a line
    names = [
        name
        for name in ("delay_ns", "jitter_ns")
        if abs(getattr(wanted, name) - getattr(found, name)) > _TICK_NS
    ]
    names += [
        name
        for name in ("loss", "corrupt", "duplicate")
        if abs(getattr(wanted, name) - getattr(found, name)) > _PROBABILITY_SLACK
    ]
    if (wanted.rate_bytes_per_s or None) != found.rate_bytes_per_s:
        names.append("rate_bytes_per_s")
    return names


def handle_of(mark: str) -> int:
    """The handle of a run's queueing disciplines, as netlink has it: the major number in the upper half."""
    return (_MAJOR | (_digest(mark) & 0xFFF)) << 16


def limit_of(mark: str) -> int:
    """Their queue's limit, in packets: far above what a delay holds, so that the queue loses nothing by itself."""
    return _LIMIT + ((_digest(mark) >> 12) & 0xFFF)


def is_ours(handle: int, limit: int, mark: str = "") -> bool:
    """Whether a netem with that handle and limit is breakroom's; of the run with that mark, if one is named."""
    if mark:
        return handle == handle_of(mark) and limit == limit_of(mark)
    return (handle >> 16) & _MAJOR_MASK == _MAJOR and _LIMIT <= limit < _LIMIT + _LIMIT_STEPS


def _digest(mark: str) -> int:
    return int.from_bytes(hashlib.sha256(mark.encode()).digest()[:4], "big")


def _fraction(probability: float) -> int:
    return round(probability * _FULL)
