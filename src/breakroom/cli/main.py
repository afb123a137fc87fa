"""The command line's entry: every command's arguments, and nothing else; the work is in the module each names.

Called by `__main__` and the console script. Imports only click at start, so that `--help` comes at once; each command
imports its module when it is run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from breakroom.cli.commands import Group
from breakroom.cli.exits import UNKNOWN
from breakroom.cli.output import make_output_lasting

if TYPE_CHECKING:
    import os
    from pathlib import Path

__all__ = ["app", "main"]

DEFAULT_OUT = "breakroom-results"
Command = TypeVar("Command", bound=Callable[..., Any])


class _Path(click.Path):
    """As `click.Path(path_type=Path)`, but pathlib is loaded where a path is given: no help needs it."""

    def coerce_path_result(self, value: str | os.PathLike[str]) -> Path:
        """See `click.Path`."""
        from pathlib import Path

        return Path(value)


_PATH = _Path()


def _out(command: Command) -> Command:
    text = "Where results are kept."
    return click.option(
        "--out", metavar="DIR", type=_PATH, default=DEFAULT_OUT, envvar="BREAKROOM_OUT", help=text
    )(command)


def _lang(command: Command) -> Command:
    return click.option("--lang", metavar="ko|en", default="", help="Language; default: the locale's.")(
        command
    )


def _json(command: Command) -> Command:
    return click.option("--json", is_flag=True, help="Print the results as JSON on standard output.")(command)


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Break a service on purpose, deployed in different ways, and measure what each way cost its users.",
    epilog="Exit codes: 0 met, 1 not met, 2 wrong use, 3 unknown or aborted.",
    invoke_without_command=True,
)
@click.option("--version", is_flag=True, help="Print the version and end.")
@click.pass_context
def app(context: click.Context, *, version: bool) -> None:
    """The commands' common root."""
    if version:
        from breakroom import __version__

        print(f"breakroom {__version__}")
        context.exit()
    if context.invoked_subcommand is None:
        print(context.get_help())
        context.exit(2)


@app.command()
@click.argument(
    "drills",
    nargs=-1,
    metavar="[DRILL|FILE]...",
    help="Built-in drills or drill files; default: all built-in ones.",
)
@click.option(
    "--platform",
    metavar="local|docker|swarm",
    default="local",
    help="Where to deploy; docker runs containers only.",
)
@click.option(
    "--init-swarm", is_flag=True, help="Make a Swarm of this machine if it is in none; left at the end."
)
@click.option("--use-swarm", is_flag=True, help="Deploy in a Swarm although it runs services of others.")
@click.option(
    "--pace", metavar="quick|course", default="quick", help="quick: minutes; course: the course's waits."
)
@click.option("--contender", metavar="NAME", multiple=True, help="Only this contender; may be given again.")
@click.option(
    "--repeat", metavar="N", type=click.IntRange(1, 1000), default=1, help="Trials of each contender."
)
@click.option("--seed", metavar="N", type=click.IntRange(0), default=1, help="Seed of every random choice.")
@click.option("--one-by-one", is_flag=True, help="Run no contenders side by side, whatever the drills say.")
@_out
@_lang
@_json
def run(*, drills: tuple[str, ...], contender: tuple[str, ...], **options: Any) -> None:
    """Break a service deployed in different ways, and compare what each way cost its users."""
    from breakroom.cli.run import RunArguments, run_command

    raise SystemExit(run_command(RunArguments(drills=drills, contenders=contender, **options)))


@app.command()
@_lang
@_json
def drills(*, lang: str, json: bool) -> None:
    """List the built-in drills."""
    from breakroom.cli.drills import drills_command

    raise SystemExit(drills_command(lang=lang, json=json))


@app.command()
@click.argument("url", metavar="URL", help="http://HOST:PORT/PATH")
@click.option("-n", "--requests", metavar="N", type=int, help="How many; default 1.")
@click.option("-c", "--concurrency", metavar="N", type=int, help="Clients at a time (closed model).")
@click.option("-k", "--keep-alive", is_flag=True, help="Reuse connections.")
@click.option("--rate", metavar="RATE", default="", help="Open model: 100/s, whatever is answered.")
@click.option("--stages", metavar="STAGES", default="", help="Open model: 100/s:10s,200/s:10s.")
@click.option("--poisson", is_flag=True, help="Open model: random arrivals.")
@click.option("-t", "--duration", metavar="TIME", default="", help="Stop after, e.g. 10s.")
@click.option("-s", "--timeout", metavar="TIME", default="30s", help="Of one request.")
@click.option("-m", "--method", metavar="METHOD", default="", help="Default GET, or POST.")
@click.option("-H", "--header", metavar="NAME:VALUE", multiple=True, help="May be given again.")
@click.option("--body", metavar="TEXT", default="", help="Send this body.")
@click.option("-p", "--body-file", metavar="FILE", type=_PATH, help="Send this file.")
@click.option("--expect-status", metavar="STATUS", type=int, default=200, help="Any other is a failure.")
@click.option("--workers", metavar="N", type=int, help="Processes; default: by the load.")
@click.option("--seed", metavar="N", type=click.IntRange(0), default=1, help="Of random arrivals.")
@click.option("--out", metavar="DIR", type=_PATH, help="Keep the samples there.")
@_lang
@_json
def load(*, header: tuple[str, ...], poisson: bool, body: str, lang: str, json: bool, **options: Any) -> None:
    """Put load on a URL and print what came of it: closed model like ab, or an open model at a set rate."""
    from breakroom.cli.load import load_command
    from breakroom.load.command import LoadOptions

    arrivals: Any = "poisson" if poisson else "constant"
    wanted = LoadOptions(headers=header, arrivals=arrivals, body=body.encode() if body else None, **options)
    raise SystemExit(load_command(wanted, lang=lang, json=json))


@app.command()
@click.argument(
    "run_directory",
    metavar="RUN",
    default="latest",
    help="A run's id, its directory, or `latest`.",
)
@click.option("--beside", metavar="RUN", default="", help="Print that run's numbers beside this one's.")
@_out
@_lang
@_json
def report(*, run_directory: str, **options: Any) -> None:
    """Compute a run's findings from its journal again, and write its report; also for a run that was cut off."""
    from breakroom.cli.report import report_command

    raise SystemExit(report_command(run_directory, **options))


@app.command()
@click.option(
    "--base", metavar="IMAGE", default="", help="Base image; default python:3.12-slim, pulled if missing."
)
@click.option("--only", metavar="NAME", multiple=True, help="Only this image; may be given again.")
@click.option("--context", metavar="DIR", type=_PATH, help="Build nothing; write the build contexts there.")
@click.option("--list", is_flag=True, help="Build nothing; say what is there.")
@_lang
@_json
def images(**options: Any) -> None:
    """Build the Docker images: memory-leak-app, improved-app (v1, v2), health-app, and breakroom's agent."""
    from breakroom.cli.images import ImagesArguments, images_command

    raise SystemExit(images_command(ImagesArguments(**options)))


@app.command()
@click.argument("what", metavar="drill|results", help="Which files the schema describes.")
def schema(*, what: str) -> None:
    """Print the JSON Schema of drill files or of results.json."""
    from breakroom.cli.schema import schema_command

    raise SystemExit(schema_command(what))


@app.command()
@_out
@_lang
@_json
def doctor(**options: Any) -> None:
    """Try what works on this machine, for every platform, and say how to get the rest; leaves nothing."""
    from breakroom.cli.doctor import doctor_command

    raise SystemExit(doctor_command(**options))


@app.command()
@click.option("--run", metavar="RUN-ID", default="", help="Only what this run left.")
@click.option("--dry-run", is_flag=True, help="Say what would be undone; change nothing.")
@click.option(
    "--force", is_flag=True, help="Also what a run that is under way has made; give up lost daemons."
)
@_lang
@_json
def cleanup(**options: Any) -> None:
    """Undo what runs that were killed left behind, on this machine, in Docker and in its Swarm; nothing else."""
    from breakroom.cli.cleanup import cleanup_command

    raise SystemExit(cleanup_command(**options))


def main() -> None:
    """Run the command line; ends the process with the exit code.

    Ctrl-C outside a run, and a mistake of breakroom's own, say nothing about a service: they are *unknown*, where
    click and Python would give 1, which means that an expectation was not met.
    """
    make_output_lasting()
    try:
        # What a command returns is nothing; what is returned here is the code that `--help` or `--version` ended with.
        raise SystemExit(app(prog_name="breakroom", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        raise SystemExit(error.exit_code) from None
    except click.Abort:
        print("Aborted!")
        raise SystemExit(UNKNOWN) from None
    except Exception:  # noqa: BLE001 (the last place; what happened is printed whole)
        import traceback

        traceback.print_exc()
        raise SystemExit(UNKNOWN) from None
