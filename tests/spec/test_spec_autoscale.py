"""A contender's `autoscale:` means what the drill's contract says."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from breakroom.spec.drill import AutoscaleSpec, Contender
from breakroom.spec.loader import load_drill
from breakroom.spec.plan import to_builtins

SECOND = 1_000_000_000
WHOLE = """
extends: kill
contenders:
  orchestrated:
    deploy: {replicas: 2}
    autoscale:
      metric: utilisation
      target: 80%
      capacity: 120/s
      min: 2
      max: 6
      interval: 500ms
      tolerance: 5%
      cooldown: {up: 1s, down: 10s}
      dry_run: true
pace:
  course:
    contenders: {orchestrated: {autoscale: {cooldown: {down: 5m}}}}
  bare:
    contenders: {orchestrated: {autoscale: null}}
"""


def _contender(folder: Path, text: str, pace: str = "quick") -> Contender:
    path = folder / "scaled.yaml"
    path.write_text(text, encoding="utf-8")
    drill = load_drill(path, pace=pace, env={})
    return next(one for one in drill.contenders if one.name == "orchestrated")


def test_every_key_reaches_the_contract(tmp_path: Path) -> None:
    assert _contender(tmp_path, WHOLE).autoscale == AutoscaleSpec(
        metric="utilisation",
        target=0.8,
        capacity=120.0,
        minimum=2,
        maximum=6,
        interval=SECOND // 2,
        tolerance=0.05,
        cooldown_up=SECOND,
        cooldown_down=10 * SECOND,
        dry_run=True,
    )


def test_what_is_not_said_is_the_contracts_default(tmp_path: Path) -> None:
    text = "extends: kill\ncontenders: {orchestrated: {autoscale: {capacity: 9/s}}}\n"
    assert _contender(tmp_path, text).autoscale == AutoscaleSpec(capacity=9.0)
    latency = text.replace("capacity: 9/s", "metric: latency, target: 200ms")
    assert _contender(tmp_path, latency).autoscale == AutoscaleSpec(metric="latency", target=0.2 * SECOND)


def test_a_pace_changes_single_keys_and_null_takes_it_away(tmp_path: Path) -> None:
    course = _contender(tmp_path, WHOLE, "course").autoscale
    assert course is not None
    assert (course.cooldown_down, course.cooldown_up) == (300 * SECOND, SECOND)
    assert _contender(tmp_path, WHOLE, "bare").autoscale is None


def test_the_journals_plan_holds_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "scaled.yaml"
    path.write_text(WHOLE, encoding="utf-8")
    plan = to_builtins(load_drill(path, pace="quick", env={}))
    written = next(one["autoscale"] for one in plan["contenders"] if one["name"] == "orchestrated")
    assert set(written) == {field.name for field in fields(AutoscaleSpec)}
