"""The list of benchmarks, by the name that `scripts/bench` runs them by. Used by `__main__`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import (
    analysis,
    closed_load,
    ingress,
    open_load,
    own_cost,
    python_load,
    replacement,
    replicas,
)
from benchmarks.context import Context
from benchmarks.rows import Row

__all__ = ["BENCHMARKS", "Benchmark"]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One of them."""

    title: str
    measure: Callable[[Context], list[Row]]


BENCHMARKS = {
    "closed": Benchmark("Closed load, new connections", closed_load.new_connections),
    "keep-alive": Benchmark("Closed load, kept-alive connections", closed_load.kept_alive),
    "python": Benchmark("Closed load, beside another generator in Python", python_load.measure),
    "open": Benchmark("Open load: how late a request is sent", open_load.measure),
    "ingress": Benchmark("The ingress beside other proxies", ingress.measure),
    "replace": Benchmark("A crashed replica's replacement", replacement.measure),
    "replicas": Benchmark("Five hundred replicas", replicas.measure),
    "analysis": Benchmark("Analysis and report of many samples", analysis.measure),
    "memory": Benchmark("What a run holds itself", own_cost.memory),
    "start": Benchmark("How long the commands take to start", own_cost.start),
}
