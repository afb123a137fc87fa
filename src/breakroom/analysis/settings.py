"""A contender's own settings, as the explanations and the advice speak of them.

Read from the plan as the journal has it; what it does not name has Compose's default. Pure.
"""

from __future__ import annotations

from typing import Any

import msgspec

from breakroom.analysis.facts import TrialFacts
from breakroom.spec.service import Healthcheck, RestartPolicy, UpdateConfig

__all__ = [
    "grace_ns",
    "healthcheck",
    "in_compose",
    "is_container",
    "restart_policy",
    "restarts",
    "service_of",
    "update_config",
]

_SECOND = 1_000_000_000


def service_of(facts: TrialFacts) -> dict[str, Any]:
    """The contender's service as builtins."""
    service = facts.contender.get("service")
    return service if isinstance(service, dict) else {}


def is_container(facts: TrialFacts) -> bool:
    """Whether it is a container under a container engine, and no service under an orchestrator."""
    return facts.started.runs_as == "container"


def healthcheck(facts: TrialFacts) -> Healthcheck | None:
    """The health check that is made, whatever comes of it; None where there is none."""
    found = service_of(facts).get("healthcheck")
    if not isinstance(found, dict) or found.get("disable") or list(found.get("test", ()))[:1] == ["NONE"]:
        return None
    return msgspec.convert({"test": ("NONE",), **found}, Healthcheck)


def restarts(facts: TrialFacts) -> bool:
    """Whether anybody but a person starts again what died."""
    return not is_container(facts) or service_of(facts).get("restart", "no") != "no"


def restart_policy(facts: TrialFacts) -> RestartPolicy:
    """The orchestrator's restart policy."""
    return msgspec.convert(_deploy(facts, "restart_policy"), RestartPolicy)


def update_config(facts: TrialFacts) -> UpdateConfig:
    """How the orchestrator brings releases out."""
    return msgspec.convert(_deploy(facts, "update_config"), UpdateConfig)


def grace_ns(facts: TrialFacts) -> int:
    """`stop_grace_period`."""
    return int(service_of(facts).get("stop_grace_period", 10 * _SECOND))


def _deploy(facts: TrialFacts, key: str) -> dict[str, Any]:
    deploy = service_of(facts).get("deploy")
    found = deploy.get(key) if isinstance(deploy, dict) else None
    return found if isinstance(found, dict) else {}


def in_compose(ns: int) -> str:
    """A time as a Compose file has it: `1m30s`, `5s`, `100ms`."""
    if ns < _SECOND:
        return f"{ns / 1e6:g}ms" if ns else "0s"
    minutes, rest = divmod(ns, 60 * _SECOND)
    seconds = f"{rest / 1e9:g}s" if rest else ""
    return f"{minutes}m{seconds}" if minutes else seconds
