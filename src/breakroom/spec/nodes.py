"""A YAML document as an immutable tree in which every key and value knows its place.

Made by `spec.yaml_reader`, changed (into new trees) by `spec.merge` and `spec.interpolate`, read by
`spec.shapes`. Places survive merging, so a mistake in a base file names that file. Pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping as MappingABC
from dataclasses import dataclass

from breakroom.spec.errors import Place

__all__ = [
    "Entry",
    "MapNode",
    "Node",
    "ScalarNode",
    "ScalarValue",
    "SeqNode",
    "describe",
    "make",
    "resolve_plain",
]

ScalarValue = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """A single value. `text` is as written (without quotes); `plain` tells that it was not quoted."""

    value: ScalarValue
    text: str
    plain: bool
    place: Place


@dataclass(frozen=True, slots=True)
class SeqNode:
    """A list."""

    items: tuple[Node, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Entry:
    """One key with its value."""

    key_place: Place
    node: Node


@dataclass(frozen=True, slots=True)
class MapNode:
    """A mapping. Keys are text; their order is the file's."""

    entries: MappingABC[str, Entry]
    place: Place

    def get(self, key: str) -> Node | None:
        """The key's value; None if the key is absent."""
        entry = self.entries.get(key)
        return entry.node if entry is not None else None

    def without(self, *keys: str) -> MapNode:
        """The same mapping with some keys left out."""
        return MapNode({k: e for k, e in self.entries.items() if k not in keys}, self.place)

    def with_entry(self, key: str, entry: Entry) -> MapNode:
        """The same mapping with one key set."""
        return MapNode({**self.entries, key: entry}, self.place)


Node = ScalarNode | SeqNode | MapNode

_INT = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, ScalarValue] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", "+.inf", ".Inf", "+.Inf"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf"), -math.inf),
    **dict.fromkeys((".nan", ".NaN"), math.nan),
}
_LONGEST_NUMBER = 100


def resolve_plain(text: str) -> ScalarValue:
    """What an unquoted scalar means (YAML 1.2, core schema): `no` is a word, `010` is ten, `22:22` is text."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > _LONGEST_NUMBER:
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def describe(node: Node) -> str:
    """Name a value in an error message: `the number 5`, `a list`, `nothing`."""
    if isinstance(node, MapNode):
        return "a mapping"
    if isinstance(node, SeqNode):
        return "a list"
    shown = node.text if len(node.text) <= 60 else node.text[:57] + "…"
    if node.value is None:
        return "nothing"
    if isinstance(node.value, bool):
        return f"the yes/no value {shown}"
    return f"the number {shown}" if isinstance(node.value, int | float) else f"the text {shown!r}"


def make(value: ScalarValue | MappingABC[str, object] | list[object], place: Place) -> Node:
    """A tree from plain Python values, all at one place: for what the loader itself puts into a document."""
    if isinstance(value, MappingABC):
        entries = {key: Entry(place, make(item, place)) for key, item in value.items()}  # type: ignore[arg-type]  # recursive
        return MapNode(entries, place)
    if isinstance(value, list):
        return SeqNode(tuple(make(item, place) for item in value), place)  # type: ignore[arg-type]  # recursive
    return ScalarNode(value, "" if value is None else str(value), isinstance(value, str), place)
