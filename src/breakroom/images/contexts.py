"""Build contexts as directories, so that `docker build -t improved-app:v2 .` works there as the course has it.

Used by `breakroom images --context`, for images whose Dockerfile says all there is to say. Writes below the directory
it is given, and only over what it wrote before.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from breakroom.images.recipes import Recipe

__all__ = ["ContextError", "write_contexts"]


class ContextError(Exception):
    """A build context cannot be written; the text says why and what to do."""


def write_contexts(recipes: Sequence[Recipe], directory: Path) -> list[Path]:
    """Write each image's build context to `directory/NAME-TAG`, without the tag if it is `latest`; returns where.

    Raises:
        ContextError: one is there and is not breakroom's, or cannot be written.
    """
    places = [directory / _directory_name(recipe) for recipe in recipes]
    for place in places:
        if place.exists() and not _is_ours(place):
            raise ContextError(f"{place} is there and was not made by breakroom; name another directory")
    for recipe, place in zip(recipes, places, strict=True):
        try:
            for path, file in recipe.context().items():
                target = place / path
                target.parent.mkdir(parents=True, exist_ok=True)
                for parent in PurePosixPath(path).parents:
                    (place / parent).chmod(0o755)  # whatever the umask: it goes into the image
                target.write_bytes(file.content)
                target.chmod(0o755 if file.executable else 0o644)
        except OSError as error:
            raise ContextError(f"cannot write {error.filename or place}: {error.strerror}") from error
    return places


def _directory_name(recipe: Recipe) -> str:
    name, _, tag = recipe.name.partition(":")
    return name if tag == "latest" else f"{name}-{tag}"


def _is_ours(place: Path) -> bool:
    try:
        return not any(place.iterdir()) or "breakroom" in (place / "Dockerfile").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
