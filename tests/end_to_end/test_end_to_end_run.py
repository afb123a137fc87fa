"""A run as a user meets it: all three contenders, a real fault, and findings that fit together."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from breakroom.journal.records import RotationChanged, TaskChanged
from breakroom.journal.store import read_journal
from end_to_end.tool import MINI_DRILL, Ended, Tool

CONTENDERS = ["single", "single-restart", "orchestrated"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tool, Ended]:
    """One run of the shortened kill drill, looked at by every test of this module."""
    tool = Tool(tmp_path_factory.mktemp("run"))
    tool.write("mini.yaml", MINI_DRILL)
    return tool, tool.run_undisturbed("run", "mini.yaml", "--json")


def _trials(ended: Ended) -> dict[str, Any]:
    return {trial["contender"]: trial for trial in ended.json()["trials"]}


def test_the_run_succeeds_and_prints_nothing_but_json(ran: tuple[Tool, Ended]) -> None:
    _, ended = ran
    assert ended.code == 0, ended.err
    assert ended.json()["verdict"] == "met"
    assert list(_trials(ended)) == CONTENDERS


def test_the_results_follow_the_published_schema(ran: tuple[Tool, Ended]) -> None:
    tool, _ = ran
    schema = tool.run("schema", "results").json()
    results = json.loads((tool.run_directory() / "results.json").read_text())
    jsonschema.validate(results, schema)


def test_the_three_plans_are_provably_the_same(ran: tuple[Tool, Ended]) -> None:
    _, ended = ran
    (drill,) = ended.json()["drills"]
    assert drill["same_plan"] is True
    assert len(set(drill["plan_digests"].values())) == 1
    for trial in _trials(ended).values():
        assert trial["plan"]["arrivals_matched"] is True
        assert trial["plan"]["arrivals_checked"] > 50


def test_every_fault_is_proved_and_nothing_is_unknown(ran: tuple[Tool, Ended]) -> None:
    _, ended = ran
    for trial in _trials(ended).values():
        assert trial["fault_proved"] is True
        assert trial["reasons_unknown"] == []
        assert trial["left_behind"] == []


def test_orchestrated_loses_only_the_connections_open_on_the_killed_replica(ran: tuple[Tool, Ended]) -> None:
    _, ended = ran
    cut = _trials(ended)["orchestrated"]["cut"]
    assert cut["within"] is True, cut
    assert cut["failed_requests"] > 0


def test_single_is_down_until_its_operator_acts(ran: tuple[Tool, Ended]) -> None:
    tool, ended = ran
    single = _trials(ended)["single"]
    assert single["operator"]["acts"] == 1
    assert single["operator"]["modelled"] is True
    (outage,) = [outage for outage in single["outages"] if outage["kind"] == "total"]
    act = single["operator"]["first_act_after_s"]
    assert outage["start_at_s"] <= 0 < act <= outage["end_at_s"]
    # The platform's own events, independent of the probe: no task was in rotation from the exit to the act.
    journal = read_journal(tool.run_directory())
    states = [r for r in journal.of_trial("mini/single/1") if isinstance(r, TaskChanged)]
    exited = next(r.t for r in states if r.state == "failed")
    started = next(r.t for r in states if r.state == "running" and r.t > exited)
    entered = [
        r.t
        for r in journal.of_trial("mini/single/1")
        if isinstance(r, RotationChanged) and r.in_rotation and r.t > exited
    ]
    assert (started - exited) / 1e9 == pytest.approx(act, abs=0.5)
    assert all(t >= started - 50_000_000 for t in entered)


def test_the_reports_are_written_and_the_newest_run_is_linked(ran: tuple[Tool, Ended]) -> None:
    tool, _ = ran
    directory = tool.run_directory()
    for name in ("results.json", "report.md", "report.html", "journal.jsonl"):
        assert (directory / name).stat().st_size > 0
    assert (tool.results / "latest").resolve() == directory.resolve()


def test_a_file_in_the_place_of_the_link_is_kept_and_the_report_is_made_all_the_same(
    ran: tuple[Tool, Ended],
) -> None:
    tool, _ = ran
    link = tool.results / "latest"
    target = link.readlink()
    link.unlink()
    link.write_text("mine")
    try:
        ended = tool.run("report")
        assert link.read_text() == "mine"
    finally:
        link.unlink()
        link.symlink_to(target)
    assert ended.code == 0
    assert "latest was not updated" in ended.err
    assert "report.html" in ended.out


def test_a_report_made_again_finds_the_same(ran: tuple[Tool, Ended]) -> None:
    tool, ended = ran
    again = tool.run("report", "latest", "--json", "--lang", "ko")
    assert again.code == 0
    assert again.json() == ended.json()


def test_every_replica_kept_a_log(ran: tuple[Tool, Ended]) -> None:
    tool, _ = ran
    records = read_journal(tool.run_directory()).records
    tasks = {(r.trial, r.task) for r in records if isinstance(r, TaskChanged) and r.state == "running"}
    # single and single-restart: the killed one and its successor; orchestrated: three and one successor.
    assert len(tasks) == 2 + 2 + 4
    for trial, task in tasks:
        (log,) = (tool.run_directory() / "logs").rglob(f"{trial.replace('/', '-')}/{task}.log")
        assert log.stat().st_size > 0


def test_the_orchestrator_s_own_table_of_tasks_is_kept_in_swarm_s_words(ran: tuple[Tool, Ended]) -> None:
    tool, _ = ran
    table = (tool.run_directory() / "logs" / "mini-orchestrated-1" / "tasks.txt").read_text()
    assert table.splitlines()[0].split("  ")[0] == "ID"
    assert "task: non-zero exit (137)" in table
    assert table.count("Running") >= 3 + 3


def test_their_own_program_goes_through_the_drill(tool: Tool) -> None:
    tool.write(
        "my-drill.yaml",
        MINI_DRILL.replace("name: mini", "name: my-server").split("expect:")[0]
        + "service:\n  command: python3 -m http.server {port} --bind 127.0.0.1\n  ports: ['8000']\n"
        + "load: {concurrency: 4}\n"
        + "expect: [orchestrated.operator_acts == 0]\n",
    )
    ended = tool.run_undisturbed("run", "my-drill.yaml", "--contender", "orchestrated")
    assert ended.code == 0, ended.err + ended.out
    assert "orchestrated" in ended.out
    assert "Verdict: met" in ended.out


def test_an_expectation_that_is_not_met_gives_exit_code_1_and_its_value(tool: Tool) -> None:
    tool.write(
        "hard.yaml", MINI_DRILL.split("expect:")[0] + "expect:\n  - orchestrated.failed_requests < 0\n"
    )
    ended = tool.run_undisturbed("run", "hard.yaml", "--contender", "orchestrated")
    assert ended.code == 1, ended.err
    assert "orchestrated.failed_requests < 0: measured" in ended.out


def test_a_taken_port_is_said_clearly_and_nothing_is_left(tool: Tool) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        tool.write(
            "taken.yaml",
            MINI_DRILL.split("expect:")[0] + f"service:\n  image: improved-app\n  ports: ['{port}:3000']\n",
        )
        ended = tool.run("run", "taken.yaml")
    assert ended.code == 2, ended.err
    assert str(port) in ended.err
    assert (tool.run_directory() / "journal.jsonl").exists()


def test_a_program_that_does_not_exist_is_named(tool: Tool) -> None:
    tool.write(
        "missing.yaml",
        MINI_DRILL.split("expect:")[0] + "service:\n  command: no-such-program {port}\n  ports: ['8000']\n",
    )
    ended = tool.run("run", "missing.yaml", "--contender", "single")
    assert ended.code in {2, 3}
    assert "no-such-program" in ended.err


def test_a_release_that_cannot_run_here_is_told_before_anything_is_begun(tool: Tool) -> None:
    drill = (
        "extends: rolling-update\nname: typo\ntimeline:\n  - {at: 0s, update: {image: 'improved-app:v9'}}\n"
    )
    tool.write("typo.yaml", drill)
    ended = tool.run("run", "typo.yaml")
    assert ended.code == 2, ended.err
    assert "improved-app:v9" in ended.err
    assert "improved-app:v2" in ended.err, "the correct form"
    assert not list(tool.results.glob("*/journal.jsonl"))


def test_an_unwritable_place_for_results_is_wrong_use(tool: Tool) -> None:
    blocker = tool.write("file", "")
    ended = tool.run("run", "kill", "--out", str(Path(blocker) / "x"))
    assert ended.code == 2
    assert "--out" in ended.err


def _unsteady(program: str) -> str:
    return (
        MINI_DRILL.split("expect:")[0].replace("within: 20s", "within: 2s")
        + "service:\n"
        + f"""  command: ["python3", "-c", "{program}", "{{port}}"]\n"""
        + "  ports: ['8000']\n"
    )


def test_a_service_that_dies_at_its_start_is_quoted(tool: Tool) -> None:
    tool.write("dies.yaml", _unsteady("raise SystemExit('no \\e[2Jconfiguration')"))
    ended = tool.run("run", "dies.yaml", "--contender", "orchestrated")
    assert ended.code == 3, ended.err
    assert "configuration" in ended.out
    assert "\x1b" not in ended.out


def test_a_service_that_never_answers_makes_the_reader_think_of_the_port(tool: Tool) -> None:
    tool.write("deaf.yaml", _unsteady("import signal; signal.pause()"))
    ended = tool.run("run", "deaf.yaml", "--contender", "orchestrated")
    assert ended.code == 3, ended.err
    assert "Does the program listen on the port" in ended.out
