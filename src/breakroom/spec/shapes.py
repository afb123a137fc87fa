"""What a value in a file may look like: one description that both reads it and publishes it as JSON Schema.

The shapes here are combined into the service's (`spec.compose_shapes`) and the drill's (`spec.drill_shapes`).
Reading never stops at a mistake: it is noted with its place, and `INVALID` stands for the value, so that one
file gives all of its mistakes. Pure.

Why not pydantic: a union of forms (a port is a number, a text or a mapping) gave one error for each form, and
places had to be looked up afterwards through merged documents. A shape knows its node, so there is one error,
at its place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from breakroom.spec.errors import Problems, nearest
from breakroom.spec.merge import is_null
from breakroom.spec.nodes import MapNode, Node, ScalarNode, SeqNode, describe
from breakroom.spec.units import UnitError

__all__ = [
    "INVALID",
    "Boolean",
    "Choice",
    "Field",
    "Fields",
    "Integer",
    "ListOf",
    "MapOf",
    "Quantity",
    "Schema",
    "Shape",
    "Text",
    "example_of",
]

Schema = dict[str, Any]
INVALID: Final[Any] = object()
"""Returned for a value whose mistake has been noted."""

_MOST = 2**60
"""More than any duration, size or rate can mean; what is larger does not fit where these numbers go."""
VARIABLE: Schema = {
    "type": "string",
    "pattern": r"\$",
    "description": "with a Compose variable such as ${NAME:-value}",
}


class Shape(ABC):
    """One form a value may have."""

    __slots__ = ()

    @abstractmethod
    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """The value as Python, or `INVALID` after noting what is wrong."""

    @abstractmethod
    def schema(self, *, variables: bool) -> Schema:
        """JSON Schema of the form as people write it; `variables`: where `${NAME}` may stand for it."""


def _with_variables(schema: Schema, variables: bool) -> Schema:
    return {"anyOf": [schema, VARIABLE]} if variables else schema


def example_of(path: str, value: str) -> str:
    """`key: value` for the last key of a path."""
    key = path.rsplit(".", 1)[-1].split("[", 1)[0]
    return f"{key}: {value}" if key else value


def _wrong(node: Node, path: str, problems: Problems, wanted: str, example: str, cause: str = "") -> Any:
    problems.add(
        node.place,
        path,
        f"this must be {wanted}, but it is {describe(node)}",
        cause=cause,
        correct=example_of(path, example),
    )
    return INVALID


@dataclass(frozen=True, slots=True)
class Text(Shape):
    """Text. `check` returns what is wrong with it, or an empty text. `numbers`: numbers and yes/no count as text."""

    example: str = "text"
    check: Callable[[str], str] | None = None
    pattern: str = ""
    numbers: bool = False

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """The text."""
        if not isinstance(node, ScalarNode) or node.value is None:
            return _wrong(
                node, path, problems, "text", self.example, "a value on the wrong level, or forgotten"
            )
        if not isinstance(node.value, str) and not self.numbers:
            return _wrong(
                node, path, problems, "text", f'"{node.text}"', "YAML reads it as another type; quote it"
            )
        text = node.value if isinstance(node.value, str) else node.text
        if self.check is not None and (wrong := self.check(text)):
            problems.add(node.place, path, wrong, correct=example_of(path, self.example))
            return INVALID
        return text

    def schema(self, *, variables: bool) -> Schema:
        """A string."""
        if self.numbers:
            return {"type": ["string", "number", "boolean"]}
        if self.pattern:
            return _with_variables({"type": "string", "pattern": self.pattern}, variables)
        return {"type": "string"}


@dataclass(frozen=True, slots=True)
class Integer(Shape):
    """A whole number from `low` to `high`; also as text of digits, as Compose allows."""

    low: int = 0
    high: int = 1_000_000_000
    example: str = "1"

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """The number."""
        value = node.value if isinstance(node, ScalarNode) else None
        if (
            isinstance(value, str)
            and value.isascii()
            and value.isdigit()
            and len(value) <= len(str(self.high))
        ):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            return _wrong(node, path, problems, "a whole number", self.example)
        if not self.low <= value <= self.high:
            problems.add(
                node.place,
                path,
                f"{value} is outside of {self.low} to {self.high}",
                cause="too small" if value < self.low else "too large",
                correct=example_of(path, self.example),
            )
            return INVALID
        return value

    def schema(self, *, variables: bool) -> Schema:
        """An integer with its bounds, or digits."""
        number: Schema = {"type": "integer", "minimum": self.low, "maximum": self.high}
        return _with_variables({"anyOf": [number, {"type": "string", "pattern": r"^\d+$"}]}, variables)


@dataclass(frozen=True, slots=True)
class Boolean(Shape):
    """`true` or `false`."""

    example: str = "true"

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """The truth value."""
        if isinstance(node, ScalarNode) and isinstance(node.value, bool):
            return node.value
        if isinstance(node, ScalarNode) and node.text.lower() in {"yes", "no", "on", "off"}:
            meant = "true" if node.text.lower() in {"yes", "on"} else "false"
            return _wrong(
                node, path, problems, "true or false", meant, "yes and no are plain words in YAML 1.2"
            )
        return _wrong(node, path, problems, "true or false", self.example)

    def schema(self, *, variables: bool) -> Schema:
        """A boolean."""
        return _with_variables({"type": "boolean"}, variables)


@dataclass(frozen=True, slots=True)
class Quantity(Shape):
    """A duration, size, rate, … read by one of `spec.units`.

    `low` is the least allowed, in the parsed unit; `low_text` is the same as people write it.
    """

    parse: Callable[[object], Any]
    unit_schema: Mapping[str, Any]
    example: str
    low: float | None = None
    low_text: str = ""

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """The quantity in the unit of `spec.service`."""
        if not isinstance(node, ScalarNode) or node.value is None:
            return _wrong(node, path, problems, f"a value such as {self.example}", self.example)
        try:
            value = self.parse(node.value)
            if value > _MOST:
                raise OverflowError(value)
        except (UnitError, OverflowError) as error:
            self._note(error, node, path, problems)
            return INVALID
        if self.low is not None and value < self.low:
            problems.add(
                node.place,
                path,
                f"{node.text} is too short; the least is {self.low_text}",
                cause="0 does not mean `without limit` here" if not value else "",
                correct=example_of(path, self.example),
            )
            return INVALID
        return value

    def _note(
        self, error: UnitError | OverflowError, node: ScalarNode, path: str, problems: Problems
    ) -> None:
        if isinstance(error, OverflowError):
            problems.add(
                node.place, path, f"{node.text} is too large", correct=example_of(path, self.example)
            )
            return
        number = isinstance(node.value, int | float) and not isinstance(node.value, bool)
        cause = "a number without its unit" if number and error.kind == "duration" else ""
        form = f"{node.text}s" if cause else self.example
        problems.add(
            node.place,
            path,
            f"{node.text!r} is not a {error.kind}",
            cause=cause,
            correct=f"{example_of(path, form)}   ({error.expected})",
        )

    def schema(self, *, variables: bool) -> Schema:
        """The unit's own schema."""
        schema = dict(self.unit_schema)
        if self.low is not None:
            schema["not"] = {"anyOf": [{"const": 0}, {"type": "string", "pattern": r"^0+(\.0+)?\D*$"}]}
        return _with_variables(schema, variables)


@dataclass(frozen=True, slots=True)
class Choice(Shape):
    """One word of a few. `hints` explain words that people bring from elsewhere."""

    words: tuple[str, ...]
    hints: Mapping[str, str] = field(default_factory=dict)

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """The word."""
        if isinstance(node, ScalarNode) and isinstance(node.value, str) and node.value in self.words:
            return node.value
        if not isinstance(node, ScalarNode) or node.value is None:
            return _wrong(node, path, problems, f"one of {', '.join(self.words)}", self.words[0])
        near = nearest(node.text, self.words)
        cause = self.hints.get(node.text, "") or (f"`{near}` was meant" if near else "")
        problems.add(
            node.place,
            path,
            f"{node.text!r} is not one of {', '.join(self.words)}",
            cause=cause,
            correct=example_of(path, near or self.words[0]),
        )
        return INVALID

    def schema(self, *, variables: bool) -> Schema:
        """An enum."""
        return _with_variables({"enum": list(self.words)}, variables)


@dataclass(frozen=True, slots=True)
class ListOf(Shape):
    """A list of one shape."""

    item: Shape
    example: str = "[…]"
    least: int = 0

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """A tuple of the valid items."""
        if not isinstance(node, SeqNode):
            return _wrong(node, path, problems, "a list", self.example, "the `- ` before the item is missing")
        if len(node.items) < self.least:
            problems.add(node.place, path, "the list is empty", correct=example_of(path, self.example))
            return INVALID
        values = [self.item.read(item, f"{path}[{i}]", problems) for i, item in enumerate(node.items)]
        return tuple(value for value in values if value is not INVALID)

    def schema(self, *, variables: bool) -> Schema:
        """An array."""
        schema: Schema = {"type": "array", "items": self.item.schema(variables=variables)}
        return {**schema, "minItems": self.least} if self.least else schema


@dataclass(frozen=True, slots=True)
class MapOf(Shape):
    """Free names, each with one shape. `null_ok`: a name may stand without a value, and is then left out."""

    item: Shape
    example: str = "{name: value}"
    null_ok: bool = False
    name_pattern: str = ""
    check_name: Callable[[str], str] | None = None

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """A dict of the valid items."""
        if not isinstance(node, MapNode):
            return _wrong(node, path, problems, "a mapping", self.example)
        values: dict[str, Any] = {}
        for name, entry in node.entries.items():
            if self.check_name is not None and (wrong := self.check_name(name)):
                problems.add(entry.key_place, f"{path}.{name}", wrong, correct=self.example)
            if self.null_ok and is_null(entry.node):
                continue
            value = self.item.read(entry.node, f"{path}.{name}", problems)
            if value is not INVALID:
                values[name] = value
        return values

    def schema(self, *, variables: bool) -> Schema:
        """An object with free names."""
        item = self.item.schema(variables=variables)
        schema: Schema = {"type": "object", "additionalProperties": nullable(item) if self.null_ok else item}
        return {**schema, "propertyNames": {"pattern": self.name_pattern}} if self.name_pattern else schema


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a mapping. `null_ok`: the key may stand without a value, which means as if it were absent."""

    shape: Shape
    doc: str
    required: bool = False
    null_ok: bool = False


@dataclass(frozen=True, slots=True)
class Fields(Shape):
    """A mapping with known keys.

    `explain` is asked about a key that is not here: it returns (what, cause, correct), or None for an ordinary
    unknown key. `accepted` are keys without effect, with what the schema says of them. Where `extensions` is set, keys
    that begin with `x-` are accepted (Compose's extensions).
    """

    noun: str
    fields: Mapping[str, Field]
    example: str = ""
    explain: Callable[[str], tuple[str, str, str] | None] | None = None
    accepted: Mapping[str, str] = field(default_factory=dict)
    extensions: bool = False
    doc: str = ""

    def read(self, node: Node, path: str, problems: Problems) -> Any:
        """A dict of the valid fields that are present."""
        if not isinstance(node, MapNode):
            return _wrong(node, path, problems, f"a mapping ({self.noun})", self.example or "{…}")
        values: dict[str, Any] = {}
        for key, entry in node.entries.items():
            here = f"{path}.{key}" if path else key
            known = self.fields.get(key)
            if known is None:
                self._unknown(key, entry.key_place, here, problems)
            elif is_null(entry.node):
                if not known.null_ok:
                    problems.add(
                        entry.key_place,
                        here,
                        f"`{key}` has no value",
                        cause="the value was forgotten, or what follows is not indented below it",
                        correct=example_of(here, _example(known.shape)),
                    )
            else:
                value = known.shape.read(entry.node, here, problems)
                if value is not INVALID:
                    values[key] = value
        for key, known in self.fields.items():
            if known.required and key not in node.entries:
                problems.add(
                    node.place,
                    path,
                    f"`{key}` is missing in {self.noun}",
                    cause="it was forgotten",
                    correct=example_of(key, _example(known.shape)),
                )
        return values

    def _unknown(self, key: str, place: Any, path: str, problems: Problems) -> None:
        if key in self.accepted or (self.extensions and key.startswith("x-")):
            return
        explained = self.explain(key) if self.explain is not None else None
        if explained is not None:
            what, cause, correct = explained
            problems.add(place, path, what, cause=cause, correct=correct)
            return
        near = nearest(key, self.fields)
        problems.add(
            place,
            path,
            f"unknown key `{key}` in {self.noun}",
            cause=f"`{near}` was meant" if near else "a key of something else, or on the wrong level",
            correct=example_of(near, _example(self.fields[near].shape))
            if near
            else f"the keys here are {', '.join(self.fields)}"
            if self.fields
            else f"remove `{key}`: there are no keys here",
        )

    def schema(self, *, variables: bool) -> Schema:
        """An object that allows no other keys."""
        properties: Schema = {}
        for key, known in self.fields.items():
            schema = known.shape.schema(variables=variables)
            properties[key] = {**(nullable(schema) if known.null_ok else schema), "description": known.doc}
        for key, note in self.accepted.items():
            properties[key] = {"description": f"Accepted, without effect: {note}"}
        schema = {"type": "object", "properties": properties, "additionalProperties": False}
        if self.extensions:
            schema["patternProperties"] = {"^x-": {}}
        required = [key for key, known in self.fields.items() if known.required]
        if required:
            schema["required"] = required
        return {**schema, "description": self.doc} if self.doc else schema


def _example(shape: Shape) -> str:
    if isinstance(shape, Choice):
        return shape.words[0]
    return str(getattr(shape, "example", "")) or "…"


def nullable(schema: Schema) -> Schema:
    """The schema, or null."""
    return {"anyOf": [schema, {"type": "null"}]}
