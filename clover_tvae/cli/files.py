"""Files as the command line names them: tables, files or built-in ones, and what is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clover_tvae.errors import ConfigError, Problem

if TYPE_CHECKING:
    import pandas as pd

    from clover_tvae.metadata import Metadata

__all__ = ["Force", "MetadataFile", "Missing", "Table", "check_targets", "read", "require_files", "write_text"]

Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]
MetadataFile = Annotated[
    str, typer.Option("--metadata", "-m", metavar="METADATA.json", help="What the columns are; or the word infer.")
]
Missing = Annotated[
    list[str] | None, typer.Option("--missing", help='A cell that means missing; may be repeated. [default: ""]')
]
Table = Annotated[
    str, typer.Argument(help="A .csv, .csv.gz or .parquet file, or a built-in table.", show_default=False)
]


def require_files(*paths: str | Path | None) -> None:
    """Refuse all paths at which there is nothing, together, before anything is read."""
    from clover_tvae.workflows import DATASETS

    asked = dict.fromkeys(str(path) for path in paths if path is not None)
    lacking = [path for path in asked if path not in (*DATASETS, "infer") and not Path(path).exists()]
    if lacking:
        raise ConfigError([Problem(path, "no such file", ConfigError) for path in lacking])


def read(table: str, metadata: Metadata | None, missing: Sequence[str] | None) -> pd.DataFrame:
    """Read the file ``table``, or the built-in table of that name where there is no such file."""
    from clover_tvae.tables import read_table
    from clover_tvae.workflows import DATASETS, builtin_table

    if table in DATASETS and not Path(table).exists():
        if missing:
            raise ConfigError(Problem("--missing", "belongs to a CSV file; a built-in table has real missing cells"))
        return builtin_table(table)
    return read_table(table, metadata=metadata, missing=tuple(missing) if missing else ("",))


def check_targets(targets: Mapping[Path | None, str | tuple[str, ...]], *, force: bool) -> None:
    """Refuse files that cannot or should not be written, together, before anything is done for them.

    Args:
        targets: Each file, and what its name must end in; a file that is ``None`` is not wanted.
        force: Files that are there may be overwritten.
    """
    problems = []
    for path, suffixes in targets.items():
        if path is None:
            continue
        ends = (suffixes,) if isinstance(suffixes, str) else suffixes
        if path.suffix.lower() not in ends or path.name.lower() in ends:
            text = f"must be a file name that ends in {' or '.join(ends)}, found {path.name!r}"
            problems.append(Problem(str(path), text))
        elif path.exists() and not force:
            problems.append(Problem(str(path), "the file exists; --force overwrites it"))
        elif not path.absolute().parent.is_dir():
            problems.append(Problem(str(path), "its folder does not exist"))
    if problems:
        raise ConfigError(problems)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    from clover_tvae.files import atomic_write

    atomic_write(path, lambda file: file.write(text.encode("utf-8", "backslashreplace")), mode=0o644)
