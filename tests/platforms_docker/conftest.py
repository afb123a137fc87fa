"""One Docker host for this folder's tests, with the sample image; what is deployed on it is removed at the end."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from breakroom.platforms.base import RunInfo
from breakroom.platforms.docker.front import FrontKind
from breakroom.platforms.docker.platform import DockerPlatform
from breakroom.spec.drill import Contender
from breakroom.spec.service import ServiceSpec
from docker_lab.base_image import BASE_IMAGE, base_image
from docker_lab.lab import Host, Lab, missing
from platforms_docker.deployed import TRIAL, Deployed

Deploy = Callable[..., AbstractAsyncContextManager[Deployed]]


@pytest.fixture(scope="session")
def docker_host() -> Iterator[Host]:
    """A host with its own daemon, the base image and the sample services' images."""
    if reason := missing():
        pytest.skip(f"no Docker lab here: {reason}")
    lab = Lab("had")
    lab.up(tied=True)
    try:
        lab.load_image(base_image(), BASE_IMAGE)
        (host,) = lab.hosts
        host.run(sys.executable, "-m", "breakroom", "images", "--base", BASE_IMAGE)
        yield host
    finally:
        lab.down()


@pytest.fixture
def deploy(docker_host: Host, tmp_path: Path) -> Deploy:
    """Deploys a container as the director would; afterwards nothing of it may be left."""

    @asynccontextmanager
    async def deploying(spec: ServiceSpec, *, front: FrontKind = "native") -> AsyncIterator[Deployed]:
        directory = tmp_path / "20260101-000000-test-0d0c"
        directory.mkdir()
        platform = DockerPlatform(front=front, environment={"DOCKER_HOST": docker_host.docker_host})
        found = Deployed(docker_host, directory)
        await platform.open(RunInfo(run_id=directory.name, directory=directory), found.emit)
        try:
            contender = Contender(name="single", runs_as="container", service=spec)
            deployment = await platform.deploy(contender, trial=TRIAL, directory=directory, emit=found.emit)
            found.began(deployment)
            try:
                yield found
            finally:
                found.left = await deployment.remove()
        finally:
            found.left += await platform.close()
        assert found.left == ()

    return deploying
