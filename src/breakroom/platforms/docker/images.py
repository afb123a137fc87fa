"""Which images a daemon has, by every name that a drill may use.

Used by the platforms `docker` and `swarm` for `image_digest`, which is asked before a trial and must not wait: the list
is read when the platform is opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from breakroom.platforms.docker.connect import Daemon

__all__ = ["Images", "normal_name"]

_HUB = re.compile(r"^(docker\.io/)?(library/)?")


def normal_name(image: str) -> str:
    """An image's name as Docker shows it: no `docker.io/library/`, a tag always, `name@sha256:…` as it is."""
    name, at, digest = _HUB.sub("", image, count=1).partition("@")
    directory, slash, last = name.rpartition("/")
    word, _, tag = last.partition(":")
    # With a digest the tag says nothing more; Docker leaves it out.
    return f"{directory}{slash}{word}" + (f"@{digest}" if at else f":{tag or 'latest'}")


class Images:
    """The images of a daemon: name → id."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    async def read(self, daemon: Daemon) -> None:
        """Ask the daemon.

        Raises:
            PlatformError: it cannot be asked.
        """
        with daemon.asking("list images"):
            self.take(await daemon.docker.images.list())

    def take(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Read the answer of GET /images/json."""
        found: dict[str, str] = {}
        for row in rows:
            identity = str(row["Id"])
            for name in (*(row.get("RepoTags") or ()), *(row.get("RepoDigests") or ())):
                found[normal_name(str(name))] = identity
            found[identity] = identity
            found[identity.removeprefix("sha256:")] = identity
        self._ids = found

    def digest(self, image: str) -> str:
        """The id of an image by name, digest or (part of an) id; empty if the daemon has none."""
        if not image:
            return ""
        exact = self._ids.get(image) or self._ids.get(normal_name(image))
        if exact:
            return exact
        short = re.fullmatch(r"(?:sha256:)?([0-9a-f]{12,64})", image)
        if short is None:
            return ""
        return next((value for key, value in self._ids.items() if key.startswith(short[1])), "")
