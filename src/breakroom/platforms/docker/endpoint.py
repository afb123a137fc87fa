"""Where the user's Docker daemon is, found as the `docker` command finds it.

Used by `connect` (and `doctor`, to say what was found). Reads the environment it is given and the files of the
Docker CLI's configuration; asks no daemon. Order, as in docker/cli: DOCKER_HOST, DOCKER_CONTEXT, the
configuration's `currentContext`, the default socket. TLS material comes from the context, or from DOCKER_CERT_PATH when
DOCKER_TLS_VERIFY or DOCKER_TLS is set.
"""

from __future__ import annotations

import hashlib
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from breakroom.platforms.base import PlatformError

__all__ = ["DEFAULT_SOCKET", "Endpoint", "find_endpoint", "ssl_context"]

DEFAULT_SOCKET = Path("/var/run/docker.sock")
_SCHEMES = ("unix", "tcp", "http", "https", "ssh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A daemon's address as DOCKER_HOST would have it, who named it, and where its certificates are."""

    host: str
    source: str
    """`DOCKER_HOST`, `context NAME` or `default`."""
    certificates: Path | None = None
    verify: bool = True

    @property
    def scheme(self) -> str:
        """`unix`, `tcp`, `ssh`, and so on."""
        return self.host.partition("://")[0]

    @property
    def path(self) -> str:
        """The socket's path, of a `unix` endpoint."""
        return self.host.removeprefix("unix://")


def find_endpoint(environment: Mapping[str, str]) -> Endpoint:
    """The daemon that `docker` would talk to with that environment.

    Raises:
        PlatformError: `docker-config`: the configuration names a context that does not exist or cannot be read;
            `docker-host`: the address is none.
    """
    found = _find(environment)
    if found.scheme not in _SCHEMES or not found.host.partition("://")[2]:
        raise PlatformError(
            "docker-host",
            f"{found.source}: {found.host!r} is no address of a Docker daemon",
            "write unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST",
        )
    return found


def _find(environment: Mapping[str, str]) -> Endpoint:
    config = _config_directory(environment)
    if host := environment.get("DOCKER_HOST"):
        return _of_environment(environment, host, "DOCKER_HOST", config)
    name = environment.get("DOCKER_CONTEXT") or _current_context(config)
    if name and name != "default":
        return _of_context(config, name)
    sockets = [DEFAULT_SOCKET]
    if runtime := environment.get("XDG_RUNTIME_DIR"):
        sockets.append(Path(runtime) / "docker.sock")  # rootless
    if home := environment.get("HOME"):
        sockets.append(Path(home) / ".docker" / "run" / "docker.sock")  # Docker Desktop
    socket = next((path for path in sockets if _exists(path)), DEFAULT_SOCKET)
    return _of_environment(environment, f"unix://{socket}", "default", config)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return True  # it is there, only not for us: connecting says so


def _config_directory(environment: Mapping[str, str]) -> Path:
    if directory := environment.get("DOCKER_CONFIG"):
        return Path(directory)
    return Path(environment.get("HOME") or Path.home()) / ".docker"


def _of_environment(environment: Mapping[str, str], host: str, source: str, config: Path) -> Endpoint:
    # docker/cli takes any value, even "0", for yes.
    verify = bool(environment.get("DOCKER_TLS_VERIFY"))
    secured = verify or bool(environment.get("DOCKER_TLS"))
    if not secured or not host.startswith(("tcp://", "http://", "https://")):
        return Endpoint(host=host, source=source)
    certificates = Path(environment.get("DOCKER_CERT_PATH") or config)
    return Endpoint(host=host, source=source, certificates=certificates, verify=verify)


def _current_context(config: Path) -> str:
    path = config / "config.json"
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    name = data.get("currentContext", "") if isinstance(data, dict) else ""
    return name if isinstance(name, str) else ""


def _of_context(config: Path, name: str) -> Endpoint:
    # docker/cli keeps a context in a directory named by the SHA-256 of its name.
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = config / "contexts" / "meta" / digest / "meta.json"
    try:
        docker = json.loads(meta.read_bytes())["Endpoints"]["docker"]
        host, skip = str(docker["Host"]), bool(docker.get("SkipTLSVerify"))
    except FileNotFoundError:
        raise PlatformError(
            "docker-config",
            f"there is no Docker context called {name!r}",
            "`docker context ls` lists them; `docker context use default` goes back to this machine's",
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(meta, error) from error
    tls = config / "contexts" / "tls" / digest / "docker"
    return Endpoint(
        host=host,
        source=f"context {name}",
        certificates=tls if tls.is_dir() else None,
        verify=not skip,
    )


def _unreadable(path: Path, error: Exception) -> PlatformError:
    reason = f"{type(error).__name__}: {error}"
    return PlatformError(
        "docker-config", f"{path} cannot be read: {reason}", "mend it, or say which daemon with DOCKER_HOST"
    )


def ssl_context(endpoint: Endpoint) -> ssl.SSLContext | None:
    """What is needed to speak TLS with the endpoint; None if it speaks none.

    Raises:
        PlatformError: `tls-failed`: the certificates cannot be read.
    """
    directory = endpoint.certificates
    if directory is None and urlsplit(endpoint.host).scheme != "https":
        return None
    try:
        authority = directory / "ca.pem" if directory is not None else None
        known = authority if authority is not None and authority.exists() else None
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=known)
        if not endpoint.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if directory is not None and (directory / "cert.pem").exists():
            context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    except (OSError, ssl.SSLError) as error:
        raise PlatformError(
            "tls-failed",
            f"the certificates in {directory} cannot be used: {error}",
            "they are ca.pem, cert.pem and key.pem; DOCKER_CERT_PATH says where",
        ) from error
    return context
