"""What a platform refuses, told in the reader's language: real commands against a daemon that is not there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from breakroom.cli.refusal import refusal
from breakroom.i18n import translator
from breakroom.platforms.base import PlatformError


@pytest.mark.parametrize("command", [("run", "kill", "--platform", "docker"), ("images", "--list")])
@pytest.mark.parametrize("lang", ["en", "ko"])
def test_a_daemon_that_is_not_there_is_told_in_the_readers_language(
    tmp_path: Path, command: tuple[str, ...], lang: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "breakroom", *command, "--lang", lang],
        env={**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/no.sock"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    assert f"{tmp_path}/no.sock" in ended.stderr
    assert "--platform local" in ended.stderr, "the way out"
    assert ended.stderr.startswith("Docker 데몬에 연결할 수 없습니다" if lang == "ko" else "no Docker daemon")
    assert not list(tmp_path.iterdir()), "nothing was made"


def test_a_code_without_a_sentence_of_its_own_is_told_by_the_familys() -> None:
    error = PlatformError("something-new", "it is so", "do this")
    assert refusal(error, translator("en")) == "it is so\ndo this"
    assert refusal(error, translator("ko")) == "it is so\ndo this"
    said = translator("ko").message("platform.something-new", {"message": "it is so", "hint": "do this"})
    assert said == "플랫폼이 작업을 수행하지 못했습니다: it is so (do this)"
