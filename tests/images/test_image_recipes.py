"""What goes into the images, and the build contexts as directories. No Docker is needed."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from breakroom.images.contexts import ContextError, write_contexts
from breakroom.images.recipes import ContextFile, agent_recipe, app_recipes
from breakroom.platforms.docker.names import owned
from breakroom.platforms.local_images import known_images

ROOT = Path(__file__).parents[2]


def test_every_image_that_local_knows_is_built_under_the_same_name() -> None:
    assert {tag for recipe in app_recipes() for tag in recipe.tags} == set(known_images())


def test_a_recipes_context_is_the_same_bytes_each_time_without_times_and_owners() -> None:
    first, second = (app_recipes()[0].context_tar() for _ in range(2))
    assert first == second
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        entries = archive.getmembers()
    assert [entry.name for entry in entries] == sorted(entry.name for entry in entries)
    assert {(entry.mtime, entry.uid, entry.gid) for entry in entries} == {(0, 0, 0)}
    assert [entry.name for entry in entries if entry.isfile() and entry.mode == 0o755] == ["bin/top"]


def test_a_changed_app_file_is_another_source() -> None:
    recipe = app_recipes()[1]
    path = "app/breakroom/apps/improved_app.py"
    files = {**recipe.files, path: ContextFile(recipe.files[path].content + b"\n")}
    assert replace(recipe, files=files).source != recipe.source
    assert len({one.source for one in app_recipes()}) == 4


def test_dockerfiles_have_no_placeholder_left_and_bear_their_source() -> None:
    for recipe in app_recipes():
        text = recipe.context()["Dockerfile"].content.decode()
        assert "@" not in text
        assert f'breakroom.image.source="{recipe.source}"' in text
        assert "\nARG BASE=python:3.12-slim\nFROM ${BASE}\n" in text


def test_no_image_bears_the_label_by_which_breakroom_finds_what_it_must_remove() -> None:
    for recipe in (*app_recipes(), agent_recipe()):
        assert not owned(recipe.marks)
        assert b"LABEL breakroom=" not in recipe.context()["Dockerfile"].content


def test_contexts_are_written_over_own_ones_and_not_over_a_strangers(tmp_path: Path) -> None:
    recipes = app_recipes()
    names = ["memory-leak-app", "improved-app", "improved-app-v2", "health-app"]
    assert write_contexts(recipes, tmp_path) == [tmp_path / name for name in names]
    write_contexts(recipes, tmp_path)
    assert os.access(tmp_path / "health-app" / "bin" / "top", os.X_OK)
    assert (tmp_path / "improved-app-v2" / "curl-format.txt").read_text().startswith("connect")
    (tmp_path / "other" / "health-app").mkdir(parents=True)
    (tmp_path / "other" / "health-app" / "mine").write_text("keep")
    with pytest.raises(ContextError, match="not made by breakroom"):
        write_contexts(recipes, tmp_path / "other")
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["health-app"]


def test_the_top_of_the_images_prints_once_where_there_is_no_terminal(tmp_path: Path) -> None:
    if not Path("/usr/bin/top").exists():
        pytest.skip("no top on this machine")
    write_contexts(app_recipes()[:1], tmp_path)
    done = subprocess.run(
        [tmp_path / "memory-leak-app" / "bin" / "top"], capture_output=True, text=True, check=True
    )
    assert "load average" in done.stdout


def test_without_a_daemon_the_images_command_says_how_to_get_one(tmp_path: Path) -> None:
    environment = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/none.sock", "DOCKER_CONTEXT": ""}
    words = [sys.executable, "-m", "breakroom", "images"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert "no Docker daemon answers" in done.stderr
    assert "start it" in done.stderr
    assert not done.stdout


def test_an_unknown_image_name_is_answered_with_the_known_ones() -> None:
    words = [sys.executable, "-m", "breakroom", "images", "--only", "nginx"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--only nginx: there is no such image" in done.stderr
    assert "health-app:latest" in done.stderr
