"""The image `breakroom-agent`: built through Docker's API from what is installed here, without a network.

Called by `breakroom images`, and by whoever needs hands on a node. The context is made in memory: this room's files and
pyroute2, both pure Python, on a base image that has python3.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import io
import tarfile
from pathlib import Path

from breakroom import __version__
from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker.connect import Daemon

__all__ = [
    "AGENT_IMAGE",
    "BASE",
    "DIGEST",
    "build_agent_image",
    "context",
    "context_digest",
    "image_labels",
    "require_agent_image",
]

AGENT_IMAGE = f"breakroom-agent:{__version__}"
BASE = "python:3.12-slim"
DIGEST = "breakroom.agent-digest"
"""Label of the image: a digest of what it was built from, by which an image of another breakroom is known."""
_DOCKERFILE = f"""\
ARG BASE={BASE}
FROM ${{BASE}}
COPY app /opt/breakroom
ENV PYTHONPATH=/opt/breakroom PYTHONUNBUFFERED=1
# Compiled now: a helper lives for a second, and its file system is read-only.
RUN ["python3", "-m", "compileall", "-q", "/opt/breakroom"]
WORKDIR /
ENTRYPOINT ["python3", "-m", "breakroom.agent"]
"""


def context() -> bytes:
    """The build's context as a tar; the same bytes for the same files.

    Raises:
        PlatformError: `unsupported`: pyroute2 is not installed here.
    """
    files = {"Dockerfile": _DOCKERFILE.encode()}
    own = Path(__file__).parents[2]
    files |= {f"app/breakroom/{path.relative_to(own)}": path.read_bytes() for path in [own / "__init__.py"]}
    files |= _tree(own / "agent", "app/breakroom/agent")
    found = importlib.util.find_spec("pyroute2")
    if found is None or not found.submodule_search_locations:
        raise PlatformError(
            "unsupported",
            "the agent's image cannot be made: pyroute2 is not installed here",
            "install it beside breakroom: `pip install pyroute2`",
        )
    files |= _tree(Path(found.submodule_search_locations[0]), "app/pyroute2")
    for part in importlib.metadata.files("pyroute2") or ():
        if "licen" in part.name.lower():
            files[f"app/pyroute2/{part.name}"] = Path(str(part.locate())).read_bytes()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def context_digest() -> str:
    """What the label `DIGEST` of an image built now would say."""
    return hashlib.sha256(context()).hexdigest()[:16]


def image_labels() -> dict[str, str]:
    """The labels of an image built now."""
    return {DIGEST: context_digest(), "breakroom.version": __version__}


async def build_agent_image(daemon: Daemon, *, base: str = BASE) -> str:
    """Build the image on that daemon.

    Args:
        daemon: where.
        base: the base image, which must be on the daemon or in a registry that it reaches; it needs python3.

    Returns:
        The image's name.

    Raises:
        PlatformError: `image-missing` if the base is not to be had, or what else the daemon says.
    """
    tar = context()
    labels = image_labels()
    with daemon.asking(f"build {AGENT_IMAGE} on {base}"):
        await daemon.docker.images.build(
            fileobj=io.BytesIO(tar),
            encoding="identity",
            tag=AGENT_IMAGE,
            buildargs={"BASE": base},
            labels=labels,
            forcerm=True,
        )
    return AGENT_IMAGE


async def require_agent_image(daemon: Daemon, node: str = "") -> str:
    """See that the daemon has the image, and that it is this breakroom's.

    Returns:
        Its id.

    Raises:
        PlatformError: `image-missing`, with the way to get it.
    """
    where = f" on node {node}" if node else ""
    hint = "build it with `breakroom images`"
    from aiodocker.exceptions import DockerError

    try:
        with daemon.asking(f"look for the image {AGENT_IMAGE}"):
            found = await daemon.docker.images.inspect(AGENT_IMAGE)
    except PlatformError as error:
        if isinstance(error.__cause__, DockerError) and error.__cause__.status == 404:
            raise PlatformError(
                "image-missing", f"the image {AGENT_IMAGE} is not there{where}", hint
            ) from error
        raise
    if (found.get("Config", {}).get("Labels") or {}).get(DIGEST) != context_digest():
        raise PlatformError(
            "image-missing", f"the image {AGENT_IMAGE}{where} was built by another version of breakroom", hint
        )
    return str(found["Id"])


def _tree(root: Path, place: str) -> dict[str, bytes]:
    paths = [path for path in root.rglob("*.py") if "__pycache__" not in path.parts]
    return {f"{place}/{path.relative_to(root).as_posix()}": path.read_bytes() for path in paths}
