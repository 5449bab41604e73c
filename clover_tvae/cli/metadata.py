"""``metadata infer``: a first description of a table, to be read and mended by somebody who knows it."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clover_tvae.cli.console import Debug, Quiet, command, note, say, say_json, say_table
from clover_tvae.cli.files import (
    Force,
    FromDatabase,
    Missing,
    Read,
    Table,
    check_targets,
    read,
    refuse_marks,
    require_files,
    with_copies,
)
from clover_tvae.errors import ConfigError

if TYPE_CHECKING:
    from clover_tvae.metadata import Metadata

group = typer.Typer(no_args_is_help=True, help="Describe the columns of a table.")

_EXAMPLES = """\
Examples:

  clover-tvae metadata infer patients.csv -o patients.json

  clover-tvae metadata infer ward.csv -o ward.json --set cost=decimal-comma --set age=missing:999 --set notes=drop
"""


def add_to(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group.command(epilog=_EXAMPLES)(infer)
    app.add_typer(group, name="metadata", rich_help_panel="Tables")


@command
@with_copies
def infer(
    table: Table,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="METADATA.json", help="Write it here.")
    ] = None,
    missing: Missing = None,
    how: Read = None,
    database: FromDatabase = None,
    target: Annotated[str | None, typer.Option("--predict", metavar="COLUMN", help="The variable to predict.")] = None,
    said: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="COLUMN=WORD",
            help="What a column is: number, decimal-comma, decimal-point, pair, date, day-first, month-first, boolean, ordinal, category, id, "
            "drop, missing (what the list names, or missing:999;unknown), or keep; may be repeated.",
        ),
    ] = None,
    relations: Annotated[
        bool,
        typer.Option(help="Look for what holds between columns, list it and write it; without it, fit looks itself."),
    ] = True,
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Say what each column looks like, and why, and what holds between columns; list what is to be looked at, and the word that changes it."""
    from clover_tvae.metadata import Metadata, MetadataWarning
    from clover_tvae.seeds import generator, root
    from clover_tvae.tables import is_large, read_dataset

    check_targets({output: ".json"}, force=force)
    require_files(table if database is None else None)
    if database is None and is_large(table):
        refuse_marks("a folder of Parquet files", missing, how)
        df, beyond = read_dataset(table, generator(root(0)))
        told = f"{len(df):,} of {beyond.n_rows:,} rows, drawn at random" if beyond else f"{len(df):,} rows"
        note(f"read      {told}", quiet)
    else:
        df, _ = read(table, None, missing, how, quiet=quiet, database=database)
    names = {str(name): name for name in df.columns}
    words = {names.get(name, name): word for name, word in _words(said or ()).items()}
    with warnings.catch_warnings() if not quiet else contextlib.nullcontext():
        if not quiet:  # the list tells them
            warnings.simplefilter("ignore", MetadataWarning)
        inferred = Metadata.infer(df, variable_to_predict=target, set=words)
    if not quiet:
        rows: list[list[object]] = [[c.name, c.kind, inferred.reasons.get(c.name, "")] for c in inferred.columns]
        say_table(["column", "kind", "why"], rows)
        _say_review(inferred)
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


def _words(said: Sequence[str]) -> dict[Any, str]:
    """Return the word for each column of ``COLUMN=WORD``; the name may hold = itself."""
    words: dict[Any, str] = {}
    for text in said:
        name, equals, word = text.rpartition("=")
        if not equals or not name:
            raise ConfigError(f"must be COLUMN=WORD, such as weight=number, found {text!r}", "--set")
        if name in words:
            raise ConfigError(f"says twice what column {name!r} is; keep one", "--set")
        words[name] = word
    return words


def _say_review(inferred: Metadata) -> None:
    """List the columns that need a look: what was found and is made of it, and the words that make something else of it."""
    rows: list[list[object]] = [
        [
            found.name,
            f"{found.warning or found.reason}",
            "|".join(found.words) and f"--set {found.name}={'|'.join(found.words)}",
        ]
        for found in sorted(inferred.review, key=lambda found: not found.asks)
    ]
    if rows:
        say()
        say_table(["look at", "what it holds, and is taken for", "to change it"], rows)
    if asked := [f"--set {found.name}={'|'.join(found.words)}" for found in inferred.review if found.asks]:
        note(f"to be said by you, as it can be read in two ways: {' '.join(asked)}", style="yellow")
