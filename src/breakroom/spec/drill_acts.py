"""What a timeline's acts make of each contender, followed step by step: an act that could only fail is a mistake.

Used by `spec.drill_reader`, for what is known before anything is run: to how many replicas a service was scaled, which
releases there were, and whether there is a memory limit that an `oom` could wait for. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from breakroom.spec.drill import Contender
from breakroom.spec.drill_steps import OomStep, RollbackStep, ScaleStep, Step, UpdateStep
from breakroom.spec.errors import Problems
from breakroom.spec.nodes import MapNode, SeqNode

__all__ = ["check_acts"]

_Mistake = tuple[str, str, str, str]
"""The action, what is wrong, why probably, and the correct form."""


def check_acts(
    document: MapNode, timeline: Sequence[Step], contenders: tuple[Contender, ...], problems: Problems
) -> None:
    """Note each act that is in vain, at its step. `timeline` is in the file's order and holds every step of it."""
    node = document.get("timeline")
    if not isinstance(node, SeqNode):
        return
    followed = [_Followed.begin(contender) for contender in contenders]
    for number, step in sorted(enumerate(timeline), key=lambda numbered: numbered[1].at):
        mistakes = [mistake for one in followed if (mistake := one.play(step)) is not None]
        for action, what, cause, correct in mistakes[:1]:
            problems.add(
                node.items[number].place, f"timeline[{number}].{action}", what, cause=cause, correct=correct
            )


@dataclass(slots=True, kw_only=True)
class _Followed:
    """A contender as the steps so far have made it."""

    contender: Contender
    replicas: int | None
    """None: a container, or an autoscaler's matter."""
    releases: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Image and environment, the present ones last."""

    @classmethod
    def begin(cls, contender: Contender) -> _Followed:
        service, rule = contender.service, contender.autoscale
        known = contender.runs_as == "service" and (rule is None or rule.dry_run)
        return cls(
            contender=contender,
            replicas=service.deploy.replicas if known else None,
            releases=[(service.image, dict(service.environment))],
        )

    def play(self, step: Step) -> _Mistake | None:
        match step:
            case ScaleStep():
                return self._scale(step)
            case UpdateStep():
                return self._update(step)
            case RollbackStep():
                return self._rollback()
            case OomStep():
                return self._oom()
            case _:
                return None

    def _scale(self, step: ScaleStep) -> _Mistake | None:
        if self.replicas is None:
            return None
        before, self.replicas = self.replicas, step.replicas
        if before != step.replicas:
            return None
        return (
            "scale",
            f"contender `{self.contender.name}` has {before} replicas by then: nothing would change",
            "`deploy.replicas`, or a `scale` before it, says so already",
            f"scale: {{replicas: {2 * before or 3}}}",
        )

    def _update(self, step: UpdateStep) -> _Mistake | None:
        image, environment = self.releases[-1]
        release = (step.image or image, {**environment, **step.environment})
        self.releases.append(release)
        if release != (image, environment):
            return None
        return (
            "update",
            f"nothing is new in this release for contender `{self.contender.name}`",
            "the image and the variables are those that it has by then",
            "update: {image: improved-app:v2}",
        )

    def _rollback(self) -> _Mistake | None:
        if len(self.releases) > 1:
            self.releases.append(self.releases[-2])
            return None
        return (
            "rollback",
            "nothing was updated by then, so there is no release to go back to",
            "the `update` is missing, or comes later",
            "- {at: 0s, update: {image: improved-app:v2}}\n- {at: 10s, rollback: {}}",
        )

    def _oom(self) -> _Mistake | None:
        if self.contender.service.deploy.resources.limits.memory is not None:
            return None
        return (
            "oom",
            f"contender `{self.contender.name}` has no memory limit that could kill it",
            "the service has no `deploy.resources.limits.memory` (or `mem_limit`)",
            "service: {mem_limit: 128m, …}",
        )
