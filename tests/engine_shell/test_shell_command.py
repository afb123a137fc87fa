"""From a service's words to a command line: placeholders, checks, rewritten addresses."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from breakroom.engine.core.model import Task
from breakroom.engine.shell.command import (
    MARKER,
    CommandError,
    check_program,
    command_line,
    localize,
    task_environment,
)
from breakroom.spec.service import Port, ServiceSpec


def spec(*command: str, **more: str) -> ServiceSpec:
    return ServiceSpec(name="web", command=command, ports=(Port(target=3000),), **more)  # type: ignore[arg-type]  # texts only


def test_placeholders_are_filled_in_and_other_braces_stay() -> None:
    words = command_line(spec("{python}", "--port={port}", '{"json": {}}'), 4242)
    assert words == [sys.executable, "--port=4242", '{"json": {}}']


def test_the_entrypoint_comes_before_the_command() -> None:
    assert command_line(ServiceSpec(name="w", entrypoint=("env",), command=("true",)), 1) == ["env", "true"]


def test_a_program_is_found_by_the_services_own_path(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    service = ServiceSpec(name="w", command=("tool",), environment={"PATH": str(tmp_path)})
    assert check_program(service) == str(tool)


def test_a_relative_program_is_sought_in_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("#!/bin/sh\n")
    with pytest.raises(CommandError, match=r"\./run\.sh may not be executed .*chmod"):
        check_program(spec("./run.sh", working_dir=str(tmp_path)))
    (tmp_path / "run.sh").chmod(0o755)
    assert check_program(spec("./run.sh", working_dir=str(tmp_path))) == str(tmp_path / "run.sh")


@pytest.mark.parametrize(
    ("service", "text"),
    [
        (spec("no-such-program-here"), "no such program: no-such-program-here"),
        (spec("./no-such-program"), r"no such program: \./no-such-program"),
        (spec("/"), "/ is a directory, not a program"),
        (spec("true", working_dir="/no/such/place"), "no such directory: /no/such/place"),
        (ServiceSpec(name="w", image="nginx"), "nothing to run: image 'nginx'"),
    ],
)
def test_what_cannot_run_is_named(service: ServiceSpec, text: str) -> None:
    with pytest.raises(CommandError, match=text):
        check_program(service)


@pytest.mark.parametrize(
    ("text", "rewritten"),
    [
        ("curl -f http://localhost:3000/health || exit 1", "curl -f http://127.0.0.1:25001/health || exit 1"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:25001"),
        ("http://[::1]:3000/", "http://127.0.0.1:25001/"),
        ("http://localhost:30001/", "http://localhost:30001/"),
        ("http://example:3000/", "http://example:3000/"),
        ("nc -z 127.0.0.1 {port}", "nc -z 127.0.0.1 25001"),
    ],
)
def test_only_the_target_port_on_loopback_is_rewritten(text: str, rewritten: str) -> None:
    assert localize(text, {3000: 25001}) == rewritten


def test_a_task_is_told_its_own_port_and_names_whatever_the_service_sets() -> None:
    service = ServiceSpec(name="w", command=("true",), environment={"PORT": "3000", MARKER: "x", "MINE": "1"})
    task = Task(id="t1", service="w", slot=2, spec=service, spec_version=3, created=0)
    told = task_environment(task, 25001, "mark")
    assert (told["PORT"], told["BREAKROOM_TASK_ID"], told["BREAKROOM_TASK_NAME"]) == ("25001", "t1", "w.2")
    assert (told["BREAKROOM_TASK_SLOT"], told["MINE"], told["BREAKROOM_VERSION"]) == ("2", "1", "3")
    assert told[MARKER] == "mark"


@pytest.mark.parametrize("theirs", [True, False])
def test_where_breakrooms_bytecode_goes_is_no_business_of_a_service(
    monkeypatch: pytest.MonkeyPatch, *, theirs: bool
) -> None:
    place = "/somewhere/else" if theirs else f"{sys.prefix}/bytecode"
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", place)
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    task = Task(id="t1", service="w", slot=2, spec=spec("x"), spec_version=3, created=0)
    told = task_environment(task, 25001, "mark")
    assert told.get("PYTHONPYCACHEPREFIX") == (place if theirs else None)
    assert told.get("PYTHONDONTWRITEBYTECODE") == (None if theirs else "1")
