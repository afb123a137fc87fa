"""What a timeline can do: how each action is written, what it becomes, and what is said of a mistake in it."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from breakroom.spec.drill import (
    ApiKillStep,
    DrainStep,
    HangStep,
    KillStep,
    MemoryStep,
    NetworkStep,
    NodeLossStep,
    PartitionStep,
    PauseStep,
    Step,
)
from breakroom.spec.drill_steps import ends_at, lasting
from breakroom.spec.loader import SpecErrors, load_drill
from breakroom.spec.plan import to_builtins
from breakroom.spec.schema import drill_schema

MS = 1_000_000
SECOND = 1000 * MS
BY_THE_SCHEMA = jsonschema.Draft202012Validator(drill_schema())
WRITTEN: list[tuple[str, Step]] = [
    ("kill: {tasks: all, match: node}", KillStep(tasks="all", match="node")),
    ("api_kill: {signal: TERM}", ApiKillStep(signal="SIGTERM")),
    ("api_kill:", ApiKillStep()),
    ("pause: {tasks: 2, for: 1m}", PauseStep(tasks=2, lasts=60 * SECOND)),
    ("hang:", HangStep()),
    ("memory: {fill: 90%}", MemoryStep(fill_to=0.9)),
    ("memory: {fill: 100m, for: 2s}", MemoryStep(fill=100 << 20, lasts=2 * SECOND)),
    (
        "network: {tasks: all, delay: 100ms, jitter: 20ms}",
        NetworkStep(tasks="all", delay=100 * MS, jitter=20 * MS),
    ),
    ("network: {loss: 5%, corrupt: 0.1, duplicate: 1%}", NetworkStep(loss=0.05, corrupt=0.1, duplicate=0.01)),
    ("network: {rate: 10mbit}", NetworkStep(rate=1_250_000)),
    ("partition: {tasks: 1, for: 10s}", PartitionStep(lasts=10 * SECOND)),
    ("partition: {node: worker}", PartitionStep(node="worker")),
    ("drain:", DrainStep()),
    ("drain: {node: host-2.example, for: 3s}", DrainStep(node="host-2.example", lasts=3 * SECOND)),
    ("node_loss: {node: any}", NodeLossStep(node="any")),
]
MISTAKES = [
    ("kill: {tasks: some}", "a whole number"),
    ("kill: {match: ''}", "`match` is empty"),
    ("pause: {for: 0s}", "too short"),
    ("hang: {signal: SIGSTOP}", "unknown key `signal`"),
    ("memory:", "`memory` has no value"),
    ("memory: {tasks: 1}", "`fill` is missing"),
    ("memory: {fill: lots}", "does not say how much memory"),
    ("memory: {fill: 0%}", "does not say how much memory"),
    ("network:", "`network` has no value"),
    ("network: {tasks: 1}", "nothing is wrong with this network"),
    ("network: {jitter: 10ms, loss: 1%}", "varies a delay, and there is none"),
    ("network: {rate: 10mb}", "is not a bandwidth"),
    ("network: {rate: 1}", "is not a bandwidth"),
    ("partition: {tasks: 1, node: worker}", "either replicas are cut off, or a node"),
    ("drain: {node: two words}", "is not a node's name"),
    ("node_lost: {}", "`node_loss` was meant"),
]


def _write(directory: Path, action: str) -> Path:
    path = directory / "mine.yaml"
    path.write_text(f"extends: kill\ntimeline:\n  - at: 0s\n    {action}\n")
    return path


@pytest.mark.parametrize(("action", "step"), WRITTEN, ids=lambda value: str(value)[:40])
def test_an_action_becomes_its_step(tmp_path: Path, action: str, step: Step) -> None:
    path = _write(tmp_path, action)
    assert load_drill(path, pace="quick", env={}).timeline == (step,)
    BY_THE_SCHEMA.validate(YAML(typ="safe").load(path))


@pytest.mark.parametrize(("action", "said"), MISTAKES)
def test_a_mistake_in_an_action_is_said_once(tmp_path: Path, action: str, said: str) -> None:
    with pytest.raises(SpecErrors) as caught:
        load_drill(_write(tmp_path, action), pace="quick", env={})
    assert str(caught.value).startswith("1 mistake found")
    assert said in str(caught.value)


def test_a_share_of_the_limit_needs_a_limit_in_every_contender(tmp_path: Path) -> None:
    path = _write(tmp_path, "memory: {fill: 90%}")
    path.write_text(path.read_text() + "service: {image: improved-app, ports: ['3000']}\n")
    with pytest.raises(SpecErrors, match="contender `single` has no memory limit"):
        load_drill(path, pace="quick", env={})
    path.write_text(path.read_text().replace("90%", "90m"))
    assert load_drill(path, pace="quick", env={}).timeline


def test_a_plan_has_the_steps_as_the_file_writes_them(tmp_path: Path) -> None:
    drill = load_drill(_write(tmp_path, "pause: {for: 1s}"), pace="quick", env={})
    assert to_builtins(drill)["timeline"] == [{"at": 0, "pause": {"tasks": 1, "for": SECOND}}]


def test_a_steps_end_counts_its_fault() -> None:
    assert ends_at(PauseStep(at=SECOND, lasts=2 * SECOND)) == 3 * SECOND
    assert ends_at(KillStep(at=SECOND)) == SECOND
    assert lasting(HangStep()) is None
