"""`breakroom images` on a Docker daemon of the tests' own, and the course's commands inside the containers."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from breakroom.images.recipes import app_recipes
from breakroom.platforms.docker.names import owned
from docker_lab.base_image import BASE_IMAGE, base_image
from docker_lab.lab import Host, Lab, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"no Docker lab here: {missing()}")


@dataclass(frozen=True)
class Built:
    """A host with the images, and what the command said while they were made."""

    host: Host
    listed_before: list[dict[str, Any]]
    rows: list[dict[str, Any]]


def images(host: Host, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `breakroom images` on that host."""
    command = host.command(sys.executable, "-m", "breakroom", "images", *words)
    return subprocess.run(command, capture_output=True, text=True, check=False)


def rows_of(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """What it printed with --json."""
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


@pytest.fixture(scope="module")
def built() -> Iterator[Built]:
    tar = base_image()
    lab = Lab("imagetst")
    lab.up(tied=True)
    try:
        lab.load_image(tar, BASE_IMAGE)
        host = lab.hosts[0]
        before = rows_of(images(host, "--list", "--json"))
        yield Built(host, before, rows_of(images(host, "--base", BASE_IMAGE, "--json")))
    finally:
        lab.down()


@pytest.fixture
def container(built: Built, request: pytest.FixtureRequest) -> Iterator[str]:
    """A container of the image that the test names, published on port 8080, serving."""
    image, *words = request.param
    name = f"test-{image.partition(':')[0]}"
    built.host.docker("run", "-d", "--name", name, "-p", "8080:3000", *words, image)
    wait_until(lambda: built.host.run("curl", "-fsS", "http://localhost:8080/health", check=False) != "")
    yield name
    built.host.docker("rm", "-f", name)


def wait_until(true: Any, seconds: float = 30.0) -> None:
    """Ask until it is so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "did not come true"
        time.sleep(0.05)


def state(host: Host, name: str) -> dict[str, Any]:
    """What Docker says of a container's state."""
    found: dict[str, Any] = json.loads(host.docker("inspect", "-f", "{{json .State}}", name))
    return found


def test_images_are_not_there_before_and_current_after_they_are_built(built: Built) -> None:
    assert {row["id"] for row in built.listed_before} == {""}
    assert all(row["changed"] and row["current"] and row["id"].startswith("sha256:") for row in built.rows)
    listed = rows_of(images(built.host, "--list", "--json"))
    assert [(row["name"], row["id"]) for row in listed] == [(row["name"], row["id"]) for row in built.rows]
    for recipe in app_recipes():
        for tag in recipe.tags:
            assert built.host.docker("image", "inspect", "-f", "{{.Id}}", tag).strip() in {
                row["id"] for row in listed
            }


def test_equal_files_on_an_equal_base_keep_the_images_ids(built: Built, tmp_path: Path) -> None:
    again = rows_of(images(built.host, "--base", BASE_IMAGE, "--json"))
    assert [row["id"] for row in again] == [row["id"] for row in built.rows]
    assert not any(row["changed"] for row in again)


def test_docker_build_in_a_written_context_makes_the_same_image(built: Built, tmp_path: Path) -> None:
    assert images(built.host, "--context", str(tmp_path)).returncode == 0
    wanted = next(row["id"] for row in built.rows if row["name"] == "improved-app:v2")
    words = built.host.command(
        "env", "DOCKER_BUILDKIT=0",
        "docker", "build", "-q", "-t", "improved-app:by-hand", "--build-arg", f"BASE={BASE_IMAGE}", ".",
    )  # fmt: skip
    done = subprocess.run(
        words, cwd=tmp_path / "improved-app-v2", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == wanted


def test_the_courses_docker_build_works_as_written_where_the_default_base_is(
    built: Built, tmp_path: Path
) -> None:
    built.host.docker("tag", BASE_IMAGE, "python:3.12-slim")
    try:
        images(built.host, "--context", str(tmp_path))
        words = built.host.command(
            "env", "DOCKER_BUILDKIT=0", "docker", "build", "-t", "improved-app:v2", "."
        )
        subprocess.run(words, cwd=tmp_path / "improved-app-v2", capture_output=True, check=True)
        assert rows_of(images(built.host, "--only", "improved-app:v2", "--list", "--json"))[0]["current"]
    finally:
        built.host.docker("rmi", "python:3.12-slim")


@pytest.mark.parametrize("container", [("memory-leak-app:latest", "--memory=512m")], indirect=True)
def test_the_courses_commands_work_inside_the_container(built: Built, container: str) -> None:
    host = built.host
    top = host.docker("exec", container, "top")
    assert any(
        line.split()[0] == "1" and line.split()[-1] == "node" for line in top.splitlines()[7:] if line.split()
    )
    assert host.docker("exec", container, "free", "-h").splitlines()[1].startswith("Mem:")
    assert '"status": "ok"' in host.docker("exec", container, "curl", "-f", "http://localhost:3000/health")
    assert host.docker("inspect", "-f", "{{.HostConfig.Memory}}", container).strip() == str(512 << 20)


@pytest.mark.parametrize("container", [("health-app:latest",)], indirect=True)
def test_pkill_node_inside_ends_the_container_politely(built: Built, container: str) -> None:
    built.host.docker("exec", container, "pkill", "-f", "node", check=False)
    wait_until(lambda: not state(built.host, container)["Running"])
    assert state(built.host, container)["ExitCode"] == 0
    assert "stopping on SIGTERM" in built.host.run("sh", "-c", f"docker logs {container} 2>&1")


@pytest.mark.parametrize("container", [("memory-leak-app:latest", "--memory=64m")], indirect=True)
def test_load_ends_the_leaking_app_by_its_memory_limit(built: Built, container: str) -> None:
    words = built.host.command(
        sys.executable,
        "-m",
        "breakroom",
        "load",
        "http://127.0.0.1:8080/",
        "-n",
        "1000",
        "-c",
        "20",
        "--json",
    )
    subprocess.run(words, capture_output=True, check=False)
    wait_until(lambda: not state(built.host, container)["Running"])
    assert state(built.host, container)["OOMKilled"]
    assert state(built.host, container)["ExitCode"] == 137


@pytest.mark.parametrize("container", [("improved-app:v2",)], indirect=True)
def test_the_second_version_says_so_and_a_users_container_is_not_breakrooms(
    built: Built, container: str
) -> None:
    answer = json.loads(built.host.run("curl", "-fsS", "http://localhost:8080/"))
    assert answer["version"] == "v2"
    assert answer["pid"] == 1
    marks = json.loads(built.host.docker("inspect", "-f", "{{json .Config.Labels}}", container))
    assert "breakroom.image" in marks
    assert not owned(marks)
    begun = time.monotonic()
    built.host.docker("stop", "-t", "60", container)
    assert time.monotonic() - begun < 50, "it waited to be killed"
    assert state(built.host, container)["ExitCode"] == 0


def test_a_base_that_cannot_be_had_is_named_with_the_ways_out(built: Built) -> None:
    done = images(built.host, "--base", "nowhere.invalid/no-such:1")
    assert done.returncode == 2
    assert "the base image nowhere.invalid/no-such:1 is not here" in done.stderr
    assert "--base IMAGE" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_base_without_what_the_images_need_ends_with_the_builders_own_words(
    built: Built, tmp_path: Path
) -> None:
    with tarfile.open(tmp_path / "empty.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("etc"))
    built.host.docker("import", str(tmp_path / "empty.tar"), "no-python:1")
    done = images(built.host, "--base", "no-python:1", "--only", "health-app")
    assert done.returncode == 2
    assert "health-app:latest cannot be built on no-python:1" in done.stderr
    assert "/bin/sh" in done.stderr
    assert "another base image" in done.stderr
