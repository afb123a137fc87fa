"""Docker hosts of our own on one machine: each a network namespace with its own `dockerd`, joined by a bridge.

Used by the fixtures of the Docker suites, and by people: `python -m docker_lab up NAME --nodes 3` (in `tests/`).
Nothing of the machine's own network is touched: the bridge lives in a namespace too, so no rule of the host applies
to it. What acts on a host of the lab runs in its namespace (`Host.command`), where loopback is that host's own.
Needs root, `ip`, `nsenter`, `dockerd`, `iptables`.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

__all__ = ["STATE", "Host", "Lab", "LabError", "missing"]

STATE = Path("/run/breakroom-lab")
"""Short on purpose: the path of a Unix socket may have 107 bytes."""
_READY_SECONDS = 60.0
_END_SECONDS = 20.0
_STARTED: dict[str, subprocess.Popen[bytes]] = {}
"""Host's name → its daemon, while this process has started it and not ended it."""
_NETNS = Path("/run/netns")
_SOCKETS = STATE / "sockets"
"""Each host's socket under its host's name, so that one Swarm service can mount it on every node."""


class LabError(RuntimeError):
    """The lab cannot be made; the text says what failed."""


def missing() -> str:
    """Why no lab can be made here; empty if one can."""
    if os.geteuid() != 0:
        return "network namespaces and dockerd need root"
    tools = [tool for tool in ("ip", "nsenter", "dockerd", "iptables") if shutil.which(tool) is None]
    return f"not installed: {', '.join(tools)}" if tools else ""


@dataclass(frozen=True, slots=True)
class Host:
    """One Docker host. `number` counts from 1."""

    lab: str
    number: int

    @property
    def namespace(self) -> str:
        """The name of its network namespace, and of the host for `dockerd`."""
        return f"{self.lab}-{self.number}"

    @property
    def address(self) -> str:
        """Its address on the lab's bridge."""
        return f"10.77.0.{self.number}"

    @property
    def directory(self) -> Path:
        """Where its daemon keeps everything."""
        return STATE / self.lab / str(self.number)

    @property
    def docker_host(self) -> str:
        """Value for DOCKER_HOST; the socket's file can be reached from every namespace."""
        return f"unix://{self.directory / 'docker.sock'}"

    def command(self, *words: str) -> list[str]:
        """The words of a command that runs in this host's network, with this host's daemon as its Docker."""
        return [
            "nsenter", f"--net={_NETNS / self.namespace}", "--",
            "env", f"DOCKER_HOST={self.docker_host}",
            f"BREAKROOM_NODE_SOCKET={_SOCKETS}/{{{{.Node.Hostname}}}}", *words,
        ]  # fmt: skip

    def docker(self, *words: str, check: bool = True) -> str:
        """Run `docker WORDS` against this host; returns what it printed.

        Raises:
            LabError: it failed and `check` is set.
        """
        return _run([*self.command("docker"), *words], check=check)

    def run(self, *words: str, check: bool = True) -> str:
        """Run a command in this host's network; returns what it printed."""
        return _run(self.command(*words), check=check)

    def start_daemon(self, *, tied: bool = False) -> None:
        """Start dockerd and wait until it answers; `tied`: it ends with the process that calls this.

        Raises:
            LabError: it does not come up; the text has the end of its log.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        _SOCKETS.mkdir(exist_ok=True)
        by_name = _SOCKETS / self.namespace
        by_name.unlink(missing_ok=True)
        by_name.symlink_to(self.directory / "docker.sock")
        log = self.directory / "dockerd.log"
        command = [
            "nsenter", f"--net={_NETNS / self.namespace}", "--",
            *(("setpriv", "--pdeathsig", "KILL", "--") if tied else ()),
            "unshare", "--uts", "sh", "-c", f'hostname {self.namespace}; exec "$@"', "sh", "dockerd",
            "--data-root", str(self.directory / "data"),
            "--exec-root", str(self.directory / "exec"),
            "--pidfile", str(self.directory / "dockerd.pid"),
            "-H", self.docker_host,
        ]  # fmt: skip
        with log.open("ab") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        _STARTED[self.namespace] = process
        deadline = time.monotonic() + _READY_SECONDS
        while not self.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise LabError(f"dockerd of {self.namespace}: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)

    def answers(self) -> bool:
        """Whether its daemon answers now."""
        words = self.command("docker", "version", "--format", "{{.Server.Version}}")
        return subprocess.run(words, capture_output=True, check=False).returncode == 0

    @property
    def daemon_pid(self) -> int | None:
        """The pid of its dockerd, if that runs."""
        try:
            pid = int((self.directory / "dockerd.pid").read_text())
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, ValueError):
            return None
        # Ended, and not waited for by us who started it: nothing would ever take the zombie away.
        return None if state == "Z" else pid

    def stop_daemon(self, number: int = signal.SIGTERM) -> None:
        """Send dockerd a signal and wait until it is gone; SIGKILL leaves its containers running, as a crash does."""
        pid = self.daemon_pid
        if pid is None:
            return
        os.kill(pid, number)
        deadline = time.monotonic() + _END_SECONDS
        while self.daemon_pid is not None:
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        process = _STARTED.pop(self.namespace, None)
        if process is not None:
            # Its threads may outlive its first one; and a zombie would hold the pid that stands in its pid file.
            process.wait(_END_SECONDS)

    def unasked_end(self) -> str:
        """How its daemon ended though nobody here ended it, with what it logged last; empty if it did not."""
        process = _STARTED.get(self.namespace)
        if process is None or process.poll() is None:
            return ""
        log = (self.directory / "dockerd.log").read_text(errors="replace").splitlines()
        # A crash in Go ends its log with every goroutine there was: what crashed stands where they begin.
        crashes = ("panic:", "fatal error:", "SIG")
        crash = next((n for n, line in enumerate(log) if line.startswith(crashes)), None)
        told = log[-30:] if crash is None else log[max(0, crash - 5) : crash + 60]
        return f"dockerd of {self.namespace} ended with {process.returncode}:\n" + "\n".join(told)

    def end(self) -> None:
        """Kill its containers, since many would wait out their grace period, and end its daemon."""
        if self.daemon_pid is not None and self.answers():
            self.docker("swarm", "leave", "--force", check=False)
            running = self.docker("ps", "-q", check=False).split()
            if running:
                self.docker("kill", *running, check=False)
        self.stop_daemon()

    def cut(self) -> None:
        """Pull its network cable: it lives on, and reaches nobody."""
        _run(["ip", "-n", f"{self.lab}-sw", "link", "set", f"p{self.number}", "down"])

    def heal(self) -> None:
        """Put the cable back."""
        _run(["ip", "-n", f"{self.lab}-sw", "link", "set", f"p{self.number}", "up"])


class Lab:
    """Some hosts and their bridge. `name` is short (it becomes part of interface names) and unique on the machine."""

    def __init__(self, name: str, hosts: int = 1) -> None:
        self.name = name
        self.hosts = tuple(Host(name, number) for number in range(1, hosts + 1))
        self._lock: int | None = None

    def up(self, *, tied: bool = False) -> None:
        """Make the namespaces and start the daemons. A tied lab is this process's alone until that ends.

        Raises:
            LabError: something failed; what was made is taken away.
        """
        if tied:
            self._lock = _locked(self.name)
        self._take_down()
        try:
            switch = f"{self.name}-sw"
            _run(["ip", "netns", "add", switch])
            _run(["ip", "-n", switch, "link", "add", "br0", "type", "bridge"])
            _run(["ip", "-n", switch, "link", "set", "br0", "up"])
            for host in self.hosts:
                _plug_in(host, switch)
            if tied:
                # On this thread: the kernel ends a tied daemon with the *thread* that started it, a pool's at once.
                for host in self.hosts:
                    host.start_daemon(tied=True)
            else:
                with ThreadPoolExecutor() as pool:
                    list(pool.map(lambda host: host.start_daemon(), self.hosts))
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """End the daemons and remove everything of this lab, also what an earlier one of this name left.

        Raises:
            LabError: a daemon had ended by itself before; the text says how. Everything is removed all the same.
        """
        ended = [text for text in (host.unasked_end() for host in self.hosts) if text]
        self._take_down()
        if self._lock is not None:
            lock, self._lock = self._lock, None
            os.close(lock)
        if ended:
            raise LabError("\n".join(ended))

    def _take_down(self) -> None:
        directory = STATE / self.name
        known = sorted(int(path.name) for path in directory.iterdir()) if directory.is_dir() else []
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda number: Host(self.name, number).end(), known))
        for path in _SOCKETS.glob(f"{self.name}-*"):
            path.unlink(missing_ok=True)
        for path in sorted(_NETNS.glob(f"{self.name}-*")):
            _end_processes_in(path)
            _run(["ip", "netns", "delete", path.name], check=False)
        _unmount_under(directory)
        shutil.rmtree(directory, ignore_errors=True)

    def load_image(self, tar: Path, name: str) -> None:
        """Make an image of that name from a root file system's tar, on every host."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda host: host.docker("import", str(tar), name), self.hosts))

    def swarm(self, *, managers: int = 1) -> None:
        """Join the hosts to a Swarm; the first is its first manager."""
        first = self.hosts[0]
        first.docker("swarm", "init", "--advertise-addr", first.address)
        for host in self.hosts[1:]:
            role = "manager" if host.number <= managers else "worker"
            token = first.docker("swarm", "join-token", "-q", role).strip()
            host.docker(
                "swarm", "join", "--advertise-addr", host.address, "--token", token, f"{first.address}:2377"
            )


def _locked(name: str) -> int:
    """Hold the lab's name for the life of this process: two test runs at once would take each other's hosts down."""
    STATE.mkdir(parents=True, exist_ok=True)
    number = os.open(STATE / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(number)
        raise LabError(
            f"the lab {name} is in use by another test run on this machine; wait for its end"
        ) from None
    return number


def _plug_in(host: Host, switch: str) -> None:
    inside, port = "eth0", f"p{host.number}"
    _run(["ip", "netns", "add", host.namespace])
    _run(["ip", "-n", host.namespace, "link", "set", "lo", "up"])
    _run(
        [
            "ip",
            "link",
            "add",
            inside,
            "netns",
            host.namespace,
            "type",
            "veth",
            "peer",
            "name",
            port,
            "netns",
            switch,
        ]
    )
    _run(["ip", "-n", switch, "link", "set", port, "master", "br0", "up"])
    _run(["ip", "-n", host.namespace, "addr", "add", f"{host.address}/24", "dev", inside])
    _run(["ip", "-n", host.namespace, "link", "set", inside, "up"])
    # No way out: where names resolve slowly, a daemon waits 10 to 20 s at every task's start for an image lookup.


def _end_processes_in(namespace: Path) -> None:
    try:
        wanted = namespace.stat().st_ino
    except OSError:
        return
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "ns" / "net").stat().st_ino == wanted:
                os.kill(int(process.name), signal.SIGKILL)
        except OSError:
            continue


def _unmount_under(directory: Path) -> None:
    places = [
        line.split()[1]
        for line in Path("/proc/self/mounts").read_text().splitlines()
        if line.split()[1].startswith(f"{directory}/")
    ]
    for place in sorted(places, reverse=True):
        subprocess.run(["umount", "--lazy", place], capture_output=True, check=False)


def _run(words: list[str], *, check: bool = True) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise LabError(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
