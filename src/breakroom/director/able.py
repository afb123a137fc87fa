"""What the platform must be able to do for a plan, asked before anything is started.

Used by `director.trial` for the steps of a timeline; contenders are the plan's matter (`director.plan`). Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from breakroom.i18n.terms import N_
from breakroom.spec.drill import Contender, Drill
from breakroom.spec.drill_shapes import action_of
from breakroom.spec.drill_steps import needs

__all__ = ["why_impossible"]


_OF_NODES = frozenset({"drain", "node_loss", "partition.node"})
_ONE_NODE = N_(
    "a contender that runs as a container is on one node, the one that breakroom talks to, and nobody moves it; "
    "give the drill contenders with `runs_as: service` alone"
)


def why_impossible(drill: Drill, contender: Contender, cannot: Mapping[str, str]) -> str:
    """Why the drill's timeline cannot be played against the contender, naming the step; empty if it can."""
    if contender.runs_as == "container":
        cannot = {**dict.fromkeys(_OF_NODES, _ONE_NODE), **cannot}
    for step in drill.timeline:
        for word in needs(action_of(step), step):
            if word in cannot:
                return f"{word}: {cannot[word]}"
    return ""
