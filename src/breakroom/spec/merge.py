"""Laying one YAML tree over another: what `extends`, `pace` and contenders do.

Called by the drill reader. Pure. The rule is Compose's: mappings are merged key by key, anything else is
replaced; `null` takes away what was inherited.
"""

from __future__ import annotations

from breakroom.spec.nodes import Entry, MapNode, Node, ScalarNode

__all__ = ["is_null", "merge", "merge_drill"]


def is_null(node: Node | None) -> bool:
    """Whether a value is YAML's null."""
    return isinstance(node, ScalarNode) and node.value is None


def merge(base: Node, over: Node) -> Node:
    """`over` laid over `base`. A merged mapping keeps the base's place, a value the place of the file it came from."""
    if not (isinstance(base, MapNode) and isinstance(over, MapNode)):
        return over
    entries = dict(base.entries)
    for key, entry in over.entries.items():
        old = entries.get(key)
        if old is None:
            entries[key] = entry
        elif is_null(entry.node):
            del entries[key]
        elif isinstance(old.node, MapNode) and isinstance(entry.node, MapNode):
            entries[key] = Entry(old.key_place, merge(old.node, entry.node))
        else:
            entries[key] = entry
    return MapNode(entries, base.place)


def merge_drill(base: MapNode, over: MapNode) -> MapNode:
    """A drill file laid over the one it extends.

    Two keys mean more than their parts: `service` replaces the base's service (a mixture of two services would be
    neither), with what the base's paces say of it; a `load` that names another `model` replaces the base's load.
    """
    base = base.without("name")
    if not is_null(over.get("service")) and "service" in over.entries:
        base = _without_everywhere(base, "service")
    if _model(over) not in {None, _model(base)}:
        base = _without_everywhere(base, "load")
    merged = merge(base, over)
    assert isinstance(merged, MapNode)
    return MapNode(merged.entries, over.place)


def _model(drill: MapNode) -> object:
    load = drill.get("load")
    model = load.get("model") if isinstance(load, MapNode) else None
    return model.value if isinstance(model, ScalarNode) else None


def _without_everywhere(drill: MapNode, key: str) -> MapNode:
    """Without a key, in the document and in each of its paces."""
    drill = drill.without(key)
    paces = drill.entries.get("pace")
    if paces is None or not isinstance(paces.node, MapNode):
        return drill
    kept = {
        name: Entry(e.key_place, e.node.without(key) if isinstance(e.node, MapNode) else e.node)
        for name, e in paces.node.entries.items()
    }
    return drill.with_entry("pace", Entry(paces.key_place, MapNode(kept, paces.node.place)))
