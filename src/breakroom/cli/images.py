"""`breakroom images`: builds the sample apps' images on the daemon that `docker` would use, or writes what to build.

Called by `cli.main`. Progress goes to standard error, the table or JSON to standard output.
"""

from __future__ import annotations

import asyncio
import json as json_module
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from breakroom.cli.exits import MET, UNKNOWN, WRONG_USE, fail
from breakroom.cli.language import choose_translator
from breakroom.cli.refusal import refusal
from breakroom.i18n import Translator
from breakroom.images.build import Built, Told, build, ensure_base, image_now
from breakroom.images.contexts import ContextError, write_contexts
from breakroom.images.recipes import Recipe, agent_recipe, app_recipes
from breakroom.platforms.base import USAGE_CODES, PlatformError
from breakroom.platforms.docker.connect import opened

__all__ = ["ImagesArguments", "images_command"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesArguments:
    """What the user asked for."""

    base: str = ""
    only: tuple[str, ...] = ()
    context: Path | None = None
    list: bool = False
    json: bool = False
    lang: str = ""


def images_command(arguments: ImagesArguments) -> int:
    """Build, list, or write build contexts; returns 0, or ends the command with 2 or 3 and a message."""
    tr = choose_translator(arguments.lang)
    recipes = _chosen(_known(arguments.only, tr), arguments.only)
    if arguments.context is not None:
        return _write([one for one in recipes if not one.labels], arguments.context, tr, json=arguments.json)
    try:
        built = asyncio.run(_list(recipes) if arguments.list else _build(recipes, arguments.base, tr))
    except PlatformError as error:
        fail(
            refusal(error, tr),
            WRONG_USE if error.code in USAGE_CODES or error.code in _OWN_USAGE else UNKNOWN,
        )
    if arguments.json:
        print(json_module.dumps([asdict(image) for image in built], indent=2))
    else:
        Console(file=sys.stdout).print(_table(built, tr, built_now=not arguments.list))
    return MET


_OWN_USAGE = frozenset({"base-missing", "build-failed", "docker-host", "docker-config"})


def _known(only: Sequence[str], tr: Translator) -> tuple[Recipe, ...]:
    """All there are; the agent's, which takes long to put together, only if it may be wanted."""
    if only and all(_chosen_by(word, app_recipes()) for word in only):
        return app_recipes()
    try:
        return (*app_recipes(), agent_recipe())
    except PlatformError as error:  # a part is for Linux only; the sample services do without
        print(refusal(error, tr), file=sys.stderr)
        return app_recipes()


def _chosen(known: Sequence[Recipe], only: Sequence[str]) -> list[Recipe]:
    """Those that `--only` names, by a tag, or by the name for all its tags."""
    wanted = []
    for word in only:
        found = _chosen_by(word, known)
        if not found:
            fail(f"--only {word}: there is no such image; there are {', '.join(one.name for one in known)}")
        wanted += found
    return [one for one in known if one in wanted] if only else list(known)


def _chosen_by(word: str, known: Sequence[Recipe]) -> list[Recipe]:
    return [one for one in known if word in one.tags or word == one.name.partition(":")[0]]


def _write(recipes: Sequence[Recipe], directory: Path, tr: Translator, *, json: bool) -> int:
    try:
        places = write_contexts(recipes, directory)
    except ContextError as error:
        fail(str(error))
    if json:
        rows = [
            {"name": one.name, "directory": str(place)} for one, place in zip(recipes, places, strict=True)
        ]
        print(json_module.dumps(rows, indent=2))
        return MET
    for one, place in zip(recipes, places, strict=True):
        print(f"{place}    docker build -t {one.name} .")
    print(tr.gettext("Go to one of these directories and run the command beside it."), file=sys.stderr)
    return MET


async def _list(recipes: Sequence[Recipe]) -> list[Built]:
    async with opened() as daemon:
        return [await image_now(daemon, recipe) for recipe in recipes]


async def _build(recipes: Sequence[Recipe], base: str, tr: Translator) -> list[Built]:
    console = Console(file=sys.stderr, highlight=False)
    built = []
    async with opened() as daemon:
        with console.status("") as status:  # on a terminal: the builder's present line; elsewhere nothing

            def told_about(name: str) -> Told:
                def told(line: str) -> None:
                    status.update(
                        f"{name}: {line[: max(20, console.width - len(name) - 6)]}", spinner_style="dim"
                    )

                return told

            for image in sorted({base or recipe.base for recipe in recipes}):
                await ensure_base(daemon, image, told_about(image))
            for recipe in recipes:
                one = await build(daemon, recipe, base=base or recipe.base, told=told_about(recipe.name))
                words = tr.gettext("built") if one.changed else tr.gettext("unchanged")
                console.print(f"{one.name}: {words}", markup=False)
                built.append(one)
    return built


def _table(built: Sequence[Built], tr: Translator, *, built_now: bool) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for heading in (tr.gettext("IMAGE"), "ID", tr.gettext("SIZE"), tr.gettext("STATE")):
        table.add_column(heading, no_wrap=True)
    for image in built:
        if not image.id:
            state = tr.gettext("not there: `breakroom images` builds it")
        elif not image.current:
            state = tr.gettext("made by another version: `breakroom images` builds it anew")
        elif built_now:
            state = tr.gettext("built") if image.changed else tr.gettext("unchanged")
        else:
            state = tr.gettext("up to date")
        size = f"{image.size / 1e6:.0f} MB" if image.id else ""
        table.add_row(", ".join(image.tags), image.id.removeprefix("sha256:")[:12], size, state)
    return table
