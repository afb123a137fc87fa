"""`breakroom cleanup` on real daemons: what killed runs left goes, everything else stays as it was."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from docker_lab.base_image import BASE_IMAGE
from docker_lab.lab import Host
from safety.world import Machine, make_ours, make_theirs, marks, remove_theirs, world

RUN = "20260101-120000-kill-ab12"
OTHER = "20260101-120001-kill-cd34"


@pytest.fixture(params=["plain", "in_swarm"])
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    """Each of the two hosts, with another project's things on it."""
    found: Host = request.getfixturevalue(request.param)
    make_theirs(found)
    yield found
    remove_theirs(found)


@pytest.fixture
def machine(tmp_path: Path, host: Host) -> Machine:
    return Machine(tmp_path, host=host)


def test_what_a_killed_run_left_goes_and_everything_else_stays(machine: Machine, host: Host) -> None:
    before = world(host)
    made = make_ours(host, RUN)
    machine.cut_off_run(RUN)
    left = world(host)

    dry = machine.cleanup("--dry-run")
    assert dry.code == 0, dry.err
    assert dry.deeds("would") >= made
    assert world(host) == left, "a dry run changes nothing"
    assert machine.registered == {RUN}

    ended = machine.cleanup()
    assert ended.code == 0, ended.out
    assert ended.json["clean"]
    assert ended.deeds("removed", "restored") >= made
    assert not ended.deeds("failed", "kept")
    assert world(host) == before
    assert machine.registered == set()

    again = machine.cleanup()
    assert (again.code, again.json["deeds"]) == (0, [])


def test_a_run_that_is_under_way_is_named_and_left(machine: Machine, host: Host) -> None:
    with machine.living_run(OTHER) as pid:
        make_ours(host, OTHER)
        host.docker(
            "run", "--detach", "--name", "ab12-web", *marks(RUN, "container"), BASE_IMAGE, "sleep", "1000"
        )
        ended = machine.cleanup()
        assert ended.code == 0, ended.out
        assert ended.deeds("removed") == {("container", "ab12-web")}
        assert f"process {pid}" in ended.named(OTHER)["why"]
        kept = host.docker(
            "ps", "-a", "--filter", f"label=breakroom.run={OTHER}", "--format", "{{.Names}}"
        ).split()
        assert {"cd34-running", "cd34-paused", "cd34-exited", "cd34-created"} <= set(kept)
        assert machine.registered == {OTHER}

        only = machine.cleanup("--run", OTHER)
        assert only.named(OTHER)["done"] == "kept", "its name alone is not enough"

        forced = machine.cleanup("--run", OTHER, "--force")
        assert forced.code == 0, forced.out
        assert not host.docker("ps", "-aq", "--filter", f"label=breakroom.run={OTHER}").split()


def test_only_the_named_run_is_cleaned_up(machine: Machine, host: Host) -> None:
    for run in (RUN, OTHER):
        machine.cut_off_run(run)
        name = f"{run[-4:]}-web"
        host.docker("run", "--detach", "--name", name, *marks(run, "container"), BASE_IMAGE, "sleep", "1000")
    ended = machine.cleanup("--run", RUN)
    assert ended.deeds("removed") == {("container", "ab12-web")}
    assert machine.registered == {OTHER}
    assert machine.cleanup().deeds("removed") == {("container", "cd34-web")}


def test_a_run_without_an_entry_is_over_unless_somebody_holds_its_journal(
    machine: Machine, host: Host, tmp_path: Path
) -> None:
    host.docker(
        "run", "--detach", "--name", "ab12-web", *marks(RUN, "container"), BASE_IMAGE, "sleep", "1000"
    )
    (tmp_path / RUN).mkdir()
    with (tmp_path / RUN / "journal.jsonl").open("ab"):
        assert machine.cleanup().deeds("kept") == {("run", RUN)}
    assert machine.cleanup().deeds("removed") == {("container", "ab12-web")}


def test_a_thing_that_cannot_be_removed_is_told_and_tried_again(plain: Host, tmp_path: Path) -> None:
    machine = Machine(tmp_path, host=plain)
    plain.docker("volume", "create", *marks(RUN, "volume"), "ab12-vol")
    plain.docker(
        "run", "--detach", "--name", "theirs-user", "--volume", "ab12-vol:/v", BASE_IMAGE, "sleep", "1000"
    )
    machine.cut_off_run(RUN)
    try:
        ended = machine.cleanup()
        assert ended.code == 3
        assert "in use" in ended.named("ab12-vol")["why"]
        assert machine.registered == {RUN}
        assert plain.docker("ps", "-q", "--filter", "name=theirs-user"), "the user's container still runs"
    finally:
        plain.docker("rm", "--force", "theirs-user")
    ended = machine.cleanup()
    assert ended.deeds("removed") == {("volume", "ab12-vol")}
    assert machine.registered == set()


def test_a_swarm_that_a_killed_run_made_is_left_again(plain: Host, tmp_path: Path) -> None:
    before = world(plain)
    init = (
        "import asyncio, os\n"
        "from breakroom.platforms.docker.connect import opened\n"
        "from breakroom.platforms.swarm.membership import init_swarm\n"
        "async def main():\n"
        "    async with opened() as daemon:\n"
        f"        await init_swarm(daemon, {RUN!r})\n"
        "asyncio.run(main())\n"
    )
    machine = Machine(tmp_path, host=plain)
    machine.cut_off_run(RUN, platform="swarm")
    subprocess.run(plain.command(sys.executable, "-c", init), env=machine.environment, check=True, timeout=60)
    make_ours(plain, RUN)
    assert world(plain)["swarm"] == "active"
    ended = machine.cleanup()
    assert ended.code == 0, ended.out
    assert ("swarm", plain.docker_host) in ended.deeds("removed")
    assert world(plain) == before


def test_a_swarm_that_others_use_by_now_is_left_standing(plain: Host, tmp_path: Path) -> None:
    before = world(plain)
    plain.docker("swarm", "init", "--advertise-addr", plain.address)
    machine = Machine(tmp_path, host=plain)
    machine.cut_off_run(RUN, platform="swarm", facts={"swarm_initialised": True})
    try:
        ended = machine.cleanup()
        assert ended.code == 0, ended.out
        assert world(plain)["swarm"] == "active", "it does not bear our mark: it is the user's"
    finally:
        plain.docker("swarm", "leave", "--force")
        plain.docker("network", "rm", "docker_gwbridge", check=False)
    assert world(plain) == before


def test_the_daemon_of_the_run_is_found_from_another_terminal(plain: Host, tmp_path: Path) -> None:
    plain.docker(
        "run", "--detach", "--name", "ab12-web", *marks(RUN, "container"), BASE_IMAGE, "sleep", "1000"
    )
    Machine(tmp_path, host=plain).cut_off_run(RUN)
    elsewhere = Machine(tmp_path)  # whose own daemon does not exist
    ended = elsewhere.cleanup()
    assert ended.code == 0, ended.out
    assert ended.deeds("removed") == {("container", "ab12-web")}
    assert ended.deeds("note") == {("daemon", "unix:///nonexistent/docker.sock")}


def test_without_a_daemon_the_rest_is_cleaned_and_that_is_said(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    ended = machine.cleanup()
    assert ended.code == 0
    assert ended.deeds("note") == {("daemon", "unix:///nonexistent/docker.sock")}
    assert "no Docker daemon answers" in ended.json["deeds"][-1]["why"]


def test_a_run_whose_daemon_is_down_is_kept_in_mind(plain: Host, tmp_path: Path) -> None:
    machine = Machine(tmp_path, host=plain)
    plain.docker(
        "run", "--detach", "--name", "ab12-web", *marks(RUN, "container"), BASE_IMAGE, "sleep", "1000"
    )
    machine.cut_off_run(RUN)
    plain.stop_daemon()
    try:
        ended = machine.cleanup()
        assert ended.code == 3
        assert ended.named(plain.docker_host)["done"] == "failed"
        assert machine.registered == {RUN}
    finally:
        plain.start_daemon(tied=True)
    ended = machine.cleanup()
    assert ended.code == 0, ended.out
    assert ("container", "ab12-web") in ended.deeds("removed")
    assert machine.registered == set()


def test_a_daemon_that_never_comes_back_can_be_given_up(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.cut_off_run(RUN)
    ended = machine.cleanup()
    assert ended.code == 3
    assert f"breakroom cleanup --run {RUN} --force" in ended.named(machine.docker_host)["why"]
    assert machine.registered == {RUN}
    ended = machine.cleanup("--run", RUN, "--force")
    assert ended.code == 0, ended.out
    assert "given up" in ended.named(machine.docker_host)["why"]
    assert machine.registered == set()


def test_a_socket_that_may_not_be_used_is_told_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind(str(path))
        sock.listen()
        os.chown(path, 12345, 12345)
        path.chmod(0o600)
        machine = Machine(tmp_path, docker_host=f"unix://{path}")
        # Root without the right to pass over permissions is like anybody else.
        ended = machine.breakroom(
            "cleanup", "--json", prefix=("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--")
        )
    assert ended.code == 0, ended.err
    (deed,) = ended.json["deeds"]
    assert deed["done"] == "note"
    assert "usermod -aG docker" in deed["why"]


def test_the_lines_are_in_the_readers_language(plain: Host, tmp_path: Path) -> None:
    machine = Machine(tmp_path, host=plain)
    plain.docker(
        "run", "--detach", "--name", "ab12-web", *marks(RUN, "container"), BASE_IMAGE, "sleep", "1000"
    )
    ended = machine.breakroom("cleanup", "--lang", "ko")
    assert ended.code == 0, ended.err
    assert "컨테이너 ab12-web" in ended.out
    assert RUN in ended.out
