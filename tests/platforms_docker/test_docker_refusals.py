"""What can go wrong when a container is deployed, and while it runs: a clear word, and nothing left behind."""

from __future__ import annotations

import asyncio
import re
import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from breakroom.journal.records import Problem
from breakroom.platforms.base import USAGE_CODES, PlatformError, RunInfo
from breakroom.platforms.docker.platform import DockerPlatform
from breakroom.spec.drill import Contender
from breakroom.spec.service import ServiceSpec
from docker_lab.lab import Host
from platforms_docker.deployed import TRIAL, service, shell

if TYPE_CHECKING:
    from platforms_docker.conftest import Deploy


async def _refused(deploy: Deploy, spec: ServiceSpec, **words: object) -> PlatformError:
    with pytest.raises(PlatformError) as refused:
        async with deploy(spec, **words):
            raise AssertionError("it was deployed")
    return refused.value


def _nothing_left(host: Host) -> None:
    assert host.docker("ps", "-aq", "--filter", "label=breakroom") == ""


@pytest.mark.parametrize(
    ("image", "way"),
    [("health-app:v9", "docker pull health-app:v9"), ("nginx", "docker pull nginx")],
)
def test_missing_image_is_named(docker_host: Host, deploy: Deploy, image: str, way: str) -> None:
    error = asyncio.run(_refused(deploy, service(image=image)))
    assert error.code == "image-missing"
    assert image in str(error)
    assert way in error.hint
    _nothing_left(docker_host)


def test_missing_course_image_is_told_how_to_be_built(docker_host: Host, tmp_path: Path) -> None:
    docker_host.docker("tag", "health-app:latest", "kept:latest")
    docker_host.docker("rmi", "health-app:latest")
    try:
        platform = DockerPlatform(
            services=[service(image="health-app")], environment={"DOCKER_HOST": docker_host.docker_host}
        )

        async def story() -> PlatformError:
            with pytest.raises(PlatformError) as refused:
                await platform.preflight()
            await platform.close()
            return refused.value

        error = asyncio.run(story())
        assert (error.code, error.hint) == ("image-missing", "build it with `breakroom images`")
        assert error.code in USAGE_CODES
    finally:
        docker_host.docker("tag", "kept:latest", "health-app:latest")
        docker_host.docker("rmi", "kept:latest")


def test_port_of_another_container(docker_host: Host, deploy: Deploy) -> None:
    docker_host.docker(
        "run", "-d", "--name", "theirs", "-p", "127.0.0.1:8123:80", "breakroom-test-base", "sleep", "600"
    )
    try:
        error = asyncio.run(_refused(deploy, service(published=8123)))
        assert error.code == "port-taken"
        assert str(error) == "port 8123 is taken by container theirs"
        assert docker_host.docker("ps", "--format", "{{.Names}}").split() == ["theirs"]
    finally:
        docker_host.docker("rm", "-f", "theirs")
    _nothing_left(docker_host)


def test_port_taken_before_the_ingress(docker_host: Host, deploy: Deploy) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        error = asyncio.run(_refused(deploy, service(published=port), front="breakroom"))
    assert error.code == "port-taken"
    assert f"port {port} is taken by" in str(error)
    _nothing_left(docker_host)


def test_program_that_the_image_has_not(docker_host: Host, deploy: Deploy) -> None:
    spec = replace(shell("true"), entrypoint=("no-such-program",), command=())
    error = asyncio.run(_refused(deploy, spec))
    assert error.code == "program-missing"
    assert "no-such-program" in str(error)
    assert error.code in USAGE_CODES
    _nothing_left(docker_host)


@pytest.mark.parametrize("wrong", ["no image", "no port"])
def test_service_that_docker_cannot_run(docker_host: Host, deploy: Deploy, wrong: str) -> None:
    spec = service()
    spec = replace(spec, image="") if wrong == "no image" else replace(spec, ports=())
    error = asyncio.run(_refused(deploy, spec))
    assert error.code == ("unsupported" if wrong == "no image" else "port-missing")
    assert error.code in USAGE_CODES
    assert error.hint
    _nothing_left(docker_host)


def test_services_are_for_the_swarm(docker_host: Host, tmp_path: Path) -> None:
    async def story() -> None:
        platform = DockerPlatform(environment={"DOCKER_HOST": docker_host.docker_host})
        try:
            assert (await platform.capabilities()).runs_as == {"container"}
            contender = Contender(name="orchestrated", runs_as="service", service=service())
            with pytest.raises(PlatformError, match="containers only") as refused:
                await platform.deploy(contender, trial=TRIAL, directory=tmp_path, emit=lambda _: None)
            assert "--platform swarm" in refused.value.hint
        finally:
            await platform.close()

    asyncio.run(story())


def test_images_are_known_by_their_ids(docker_host: Host, tmp_path: Path) -> None:
    async def story() -> None:
        platform = DockerPlatform(environment={"DOCKER_HOST": docker_host.docker_host})
        await platform.open(RunInfo(run_id="r-0d0c", directory=tmp_path), lambda _: None)
        try:
            wanted = docker_host.docker("inspect", "-f", "{{.Id}}", "improved-app:v2").strip()
            assert platform.image_digest(service(image="improved-app:v2")) == wanted
            assert platform.image_digest(service(image="improved-app")) != wanted
            assert re.fullmatch(r"sha256:[0-9a-f]{64}", platform.image_digest(service()))
            assert platform.image_digest(service(image="nginx")) == ""
        finally:
            await platform.close()

    asyncio.run(story())


def test_daemon_that_dies_is_a_problem_and_is_told_at_the_end(docker_host: Host, tmp_path: Path) -> None:
    async def story() -> None:
        records: list[object] = []
        told = asyncio.Event()

        def heard(record: object) -> None:
            records.append(record)
            if isinstance(record, Problem):
                told.set()

        platform = DockerPlatform(front="native", environment={"DOCKER_HOST": docker_host.docker_host})
        directory = tmp_path / "20260101-000000-test-dead"
        directory.mkdir()
        await platform.open(RunInfo(run_id=directory.name, directory=directory), heard)
        contender = Contender(name="single", runs_as="container", service=service())
        deployment = await platform.deploy(contender, trial=TRIAL, directory=directory, emit=heard)
        try:
            await asyncio.to_thread(docker_host.stop_daemon)
            async with asyncio.timeout(20):
                await told.wait()
            (problem,) = [record for record in records if isinstance(record, Problem)]
            assert (problem.code, problem.severity) == ("engine-died", "error")
            assert docker_host.docker_host in problem.params["message"]
            with pytest.raises(PlatformError) as refused:
                await deployment.stop()
            assert refused.value.code == "daemon-died"
            (left,) = await deployment.remove()
            assert "not looked at, because Docker does not answer" in left
        finally:
            await platform.close()

    try:
        asyncio.run(story())
    finally:
        docker_host.start_daemon(tied=True)
        left = docker_host.docker("ps", "-aq", "--filter", "label=breakroom").split()
        if left:
            docker_host.docker("rm", "-f", *left)
