"""Three Docker hosts in a Swarm for this folder's tests, with the agent's image on each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.agent_kit import Target, target
from breakroom.platforms.docker.connect import opened
from breakroom.platforms.docker.hands_image import AGENT_IMAGE, build_agent_image
from docker_lab.base_image import BASE_IMAGE, base_image
from docker_lab.lab import Host, Lab, missing


@pytest.fixture(scope="session")
def agent_hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, ...]]:
    if reason := missing():
        pytest.skip(f"no Docker lab here: {reason}")
    lab = Lab("hct", 3)
    lab.up(tied=True)
    try:
        lab.load_image(base_image(), BASE_IMAGE)
        asyncio.run(_build(lab.hosts[0]))
        lab.swarm()
        saved = tmp_path_factory.mktemp("image") / "agent.tar"
        lab.hosts[0].docker("save", "-o", str(saved), AGENT_IMAGE)
        for host in lab.hosts[1:]:
            load(host, saved)
        yield lab.hosts
    finally:
        lab.down()


@pytest.fixture
def agent_host(agent_hosts: tuple[Host, ...]) -> Host:
    return agent_hosts[0]


@pytest.fixture
def served(agent_host: Host) -> Iterator[Target]:
    """A container that answers on port 3000, with a limit of 128 MiB."""
    found = target(agent_host)
    yield found
    agent_host.docker("rm", "-f", found.id)


def load(host: Host, saved: Path) -> None:
    host.docker("load", "-q", "-i", str(saved))


async def _build(host: Host) -> None:
    async with opened({"DOCKER_HOST": host.docker_host}) as daemon:
        await build_agent_image(daemon, base=BASE_IMAGE)
