"""CSV: UTF-8, commas, one header line; plain or gzipped.

This module knows how rows and names are split and written. What the cells of a column mean is said by ``cells``.
"""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import re
import zlib
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

import numpy as np
import pandas as pd

from clover_tvae.columns.texts import NUMBER, BadCells, DescribedColumn, column_of, first_of
from clover_tvae.errors import ColumnTypeError, DataError, Problem, TableFileError
from clover_tvae.files import atomic_write
from clover_tvae.metadata.validate import repeated_names

__all__ = ["MAX_BYTES", "Described", "csv_names", "read_csv", "write_csv"]

MAX_BYTES = 8 * 2**30
"""A table that unpacks to more than this is refused unless the caller asks for more."""

# gzip reaches about 1000:1 on zeros; a real CSV stays far below this.
_MAX_RATIO = 200
_FREE_BYTES = 64 * 2**20
_PEEK = 2**20
# The longest row that the parser must hold in one piece.
_BLOCK = 2**26
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")


class Described(Protocol):
    """What this module asks of metadata: its columns."""

    @property
    def columns(self) -> Sequence[DescribedColumn]: ...


# ----------------------------------------------------------------------------------------------- reading


class _Capped(io.RawIOBase):
    """A stream that stops with an error where a small file would unpack to a huge one."""

    def __init__(self, source: Any, place: str, limit: int) -> None:
        self._source, self._place, self._limit, self._count = source, place, limit, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._source.read(len(buffer))
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise TableFileError(Problem(self._place, "is no gzip file, or a broken one; write it again")) from None
        self._count += len(data)
        if self._count > self._limit:
            text = f"unpacks to more than {self._limit:,} bytes, which is refused; pass max_bytes= if it is what you expect"
            raise TableFileError(Problem(self._place, text))
        buffer[: len(data)] = data
        return len(data)


def read_csv(
    file: BinaryIO,
    place: str,
    metadata: Described | None,
    missing: frozenset[str],
    max_bytes: int | None,
    *,
    gzipped: bool,
) -> pd.DataFrame:
    """Read a CSV file that is open in binary; see :func:`clover_tvae.tables.read_table`."""
    stream = _unpacked(file, place, max_bytes, gzipped)
    n_columns = len(_header(stream, place))
    header, table = _parse(stream, place, n_columns)
    _check_header(header, place)
    described = _by_header(header, metadata)
    columns: list[pd.Series] = []
    names: list[Hashable] = []
    problems: list[Problem] = []
    for position, head in enumerate(header):
        column = described.get(head)
        names.append(head if column is None else column.name)
        try:
            columns.append(column_of(_active_cells(table.column(position)), column, missing))
        except BadCells as bad:
            problems.append(Problem(f"{place}: column {head!r}", str(bad), ColumnTypeError))
    if problems:
        raise DataError.of(problems)
    df = pd.concat(columns, axis=1) if columns else pd.DataFrame()
    df.columns = pd.Index(names, dtype=object) if any(not isinstance(name, str) for name in names) else pd.Index(names)
    return df


def csv_names(file: BinaryIO, place: str, metadata: Described | None, *, gzipped: bool) -> list[Hashable]:
    """Return the names that :func:`read_csv` gives the columns, from the header alone."""
    header = [_active(head) for head in _header(_unpacked(file, place, None, gzipped), place)]
    _check_header(header, place)
    described = _by_header(header, metadata)
    return [described[head].name if head in described else head for head in header]


def _unpacked(file: BinaryIO, place: str, max_bytes: int | None, gzipped: bool) -> io.BufferedReader:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    limit = MAX_BYTES if max_bytes is None else max_bytes
    if gzipped and max_bytes is None:
        limit = min(MAX_BYTES, max(_FREE_BYTES, size * _MAX_RATIO))
    return io.BufferedReader(_Capped(gzip.GzipFile(fileobj=file) if gzipped else file, place, limit), buffer_size=_PEEK)


def _header(stream: io.BufferedReader, place: str) -> list[str]:
    """Return what the header line names, without moving on, or say what the file is instead of a CSV table."""
    start = stream.peek(_PEEK)[:_PEEK]
    signs = {
        b"PAR1": "Parquet",
        b"PK\x03\x04": "a zip or Excel file",
        b"\x1f\x8b": "gzip",
        b"%PDF": "PDF",
        b"\x89HDF": "HDF5",
    }
    for sign, what in signs.items():
        if start.startswith(sign):
            raise TableFileError(Problem(place, f"is {what} inside, not CSV; rename or export it"))
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise TableFileError(Problem(place, "is UTF-16 text; save it as UTF-8"))
    text = start.decode("utf-8-sig", "replace")
    if not text.strip():
        raise TableFileError(Problem(place, "is empty; the first line must name the columns"))
    try:
        header = next(row for row in csv.reader(io.StringIO(text, newline="")) if row)
    except csv.Error:
        raise TableFileError(Problem(place, "has no header line that can be read; is it a CSV file?")) from None
    lines = [line for line in text.splitlines() if line][:2]
    for mark, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        counts = {line.count(mark) for line in lines}
        if len(header) == 1 and len(lines) == 2 and '"' not in lines[0] and len(counts) == 1 and counts != {0}:
            raise TableFileError(Problem(place, f"seems to be separated by {name}; save it with commas"))
    return header


def _parse(stream: Any, place: str, n_columns: int) -> tuple[list[str], Any]:
    """Return the header, and a pyarrow table of the rows in which every cell is text."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    ragged: list[int] = []

    def note(row: Any) -> str:
        ragged.append(row.number)
        return "skip"

    try:
        # The header is read as a row like any other, so that one parser decides what a cell is.
        table = arrow_csv.read_csv(
            stream,
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=_BLOCK, autogenerate_column_names=True),
            parse_options=arrow_csv.ParseOptions(
                newlines_in_values=True, invalid_row_handler=note, ignore_empty_lines=n_columns > 1
            ),
            convert_options=arrow_csv.ConvertOptions(
                strings_can_be_null=False,
                column_types={f"f{position}": pa.large_string() for position in range(n_columns)},
            ),
        )
    except pa.ArrowInvalid as error:
        # pyarrow's message can quote a row, so that only its sense is passed on.
        if "UTF8" in str(error):
            raise TableFileError(Problem(place, "is not UTF-8 text; save it as UTF-8")) from None
        text = "cannot be read as CSV: a quote that never ends, a row that is too long, or no header"
        raise TableFileError(Problem(place, text)) from None
    if table.num_columns != n_columns:
        raise TableFileError(Problem(place, f"has a header that cannot be read, or is over {_PEEK // 2**20} MiB long"))
    if ragged:
        plural = len(ragged) > 1
        text = (
            f"{len(ragged)} row{'s have' if plural else ' has'} another number of cells than the header, which names "
            f"{table.num_columns} columns; row{'s' if plural else ''} {first_of(ragged)}, the header being row 1; mend the "
            "file, or quote cells that hold a comma"
        )
        raise TableFileError(Problem(place, text))
    header = [_active(str(column[0].as_py())) for column in table.columns]
    return header, table.slice(1)


def _active_cells(column: Any) -> Any:
    """Take off the apostrophes that :func:`write_csv` puts before formulas: what we wrote is read as it was."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pc.any(pc.starts_with(column, pattern="'"), min_count=0).as_py():
        return column
    return pa.chunked_array([pa.array([_active(cell) for cell in column.to_pylist()], type=pa.large_string())])


def _check_header(header: list[str], place: str) -> None:
    problems = repeated_names(filter(None, header), place)
    unnamed = [position for position, head in enumerate(header, start=1) if not head.strip()]
    if unnamed:
        cure = (
            "; a first column without a name is often the row index: write it with index=False"
            if unnamed[0] == 1
            else ""
        )
        problems.append(
            Problem(
                place, f"{len(unnamed)} column(s) have no name in the header: {first_of(unnamed)}{cure}", TableFileError
            )
        )
    if problems:
        raise DataError.of(problems)
    numeric = [re.fullmatch(NUMBER, head) is not None for head in header]
    if all(numeric) and not all(head.isdigit() for head in header):
        raise TableFileError(Problem(place, "has no header: the first line holds numbers; put the column names there"))


def _by_header(header: list[str], metadata: Described | None) -> dict[str, DescribedColumn]:
    """Return the described column that each header names; ``"7"`` names a column called 7 where there is no ``"7"``."""
    if metadata is None:
        return {}
    by_name = {column.name: column for column in metadata.columns}
    by_text: dict[str, DescribedColumn | None] = {}
    for column in metadata.columns:
        text = str(column.name)
        by_text[text] = None if text in by_text else column
    found = {head: by_name.get(head) or by_text.get(head) for head in header}
    return {head: column for head, column in found.items() if column is not None}


# ----------------------------------------------------------------------------------------------- writing


def write_csv(df: pd.DataFrame, path: str | Path, *, gzipped: bool) -> None:
    """Write a table as CSV; see :func:`clover_tvae.tables.write_table`."""
    spelt = pd.DataFrame({position: _spelt(df.iloc[:, position]) for position in range(df.shape[1])}, index=df.index)
    spelt.columns = pd.Index([_inert(str(name)) for name in df.columns])
    # Python's csv leaves a carriage return bare; and a lone column may look like many with another separator.
    returns = any(_holds_return(spelt.iloc[:, position]) for position in range(df.shape[1]))
    ambiguous = any("\r" in name for name in spelt.columns) or (
        df.shape[1] == 1 and re.search(r"[;\t|]", spelt.columns[0])
    )
    quoting: Literal[0, 2] = csv.QUOTE_NONNUMERIC if returns or ambiguous else csv.QUOTE_MINIMAL

    def write(file: BinaryIO) -> None:
        target: Any = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) if gzipped else file
        text = io.TextIOWrapper(target, encoding="utf-8", newline="")
        try:
            spelt.to_csv(text, index=False, lineterminator="\n", quoting=quoting)
        finally:
            text.detach()
        if gzipped:
            target.close()

    atomic_write(path, write, mode=0o666)


def _holds_return(series: pd.Series) -> bool:
    return series.dtype == object and any(isinstance(cell, str) and "\r" in cell for cell in series)


def _spelt(series: pd.Series) -> pd.Series:
    """Return a column as CSV shall show it: dates in ISO, text made inert, numbers untouched."""
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        spelt = _spelt(pd.Series(dtype.categories)).tolist()
        codes = series.cat.codes.to_numpy()
        cells = np.array([*spelt, None], dtype=object)[codes]
        return pd.Series(cells, index=series.index, dtype=object)
    numeric = pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_bool_dtype(dtype)
    if numeric:
        return series
    cells = series.astype(object)
    if pd.api.types.is_datetime64_any_dtype(dtype):
        at_midnight = getattr(dtype, "tz", None) is None and bool(
            (series.dropna().dt.normalize() == series.dropna()).all()
        )
        return cells.map(lambda cell: _iso(cell, as_date=at_midnight))
    return cells.map(lambda cell: _inert(cell) if isinstance(cell, str) else _iso(cell))


def _iso(cell: Any, *, as_date: bool = False) -> Any:
    if not isinstance(cell, datetime.date) or cell is pd.NaT:
        return None if cell is pd.NaT else cell
    return cell.date().isoformat() if as_date and isinstance(cell, datetime.datetime) else cell.isoformat()


def _is_formula(text: str) -> bool:
    """Whether a spreadsheet would run the text; a number and a lone sign it does not."""
    return text.startswith(_FORMULA) and text not in ("+", "-") and re.fullmatch(NUMBER, text, flags=re.ASCII) is None


def _inert(text: str) -> str:
    """Return text that no spreadsheet runs: a formula gets an apostrophe.

    So does one that has apostrophes already, or reading could not tell whose the first is.
    """
    return "'" + text if _is_formula(text.lstrip("'")) else text


def _active(text: str) -> str:
    """Undo :func:`_inert`."""
    return text[1:] if text.startswith("'") and _is_formula(text.lstrip("'")) else text
