"""``metadata infer``: a first description of a table, to be read and mended by somebody who knows it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clover_tvae.cli.console import Debug, Quiet, command, note, say, say_table, warn
from clover_tvae.errors import ConfigError, Problem

__all__ = ["add_to"]

group = typer.Typer(no_args_is_help=True, help="Describe the columns of a table.")


def add_to(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group.command(epilog="Example:  clover-tvae metadata infer patients.csv -o patients.json")(infer)
    app.add_typer(group, name="metadata", rich_help_panel="Tables")


@command
def infer(
    table: Annotated[str, typer.Argument(help="A .csv, .csv.gz or .parquet file, or a built-in table.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="METADATA.json", help="Write it here.")
    ] = None,
    missing: Annotated[
        list[str] | None, typer.Option("--missing", help='A cell that means missing. [default: ""]')
    ] = None,
    target: Annotated[str | None, typer.Option("--predict", metavar="COLUMN", help="The variable to predict.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Say what each column looks like, and why; warn of identifiers, free text and dates in disguise."""
    from clover_tvae.cli.tables import read
    from clover_tvae.jobs.result import collected_warnings
    from clover_tvae.metadata import Metadata

    if output is not None and output.exists() and not force:
        raise ConfigError(Problem(str(output), "the file exists; --force overwrites it"))
    df = read(table, None, missing)
    noted: list[str] = []
    with collected_warnings(noted):
        inferred = Metadata.infer(df, variable_to_predict=target)
    if not quiet:
        rows: list[list[object]] = [[c.name, c.kind, inferred.reasons.get(c.name, "")] for c in inferred.columns]
        say_table(["column", "kind", "why"], rows)
    for text in noted:
        warn(text)
    if output is None:
        if quiet:
            from clover_tvae.cli.console import say_json

            say_json(inferred.to_dict())
        else:
            note("nothing written; -o METADATA.json keeps it")
        return
    inferred.save(output)
    say(f"written: {output}")
