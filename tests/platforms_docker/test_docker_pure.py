"""What the platform docker computes without a daemon: bodies, names, times, tasks, health."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import aiohttp
import pytest
from aiodocker.exceptions import DockerError

from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker.clock import parse_time
from breakroom.platforms.docker.errors import translate
from breakroom.platforms.docker.health import HealthLog
from breakroom.platforms.docker.images import Images, normal_name
from breakroom.platforms.docker.life import Container, Lives, signal_of
from breakroom.platforms.docker.stats import from_api
from breakroom.platforms.docker.translate import container_body, health_test
from breakroom.spec.service import Healthcheck, ServiceSpec
from platforms_docker.deployed import SECOND, service


def _body(spec: ServiceSpec, *, api: tuple[int, int] = (1, 41)) -> dict[str, Any]:
    return container_body(
        spec,
        run="20260101-000000-kill-ab12",
        trial="kill/single/1",
        published={3000: ("127.0.0.1", 8080)},
        api=api,
    )


def test_body_has_limits_and_swap_none_beside_them() -> None:
    host = _body(service(memory=64 << 20))["HostConfig"]
    assert (host["Memory"], host["MemorySwap"]) == (64 << 20, 64 << 20)
    assert "Memory" not in _body(service())["HostConfig"]


@pytest.mark.parametrize(
    ("restart", "policy"),
    [
        ("no", {"Name": "no", "MaximumRetryCount": 0}),
        ("always", {"Name": "always", "MaximumRetryCount": 0}),
        ("unless-stopped", {"Name": "unless-stopped", "MaximumRetryCount": 0}),
        ("on-failure:3", {"Name": "on-failure", "MaximumRetryCount": 3}),
    ],
)
def test_body_has_the_restart_policy(restart: str, policy: dict[str, Any]) -> None:
    assert _body(service(restart=restart))["HostConfig"]["RestartPolicy"] == policy


def test_body_has_the_port_in_words_and_environment() -> None:
    spec = replace(
        service(environment={"A": "b"}), entrypoint=("{python}",), command=("app.py", "--port={port}")
    )
    body = _body(spec)
    assert (body["Entrypoint"], body["Cmd"]) == (["python3"], ["app.py", "--port=3000"])
    assert body["Env"] == ["PORT=3000", "A=b"]
    assert _body(service(environment={"PORT": "5000"}))["Env"] == ["PORT=5000"]
    assert body["HostConfig"]["PortBindings"] == {"3000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}


def test_body_bears_the_runs_labels() -> None:
    spec = replace(service(), labels={"theirs": "1"})
    assert _body(spec)["Labels"] == {
        "theirs": "1",
        "breakroom": "container",
        "breakroom.run": "20260101-000000-kill-ab12",
        "breakroom.trial": "kill/single/1",
    }


def test_grace_period_is_rounded_up_to_seconds() -> None:
    assert _body(replace(service(), stop_grace_period=SECOND * 3 // 2))["StopTimeout"] == 2


def test_start_interval_is_for_those_who_know_it() -> None:
    check = Healthcheck(test=("CMD", "true"), start_interval=SECOND // 10)
    spec = service(healthcheck=check)
    assert "StartInterval" not in _body(spec, api=(1, 43))["Healthcheck"]
    assert _body(spec, api=(1, 44))["Healthcheck"]["StartInterval"] == SECOND // 10


def test_health_check_that_is_disabled() -> None:
    check = Healthcheck(test=("CMD", "true"), disable=True)
    assert _body(service(healthcheck=check))["Healthcheck"] == {"Test": ["NONE"]}


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = {"/well?deep=1": 200, "/moved": 302, "/sick": 500}.get(self.path, 404)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/sick")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"hi")

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("program", ["curl", "python3"])
def test_http_health_line_does_as_the_local_platform(program: str, tmp_path: Any) -> None:
    found = sys.executable if program == "python3" else shutil.which(program)
    if found is None:
        pytest.skip(f"not installed: {program}")
    # A directory with that one program is the image's whole PATH.
    (tmp_path / program).symlink_to(found)
    with HTTPServer(("127.0.0.1", 0), _Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        codes = {}
        for path in ("/well?deep=1", "/moved", "/sick", "/gone"):
            check = Healthcheck(
                test=("HTTP", f"http://localhost:{server.server_port}{path}"), timeout=5 * SECOND
            )
            kind, line = health_test(service(healthcheck=check))
            assert kind == "CMD-SHELL"
            done = subprocess.run(
                ["/bin/sh", "-c", line], env={"PATH": str(tmp_path)}, capture_output=True, check=False
            )
            codes[path] = done.returncode == 0
        server.shutdown()
    assert codes == {"/well?deep=1": True, "/moved": True, "/sick": False, "/gone": False}


def test_times_as_docker_writes_them() -> None:
    assert parse_time("1970-01-01T00:00:01.5Z") == 1_500_000_000
    assert parse_time("1970-01-01T01:00:00.000000001+01:00") == 1
    assert parse_time("0001-01-01T00:00:00Z") is None
    assert parse_time("") is None


@pytest.mark.parametrize(
    ("name", "normal"),
    [
        ("nginx", "nginx:latest"),
        ("docker.io/library/nginx:1.27", "nginx:1.27"),
        ("localhost:5000/team/app", "localhost:5000/team/app:latest"),
        ("nginx:1@sha256:ab", "nginx@sha256:ab"),
        ("localhost:5000/app@sha256:ab", "localhost:5000/app@sha256:ab"),
    ],
)
def test_names_of_images(name: str, normal: str) -> None:
    assert normal_name(name) == normal


def test_images_by_name_digest_and_id() -> None:
    images = Images()
    identity = "sha256:" + "ab" * 32
    images.take([{"Id": identity, "RepoTags": ["web:1"], "RepoDigests": ["web@sha256:cd"]}])
    for name in ("web:1", "library/web:1", "web@sha256:cd", identity, "ab" * 6, "ab" * 32):
        assert images.digest(name) == identity
    assert images.digest("web") == ""
    assert images.digest("") == ""


def _lives() -> Lives:
    return Lives(Container(id="a" * 64, trial="t", service="web", node="n", image="web:1"))


def test_each_start_is_a_task() -> None:
    lives = _lives()
    told = [*lives.begin(1), *lives.begin(2), *lives.running(3, unix=30, pid=7), *lives.ended(4, exit_code=1)]
    told += [*lives.running(5, pid=8), *lives.unwanted(6), *lives.unwanted(7), *lives.ended(8, exit_code=0)]
    first, second = "a" * 12, "a" * 12 + ".2"
    assert [(one.task, one.state, one.desired) for one in told] == [
        (first, "starting", "running"),
        (first, "running", "running"),
        (first, "failed", "running"),
        (second, "starting", "running"),
        (second, "running", "running"),
        (second, "running", "shutdown"),
        (second, "shutdown", "shutdown"),
    ]
    assert lives.ended(9, exit_code=0) == []


def test_memory_kill_that_is_told_before_or_after_the_end() -> None:
    before = _lives()
    before.running(1, pid=7)
    assert before.out_of_memory(2) == []
    assert [one.oom_killed for one in before.ended(3, exit_code=137)] == [True]
    after = _lives()
    after.running(1, pid=7)
    assert [one.oom_killed for one in after.ended(2, exit_code=137)] == [False]
    assert [(one.oom_killed, one.exit_code) for one in after.out_of_memory(3)] == [(True, 137)]
    assert after.out_of_memory(4) == []


def test_memory_kill_of_a_child_is_not_the_containers() -> None:
    lives = _lives()
    lives.running(1, pid=7)
    lives.out_of_memory(2)
    assert [one.oom_killed for one in lives.ended(3, exit_code=1)] == [False]
    later = _lives()
    later.running(1, pid=7)
    later.out_of_memory(2)
    assert [one.oom_killed for one in later.ended(60 * SECOND, exit_code=137)] == [False]


@pytest.mark.parametrize(
    ("code", "signal"), [(0, None), (1, None), (128, None), (137, 9), (143, 15), (255, None)]
)
def test_signals_in_exit_statuses(code: int, signal: int | None) -> None:
    assert signal_of(code) == signal


def _probe(second: int, code: int) -> dict[str, Any]:
    stamp = f"2026-01-01T00:00:{second:02d}"
    return {"Start": f"{stamp}Z", "End": f"{stamp}.25Z", "ExitCode": code, "Output": f"said {second}"}


def test_health_log_is_told_once_and_in_order() -> None:
    log = HealthLog(trial="t", task="a")
    told = log.read({"Status": "starting", "FailingStreak": 1, "Log": [_probe(1, 1)]}, lambda t: t or 0)
    told += log.read(
        {"Status": "unhealthy", "FailingStreak": 3, "Log": [_probe(1, 1), _probe(2, 1), _probe(3, 1)]},
        lambda t: t or 0,
    )
    assert [(one.status, one.ok, one.failing_streak, one.output) for one in told] == [
        ("starting", False, 1, "said 1"),
        ("starting", False, 2, "said 2"),
        ("unhealthy", False, 3, "said 3"),
    ]
    assert {one.duration_ns for one in told} == {SECOND // 4}
    assert log.read(None, lambda t: t or 0) == []


def test_health_of_an_earlier_start_is_not_told_again() -> None:
    log = HealthLog(trial="t", task="a.2", since=parse_time("2026-01-01T00:00:02Z"))
    told = log.read(
        {"Status": "healthy", "FailingStreak": 0, "Log": [_probe(1, 1), _probe(3, 0)]}, lambda t: t or 0
    )
    assert [one.output for one in told] == ["said 3"]


def test_statistics_as_docker_counts_them() -> None:
    old = {"memory_stats": {"usage": 100, "limit": 500, "stats": {"total_inactive_file": 30}}}
    new = {
        "memory_stats": {"usage": 100, "stats": {"inactive_file": 40}},
        "cpu_stats": {"cpu_usage": {"total_usage": 7}},
    }
    assert from_api(old) == (70, 500, 0)
    assert from_api(new) == (60, None, 7)
    assert from_api({"memory_stats": {}}) is None


@pytest.mark.parametrize(
    ("status", "said", "code"),
    [
        (500, "driver failed programming external connectivity: Bind for 0.0.0.0:80 failed: port is already allocated",
         "port-taken"),
        (404, "No such image: web:1", "image-missing"),
        (404, "No such container: x", "not-found"),
        (409, 'Conflict. The container name "/x" is already in use by container "y".', "name-taken"),
        (409, "Container x is not running", "refused"),
        (500, "something else", "docker-error"),
    ],
)  # fmt: skip
def test_what_the_daemon_says_has_a_code(status: int, said: str, code: str) -> None:
    error = translate(DockerError(status, said), doing="do it", host="unix:///x")
    assert isinstance(error, PlatformError)
    assert error.code == code
    assert said.split(":", maxsplit=1)[0] in str(error)


def test_a_lost_connection_is_a_death_only_after_it_stood() -> None:
    lost = aiohttp.ServerDisconnectedError()
    assert translate(lost, doing="do it", host="h").code == "daemon-died"
    assert translate(lost, doing="do it", host="h", connected=False).code == "daemon-missing"


def test_body_is_json() -> None:
    assert json.loads(json.dumps(_body(service()))) == _body(service())


def test_docker_container_in_anothers_place_goes_on_in_its_book() -> None:
    lives = _lives()
    lives.running(1, pid=7)
    another = Container(id="b" * 64, trial="t", service="web", node="n", image="web:2", version=2)
    with pytest.raises(ValueError, match="still running"):
        lives.replaced(another)
    lives.ended(2, exit_code=0)
    lives.running(3, pid=8)
    lives.ended(4, exit_code=0)
    lives.replaced(another)
    told = [*lives.begin(5), *lives.running(6, pid=9), *lives.ended(7, exit_code=1), *lives.begin(8)]
    assert [(one.task, one.version, one.image) for one in told] == [
        *[("b" * 12, 2, "web:2")] * 3,
        ("b" * 12 + ".2", 2, "web:2"),
    ]
    views = lives.views(inside=set(), port=1)
    assert [(view.id[:1], view.version, view.container[:1]) for view in views] == [
        ("b", 2, "b"),
        ("b", 2, "b"),
        ("a", 1, "a"),
        ("a", 1, "a"),
    ]
