"""The command line's entry: every command's arguments, and nothing else; the work is in the module each names.

Called by `__main__` and the console script. Imports only typer at start, so that `--help` comes at once; each command
imports its module when it is run.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Annotated

import typer

from breakroom.cli.exits import UNKNOWN
from breakroom.cli.output import make_output_lasting

__all__ = ["app", "main"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Break a service on purpose, deployed in different ways, and measure what each way cost its users.",
    epilog="Exit codes: 0 met, 1 not met, 2 wrong use, 3 unknown or aborted.",
    pretty_exceptions_enable=False,
)

Out = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Where results are kept.", envvar="BREAKROOM_OUT")
]
Lang = Annotated[str, typer.Option("--lang", metavar="ko|en", help="Language; default: the locale's.")]
Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON on standard output.")]
DEFAULT_OUT = Path("breakroom-results")


@app.command()
def run(
    drills: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DRILL|FILE]...", help="Built-in drills or drill files; default: all built-in ones."
        ),
    ] = None,
    *,
    platform: Annotated[
        str, typer.Option(metavar="local|docker|swarm", help="Where to deploy; docker runs containers only.")
    ] = "local",
    init_swarm: Annotated[
        bool,
        typer.Option("--init-swarm", help="Make a Swarm of this machine if it is in none; left at the end."),
    ] = False,
    use_swarm: Annotated[
        bool, typer.Option("--use-swarm", help="Deploy in a Swarm although it runs services of others.")
    ] = False,
    pace: Annotated[
        str, typer.Option(metavar="quick|course", help="quick: minutes; course: the course's waits.")
    ] = "quick",
    contender: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this contender; may be given again.")
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="Trials of each contender.")] = 1,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of every random choice.")] = 1,
    one_by_one: Annotated[
        bool, typer.Option("--one-by-one", help="Run no contenders side by side, whatever the drills say.")
    ] = False,
    out: Out = DEFAULT_OUT,
    lang: Lang = "",
    json: Json = False,
) -> None:
    """Break a service deployed in different ways, and compare what each way cost its users."""
    from breakroom.cli.run import RunArguments, run_command

    raise SystemExit(
        run_command(
            RunArguments(
                drills=tuple(drills or ()),
                platform=platform,
                pace=pace,
                contenders=tuple(contender or ()),
                repeat=repeat,
                seed=seed,
                out=out,
                lang=lang,
                json=json,
                one_by_one=one_by_one,
                init_swarm=init_swarm,
                use_swarm=use_swarm,
            )
        )
    )


@app.command()
def drills(*, lang: Lang = "", json: Json = False) -> None:
    """List the built-in drills."""
    from breakroom.cli.drills import drills_command

    raise SystemExit(drills_command(lang=lang, json=json))


@app.command()
def load(
    url: Annotated[str, typer.Argument(metavar="URL", help="http://HOST:PORT/PATH")],
    *,
    requests: Annotated[
        int | None, typer.Option("-n", "--requests", metavar="N", help="How many; default 1.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option("-c", "--concurrency", metavar="N", help="Clients at a time (closed model).")
    ] = None,
    keep_alive: Annotated[bool, typer.Option("-k", "--keep-alive", help="Reuse connections.")] = False,
    rate: Annotated[str, typer.Option(metavar="RATE", help="Open model: 100/s, whatever is answered.")] = "",
    stages: Annotated[str, typer.Option(metavar="STAGES", help="Open model: 100/s:10s,200/s:10s.")] = "",
    poisson: Annotated[bool, typer.Option("--poisson", help="Open model: random arrivals.")] = False,
    duration: Annotated[
        str, typer.Option("-t", "--duration", metavar="TIME", help="Stop after, e.g. 10s.")
    ] = "",
    timeout: Annotated[str, typer.Option("-s", "--timeout", metavar="TIME", help="Of one request.")] = "30s",
    method: Annotated[
        str, typer.Option("-m", "--method", metavar="METHOD", help="Default GET, or POST.")
    ] = "",
    header: Annotated[
        list[str] | None, typer.Option("-H", "--header", metavar="NAME:VALUE", help="May be given again.")
    ] = None,
    body: Annotated[str, typer.Option("--body", metavar="TEXT", help="Send this body.")] = "",
    body_file: Annotated[
        Path | None, typer.Option("-p", "--body-file", metavar="FILE", help="Send this file.")
    ] = None,
    expect_status: Annotated[int, typer.Option(metavar="STATUS", help="Any other is a failure.")] = 200,
    workers: Annotated[int | None, typer.Option(metavar="N", help="Processes; default: by the load.")] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of random arrivals.")] = 1,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Keep the samples there.")] = None,
    lang: Lang = "",
    json: Json = False,
) -> None:
    """Put load on a URL and print what came of it: closed model like ab, or an open model at a set rate."""
    from breakroom.cli.load import load_command
    from breakroom.load.command import LoadOptions

    options = LoadOptions(
        url=url,
        requests=requests,
        concurrency=concurrency,
        keep_alive=keep_alive,
        rate=rate,
        stages=stages,
        arrivals="poisson" if poisson else "constant",
        duration=duration,
        timeout=timeout,
        method=method,
        headers=tuple(header or ()),
        body=body.encode() if body else None,
        body_file=body_file,
        expect_status=expect_status,
        workers=workers,
        seed=seed,
        out=out,
    )
    raise SystemExit(load_command(options, lang=lang, json=json))


@app.command()
def report(
    run_directory: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's id, its directory, or `latest`.")
    ] = "latest",
    *,
    beside: Annotated[
        str, typer.Option(metavar="RUN", help="Print that run's numbers beside this one's.")
    ] = "",
    out: Out = DEFAULT_OUT,
    lang: Lang = "",
    json: Json = False,
) -> None:
    """Compute a run's findings from its journal again, and write its report; also for a run that was cut off."""
    from breakroom.cli.report import report_command

    raise SystemExit(report_command(run_directory, beside=beside, out=out, lang=lang, json=json))


@app.command()
def images(
    *,
    base: Annotated[
        str, typer.Option(metavar="IMAGE", help="Base image; default python:3.12-slim, pulled if missing.")
    ] = "",
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this image; may be given again.")
    ] = None,
    context: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Build nothing; write the build contexts there.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Build nothing; say what is there.")] = False,
    lang: Lang = "",
    json: Json = False,
) -> None:
    """Build the Docker images: memory-leak-app, improved-app (v1, v2), health-app, and breakroom's agent."""
    from breakroom.cli.images import ImagesArguments, images_command

    arguments = ImagesArguments(
        base=base, only=tuple(only or ()), context=context, list=list_, lang=lang, json=json
    )
    raise SystemExit(images_command(arguments))


@app.command()
def schema(
    what: Annotated[str, typer.Argument(metavar="drill|results", help="Which files the schema describes.")],
) -> None:
    """Print the JSON Schema of drill files or of results.json."""
    from breakroom.cli.schema import schema_command

    raise SystemExit(schema_command(what))


@app.command()
def doctor(*, out: Out = DEFAULT_OUT, lang: Lang = "", json: Json = False) -> None:
    """Try what works on this machine, for every platform, and say how to get the rest; leaves nothing."""
    from breakroom.cli.doctor import doctor_command

    raise SystemExit(doctor_command(out=out, lang=lang, json=json))


@app.command()
def cleanup(
    *,
    run: Annotated[str, typer.Option("--run", metavar="RUN-ID", help="Only what this run left.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be undone; change nothing.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Also what a run that is under way has made; give up lost daemons."),
    ] = False,
    lang: Lang = "",
    json: Json = False,
) -> None:
    """Undo what runs that were killed left behind, on this machine, in Docker and in its Swarm; nothing else."""
    from breakroom.cli.cleanup import cleanup_command

    raise SystemExit(cleanup_command(run=run, dry_run=dry_run, force=force, lang=lang, json=json))


@app.callback(invoke_without_command=True)
def _root(
    *, version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False
) -> None:
    if version:
        from breakroom import __version__

        print(f"breakroom {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; ends the process with the exit code.

    Ctrl-C outside a run, and a mistake of breakroom's own, say nothing about a service: they are *unknown*, where
    typer and Python would give 130 and 1, of which the latter means that an expectation was not met.
    """
    make_output_lasting()
    try:
        app(prog_name="breakroom")
    except SystemExit as end:
        if end.code == _TYPERS_INTERRUPTED:
            raise SystemExit(UNKNOWN) from None
        raise
    except Exception:  # noqa: BLE001 (the last place; what happened is printed whole)
        traceback.print_exc()
        raise SystemExit(UNKNOWN) from None


_TYPERS_INTERRUPTED = 130
