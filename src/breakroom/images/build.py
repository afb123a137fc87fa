"""Builds images through the Docker API, and finds out which are there.

Used by `cli.images`. Touches the daemon's images and nothing else. The daemon's own builder is used, with its cache: an
image whose context and base have not changed keeps its id.
"""

from __future__ import annotations

import io
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiodocker.exceptions import DockerError, DockerStreamError

from breakroom.images.recipes import Recipe
from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker.connect import Daemon

__all__ = ["Built", "Told", "build", "ensure_base", "image_now"]

Told = Callable[[str], None]
"""Is told each line of the builder's as it comes."""
_SHOWN_LINES = 12
_NO_WAY_OUT = re.compile(
    r"dial tcp|no such host|lookup |i/o timeout|connection refused|TLS handshake|network is unreachable|proxyconnect",
    re.IGNORECASE,
)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An image on the daemon."""

    name: str
    tags: tuple[str, ...]
    id: str
    """`sha256:…` of its configuration; empty: there is none."""
    size: int = 0
    """Bytes, its base's included."""
    current: bool = False
    """Whether it was made from this installation's files."""
    changed: bool = False
    """Whether building made another image than was there before."""


async def image_now(daemon: Daemon, recipe: Recipe) -> Built:
    """What the daemon has under the image's name now.

    Raises:
        PlatformError: the daemon cannot be asked.
    """
    found = await _inspect(daemon, recipe.name)
    if found is None:
        return Built(name=recipe.name, tags=recipe.tags, id="")
    marks = (found.get("Config") or {}).get("Labels") or {}
    return Built(
        name=recipe.name,
        tags=recipe.tags,
        id=str(found["Id"]),
        size=int(found.get("Size") or 0),
        current=recipe.marks.items() <= marks.items(),
    )


async def ensure_base(daemon: Daemon, base: str, told: Told) -> None:
    """Have the base image on the daemon: it is there, or it is pulled.

    Raises:
        PlatformError: `base-missing`: it is not and cannot be had; the hint says the ways out.
    """
    if await _inspect(daemon, base) is not None:
        return
    told(f"pulling {base}")
    # Without a tag the API would pull every tag there is.
    reference = base if "@" in base or ":" in base.rpartition("/")[2] else f"{base}:latest"
    try:
        with daemon.asking(f"pull {base}"):
            async for line in daemon.docker.images.pull(reference, stream=True):
                told(" ".join(str(line.get(key) or "") for key in ("id", "status", "progress")).strip())
    except PlatformError as error:
        if not isinstance(error.__cause__, DockerError) or error.code == "daemon-died":
            raise
        raise PlatformError("base-missing", *_no_base(base, str(error.__cause__.message))) from error


def _no_base(base: str, said: str) -> tuple[str, str]:
    """The message and the way out."""
    said = " ".join(said.split())
    other = "name an image with Python 3.11 or newer that is there, with `--base IMAGE` (`docker images` lists them)"
    if _NO_WAY_OUT.search(said):
        load = f"`docker pull {base} && docker save {base} >base.tar`, then here: `docker load <base.tar`"
        return (
            f"the base image {base} is not here, and no registry can be reached to pull it: {said}",
            f"on a machine with a network: {load}; or {other}",
        )
    return f"the base image {base} is not here and cannot be pulled: {said}", f"check its name, or {other}"


async def build(daemon: Daemon, recipe: Recipe, *, base: str, told: Told) -> Built:
    """Build one image and give it all its names; the base must be there.

    Raises:
        PlatformError: `build-failed`, with the builder's last lines; or the daemon cannot be asked.
    """
    before = await image_now(daemon, recipe)
    lines: deque[str] = deque(maxlen=_SHOWN_LINES)
    try:
        with daemon.asking(f"build {recipe.name}"):
            stream = daemon.docker.images.build(
                fileobj=io.BytesIO(recipe.context_tar()),
                encoding="identity",
                tag=recipe.name,
                buildargs={"BASE": base},
                labels=recipe.labels or None,
                rm=True,
                forcerm=True,
                stream=True,
            )
            async for message in stream:
                for line in _lines(message):
                    lines.append(line)
                    told(line)
            for tag in recipe.more_tags:
                repository, _, name = tag.partition(":")
                await daemon.docker.images.tag(recipe.name, repository, tag=name)
    except PlatformError as error:
        if not isinstance(error.__cause__, DockerStreamError):
            raise
        shown = "\n".join(f"    {line}" for line in lines)
        raise PlatformError(
            "build-failed",
            f"{recipe.name} cannot be built on {base}: {error.__cause__.message}\n{shown}",
            "the last line that is not the builder's own says why; another base image: `--base IMAGE`",
        ) from error
    after = await image_now(daemon, recipe)
    return Built(
        name=after.name,
        tags=after.tags,
        id=after.id,
        size=after.size,
        current=after.current,
        changed=after.id != before.id,
    )


def _lines(message: dict[str, Any]) -> list[str]:
    text = str(message.get("stream") or message.get("status") or "")
    return [line.strip() for line in _COLOURS.sub("", text).splitlines() if line.strip()]


async def _inspect(daemon: Daemon, name: str) -> dict[str, Any] | None:
    try:
        with daemon.asking(f"look for the image {name}"):
            return dict(await daemon.docker.images.inspect(name))
    except PlatformError as error:
        if error.code in {"image-missing", "not-found"}:
            return None
        raise
