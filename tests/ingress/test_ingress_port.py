"""The published port: who may have it, and when it answers."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from breakroom.ingress import messages as m
from ingress.ingress_kit import Ingress, Task, read_exactly, read_to_end, until, was_reset

MakeTask = Callable[[str], Task]
has_ipv6 = pytest.mark.skipif(
    sys.platform == "linux" and not Path("/proc/net/if_inet6").exists(), reason="no IPv6 on this host"
)


def _refuses(ingress: Ingress, host: str = "127.0.0.1") -> bool:
    try:
        ingress.connect(host).close()
    except ConnectionRefusedError:
        return True
    return False


def test_the_port_refuses_until_a_task_enters_and_after_the_last_has_left(
    ingress: Ingress, make_task: MakeTask
) -> None:
    first, second = make_task("first"), make_task("second")
    assert _refuses(ingress)
    ingress.enter(first)
    assert not _refuses(ingress)
    ingress.cut("first")
    assert _refuses(ingress)
    ingress.enter(second)
    with ingress.connect() as client, second.accept() as server:
        client.sendall(b"open again")
        assert read_exactly(server, 10) == b"open again"
        ingress.drain("second")
        assert _refuses(ingress)
        server.sendall(b"kept")
        assert read_exactly(client, 4) == b"kept"


def test_clients_not_accepted_when_the_last_task_leaves_are_reset(
    ingress: Ingress, make_task: MakeTask
) -> None:
    task = make_task("a")
    ingress.enter(task)
    os.kill(ingress.process.pid, signal.SIGSTOP)
    try:
        ingress.say(m.Leave(task="a", how="cut"))
        client = ingress.connect()  # The kernel connects it; nobody has accepted it.
    finally:
        os.kill(ingress.process.pid, signal.SIGCONT)
    with client:
        assert was_reset(client)
    assert ingress.hear(m.Rotation).total_connections == 0


@has_ipv6
def test_ipv4_and_ipv6_share_the_port_number_and_the_tasks(make_task: MakeTask) -> None:
    ingress = Ingress()
    published = ingress.publish(hosts=("127.0.0.1", "::1"))
    assert published.hosts == ("127.0.0.1", "::1")
    task = make_task("a")
    assert _refuses(ingress, "::1")
    ingress.enter(task)
    for host in ("::1", "127.0.0.1"):
        with ingress.connect(host) as client, task.accept() as server:
            client.sendall(host.encode())
            client.shutdown(socket.SHUT_WR)
            assert read_to_end(server) == host.encode()
    ingress.cut("a")
    assert _refuses(ingress, "::1")
    ingress.end()


def test_hosts_that_the_machine_does_not_have_are_left_out() -> None:
    ingress = Ingress()
    assert ingress.publish(hosts=("127.0.0.1", "2001:db8::1")).hosts == ("127.0.0.1",)
    ingress.end()


def test_no_host_at_all_is_an_error() -> None:
    ingress = Ingress()
    ingress.say(m.Publish(hosts=("2001:db8::1",), port=0))
    assert ingress.hear(m.Error).code == "bind-failed"
    ingress.end()


@pytest.mark.parametrize("portable", [False, True])
def test_a_port_somebody_listens_on_is_taken(portable: bool) -> None:
    ingress = Ingress(portable=portable)
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        ingress.say(m.Publish(hosts=("127.0.0.1",), port=port))
        error = ingress.hear(m.Error)
        assert error.code == "port-taken"
        assert str(port) in error.message
    assert ingress.publish(port=port).port == port
    ingress.end()


@pytest.mark.parametrize("portable", [False, True])
def test_a_program_that_would_share_its_port_does_not_get_us_as_a_partner(portable: bool) -> None:
    ingress = Ingress(portable=portable)
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as holder:
        ingress.say(m.Publish(hosts=("127.0.0.1",), port=holder.getsockname()[1]))
        assert ingress.hear(m.Error).code == "port-taken"
    ingress.end()


def test_another_ingress_holds_its_port_also_while_it_refuses(native: Ingress) -> None:
    second = Ingress()
    second.say(m.Publish(hosts=("127.0.0.1",), port=native.port))
    assert second.hear(m.Error).code == "port-taken"
    second.end()


@pytest.mark.parametrize(
    "options",
    [(), (socket.SO_REUSEADDR,), (socket.SO_REUSEPORT,), (socket.SO_REUSEADDR, socket.SO_REUSEPORT)],
)
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the placeholder can be shared")
def test_nobody_can_take_the_port_while_it_is_closed(
    native: Ingress, make_task: MakeTask, options: tuple[int, ...]
) -> None:
    native.enter(make_task("a"))
    native.cut("a")
    with closing(socket.socket()) as thief:
        for option in options:
            thief.setsockopt(socket.SOL_SOCKET, option, 1)
        with pytest.raises(OSError, match="Address already in use"):
            thief.bind(("127.0.0.1", native.port))


def test_a_port_can_be_published_again_at_once(ingress: Ingress, make_task: MakeTask) -> None:
    task = make_task("a")
    ingress.enter(task)
    with ingress.connect() as client:
        task.accept().close()  # The side that ends first keeps the pair in TIME_WAIT.
        assert read_to_end(client) == b""
    until(lambda: ingress.stats().tasks["a"].open == 0)
    ingress.process.kill()
    ingress.process.wait()
    again = Ingress()
    assert again.publish(port=ingress.port).port == ingress.port
    again.end()
    ingress.process.returncode = 0  # Killed on purpose: the fixture need not mind.


def test_only_one_port_is_published(native: Ingress) -> None:
    native.say(m.Publish(hosts=("127.0.0.1",), port=0))
    assert native.hear(m.Error).code == "already-published"


def test_a_task_may_enter_before_the_port_is_published(make_task: MakeTask) -> None:
    ingress = Ingress()
    ingress.enter(make_task("a"))
    ingress.publish()
    assert not _refuses(ingress)
    ingress.end()
