"""Text → YAML tree with places, or problems. Never an exception, whatever the file holds.

Called by the loader and by the Compose reader for every file. Uses ruamel.yaml's composer (YAML 1.2) and none
of its constructors: no tag can make an object. The only module that knows ruamel.
"""

from __future__ import annotations

import contextlib
import re
import stat
import warnings
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, SequenceNode
from ruamel.yaml.nodes import ScalarNode as YamlScalar
from ruamel.yaml.reader import ReaderError

from breakroom.spec.errors import Place, Problems
from breakroom.spec.nodes import Entry, MapNode, Node, ScalarNode, SeqNode, resolve_plain

__all__ = ["LARGEST_FILE", "exists", "parse_yaml", "read_text", "yaml_files_beside"]

LARGEST_FILE = 1 << 20
"""Bytes. A drill is a page of text; anything larger is another kind of file."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_MOST_VALUES = 50_000
_DEEPEST = 60
_CORE_TAGS = frozenset(
    f"tag:yaml.org,2002:{t}"
    for t in (
        "str",
        "int",
        "float",
        "bool",
        "null",
        "map",
        "seq",
        "timestamp",
        "merge",
        "value",
    )
)

# What the scanner says → (likely cause, correct form).
_CAUSES = (
    ("'\\t'", "YAML allows no tab for indentation", "indent with spaces, two for each level"),
    (
        "mapping values are not allowed",
        "a second `: ` on the line, or wrong indentation",
        'quote a text that contains ": ", like title: "kill: one replica"',
    ),
    (
        "expected <block end>",
        "this line's indentation matches no line above it",
        "give the keys of one mapping the same indentation",
    ),
    (
        "could not find expected ':'",
        "a key without its colon, or a line that lost its indentation",
        "key: value",
    ),
    (
        "found another document",
        "a line `---` begins a second document",
        "one drill in a file: remove the `---`",
    ),
    (
        "undefined alias",
        "`*name` refers to an anchor `&name` that is not above it",
        "define the anchor first, or quote the text if it is not an alias",
    ),
    ("end of stream", "a quote was opened and not closed", 'title: "one replica"'),
    (
        "expected ',' or",
        "a bracket or brace was opened and not closed, or a comma is missing",
        "[a, b] or {a: 1, b: 2}",
    ),
    (
        "cannot start any token",
        "a text that begins with a character that means something to YAML",
        "quote the text",
    ),
)


def read_text(path: Path, place: Place, problems: Problems) -> str | None:
    """Read a file as UTF-8; what stands in the way becomes a problem at `place`, where the file was named."""
    shown = str(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            problems.add(
                place,
                "",
                f"{shown} is a directory",
                cause="the file's name is missing",
                correct=str(path / "my-drill.yaml"),
            )
            return None
        if not stat.S_ISREG(mode):
            problems.add(place, "", f"{shown} is not a regular file", correct="name a YAML file")
            return None
        if path.stat().st_size > LARGEST_FILE:
            problems.add(
                place,
                "",
                f"{shown} is larger than {LARGEST_FILE >> 20} MiB",
                cause="this is not a drill or Compose file",
                correct="name a YAML file",
            )
            return None
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        problems.add(
            place,
            "",
            f"{shown} cannot be read: {reason}",
            cause="the name or the permissions are wrong",
            correct="name a YAML file that you may read",
        )
        return None
    return _decode(data, shown, problems)


def _decode(data: bytes, shown: str, problems: Problems) -> str | None:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problems.add(
            Place(shown, line),
            "",
            f"byte {data[error.start]:#04x} is not UTF-8",
            cause="the file was saved in another encoding",
            correct="save the file as UTF-8",
        )
        return None


def exists(path: Path) -> bool:
    """Whether there is such a file or folder; a name that no file can have is one that does not exist."""
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or with a NUL
        return False


def yaml_files_beside(path: Path) -> list[str]:
    """Names of the YAML files in the folder that `path` would be in, for suggestions."""
    try:
        return sorted(file.name for file in path.parent.glob("*.y*ml"))[:1000]
    except (OSError, ValueError):
        return []


def parse_yaml(text: str, file: str, problems: Problems) -> Node | None:
    """Read one YAML document.

    Anchors, aliases and merge keys (`<<`) are resolved. Duplicate keys, tags, aliases that expand without bound and
    keys that are not text become problems. Returns None if there is no usable document.
    """
    try:
        with warnings.catch_warnings():
            # YAML lets an anchor's name be used again; the nearest one before an alias counts.
            warnings.simplefilter("ignore", ReusedAnchorWarning)
            root = YAML(typ="safe", pure=True).compose(text)
    except (YAMLError, RecursionError, ValueError, LookupError, AttributeError, AssertionError) as error:
        # Beside YAMLError, the scanner lets some odd inputs through to Python's own errors.
        _explain(error, file, problems)
        return None
    if root is None:
        problems.add(
            Place(file, 1),
            "",
            "the file is empty",
            cause="it was not saved, or all of it is comments",
            correct="extends: kill",
        )
        return None
    return _Converter(file, problems).start(root)


def _explain(error: Exception, file: str, problems: Problems) -> None:
    if isinstance(error, RecursionError):
        problems.add(
            Place(file, 1),
            "",
            "the file is nested too deeply",
            cause="brackets or braces were opened and never closed",
            correct="[a, b] or {a: 1, b: 2}",
        )
        return
    if isinstance(error, ReaderError):
        problems.add(
            Place(file, 1),
            "",
            f"the file holds a control character (U+{_code(error):04X})",
            cause="this is not a text file",
            correct="name a YAML file",
        )
        return
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    place = Place(file, mark.line + 1, mark.column + 1) if mark is not None else Place(file, 1)
    said = (
        (error.problem if isinstance(error, MarkedYAMLError) else None) or str(error) or type(error).__name__
    )
    said = said.splitlines()[0]
    context = getattr(error, "context", None)
    unknown = ("a quote, colon, bracket or space is missing or too many", "key: value")
    cause, correct = next(((why, form) for needle, why, form in _CAUSES if needle in said), unknown)
    full = f"{said} {context}" if context else said
    problems.add(place, "", f"this is not YAML: {full}", cause=cause, correct=correct)


def _code(error: ReaderError) -> int:
    character: Any = error.character
    return character if isinstance(character, int) else ord(str(character)[:1] or "\0")


class _Converter:
    """Turns ruamel's node graph into our tree, once for each document."""

    def __init__(self, file: str, problems: Problems) -> None:
        self._file = file
        self._problems = problems
        self._open: set[int] = set()
        self._count = 0
        self._overflow = False

    def start(self, root: Any) -> Node | None:
        """Convert the whole document; None if it was refused as a whole."""
        node = self._node(root, None)
        return None if self._overflow else node

    def _place(self, node: Any) -> Place:
        return Place(self._file, node.start_mark.line + 1, node.start_mark.column + 1)

    def _add(self, place: Place, what: str, *, cause: str = "", correct: str = "") -> None:
        self._problems.add(place, "", what, cause=cause, correct=correct)

    def _node(self, node: Any, key_place: Place | None) -> Node:
        place = self._place(node)
        nothing = ScalarNode(None, "", True, key_place or place)
        self._count += 1
        if self._count > _MOST_VALUES:
            if not self._overflow:
                self._overflow = True
                self._add(
                    place,
                    f"the file expands to more than {_MOST_VALUES:,} values",
                    cause="aliases (`*name`) that contain aliases multiply",
                    correct="write the values out",
                )
            return nothing
        self._check_tag(node, place)
        if isinstance(node, YamlScalar):
            return self._scalar(node, place, key_place)
        if len(self._open) >= _DEEPEST:
            self._overflow = True
            self._add(
                place,
                f"the file is nested more than {_DEEPEST} levels deep",
                cause="brackets or braces were opened and not closed",
                correct="a few levels are enough",
            )
            return nothing
        if id(node) in self._open:
            self._add(
                place,
                "an anchor contains itself",
                cause="an alias (`*name`) inside its own `&name`",
                correct="move the alias out of the anchor's value",
            )
            return nothing
        self._open.add(id(node))
        try:
            if isinstance(node, SequenceNode):
                return SeqNode(tuple(self._node(item, None) for item in node.value), place)
            return self._mapping(node, place)
        finally:
            self._open.discard(id(node))

    def _check_tag(self, node: Any, place: Place) -> None:
        tag = str(node.tag)
        if tag not in _CORE_TAGS:
            hint = (
                "Compose's !reset and !override are not read here; use null to remove a key"
                if tag in {"!reset", "!override"}
                else "a text that begins with `!` must be quoted"
            )
            self._add(place, f"the tag {tag} is not supported", cause=hint, correct="leave the tag out")

    def _scalar(self, node: YamlScalar, place: Place, key_place: Place | None) -> ScalarNode:
        plain = node.style is None
        text = self._text(node, place)
        value = resolve_plain(text) if plain and not str(node.tag).endswith(":str") else text
        # The mark of a missing value stands at the next token, often a line below: its key says more.
        return ScalarNode(value, text, plain, key_place if value is None and key_place else place)

    def _text(self, node: YamlScalar, place: Place) -> str:
        r"""The scalar's text. A `\0` or a lone surrogate (from an escape) could be given to no process and no file."""
        text = str(node.value)
        if "\0" not in text and not _SURROGATE.search(text):
            return text
        self._add(
            place,
            "the text holds a character that no file or command can hold",
            cause="an escape such as \\0",
            correct="leave it out",
        )
        return _SURROGATE.sub("", text.replace("\0", ""))

    def _mapping(self, node: MappingNode, place: Place) -> MapNode:
        own: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        for key, value in node.value:
            key_place = self._place(key)
            if not isinstance(key, YamlScalar):
                self._add(
                    key_place,
                    "a key must be a single word",
                    correct="key: value",
                    cause="a value in brackets or braces where a key belongs, or a missing quote",
                )
                continue
            if str(key.tag) == "tag:yaml.org,2002:merge":
                self._merge_key(self._node(value, key_place), merged)
                continue
            name = self._text(key, key_place)
            if name in own:
                self._add(
                    key_place,
                    f"the key `{name}` is here twice; the first is on line {own[name].key_place.line}",
                    cause="a block was copied, or two blocks were meant to be one",
                    correct=f"keep one `{name}:`",
                )
                continue
            own[name] = Entry(key_place, self._node(value, key_place))
        with contextlib.suppress(KeyError):
            del merged["<<"]
        return MapNode({**merged, **own}, place)

    def _merge_key(self, node: Node, merged: dict[str, Entry]) -> None:
        """YAML 1.1's merge key: the mapping's own keys win, then earlier mappings of a list."""
        for part in node.items if isinstance(node, SeqNode) else (node,):
            if not isinstance(part, MapNode):
                self._add(
                    part.place,
                    "`<<` needs a mapping",
                    cause="the alias names a value that is not a mapping",
                    correct="<<: *name",
                )
                continue
            for name, entry in part.entries.items():
                merged.setdefault(name, entry)
