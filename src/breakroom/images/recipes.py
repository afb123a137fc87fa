"""What goes into each image: its name, its tags and its build context, the same bytes wherever it is made.

Used by `images.build`, `images.contexts` and `cli.images`. Reads the sample apps and the Dockerfile of this
installation; touches nothing.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from breakroom import __version__
from breakroom.platforms.docker import hands_image

__all__ = [
    "DEFAULT_BASE",
    "RELEASE_LABEL",
    "SOURCE_LABEL",
    "ContextFile",
    "Recipe",
    "agent_recipe",
    "app_recipes",
]

DEFAULT_BASE = "python:3.12-slim"
RELEASE_LABEL = "breakroom.image"
"""Label of an image: the version of breakroom that made it. Never `names.OWNER`: containers inherit their image's
labels, and a container that a user made of our image is not ours to remove."""
SOURCE_LABEL = "breakroom.image.source"
"""Label of an image: SHA-256 of its build context. Image ids contain times, so two daemons' differ; this does not."""
_COURSE_FILES = {
    # The course measures with `curl -w "@curl-format.txt"` and does not say what stands in that file.
    "curl-format.txt": (
        "connect %{time_connect} s  first byte %{time_starttransfer} s  total %{time_total} s  status %{http_code}\\n"
    ),
}


@dataclass(frozen=True, slots=True)
class ContextFile:
    """One file of a build context."""

    content: bytes
    executable: bool = False


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One image. `name` is its first tag; `files` its build context, by path, the Dockerfile among them."""

    name: str
    more_tags: tuple[str, ...] = ()
    files: dict[str, ContextFile] = field(repr=False)
    base: str = DEFAULT_BASE
    """What the build argument BASE is if nobody says otherwise."""
    labels: dict[str, str] = field(default_factory=dict)
    """Labels that its Dockerfile does not have, by which an image of these files is known."""

    @property
    def tags(self) -> tuple[str, ...]:
        """Every name the image gets."""
        return (self.name, *self.more_tags)

    @property
    def marks(self) -> dict[str, str]:
        """The labels by which an image made of these files is known."""
        return self.labels or {SOURCE_LABEL: self.source}

    @cached_property
    def source(self) -> str:
        """SHA-256 of the context, in hexadecimal; the Dockerfile bears it as a label, counted with that left open."""
        return hashlib.sha256(_tar(self.files)).hexdigest()

    def context(self) -> dict[str, ContextFile]:
        """The files to build from, complete."""
        return {path: _complete(file, self.source) for path, file in self.files.items()}

    def context_tar(self) -> bytes:
        """The context as an uncompressed tar without times and owners."""
        return _tar(self.context())


def app_recipes() -> tuple[Recipe, ...]:
    """The images of the sample apps, as the course names them."""
    return (
        _app("memory-leak-app:latest", "v1", "memory-leak-app:v1"),
        _app("improved-app:latest", "v1", "improved-app:v1"),
        _app("improved-app:v2", "v2"),
        _app("health-app:latest", "v1", "health-app:v1"),
    )


def agent_recipe() -> Recipe:
    """The image of breakroom's own helpers, which do on a node what Docker's API cannot.

    Raises:
        PlatformError: `unsupported`: a part of it is not installed here.
    """
    with tarfile.open(fileobj=io.BytesIO(hands_image.context())) as archive:
        found = {}
        for entry in archive:
            content = archive.extractfile(entry)
            if content is not None:
                found[entry.name] = ContextFile(content.read())
    return Recipe(
        name=hands_image.AGENT_IMAGE, files=found, base=hands_image.BASE, labels=hands_image.image_labels()
    )


def _app(name: str, version: str, *more_tags: str) -> Recipe:
    module = name.partition(":")[0].replace("-", "_")
    here = files("breakroom.images")
    words = {"NAME": name, "VERSION": version, "MODULE": module, "RELEASE": __version__}
    dockerfile = (here / "Dockerfile").read_text(encoding="utf-8")
    for word, value in words.items():
        dockerfile = dockerfile.replace(f"@{word}@", value)
    found = {
        "Dockerfile": ContextFile(dockerfile.encode()),
        "bin/top": ContextFile((here / "top.sh").read_bytes(), executable=True),
        "app/breakroom/__init__.py": ContextFile(b""),
        **{f"app/breakroom/apps/{path.name}": ContextFile(path.read_bytes()) for path in _app_files()},
        **{path: ContextFile(text.encode()) for path, text in _COURSE_FILES.items()},
    }
    return Recipe(name=name, more_tags=more_tags, files=found)


def _app_files() -> list[Path]:
    # Found without importing it: the apps are programs, not a library of ours.
    spec = find_spec("breakroom.apps")
    assert spec is not None
    assert spec.submodule_search_locations
    return sorted(Path(spec.submodule_search_locations[0]).glob("*.py"))


def _complete(file: ContextFile, source: str) -> ContextFile:
    return ContextFile(file.content.replace(b"@SOURCE@", source.encode()), executable=file.executable)


def _tar(context: dict[str, ContextFile]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        # With the directories, as the docker command sends them: the layers, and so the image, are the same either way.
        above = {str(parent) for path in context for parent in PurePosixPath(path).parents} - {"."}
        for path in sorted({*context, *above}):
            file = context.get(path)
            entry = tarfile.TarInfo(path)
            if file is None:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
                continue
            entry.size = len(file.content)
            entry.mode = 0o755 if file.executable else 0o644
            archive.addfile(entry, io.BytesIO(file.content))
    return buffer.getvalue()
