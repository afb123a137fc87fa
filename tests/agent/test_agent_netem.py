"""netem: its units, whose it is, and, where the kernel has it, what it does. Also run in the virtual machine.

On a kernel without sch_netem the tests of its effect are skipped, and one shows that the agent says so.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.agent_kit import MARK
from breakroom.agent.acts import perform
from breakroom.agent.errors import ActError
from breakroom.agent.namespaces import in_new_network
from breakroom.agent.netem import Link, differences, handle_of, is_ours, limit_of, link_from
from breakroom.agent.probe import probe

pytestmark = pytest.mark.vm
OTHER = "breakroom_other2"
FULL = Link(
    delay_ns=100_000_000,
    jitter_ns=20_000_000,
    loss=0.05,
    corrupt=0.01,
    duplicate=0.02,
    rate_bytes_per_s=1_000_000,
    seed=42,
)


@pytest.fixture(scope="module")
def netem() -> dict[str, Any]:
    """What the probe says of netem here."""
    if os.geteuid() != 0:
        pytest.skip("making network namespaces needs root")
    found: dict[str, Any] = probe()["netem"]
    return found


@pytest.fixture
def with_netem(netem: dict[str, Any]) -> None:
    if not netem["works"]:
        pytest.skip(f"no netem in this kernel: {netem['reason']}")


def _in_pair(work: Callable[[], Any]) -> Any:
    """Do it in a new namespace that has a pair of interfaces, `one` and `two`."""

    def inside() -> Any:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        subprocess.run(["ip", "link", "add", "one", "type", "veth", "peer", "name", "two"], check=True)
        return work()

    return in_new_network(inside)


def _tc(*words: str) -> str:
    return subprocess.run(["tc", *words], capture_output=True, text=True, check=True).stdout


@given(
    st.text("abcdef0123456789", min_size=1, max_size=12), st.text("abcdef0123456789", min_size=1, max_size=12)
)
def test_netem_mark_is_a_runs_own(one: str, two: str) -> None:
    first, second = f"breakroom_{one}", f"breakroom_{two}"
    assert is_ours(handle_of(first), limit_of(first), first)
    assert is_ours(handle_of(first), limit_of(first))
    # The kernel hands out 8001: and upwards, people write small numbers; netem's default limit is 1000.
    assert not is_ours(0x8001 << 16, 1000)
    assert not is_ours(handle_of(first), 1000)
    if (handle_of(first), limit_of(first)) != (handle_of(second), limit_of(second)):
        assert not is_ours(handle_of(first), limit_of(first), second)


def test_netem_link_says_what_is_wrong_with_it() -> None:
    for wrong in (
        {"delay": 1},
        {"loss": 1.5},
        {"delay_ns": -1},
        {"delay_ns": 10**15},
        {"rate_bytes_per_s": 1 << 40},
    ):
        with pytest.raises(ActError) as caught:
            link_from(dict(wrong))
        assert caught.value.code == "bad-act"


def test_netem_differences_are_those_beyond_its_resolution() -> None:
    near = Link(delay_ns=100_000_050, jitter_ns=20_000_000, loss=0.05 + 2e-10, rate_bytes_per_s=1_000_000)
    assert (
        differences(
            Link(delay_ns=100_000_000, jitter_ns=20_000_000, loss=0.05, rate_bytes_per_s=1_000_000), near
        )
        == []
    )
    assert differences(FULL, Link()) == [
        "delay_ns",
        "jitter_ns",
        "loss",
        "corrupt",
        "duplicate",
        "rate_bytes_per_s",
    ]


def test_netem_missing_is_said_and_refused(netem: dict[str, Any]) -> None:
    if netem["works"]:
        pytest.skip("this kernel has netem")
    assert netem["code"] == "unsupported"
    assert "sch_netem" in netem["reason"]

    def work() -> Any:
        from breakroom.agent import links

        with pytest.raises(ActError) as caught:
            links.set_link(MARK, FULL)
        return [caught.value.code, _tc("qdisc", "show")]

    code, left = _in_pair(work)
    assert code == "unsupported"
    assert "netem" not in left


@pytest.mark.usefixtures("with_netem")
def test_netem_is_set_read_back_and_taken_away() -> None:
    def work() -> Any:
        from breakroom.agent import links

        before = _tc("qdisc", "show")
        done = links.set_link(MARK, FULL)
        text = _tc("qdisc", "show", "dev", "one")
        changed = links.set_link(MARK, Link(delay_ns=50_000_000))
        cleared = links.clear(MARK)
        return [
            sorted(done),
            done["one"],
            text,
            changed["one"]["delay_ns"],
            sorted(cleared),
            before == _tc("qdisc", "show"),
        ]

    names, effect, text, changed, cleared, restored = _in_pair(work)
    assert names == cleared == ["one", "two"]
    assert differences(FULL, Link(**effect)) == []
    # tc reads the kernel by itself.
    for words in ("delay 100ms", "20ms", "loss 5%", "duplicate 2%", "corrupt 1%", "rate 8Mbit"):
        assert words in text
    assert abs(changed - 50_000_000) <= 64
    assert restored


@pytest.mark.usefixtures("with_netem")
def test_netem_of_somebody_else_is_left_alone() -> None:
    def work() -> Any:
        from breakroom.agent import links

        _tc("qdisc", "add", "dev", "one", "root", "netem", "delay", "7ms")
        with pytest.raises(ActError) as foreign:
            links.set_link(MARK, FULL)
        cleared = links.clear("")
        _tc("qdisc", "del", "dev", "one", "root")
        links.set_link(OTHER, FULL, "two")
        with pytest.raises(ActError) as another:
            links.set_link(MARK, FULL)
        mine = links.clear(MARK)
        return [foreign.value.code, cleared, another.value.code, str(another.value), mine, links.clear("")]

    foreign, cleared, another, message, mine, all_ours = _in_pair(work)
    assert (foreign, another) == ("link-taken", "link-taken")
    assert "another run of breakroom" in message
    assert (cleared, mine, all_ours) == ([], [], ["two"])


@pytest.mark.usefixtures("with_netem")
def test_netem_delays_what_is_sent() -> None:
    def work() -> Any:
        from breakroom.agent import links

        links.set_link(MARK, Link(delay_ns=200_000_000), "lo")
        with socket.create_server(("127.0.0.1", 0)) as server:
            begin = time.monotonic()
            socket.create_connection(server.getsockname(), 10).close()
            return time.monotonic() - begin

    # The SYN and its answer both pass the loopback: twice the delay, whatever the machine's load adds.
    assert 0.4 <= _in_pair(work) < 5


def test_netem_act_needs_a_container() -> None:
    answer = perform({"act": "link-set", "mark": MARK, "link": {}, "container": "0" * 64, "pid": 0}).answer
    assert (answer["ok"], answer["code"]) == (False, "gone")
