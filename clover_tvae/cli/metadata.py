"""``metadata infer``: a first description of a table, to be read and mended by somebody who knows it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from clover_tvae.cli.console import Debug, Quiet, command, note, say, say_json, say_table
from clover_tvae.cli.files import Force, Missing, Read, Table, check_targets, read

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
    how: Read = None,
    target: Annotated[str | None, typer.Option("--predict", metavar="COLUMN", help="The variable to predict.")] = None,
    relations: Annotated[
        bool,
        typer.Option(help="Look for what holds between columns, list it and write it; without it, fit looks itself."),
    ] = True,
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Say what each column looks like, and why, and what holds between columns; warn of identifiers and free text."""
    from clover_tvae.metadata import Metadata

    check_targets({output: ".json"}, force=force)
    df, _ = read(table, None, missing, how, quiet=quiet)
    inferred = Metadata.infer(df, variable_to_predict=target)
    if not quiet:
        rows: list[list[object]] = [[c.name, c.kind, inferred.reasons.get(c.name, "")] for c in inferred.columns]
        say_table(["column", "kind", "why"], rows)
    if relations:
        found = inferred.find_relations(df)
        # The rule alone: fit learns again what it must know of the table, such as the values of a look-up.
        inferred = replace(inferred, relations=tuple(one.relation.declared() for one in found))
        if not quiet:
            listed: list[list[object]] = [
                [one.relation, one.relation.handling, f"{one.support:,}", one.exceptions_told, f"{one.chance:.0%}"]
                for one in found
            ]
            say_table(["what holds between columns", "handling", "rows", "exceptions", "kept by chance"], listed)
    if output is not None:
        inferred.save(output)
        say(f"written: {output}")
    elif quiet:
        say_json(inferred.to_dict())
    else:
        note("nothing written; -o METADATA.json keeps it")
