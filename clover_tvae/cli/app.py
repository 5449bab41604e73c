"""The command ``clover-tvae`` and its subcommands, put together from one module a group.

Heavy imports happen inside the commands, so that ``--help`` comes at once.
"""

from __future__ import annotations

import contextlib
import gc
import io
import sys
from typing import Annotated

import typer

from clover_tvae import __version__
from clover_tvae.cli import evaluation, examples, generators, jobs, metadata
from clover_tvae.cli.console import Commands, drop_output, end_like_an_interrupt, last_signal, no_room, say

app = typer.Typer(
    name="clover-tvae",
    cls=Commands,
    help="Learn a table of patients or employees; give back synthetic rows that have its statistics.",
    epilog=(
        "Exit codes: 0 done, 1 our bug, 2 your input is wrong, nothing can be written, or another process runs the job, "
        "3 a generator file is refused or cannot be written, 4 training failed or memory ran out, "
        "6 a limit of the evaluation is passed, 129, 130 or 143 ended by SIGHUP, Ctrl-C or SIGTERM; 1 also where nobody reads the output any more."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
jobs.add_to(app)
generators.add_to(app)
evaluation.add_to(app)
metadata.add_to(app)
examples.add_to(app)


def _version(wanted: bool) -> None:
    if wanted:
        say(f"clover-tvae {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; the entry point of the installed command."""
    end_like_an_interrupt()
    try:
        _run()
    except BaseException as error:
        if (number := last_signal()) is not None:
            # It came before a command ran, or while the libraries below made something else of it.
            sys.exit(128 + number)
        if not (text := no_room(error)):  # for a page of help
            raise
        drop_output()
        sys.stderr.write(f"error: {text}\n")
        sys.exit(2)
    finally:
        gc.freeze()  # the system frees what is left: Python would look through all of torch, for a quarter of a second


def _run() -> None:
    # A name that the terminal's encoding lacks is shown as an escape, rather than stopping the command.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(ValueError, OSError):
                stream.reconfigure(errors="backslashreplace")
    app()
