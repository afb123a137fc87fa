"""What the platform must be able to do for a plan, asked before anything is started.

Used by `director.trial` for the steps of a timeline, and by `director.prepare` for the contenders. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from breakroom.spec.drill import Drill
from breakroom.spec.drill_shapes import action_of
from breakroom.spec.drill_steps import needs

__all__ = ["why_impossible"]


def why_impossible(drill: Drill, cannot: Mapping[str, str]) -> str:
    """Why the drill's timeline cannot be played, naming the step; empty if it can."""
    for step in drill.timeline:
        action = action_of(step)
        for word in needs(action, step):
            if word in cannot:
                return f"{word}: {cannot[word]}"
    return ""
