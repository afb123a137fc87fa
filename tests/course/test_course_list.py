"""The list of the course's commands is whole and exact."""

from __future__ import annotations

import subprocess

import pytest

from course.commands import HANDOUT, course_commands
from course.handout import handout_commands


def test_the_list_has_every_command_of_the_handout_as_written_and_no_other() -> None:
    if not HANDOUT.exists():
        pytest.skip("the course's handout is not beside this checkout")
    listed = [command.line for command in course_commands() if not command.extra and not command.join]
    assert listed == handout_commands(HANDOUT.read_text(encoding="utf-8"))


def test_every_listed_command_ends_and_is_valid_bash_as_it_is_run() -> None:
    for command in course_commands():
        script = command.script("eth0")
        assert "while true" not in script, command.id
        assert not script.startswith(("watch ", "docker stats")) or command.seconds, command.id
        assert not script.endswith("&"), command.id
        for text in (script, command.check):
            done = subprocess.run(["bash", "-n", "-c", text], capture_output=True, text=True, check=False)
            assert done.returncode == 0, (command.id, done.stderr)


def test_listed_ids_are_unique_and_what_runs_in_the_background_is_waited_for() -> None:
    commands = course_commands()
    assert len({command.id for command in commands}) == len(commands)
    assert [command.id for command in commands if command.background] == [
        one.join for one in commands if one.join
    ]
    assert all(command.why for command in commands if command.extra)


def test_a_handouts_commands_go_on_over_backslashes_and_loops() -> None:
    text = "```bash\n# what\nls \\\n  -l\n\nwhile true; do\n  date\n\n  sleep 1\ndone\necho x\n```\n"
    text += "```markdown\nno\n```\n"
    assert handout_commands(text) == ["ls \\\n  -l", "while true; do\n  date\n\n  sleep 1\ndone", "echo x"]
