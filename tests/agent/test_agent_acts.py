"""Acts on real containers, done as root on their host."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from agent.agent_kit import MARK, PORT, Target, act, answers, target, until
from breakroom.agent import lasting
from docker_lab.lab import Host

_ABOUT = 8 << 20


def _state(served: Target) -> str:
    return str(act(served.host, "process-state", **served.named)["state"])


def test_agent_lists_what_runs_in_a_container(served: Target) -> None:
    (only,) = act(served.host, "processes", **served.named)["processes"]
    assert (only["pid"], only["inside"]) == (served.pid, 1)
    assert only["words"] == ["python3", "-m", "http.server", str(PORT)]


def test_agent_stops_a_process_and_lets_it_go_on(served: Target) -> None:
    assert act(served.host, "signal", signal="SIGSTOP", **served.named)["pids"] == [served.pid]
    until(lambda: _state(served) == "T")
    assert not served.reached()
    act(served.host, "signal", signal="CONT", **served.named)
    until(served.reached)


def test_agent_signals_inside_only_what_matches(served: Target) -> None:
    served.host.docker("exec", "-d", served.id, "sleep", "7117")
    until(lambda: len(act(served.host, "processes", **served.named)["processes"]) == 2)
    assert len(act(served.host, "signal", signal="SIGKILL", match="sleep 7117", **served.named)["pids"]) == 1
    until(lambda: len(act(served.host, "processes", **served.named)["processes"]) == 1)
    assert act(served.host, "signal", signal="SIGKILL", match="sleep 7117", **served.named)["pids"] == []
    assert served.reached()


def test_agent_refuses_a_process_of_somebody_else(served: Target) -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger:
        wrong = {"container": served.id, "pid": stranger.pid}
        assert act(served.host, "signal", signal="SIGKILL", **wrong)["code"] == "not-in-container"
        assert act(served.host, "memory-fill", bytes=1, within_s=1, **wrong)["code"] == "not-in-container"
        assert act(served.host, "partition-set", within_s=1, **wrong)["code"] == "not-in-container"
        assert stranger.poll() is None
        stranger.kill()


def test_agent_says_when_a_process_is_gone(served: Target) -> None:
    served.host.docker("kill", served.id)
    until(lambda: not Path(f"/proc/{served.pid}").exists())
    assert act(served.host, "signal", signal="SIGKILL", **served.named)["code"] == "gone"
    assert _state(served) == ""


def test_agent_refuses_what_it_does_not_understand(agent_host: Host, served: Target) -> None:
    assert act(agent_host, "explode")["code"] == "bad-act"
    assert act(agent_host, "signal", signal="SIGFOO", **served.named)["code"] == "bad-act"
    assert (
        act(agent_host, "signal", signal="SIGKILL", container=served.id[:12], pid=served.pid)["code"]
        == "bad-act"
    )
    assert act(agent_host, "partition-set", scope="galaxy", within_s=1)["code"] == "bad-act"
    assert act(agent_host, "sweep", mark="docker")["code"] == "bad-act"


def test_agent_fills_memory_inside_the_limit_and_frees_it(served: Target) -> None:
    wanted = 64 << 20
    filled = act(served.host, "memory-fill", bytes=wanted, within_s=60, **served.named)
    assert filled["held"]
    assert filled["oom_kills"] == 0
    assert filled["after"]["limit"] == 128 << 20
    assert abs(filled["after"]["used"] - filled["before"]["used"] - wanted) < _ABOUT
    seen = act(served.host, "stats", containers=[served.named])["containers"][served.id]
    assert seen["used"] > wanted
    assert seen["cpu_ns"] > 0
    # It is not one of the container's own: a drill that counts or kills those does not meet it.
    assert len(act(served.host, "processes", **served.named)["processes"]) == 1
    assert act(served.host, "memory-free", container=served.id)["freed"] == [filled["filler"]]
    until(lambda: act(served.host, "memory-events", **served.named)["memory"]["used"] < wanted)


def test_agent_says_that_the_oom_killer_took_the_filler(served: Target) -> None:
    filled = act(served.host, "memory-fill", bytes=512 << 20, within_s=60, **served.named)
    assert not filled["held"]
    assert filled["oom_kills"] == 1
    events = act(served.host, "memory-events", **served.named)["events"]
    assert events["oom_kills"] == 1
    assert events["peak_bytes"] == 128 << 20
    assert served.reached()


def test_agent_filler_ends_by_itself(served: Target) -> None:
    timed = act(served.host, "memory-fill", bytes=1 << 20, within_s=1, **served.named)["filler"]
    until(lambda: timed not in [one.pid for one in lasting.find(MARK)])
    bound = act(served.host, "memory-fill", bytes=1 << 20, within_s=600, **served.named)["filler"]
    assert bound in [one.pid for one in lasting.find(MARK)]
    served.host.docker("kill", served.id)
    until(lambda: bound not in [one.pid for one in lasting.find(MARK)])


def test_agent_cuts_a_container_off_and_heals_it(served: Target) -> None:
    seen = act(served.host, "partition-set", within_s=60, **served.named)
    assert seen["active"]
    assert seen["remaining_ms"] > 30_000
    assert not served.reached()
    assert served.reaches_itself()
    assert act(served.host, "partition-show", **served.named)["dropped_packets"] > 0
    assert act(served.host, "partition-clear", **served.named)["cleared"]
    assert served.reached()
    assert not act(served.host, "partition-show", **served.named)["present"]
    assert lasting.find(MARK) == []


def test_agent_partition_heals_by_the_kernel_though_all_of_us_are_killed(served: Target) -> None:
    act(served.host, "partition-set", within_s=3, **served.named)
    for stayer in lasting.find(MARK):
        os.kill(stayer.pid, signal.SIGKILL)
    assert not served.reached()
    until(served.reached)
    # Nobody was left to take the table away; it drops nothing, and a sweep finds it.
    assert act(served.host, "partition-show", **served.named)["present"]
    assert [thing["kind"] for thing in act(served.host, "sweep")["found"]] == ["nft"]


def test_agent_partition_takes_its_table_away_when_it_is_over(served: Target) -> None:
    act(served.host, "partition-set", within_s=1, **served.named)
    until(lambda: not act(served.host, "partition-show", **served.named)["present"])
    assert served.reached()
    until(lambda: lasting.find(MARK) == [])


def test_agent_renews_a_partition(served: Target) -> None:
    act(served.host, "partition-set", within_s=1, **served.named)
    seen = act(served.host, "partition-set", within_s=60, **served.named)
    assert seen["remaining_ms"] > 30_000
    assert len(lasting.find(MARK)) == 1
    act(served.host, "partition-clear", **served.named)


def test_agent_cuts_a_whole_node_off_and_its_containers_live_on(agent_hosts: tuple[Host, ...]) -> None:
    first, second, _ = agent_hosts
    published = target(second, "-p", "9100:3000")
    url = f"http://{second.address}:9100/"
    try:
        assert answers(first, url)
        # Armed now, in force in a second: the answer must still leave a node that is reached by its network only.
        assert act(second, "partition-set", scope="node", within_s=8, after_s=1)["active"] is False
        until(lambda: not answers(first, url))
        assert published.reached()
        assert act(second, "partition-show", scope="node")["active"]
        until(lambda: answers(first, url))
        until(lambda: not act(second, "partition-show", scope="node")["present"])
    finally:
        act(second, "partition-clear", scope="node")
        second.docker("rm", "-f", published.id)


def test_agent_refuses_a_container_on_the_nodes_own_network(agent_host: Host) -> None:
    shared = target(agent_host, "--network", "host")
    try:
        refused = act(agent_host, "partition-set", within_s=1, **shared.named)
        assert refused["code"] == "unsupported"
        assert "would hit the node" in refused["message"]
    finally:
        agent_host.docker("rm", "-f", shared.id)


def test_agent_sweep_finds_all_of_one_run_and_nothing_else(served: Target) -> None:
    other = "breakroom_other1"
    try:
        act(served.host, "partition-set", within_s=600, **served.named)
        act(served.host, "memory-fill", bytes=1 << 20, within_s=600, **served.named)
        act(served.host, "partition-set", mark=other, within_s=600, **served.named)
        looked = act(served.host, "sweep", dry=True)
        assert sorted(thing["kind"] for thing in looked["found"]) == ["nft", "process", "process"]
        assert not served.reached()
        done = act(served.host, "sweep")
        assert len(done["found"]) == 3
        assert done["left"] == []
        assert act(served.host, "sweep")["found"] == []
        kept = act(served.host, "sweep", mark=other, dry=True)["found"]
        assert sorted(thing["kind"] for thing in kept) == ["nft", "process"]
        spared = act(served.host, "sweep", mark="", dry=True, spare=[other])["found"]
        assert not [thing for thing in spared if other in thing["what"]]
    finally:
        act(served.host, "sweep", mark=other)
    assert served.reached()


def test_agent_reads_the_kernels_quota_of_a_container(served: Target) -> None:
    assert act(served.host, "cpu-quota", **served.named)["quota_us"] is None
    served.host.docker("update", "--cpu-period", "50000", "--cpu-quota", "2500", served.id)
    seen = act(served.host, "cpu-quota", **served.named)
    assert (seen["quota_us"], seen["period_us"]) == (2500, 50000)
    served.host.docker("update", "--cpu-quota", "-1", served.id)
    assert act(served.host, "cpu-quota", **served.named)["quota_us"] is None


def test_agent_asks_a_service_inside_its_container(served: Target) -> None:
    # Nobody outside reaches it: the request does not come from outside.
    act(served.host, "partition-set", within_s=600, **served.named)
    asked = act(served.host, "request", port=PORT, method="GET", path="/", **served.named)
    assert asked["status"] == 200
    assert "Directory listing" in asked["body"]
    assert act(served.host, "request", port=PORT, method="POST", path="/", **served.named)["status"] == 501
    closed = act(served.host, "request", port=PORT + 1, method="GET", path="/", **served.named)
    assert closed["code"] == "no-answer"
    assert (
        act(served.host, "request", port=PORT, method="GET", path="/a b", **served.named)["code"] == "bad-act"
    )
    act(served.host, "signal", signal="SIGSTOP", **served.named)
    hung = act(served.host, "request", port=PORT, method="GET", path="/", **served.named)
    assert hung["code"] == "no-answer"
    act(served.host, "partition-clear", **served.named)


def test_agent_tells_how_often_the_kernel_has_killed_for_memory(served: Target) -> None:
    before = act(served.host, "oom-kills")["oom_kills"]
    act(served.host, "memory-fill", bytes=512 << 20, within_s=60, **served.named)
    assert act(served.host, "oom-kills")["oom_kills"] > before


def test_agent_probe_says_what_this_node_can(agent_host: Host) -> None:
    found = act(agent_host, "probe")
    assert found["nft"]["works"], found["nft"]["reason"]
    assert found["cgroup"]["version"] in {1, 2}
    assert found["cgroup"]["writable"]
    assert "NET_ADMIN" in found["capabilities"]
    assert found["kernel"] == os.uname().release
    for name in ("netem", "ip_vs"):
        assert found[name]["works"] or found[name]["reason"]
