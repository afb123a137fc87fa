"""Finding and reaching a daemon: sockets, contexts, TLS, ssh; and every way in which it is not there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from breakroom.platforms.base import USAGE_CODES, PlatformError
from breakroom.platforms.docker.endpoint import DEFAULT_SOCKET, find_endpoint
from breakroom.platforms.docker.ssh import ssh_command
from docker_lab.lab import Host, Lab, missing

_SCRIPT = Path(__file__).with_name("ask_daemon.py")
_NOBODY = "65534"


def _ask(host: Host, *words: str, **environment: str) -> dict[str, Any]:
    """What `ask_daemon.py` says on that host; an empty DOCKER_HOST is none."""
    settings = [f"{name}={value}" for name, value in environment.items()]
    # As another user it could not write down which lines ran, and would say so.
    uncounted = ("-u", "COVERAGE_PROCESS_CONFIG") if "--as" in words else ()
    command = host.command(
        "env", "-u", "DOCKER_HOST", *uncounted, *settings, sys.executable, "-W", "error", str(_SCRIPT), *words
    )
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_local_socket(docker_host: Host) -> None:
    found = _ask(docker_host, DOCKER_HOST=docker_host.docker_host)
    assert found == {
        "host": docker_host.docker_host,
        "source": "DOCKER_HOST",
        "local": True,
        "name": "had-1",
        "address": "127.0.0.1",
        "containers": 0,
    }


def test_no_permission_on_the_socket(docker_host: Host) -> None:
    found = _ask(docker_host, "--as", _NOBODY, DOCKER_HOST=docker_host.docker_host)
    assert found["code"] == "permission-denied"
    assert docker_host.docker_host in found["message"]
    assert "usermod -aG docker" in found["hint"]
    assert "--platform local" in found["hint"]


@pytest.mark.parametrize("address", ["unix:///run/no-such-docker.sock", "tcp://127.0.0.1:1"])
def test_no_daemon(docker_host: Host, address: str) -> None:
    found = _ask(docker_host, DOCKER_HOST=address)
    assert found["code"] == "daemon-missing"
    assert address in found["message"]
    assert "--platform local" in found["hint"]
    assert found["code"] in USAGE_CODES


def test_a_context_says_where(docker_host: Host, tmp_path: Path) -> None:
    _context(tmp_path, "lab", docker_host.docker_host)
    by_name = _ask(docker_host, DOCKER_CONFIG=str(tmp_path), DOCKER_CONTEXT="lab")
    assert (by_name["source"], by_name["name"]) == ("context lab", "had-1")
    (tmp_path / "config.json").write_text('{"currentContext": "lab"}')
    assert _ask(docker_host, DOCKER_CONFIG=str(tmp_path))["source"] == "context lab"
    # As with docker/cli, DOCKER_HOST goes before any context.
    over = _ask(docker_host, DOCKER_CONFIG=str(tmp_path), DOCKER_HOST="unix:///run/no-such-docker.sock")
    assert over["code"] == "daemon-missing"


def test_a_context_made_by_docker_itself_is_understood(docker_host: Host, tmp_path: Path) -> None:
    setting = ("env", f"DOCKER_CONFIG={tmp_path}")
    docker_host.run(
        *setting, "docker", "context", "create", "ours", "--docker", f"host={docker_host.docker_host}"
    )
    found = _ask(docker_host, DOCKER_CONFIG=str(tmp_path), DOCKER_CONTEXT="ours")
    assert (found["host"], found["source"]) == (docker_host.docker_host, "context ours")


def test_a_context_that_is_not_there(docker_host: Host, tmp_path: Path) -> None:
    found = _ask(docker_host, DOCKER_CONFIG=str(tmp_path), DOCKER_CONTEXT="gone")
    assert found["code"] == "docker-config"
    assert "'gone'" in found["message"]
    assert "docker context ls" in found["hint"]


def test_the_default_is_the_default_socket() -> None:
    found = find_endpoint({"HOME": "/nonexistent"})
    assert (found.host, found.source) == (f"unix://{DEFAULT_SOCKET}", "default")


@pytest.mark.parametrize("address", ["docker.sock", "ftp://host", "tcp://"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(PlatformError) as refused:
        find_endpoint({"DOCKER_HOST": address, "HOME": "/nonexistent"})
    assert refused.value.code == "docker-host"
    assert address in str(refused.value)


def test_ssh_is_called_as_docker_calls_it() -> None:
    words = ssh_command("ssh://ada@engine:2222/run/other.sock")
    assert words[0] == "ssh"
    assert " ".join(words).endswith(
        "-T -l ada -p 2222 -- engine docker --host unix:///run/other.sock system dial-stdio"
    )
    with pytest.raises(PlatformError):
        ssh_command("ssh://ada:secret@engine")


def test_ssh_reaches_the_daemon_by_dial_stdio(docker_host: Host, tmp_path: Path) -> None:
    """The `ssh` here is a script in place of OpenSSH's; what it runs at the "other end" is Docker's own dial-stdio."""
    words = tmp_path / "words"
    _program(
        tmp_path / "ssh",
        f'echo "$@" >> {words}\n'
        'while [ "$1" != -- ]; do shift; done; shift 2\n'
        f'exec env DOCKER_HOST={docker_host.docker_host} "$@"\n',
    )
    found = _ask(docker_host, DOCKER_HOST="ssh://ada@engine", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert (found["host"], found["name"]) == ("ssh://ada@engine", "had-1")
    assert words.read_text().splitlines()[0].endswith("-l ada -- engine docker system dial-stdio")


def test_ssh_that_fails_is_quoted(docker_host: Host, tmp_path: Path) -> None:
    _program(tmp_path / "ssh", "echo 'Permission denied (publickey).' >&2\nexit 255\n")
    found = _ask(docker_host, DOCKER_HOST="ssh://ada@engine", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert found["code"] == "ssh-failed"
    assert "Permission denied (publickey)." in found["message"]
    assert "docker -H ssh://ada@engine" in found["hint"]


class TlsDaemon:
    """A second daemon on the host, with TLS on its loopback, and the certificates for it."""

    def __init__(self, host: Host, directory: Path) -> None:
        self.host = host
        self.address = "tcp://127.0.0.1:2376"
        self.certificates = directory / "client"
        self.strangers = directory / "strangers"
        self.server = directory / "server"
        _certify(self.server, self.certificates)
        _certify(directory / "other", self.strangers)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, state: Path) -> None:
        command = self.host.command(
            "setpriv", "--pdeathsig", "KILL", "--", "dockerd", "--data-root", str(state / "data"),
            "--exec-root", str(state / "exec"), "--pidfile", str(state / "pid"), "--bridge", "none",
            "--iptables=false", "-H", self.address, "--tlsverify", "--tlscacert", str(self.server / "ca.pem"),
            "--tlscert", str(self.server / "cert.pem"), "--tlskey", str(self.server / "key.pem"),
        )  # fmt: skip
        with (state / "log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while "API listen on" not in (state / "log").read_text(errors="replace"):
            text = (state / "log").read_text(errors="replace")[-2000:]
            assert self.process.poll() is None, text
            assert time.monotonic() < deadline, text

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=30)


@pytest.fixture(scope="module")
def tls_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsDaemon]:
    if shutil.which("openssl") is None:
        pytest.skip("not installed: openssl, which makes the certificates")
    if why := missing():
        pytest.skip(why)
    # A host of its own: a daemon without a bridge removes the bridge of the other that shares its network.
    lab = Lab("hadtls")
    lab.up(tied=True)
    host = lab.hosts[0]
    found = TlsDaemon(host, tmp_path_factory.mktemp("certificates"))
    state = host.directory / "tls"
    state.mkdir()
    try:
        found.start(state)
        yield found
    finally:
        found.stop()
        lab.down()


def test_tls_from_the_environment(tls_daemon: TlsDaemon) -> None:
    found = _ask(
        tls_daemon.host,
        DOCKER_HOST=tls_daemon.address,
        DOCKER_TLS_VERIFY="1",
        DOCKER_CERT_PATH=str(tls_daemon.certificates),
    )
    assert (found["host"], found["containers"]) == (tls_daemon.address, 0)


def test_tls_from_a_context(tls_daemon: TlsDaemon, tmp_path: Path) -> None:
    tls = _context(tmp_path, "secured", tls_daemon.address)
    shutil.copytree(tls_daemon.certificates, tls)
    found = _ask(tls_daemon.host, DOCKER_CONFIG=str(tmp_path), DOCKER_CONTEXT="secured")
    assert found["source"] == "context secured"


def test_tls_with_a_strangers_certificates(tls_daemon: TlsDaemon) -> None:
    found = _ask(
        tls_daemon.host,
        DOCKER_HOST=tls_daemon.address,
        DOCKER_TLS_VERIFY="1",
        DOCKER_CERT_PATH=str(tls_daemon.strangers),
    )
    assert found["code"] == "tls-failed"
    assert "DOCKER_CERT_PATH" in found["hint"]


def test_tls_without_certificates(tls_daemon: TlsDaemon, tmp_path: Path) -> None:
    found = _ask(
        tls_daemon.host,
        DOCKER_HOST=tls_daemon.address,
        DOCKER_TLS_VERIFY="1",
        DOCKER_CERT_PATH=str(tmp_path / "nowhere"),
    )
    assert found["code"] == "tls-failed"


def test_plain_talk_to_a_daemon_with_tls(tls_daemon: TlsDaemon) -> None:
    found = _ask(tls_daemon.host, DOCKER_HOST=tls_daemon.address)
    assert found["code"] == "tls-failed"
    assert "DOCKER_TLS_VERIFY" in found["hint"]


def _context(config: Path, name: str, address: str) -> Path:
    """Write a context as docker/cli keeps it; returns where its certificates would be."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = config / "contexts" / "meta" / digest
    meta.mkdir(parents=True)
    document = {"Name": name, "Endpoints": {"docker": {"Host": address, "SkipTLSVerify": False}}}
    (meta / "meta.json").write_text(json.dumps(document))
    return config / "contexts" / "tls" / digest / "docker"


def _program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)


def _certify(server: Path, client: Path) -> None:
    """A certificate authority with a certificate for a server at 127.0.0.1 and one for a client."""
    server.mkdir(parents=True)
    client.mkdir(parents=True)
    key, authority = server / "ca-key.pem", server / "ca.pem"
    _openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test authority",
             "-keyout", str(key), "-out", str(authority))  # fmt: skip
    for directory, usage in ((server, "serverAuth"), (client, "clientAuth")):
        request, extension = directory / "request.pem", directory / "extension"
        extension.write_text(f"subjectAltName=IP:127.0.0.1\nextendedKeyUsage={usage}\n")
        _openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={usage}",
                 "-keyout", str(directory / "key.pem"), "-out", str(request))  # fmt: skip
        _openssl("x509", "-req", "-in", str(request), "-CA", str(authority), "-CAkey", str(key),
                 "-CAcreateserial", "-days", "2", "-extfile", str(extension),
                 "-out", str(directory / "cert.pem"))  # fmt: skip
    shutil.copy(authority, client / "ca.pem")


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)
