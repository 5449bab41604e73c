"""Files as the command line names them: tables, files or built-in ones, and what is written."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clover_tvae.cli.console import note
from clover_tvae.errors import ConfigError, Problem, data_rows
from clover_tvae.files import closed, not_there, unwritable, without_secrets

if TYPE_CHECKING:
    import pandas as pd

    from clover_tvae.metadata import Metadata
    from clover_tvae.tables import Dialect
    from clover_tvae.tables.places import Copies, Store

Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]
MetadataFile = Annotated[
    str, typer.Option("--metadata", "-m", metavar="METADATA.json", help="What the columns are; or the word infer.")
]
Missing = Annotated[list[str] | None, typer.Option(help='A cell that means missing; may be repeated. [default: ""]')]
Read = Annotated[
    list[str] | None,
    typer.Option(
        "--read",
        metavar="KEY=VALUE",
        help='How a CSV file is written, such as "separator=;" or decimal=, or encoding=cp1252; may be repeated. '
        "sheet=NAME of a workbook. [default: found in the file]",
    ),
]
FromDatabase = Annotated[
    str | None,
    typer.Option(
        metavar="VAR",
        help="TABLE is a table (or schema.table) of a database: of that whose SQLAlchemy URL this environment variable holds, or of "
        "this .duckdb or .sqlite file.",
    ),
]
Table = Annotated[
    str,
    typer.Argument(
        help="A file (.csv, .tsv, .parquet, .feather, .xlsx, .xls, .ods, .dta, .sav), a folder of Parquet files, the URL of one, or a built-in table.",
        show_default=False,
    ),
]


#: Of these, every cell has a type, and a missing one is missing.
_WITHOUT_MARKS = (".parquet", ".pq", ".feather", ".dta", ".sav")
#: Of the command that runs: the path that stands for each URL of an object store.
_urls: dict[Path, str] = {}


@functools.cache
def _copies() -> Copies:
    from clover_tvae.tables.places import Copies

    return Copies()


def with_copies(function: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command: for a URL it gets the path of a copy, which :func:`require_files` fetches.

    What :func:`check_targets` was told of is sent when the command ends, however it ends: like a file it is whole, or not written.
    """

    @functools.wraps(function)
    def run(**kwargs: Any) -> None:
        try:
            function(**{name: _with_copy(value) for name, value in kwargs.items()})
        finally:
            with contextlib.closing(_copies()):
                while _urls:
                    _copies().put(_urls.popitem()[0])

    return run


def _with_copy(value: Any) -> Any:
    """Return the path that stands for a URL, of the same type; all else as it is."""
    from clover_tvae.tables.places import Store, is_url

    # A Path has made one slash of two.
    text = re.sub(r"^(\w+):/", r"\1://", value.as_posix()) if isinstance(value, Path) else value
    if not is_url(text):
        return value
    path = _copies().place(Store(text))
    _urls[path] = text
    return type(value)(path)


def _url_of(path: Path) -> str | None:
    """Return the URL that a path stands for; also that of a file beside it, with another suffix."""
    for given, url in _urls.items():
        if given.with_suffix(path.suffix) == path:
            called, mark, options = url.partition("?")
            return called.removesuffix(given.suffix) + path.suffix + mark + options
    return None


def fetch(path: Path) -> None:
    """Fetch what the store has at the URL that a path stands for, if it stands for one."""
    if url := _url_of(path):
        _copies().here(url)


def require_files(*paths: str | Path | None) -> None:
    """Refuse all paths at which there is nothing, together, before anything is read; of a URL its own store tells that."""
    from clover_tvae.tables.places import is_url
    from clover_tvae.workflows import DATASETS

    asked = dict.fromkeys(str(path) for path in paths if path is not None and not is_url(path))
    for path in asked:
        fetch(Path(path))
    lacking = [path for path in asked if path not in (*DATASETS, "infer") and not Path(path).exists()]
    ConfigError.raise_any([Problem(without_secrets(path), not_there(path)) for path in lacking])


def read(
    table: str,
    metadata: Metadata | None,
    missing: Sequence[str] | None,
    how: Sequence[str] | None,
    *,
    quiet: bool,
    database: str | None = None,
) -> tuple[pd.DataFrame, Dialect | None]:
    """Read the file ``table``, or the built-in table of that name where there is no such file; and the dialect of a CSV file.

    With ``database`` it is a table of that.
    """
    from clover_tvae.tables import read_as, read_database
    from clover_tvae.workflows import DATASETS, builtin_table

    if database is not None:
        refuse_marks("a table of a database", missing, how)
        schema, _, name = table.rpartition(".")
        return read_database(database, name, schema=schema or None), None
    if table in DATASETS and not Path(table).exists():
        refuse_marks("a built-in table", missing, how)
        return builtin_table(table), None
    if table.lower().endswith(_WITHOUT_MARKS):
        refuse_marks("a file of types", missing, how)
    df, dialect = read_as(table, metadata, tuple(missing) if missing else ("",), _pairs(how or ()))
    if dialect is not None and str(dialect):
        note(f"read as: {dialect} ({table})", quiet)
    if any(empty := df.isna().all(axis=1).tolist()):
        rows = data_rows([row for row, is_one in enumerate(empty) if is_one])
        note(f"{sum(empty)} rows without a cell ({rows}) are learnt as rows: delete them if they are none", quiet)
    return df, dialect


def dialect_like(table: str | None, metadata: Metadata, how: Sequence[str], *, quiet: bool) -> Dialect:
    """Return how a CSV file is to be written: as ``how`` says, and else like a table that is there."""
    from clover_tvae.tables import Dialect, dialect_of
    from clover_tvae.tables.places import fetched

    dialect: Dialect | None = Dialect.of(_pairs(how))
    if table is not None:
        with fetched(table) as path:
            dialect = dialect_of(path, metadata, read=dialect)
    if dialect is None:
        raise ConfigError("must be a CSV file, as others have no separator and no decimal mark", "--like")
    if str(dialect):
        note(f"written as: {dialect}", quiet)
    return dialect


def refuse_marks(what: str, missing: Sequence[str] | None, how: Sequence[str] | None) -> None:
    """Refuse the options that say how text is to be read, of a table that has types."""
    if missing:
        cure = "markers among its texts are told in the metadata"
        raise ConfigError(f"belongs to a CSV file; {what} has real missing cells; {cure}", "--missing")
    if how:
        raise ConfigError(f"belongs to a CSV file, which {what} is not", "--read")


def _pairs(how: Sequence[str]) -> dict[str, Any]:
    """Return the options ``KEY=VALUE`` of how a file is written."""
    pairs: dict[str, Any] = {}
    for text in how:
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f'must be KEY=VALUE, such as "separator=;", found {text!r}', "--read")
        pairs[key] = {"true": True, "false": False}.get(value, value)
    return pairs


def read_described(
    metadata: str,
    missing: Sequence[str] | None,
    how: Sequence[str] | None,
    *tables: str | None,
    quiet: bool,
    database: str | None = None,
) -> tuple[Metadata, list[Any]]:
    """Read the description of the columns, or infer it from the first table, and the tables."""
    from clover_tvae.metadata import Metadata

    described = None if metadata == "infer" else Metadata.load(metadata)
    frames: list[Any] = [
        None if table is None else read(table, described, missing, how, quiet=quiet, database=database)[0]
        for table in tables
    ]
    if described is None:
        described = Metadata.infer(frames[0])
    return described, frames


def check_targets(targets: Mapping[Path | None, str | tuple[str, ...]], *, force: bool) -> None:
    """Refuse files that cannot or should not be written, together, before anything is done for them.

    Args:
        targets: Each file, and what its name must end in; a file that is ``None`` is not wanted.
    """
    problems = []
    for path, suffixes in targets.items():
        if path is None:
            continue
        ends = (suffixes,) if isinstance(suffixes, str) else suffixes
        text = None
        if not path.name.lower().endswith(ends) or path.name.lower() in ends:
            text = f"must be a file name that ends in {' or '.join(ends)}, found {path.name!r}"
        elif fault := unwritable(path) or closed(path):
            text = fault
        elif path.exists() and not force:
            text = "the file exists; --force overwrites it"
        elif url := _url_of(path):
            _urls[_copies().target(url, force=force)] = url
        elif not path.absolute().parent.is_dir():
            text = "its folder does not exist"
        problems += [Problem(without_secrets(str(path)), text)] if text else []
    ConfigError.raise_any(problems)


def check_rows_target(path: Path | Store, *, suffix: str, force: bool) -> None:
    """Refuse a place that rows cannot or should not go to: a table file, or a folder of parts that end in ``suffix``."""
    from clover_tvae.tables import WRITTEN
    from clover_tvae.tables.parts import is_broken_off, is_part, old_parts
    from clover_tvae.workflows.output import is_table_file

    if isinstance(path, Path) and is_table_file(path):
        check_targets({path: WRITTEN}, force=force)
        return
    if suffix not in WRITTEN or suffix == ".xlsx":  # each sheet would have dtypes of its own
        formats = ", ".join(name[1:] for name in WRITTEN if name != ".xlsx")
        raise ConfigError(f"must be one of {formats}, found {suffix[1:]!r}", "--format")
    if not isinstance(path, Path):
        if any(map(is_part, path.names())) and not force and not is_broken_off(path):
            raise ConfigError("holds parts already; --force replaces them", path.called)
        return
    parts, text = old_parts(path), None
    if path.exists() and not path.is_dir():
        text = f"must be a folder, or a file name that ends in {', '.join(WRITTEN)}"
    elif path.suffix and not path.exists():
        text = f"no table is written as {path.suffix}; use {', '.join(WRITTEN)}, or a folder without a suffix"
    elif folders := [part.name for part in parts if part.is_dir()]:
        text = f"a folder stands where a part would: {folders[0]}; move it away"
    elif parts and not force and not is_broken_off(path):
        text = "the folder holds parts already; --force replaces them"
    if text:
        raise ConfigError(text, str(path))
