"""Reads drills: the one door from people's files to `Drill` values.

Called by the command line. Reads files (drills, Compose files, env files) and changes nothing. Whatever a file
holds, the result is a `Drill` or one `SpecErrors` that lists every mistake with its file, line, likely cause
and correct form.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Protocol

from breakroom.spec.drill import Drill
from breakroom.spec.drill_reader import DrillReader, paces_of, resolve_extends
from breakroom.spec.drill_shapes import Localized
from breakroom.spec.errors import Place, Problems, SpecError, SpecErrors, nearest
from breakroom.spec.nodes import MapNode, ScalarNode, describe
from breakroom.spec.yaml_reader import exists, parse_yaml, read_text, yaml_files_beside

__all__ = ["BUILT_IN", "DrillInfo", "DrillSource", "SpecError", "SpecErrors", "builtin_drills", "load_drill"]

_BUILT_IN_FOLDER = "<built-in>"


class DrillSource(Protocol):
    """Where drills are found by name."""

    def names(self) -> tuple[str, ...]:
        """Every name, sorted."""
        ...

    def text(self, name: str) -> str:
        """The YAML of one of them."""
        ...


class _PackagedDrills:
    """The drills that come with breakroom."""

    def names(self) -> tuple[str, ...]:
        """Every name, sorted."""
        files = resources.files("breakroom.drills").iterdir()
        return tuple(sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml")))

    def text(self, name: str) -> str:
        """The YAML of one of them."""
        return resources.files("breakroom.drills").joinpath(f"{name}.yaml").read_text(encoding="utf-8")


BUILT_IN: DrillSource = _PackagedDrills()


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillInfo:
    """What a list of drills shows. `title` and `description` are by language code."""

    name: str
    title: dict[str, str]
    description: dict[str, str]
    paces: tuple[str, ...]


def builtin_drills(drills: DrillSource = BUILT_IN) -> list[DrillInfo]:
    """Every drill that can be run by its name.

    Raises:
        SpecErrors: one of them is broken.
    """
    found: list[DrillInfo] = []
    for name in drills.names():
        problems = Problems()
        source = _Documents(drills, problems)
        root = source.built_in(name)
        if root is not None:
            document = resolve_extends(root, source, source.default_contenders, problems)
            texts = {
                key: Localized().read(node, key, problems) if (node := document.get(key)) is not None else {}
                for key in ("title", "description")
            }
        problems.raise_if_any()
        found.append(DrillInfo(name=name, paces=paces_of(document), **texts))
    return found


def load_drill(
    source: str | Path, *, pace: str, drills: DrillSource = BUILT_IN, env: Mapping[str, str] | None = None
) -> Drill:
    """Read a drill, resolved for one pace.

    Args:
        source: a built-in drill's name, or the path of a drill file.
        pace: `quick`, `course`, or a pace that the file itself defines.
        drills: where names are looked up.
        env: variables for `${NAME}` in services; the process's own environment if None.

    Raises:
        SpecErrors: the file has mistakes (in any of its paces), or there is no such file, name or pace.
    """
    problems = Problems()
    documents = _Documents(drills, problems)
    root = documents.main(source)
    if root is None:
        problems.raise_if_any()
        raise AssertionError("a missing document without a problem")
    document = resolve_extends(root, documents, documents.default_contenders, problems)
    known = paces_of(document)
    if pace not in known:
        near = nearest(pace, known)
        node = document.get("pace")
        problems.add(
            node.place if node is not None else document.place,
            "pace",
            f"there is no pace {pace!r}",
            cause=f"`{near}` was meant" if near else f"the paces of this drill are: {', '.join(known)}",
            correct=f"--pace {near or known[0]}",
        )
    variables = os.environ if env is None else env
    reader = DrillReader(document, documents.default_contenders, variables, problems)
    stem, shown = _name_of(root), "built-in" if _is_built_in(root) else root.place.file
    drill = reader.read(pace, stem, shown)
    for other in known:
        # A mistake in a pace that was not chosen is a mistake all the same; what all paces share is noted once.
        if other != pace:
            reader.read(other, stem, shown)
    problems.raise_if_any()
    assert drill is not None
    return drill


def _is_built_in(root: MapNode) -> bool:
    return root.place.file.startswith(_BUILT_IN_FOLDER)


def _name_of(root: MapNode) -> str:
    """A drill's name by its file's: `My drill.yaml` becomes `my-drill`."""
    stem = re.sub(r"[^a-z0-9]+", "-", Path(root.place.file).stem.lower()).strip("-")
    return stem[:40].rstrip("-") or "drill"


class _Documents:
    """Finds and parses drill files for one load."""

    def __init__(self, drills: DrillSource, problems: Problems) -> None:
        self._drills = drills
        self._problems = problems

    def main(self, source: str | Path) -> MapNode | None:
        """The document that the caller asked for."""
        name = str(source)
        if isinstance(source, str) and source in self._drills.names():
            return self.built_in(source)
        path = Path(source)
        if exists(path):
            return self._file(path, Place(name))
        self._missing(name, path, Place(name), "", bare=isinstance(source, str) and _is_bare(source))
        return None

    def document(self, name: str, *, relative_to: ScalarNode | None, path: str) -> MapNode | None:
        """The document that `extends` names, from the file in which it stands."""
        assert relative_to is not None
        if name in self._drills.names():
            return self.built_in(name)
        file = Path(relative_to.place.file).parent / name
        if exists(file):
            return self._file(file, relative_to.place)
        self._missing(name, file, relative_to.place, path, bare=_is_bare(name))
        return None

    def built_in(self, name: str) -> MapNode | None:
        """A built-in drill's document."""
        return self._parse(self._drills.text(name), f"{_BUILT_IN_FOLDER}/{name}.yaml")

    def default_contenders(self) -> MapNode:
        """The document whose contenders are used by a drill that names none."""
        root = _Documents(BUILT_IN, self._problems).built_in("kill")
        assert root is not None
        return root

    def _file(self, path: Path, place: Place) -> MapNode | None:
        text = read_text(path, place, self._problems)
        return self._parse(text, str(path)) if text is not None else None

    def _parse(self, text: str, file: str) -> MapNode | None:
        root = parse_yaml(text, file, self._problems)
        if root is None or isinstance(root, MapNode):
            return root
        self._problems.add(
            root.place,
            "",
            f"a drill file is a mapping, but this is {describe(root)}",
            cause="this is another kind of file",
            correct="extends: kill",
        )
        return None

    def _missing(self, name: str, path: Path, place: Place, where: str, *, bare: bool) -> None:
        names = self._drills.names()
        files = yaml_files_beside(path)
        near_name = nearest(name, names) if bare else None
        near_file = nearest(path.name if path.suffix else f"{path.name}.yaml", files)
        near = near_name or (str(path.parent / near_file) if near_file else None)
        what = f"there is no drill {name!r}" if bare else f"the file {path} does not exist"
        cause = f"`{near}` was meant" if near else f"the built-in drills are: {', '.join(names)}"
        self._problems.add(place, where, what, cause=cause, correct=near or names[0])


def _is_bare(name: str) -> bool:
    """Whether this is written as a drill's name rather than as a path."""
    return "/" not in name and not name.endswith((".yaml", ".yml"))
