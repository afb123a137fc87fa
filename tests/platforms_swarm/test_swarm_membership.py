"""Consent to a Swarm, and the daemon as it was found, on a real one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from breakroom.platforms.base import PlatformError, RunInfo
from docker_lab.base_image import BASE_IMAGE
from docker_lab.lab import Host, Lab
from platforms_swarm.inside import standing_in
from platforms_swarm.swarming import RUN, opened_run, platform_on


def daemon_of(host: Host) -> dict[str, object]:
    """What a run might have changed on a daemon."""
    info = json.loads(host.docker("info", "--format", "{{json .}}"))
    return {
        "swarm": info["Swarm"]["LocalNodeState"],
        "networks": sorted(host.docker("network", "ls", "--no-trunc", "-q").split()),
        "containers": host.docker("ps", "-aq").split(),
        "volumes": host.docker("volume", "ls", "-q").split(),
        "images": sorted(host.docker("images", "-aq", "--no-trunc").split()),
        "links": sorted(
            line.split()[0].partition("@")[0] for line in host.run("ip", "-br", "link").splitlines()
        ),
        "listening": host.run("ss", "-Hltn"),
    }


async def test_without_consent_no_swarm_is_made(lone_host: Host) -> None:
    before = daemon_of(lone_host)

    with pytest.raises(PlatformError) as caught:
        await platform_on(lone_host).preflight()

    assert caught.value.code == "consent-needed"
    assert daemon_of(lone_host) == before


async def test_a_no_at_the_terminal_is_a_no(lone_host: Host) -> None:
    asked: list[str] = []

    def no(question: str) -> bool:
        asked.append(question)
        return False

    with pytest.raises(PlatformError, match="does not make one unasked"):
        await platform_on(lone_host, ask=no).preflight()

    assert len(asked) == 1
    assert "127.0.0.1:2377" in asked[0]
    assert daemon_of(lone_host)["swarm"] == "inactive"


async def test_a_swarm_that_was_made_is_left_as_if_it_had_never_been(lone_host: Host, tmp_path: Path) -> None:
    before = daemon_of(lone_host)

    with standing_in(lone_host):
        async with opened_run(lone_host, tmp_path, ask=lambda _question: True):
            during = daemon_of(lone_host)
            labels = json.loads(lone_host.docker("info", "--format", "{{json .Swarm.Cluster.Spec.Labels}}"))

    assert during["swarm"] == "active"
    assert "127.0.0.1:2377" in str(during["listening"])
    assert "0.0.0.0:2377" not in str(during["listening"])
    assert labels["breakroom.run"] == RUN
    assert daemon_of(lone_host) == before


async def test_a_gateway_bridge_that_was_there_stays(lone_host: Host, tmp_path: Path) -> None:
    lone_host.docker("network", "create", "--label", "mine=1", "docker_gwbridge")
    before = daemon_of(lone_host)

    with standing_in(lone_host):
        async with opened_run(lone_host, tmp_path, init_swarm=True):
            pass

    assert daemon_of(lone_host)["networks"] == before["networks"]


async def test_a_swarm_that_others_have_begun_to_use_is_not_left(lone_host: Host, tmp_path: Path) -> None:
    platform = platform_on(lone_host, init_swarm=True)
    with standing_in(lone_host):
        await platform.open(RunInfo(run_id=RUN, directory=tmp_path), lambda _record: None)
        lone_host.docker("config", "create", "theirs", "/etc/hostname")

        left = await platform.close()

    assert left == ("the Swarm, which others use by now: config theirs",)
    assert lone_host.docker("config", "ls", "--format", "{{.Name}}").split() == ["theirs"]


async def test_a_swarm_with_others_services_is_used_with_consent_and_theirs_are_left_alone(
    lone_host: Host, tmp_path: Path
) -> None:
    lone_host.docker("swarm", "init", "--advertise-addr", "127.0.0.1")
    theirs = lone_host.docker(
        "service", "create", "-dq", "--no-resolve-image", "--name", "theirs", BASE_IMAGE, "sleep", "1000"
    ).strip()

    with pytest.raises(PlatformError, match="theirs") as caught:
        await platform_on(lone_host).preflight()
    with standing_in(lone_host):
        async with opened_run(lone_host, tmp_path, use_swarm=True):
            pass

    assert caught.value.code == "swarm-in-use"
    assert lone_host.docker("service", "ls", "-q").split() == [theirs[:12]]
    assert daemon_of(lone_host)["swarm"] == "active"


async def test_a_worker_cannot_be_used_and_says_where_the_manager_is(lone_host: Host, swarm_lab: Lab) -> None:
    worker = swarm_lab.hosts[1]
    lone_host.docker("swarm", "init", "--advertise-addr", lone_host.address)
    token = lone_host.docker("swarm", "join-token", "-q", "worker").strip()
    worker.docker("swarm", "join", "--token", token, f"{lone_host.address}:2377")
    try:
        with pytest.raises(PlatformError) as caught:
            await platform_on(worker).preflight()
    finally:
        worker.docker("swarm", "leave", "--force")

    assert caught.value.code == "not-a-manager"
    assert lone_host.address in caught.value.hint


async def test_an_image_that_is_not_there_is_told_before_anything_is_made(swarm_lab: Lab) -> None:
    bare = swarm_lab.hosts[1]

    with pytest.raises(PlatformError) as caught:
        await platform_on(bare, init_swarm=True).preflight()

    assert caught.value.code == "image-missing"
    assert "breakroom images" in caught.value.hint
    assert daemon_of(bare)["swarm"] == "inactive"
