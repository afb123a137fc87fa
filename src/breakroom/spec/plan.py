"""What must be the same for every contender of a drill, as data with a digest: the proof of a fair comparison.

Called by the director (which writes it into the journal) and the analysis (which compares). Pure.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

from breakroom.spec.drill import Contender, Drill, Step
from breakroom.spec.drill_actions import as_written
from breakroom.spec.drill_shapes import action_of

__all__ = ["plan_digest", "shared_plan", "to_builtins"]


def shared_plan(drill: Drill, contender: Contender, seed: int, image_digest: str) -> dict[str, Any]:
    """Everything that a comparison holds fixed. Two contenders were treated alike if their shared plans are equal.

    The way of deploying (restart, replicas, healthcheck, update settings, operator) is what is compared, so it is
    not here.

    Args:
        drill: the resolved drill.
        contender: one of its contenders; its service has the overrides merged in.
        seed: of the run's random numbers (Poisson arrivals, the choice of tasks).
        image_digest: what the platform says the image is; empty where it has none.
    """
    service = contender.service
    return {
        "probe": _plain(drill.probe),
        "load": _plain(drill.load),
        "timeline": [_step(step) for step in drill.timeline],
        "steady_state": _plain(drill.steady_state),
        "recovered": _plain(drill.recovered),
        "seed": seed,
        "image": service.image,
        "image_digest": image_digest,
        "entrypoint": list(service.entrypoint),
        "command": list(service.command),
        "working_dir": service.working_dir,
        "environment": dict(sorted(service.environment.items())),
        "limits": _plain(service.deploy.resources.limits),
        "target_port": service.target_port,
    }


def plan_digest(plan: dict[str, Any]) -> str:
    """SHA-256 of the plan as canonical JSON (sorted keys, no spaces, UTF-8), in hexadecimal."""
    text = json.dumps(plan, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def to_builtins(drill: Drill) -> dict[str, Any]:
    """The whole drill as dicts, lists, text and numbers: nothing that JSON cannot hold."""
    whole: dict[str, Any] = {f.name: _plain(getattr(drill, f.name)) for f in dataclasses.fields(drill)}
    whole["timeline"] = [_step(step) for step in drill.timeline]
    return whole


def _step(step: Step) -> dict[str, Any]:
    """A step in the file's form: `{"at": 0, "kill": {…}}`."""
    values: dict[str, Any] = _plain(step)
    at = values.pop("at")
    return {"at": at, action_of(step): as_written(values)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
