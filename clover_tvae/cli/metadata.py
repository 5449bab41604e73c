"""``metadata infer``: a first description of a table, to be read and mended by somebody who knows it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clover_tvae.cli.console import Debug, Quiet, command, note, say, say_json, say_table, warnings_told
from clover_tvae.cli.files import Force, Missing, Table, check_targets, read

__all__ = ["add_to"]

group = typer.Typer(no_args_is_help=True, help="Describe the columns of a table.")


def add_to(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group.command(epilog="Example:  clover-tvae metadata infer patients.csv -o patients.json")(infer)
    app.add_typer(group, name="metadata", rich_help_panel="Tables")


@command
def infer(
    table: Table,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="METADATA.json", help="Write it here.")
    ] = None,
    missing: Missing = None,
    target: Annotated[str | None, typer.Option("--predict", metavar="COLUMN", help="The variable to predict.")] = None,
    relations: Annotated[
        bool,
        typer.Option("--relations", help="List what holds between columns, too; nothing of it is written or used yet."),
    ] = False,
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Say what each column looks like, and why; warn of identifiers, free text and dates in disguise."""
    from clover_tvae.metadata import Metadata

    check_targets({output: ".json"}, force=force)
    df = read(table, None, missing)
    with warnings_told():
        inferred = Metadata.infer(df, variable_to_predict=target)
    if not quiet:
        rows: list[list[object]] = [[c.name, c.kind, inferred.reasons.get(c.name, "")] for c in inferred.columns]
        say_table(["column", "kind", "why"], rows)
    if relations:
        from clover_tvae.relations.find import find_relations

        for found in find_relations(df, {column.name: column.kind for column in inferred.columns}):
            say(f"relation: {found}")
    if output is not None:
        inferred.save(output)
        say(f"written: {output}")
    elif quiet:
        say_json(inferred.to_dict())
    else:
        note("nothing written; -o METADATA.json keeps it")
