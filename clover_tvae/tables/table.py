"""A table from a file, and a file from a table, by what the file's name ends in.

``delimited`` knows CSV, ``parquet`` knows Parquet, ``programs`` knows the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd
import pyarrow as pa

from clover_tvae.errors import ConfigError, DataError, TableFileError
from clover_tvae.files import atomic_write, not_there
from clover_tvae.metadata.description import Metadata
from clover_tvae.metadata.validate import require_frame
from clover_tvae.tables.dataset import dataset_names, is_large
from clover_tvae.tables.delimited import MAX_BYTES, csv_cells, csv_names, csv_table, print_csv
from clover_tvae.tables.dialect import Dialect
from clover_tvae.tables.other_rows import refuse_other_rows
from clover_tvae.tables.parquet import PARQUET, read_parquet, write_parquet
from clover_tvae.tables.parts import MANIFEST, listed_parts, parts_of
from clover_tvae.tables.programs import WORKBOOKS, read_feather, read_statistics, read_workbook, write_workbook

__all__ = ["EXTENSIONS", "MAX_BYTES", "WRITTEN", "column_names", "dialect_of", "read_as", "read_table", "write_table"]

_DELIMITED = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
_GZIPPED = (".csv.gz", ".tsv.gz")
EXTENSIONS = (*_DELIMITED, *PARQUET, ".feather", *WORKBOOKS, ".dta", ".sav")
"""What the file name of a table that is read may end in."""
WRITTEN = (*_DELIMITED, *PARQUET, ".feather", ".xlsx")
"""What the file name of a table that is written may end in."""


def read_table(
    path: str | Path,
    metadata: Metadata | None = None,
    missing: Collection[str] = ("",),
    *,
    read: Dialect | Mapping[str, Any] | None = None,
    max_bytes: int | None = None,
) -> pd.DataFrame:
    r"""Read a table from a file, or from a folder of parts.

    Args:
        path: A ``.csv``, ``.tsv`` (separated by tabs), ``.csv.gz``, ``.tsv.gz``, ``.parquet`` or ``.feather`` file, a
            workbook (``.xlsx``, ``.xls``, ``.ods``: dates are dates, empty cells and formulas that failed are missing), or a file of
            Stata (``.dta``) or SPSS (``.sav``), whose value labels become categories
            where every value has its own. CSV has a header. Or
            the folder that ``clover-tvae sample`` wrote parts into: they are read in their order.
        metadata: What the columns of a CSV file are; a name that is a number fits the header that spells it.
        missing: The cells of a CSV file, and texts of a workbook, that mean "missing", exactly as they are written.
        read: How a CSV file is written, such as ``{"separator": ";", "decimal": ","}``; see :class:`Dialect`. What is left
            out is found in the file, and refused where it can be read in two ways.
        max_bytes: The most bytes that the file, or a part, may unpack to; by default ``MAX_BYTES``, and for a gzipped file no more
            than 200 times its size.

    Returns:
        The table, with a plain row index.

    Raises:
        TableFileError: The file is missing, of another format, broken, or too large; or parts are not whole, or no parts of
            one table.
        ColumnTypeError: Cells do not fit the declared kind; with their number and the first rows.
        DuplicateColumnsError: Two columns share a name.
        MissingExtraError: The extra ``files``, which reads what is neither CSV nor Parquet nor Feather, is not installed.
        ConfigError: ``missing`` is not a collection of texts, or ``read`` is no dialect.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "t.csv").write_text("land,age\nNA,7\nDE,\n")
        ...     read_table(f"{folder}/t.csv").to_dict("list")
        {'land': ['NA', 'DE'], 'age': [7, None]}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "t.csv").write_text("land;dose\nDE;1,5\n")
        ...     read_table(f"{folder}/t.csv").to_dict("list")
        {'land': ['DE'], 'dose': [1.5]}
    """
    return read_as(path, metadata, missing, read, max_bytes=max_bytes)[0]


def read_as(
    path: str | Path,
    metadata: Metadata | None = None,
    missing: Collection[str] = ("",),
    read: Dialect | Mapping[str, Any] | None = None,
    *,
    max_bytes: int | None = None,
) -> tuple[pd.DataFrame, Dialect | None]:
    """Return a table as :func:`read_table` does, and the dialect of the CSV file; ``None`` where it is another file."""
    if isinstance(missing, str) or not all(isinstance(token, str) for token in missing):
        raise ConfigError("must be a list of texts, such as ['', 'NA'], found something else", "missing")
    given = Dialect.of(read)
    frames, headers, cells, dialects = list[pd.DataFrame](), list[list[str]](), list[Any](), list[Dialect]()
    for part in _parts(path):
        with _opened(part) as (file, extension):
            if extension not in _DELIMITED:
                most = MAX_BYTES if max_bytes is None else max_bytes
                frames.append(_read_other(file, part, extension, metadata, missing, given, most))
                continue
            asked = _asked(given, extension)
            header, texts, dialect = csv_cells(
                file, str(part), metadata, max_bytes, asked, gzipped=extension in _GZIPPED
            )
            headers.append(header)
            cells.append(texts)
            dialects.append(dialect)
    differ = any(h != headers[0] for h in headers) or any(dialect != dialects[0] for dialect in dialects)
    if differ or (headers and frames) or not all(frame.dtypes.equals(frames[0].dtypes) for frame in frames):
        raise TableFileError("must hold parts of one table, found other columns or dtypes in some", str(path))
    if frames:
        table = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
        return refuse_other_rows(table, str(path)), None
    table, dialect = csv_table(
        headers[0], pa.concat_tables(cells), str(path), metadata, frozenset(missing), dialects[0]
    )
    return refuse_other_rows(table, str(path)), dialect


def _read_other(
    file: BinaryIO,
    path: Path,
    extension: str,
    metadata: Metadata | None,
    missing: Collection[str],
    read: Dialect,
    most: int,
) -> pd.DataFrame:
    """Read a file that is not CSV."""
    if extension in PARQUET:
        return read_parquet(file, str(path), most)
    if extension == ".feather":
        return read_feather(file, str(path), most)
    if extension in WORKBOOKS:
        return read_workbook(file, str(path), metadata, frozenset(missing), read.sheet, most)
    return read_statistics(file, str(path), extension)


def _asked(read: Dialect, extension: str) -> Dialect:
    """Return how a file of this extension is written, as far as that is known before it is opened."""
    return read.but(separator="\t") if extension.startswith(".tsv") else read


def column_names(
    path: str | Path, metadata: Metadata | None = None, read: Dialect | Mapping[str, Any] | None = None
) -> list[Hashable]:
    """Return the names of the columns that :func:`read_table` would give, without reading a row.

    Raises:
        TableFileError: The file is missing, of another format or broken, as far as its start shows.
        DuplicateColumnsError: Two columns share a name.
    """
    if Path(path).is_dir() and is_large(path):
        return [*dataset_names(path)]
    path = next(iter(_parts(path, listed_parts)))  # what the parts hold is compared when they are read
    with _opened(path) as (file, extension):
        if extension in PARQUET:
            return [*read_parquet(file, str(path), MAX_BYTES, rows=False).columns]
        if extension in WORKBOOKS:
            sheet = Dialect.of(read).sheet
            return [*read_workbook(file, str(path), metadata, frozenset(), sheet, MAX_BYTES, only_names=True).columns]
        if extension not in _DELIMITED:
            return [*_read_other(file, path, extension, metadata, (), Dialect(), MAX_BYTES).columns]
        asked = _asked(Dialect.of(read), extension)
        return csv_names(file, str(path), metadata, asked, gzipped=extension in _GZIPPED)


def dialect_of(
    path: str | Path,
    metadata: Metadata | None = None,
    missing: Collection[str] = ("",),
    read: Dialect | Mapping[str, Any] | None = None,
) -> Dialect | None:
    """Return the dialect that :func:`read_as` finds, which all cells tell."""
    extension = _extension(next(iter(_parts(path, listed_parts))))
    return read_as(path, metadata, missing, read)[1] if extension in _DELIMITED else None


def _parts(path: str | Path, listed: Callable[[str | Path], Iterable[Path]] = parts_of) -> Iterable[Path]:
    """Return the parts of a folder that has some, as they are ``listed``; else the path itself."""
    with suppress(OSError, ValueError):  # told where it is opened
        if (Path(path) / MANIFEST).is_file():
            return listed(path)
    return [Path(path)]


@contextmanager
def _opened(path: str | Path) -> Iterator[tuple[BinaryIO, str]]:
    """Open a table file, and tell what it ends in."""
    file_path = Path(path)
    extension = _extension(file_path)
    try:
        if not file_path.is_file():
            what = "is a folder or a device, not a file" if file_path.exists() else not_there(file_path)
            raise TableFileError(what, str(path))
        with file_path.open("rb") as file:
            yield file, extension
    except OSError as error:
        raise TableFileError(f"cannot be read: {error.strerror or 'the file is broken'}", str(path)) from None
    except ValueError:
        raise TableFileError("cannot be read: the path is not valid", ascii(str(path))) from None


def _extension(path: Path, extensions: tuple[str, ...] = EXTENSIONS) -> str:
    for extension in extensions:  # no name ends in two of them
        if path.name.lower().endswith(extension):
            return extension
    cure = "use one" if extensions == WRITTEN else "rename it (tabs between the cells: .tsv) or export it, to a name"
    raise TableFileError(f"is no table file by its name; {cure} that ends in {', '.join(extensions)}", str(path))


def write_table(df: pd.DataFrame, path: str | Path, dialect: Dialect | None = None) -> None:
    """Write a table to a file, atomically; its index is left out.

    Args:
        df: The table, with one level of unique names.
        path: Where to: ``.csv``, ``.tsv``, ``.csv.gz``, ``.tsv.gz``, ``.parquet``, ``.feather`` or
            ``.xlsx``, in which text is text, also where it looks like a formula, and numbers have 16 digits.
        dialect: The separator, decimal mark, encoding and quotes of a CSV file; by default commas, points and UTF-8, and tabs in
            ``.tsv``. Thousands are written without marks, lines end without a separator.

    Raises:
        TableFileError: The path has another extension or cannot be written (an older file stands), or text in the
            table is not valid Unicode.
        DataError: ``df`` is no such table.
        ColumnTypeError: Parquet, Feather or Excel cannot hold the cells of a column.
        MissingExtraError: The extra ``files``, which writes Excel, is not installed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_table(pd.DataFrame({"note": ["=1+1", "fine"], "x": [-1.5, 2.0]}), f"{folder}/t.csv")
        ...     print(Path(folder, "t.csv").read_text())
        note,x
        '=1+1,-1.5
        fine,2.0
        <BLANKLINE>
    """
    extension = _extension(Path(path), WRITTEN)
    require_frame(df)
    if not len(df.columns):
        raise DataError("has no columns, so that there is nothing to write", "table")
    try:
        if extension in (*PARQUET, ".feather"):
            write_parquet(df, path, as_feather=extension == ".feather")
        elif extension == ".xlsx":
            atomic_write(path, write_workbook(df, str(path)), mode=0o666)
        else:
            written = _asked(Dialect() if dialect is None else dialect, extension)
            atomic_write(path, partial(print_csv, df, dialect=written, gzipped=extension in _GZIPPED), mode=0o666)
    except UnicodeEncodeError as error:
        if dialect is not None and not error.encoding.startswith("utf"):
            text = f"has letters that {dialect.encoding} lacks; write it in another encoding"
        else:
            text = "is not valid Unicode (a lone surrogate) and cannot be written; replace it"
        raise TableFileError(f"text in the table, or a name, {text}", str(path)) from None
