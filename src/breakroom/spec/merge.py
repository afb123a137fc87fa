"""Laying one YAML tree over another: what `extends`, `pace` and contenders do.

Called by the drill reader. Pure. The rule is Compose's: mappings are merged key by key, anything else is
replaced; `null` takes away what was inherited.
"""

from __future__ import annotations

from collections.abc import Callable

from breakroom.spec.nodes import Entry, MapNode, Node, ScalarNode, SeqNode

__all__ = ["is_null", "merge", "merge_document", "merge_drill"]


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

    Three keys mean more than their parts: `service` replaces the base's service (a mixture of two services would be
    neither), with what the base's paces say of it; a `load` that names another `model` replaces the base's load; and
    with a contender that is taken away go the base's conditions about it, and what the base's paces say of it.
    """
    base = base.without("name")
    if not is_null(over.get("service")) and "service" in over.entries:
        base = _everywhere(base, lambda part: part.without("service"))
    if _model(over) not in {None, _model(base)}:
        base = _everywhere(base, lambda part: part.without("load"))
    if gone := _taken_away(over):
        base = _everywhere(base, lambda part: _without_conditions(part, gone))
        base = _in_paces(base, lambda part: _without_contenders(part, gone))
    return MapNode(merge_document(base, over).entries, over.place)


def merge_document(base: MapNode, over: MapNode) -> MapNode:
    """A document laid over another. Of a drill's own keys, null takes only `load` away.

    Elsewhere a key without a value is a forgotten one, which the check that follows must see.
    """
    merged = merge(base, over)
    assert isinstance(merged, MapNode)
    forgotten = {key: entry for key, entry in over.entries.items() if is_null(entry.node) and key != "load"}
    return MapNode({**merged.entries, **forgotten}, merged.place)


def _model(drill: MapNode) -> object:
    load = drill.get("load")
    model = load.get("model") if isinstance(load, MapNode) else None
    return model.value if isinstance(model, ScalarNode) else None


def _taken_away(drill: MapNode) -> frozenset[str]:
    contenders = drill.get("contenders")
    if not isinstance(contenders, MapNode):
        return frozenset()
    return frozenset(name for name, entry in contenders.entries.items() if is_null(entry.node))


def _without_conditions(part: MapNode, contenders: frozenset[str]) -> MapNode:
    """Without the conditions of `expect` that are about these contenders."""
    expect = part.entries.get("expect")
    if expect is None or not isinstance(expect.node, SeqNode):
        return part
    kept = (
        item
        for item in expect.node.items
        if not (isinstance(item, ScalarNode) and item.text.split(".", 1)[0].strip() in contenders)
    )
    return part.with_entry("expect", Entry(expect.key_place, SeqNode(tuple(kept), expect.node.place)))


def _without_contenders(part: MapNode, contenders: frozenset[str]) -> MapNode:
    entry = part.entries.get("contenders")
    if entry is None or not isinstance(entry.node, MapNode):
        return part
    return part.with_entry("contenders", Entry(entry.key_place, entry.node.without(*contenders)))


def _everywhere(drill: MapNode, change: Callable[[MapNode], MapNode]) -> MapNode:
    """Change the document and each of its paces."""
    return _in_paces(change(drill), change)


def _in_paces(drill: MapNode, change: Callable[[MapNode], MapNode]) -> MapNode:
    paces = drill.entries.get("pace")
    if paces is None or not isinstance(paces.node, MapNode):
        return drill
    changed = {
        name: Entry(e.key_place, change(e.node) if isinstance(e.node, MapNode) else e.node)
        for name, e in paces.node.entries.items()
    }
    return drill.with_entry("pace", Entry(paces.key_place, MapNode(changed, paces.node.place)))
