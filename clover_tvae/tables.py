"""Tables as files: CSV (plain or gzipped) and Parquet, read and written without a silent change of any cell.

This module knows pandas, pyarrow and files. It must not know torch, nor how a description is made: of the metadata it
asks each column's ``name``, ``kind`` and a few options. Files replace older ones atomically (``clover_tvae.files``).

What CSV cannot say is decided here, in the open:

- Every cell is read as text first. Only the declared missing tokens are missing: ``NA`` stays text, ``007`` stays text
  where the column is a label, and where nobody says what it is.
- With metadata, ``categorical``, ``id`` and ``ignore`` columns are text (an ``id`` that is made anew as a sequence may be
  whole numbers), ``continuous`` ones numbers (a cell that is
  no number is an error, not a gap), ``boolean`` ones true and false, ``datetime`` ones text if they have a format,
  else dates. Without metadata, a column is whole numbers, numbers, true and false, or text.
- Whole numbers with gaps are ``Int64``, so that they stay whole.
- A text cell or a name that a spreadsheet would run as a formula is written with a leading apostrophe. Numbers, and
  text that is a plain number, are never touched. :func:`read_table` does not take the apostrophe off again.
- An empty text and a missing cell are the same in CSV. Parquet keeps them apart, and keeps every dtype.
"""

from __future__ import annotations

import contextlib
import csv
import datetime
import gzip
import io
import json
import re
from collections.abc import Collection, Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

import numpy as np
import pandas as pd

from clover_tvae.errors import (
    ColumnTypeError,
    ConfigError,
    DataError,
    DuplicateColumnsError,
    Problem,
    TableFileError,
)
from clover_tvae.files import atomic_write, inside

__all__ = ["EXTENSIONS", "MAX_BYTES", "Described", "atomic_write", "inside", "read_table", "write_table"]

EXTENSIONS = (".csv", ".csv.gz", ".parquet", ".pq")
"""What a table's file name may end in."""

MAX_BYTES = 8 * 2**30
"""A table that unpacks to more than this is refused unless the caller asks for more."""

# gzip reaches about 1000:1 on zeros; a real CSV stays far below this.
_MAX_RATIO = 200
_FREE_BYTES = 64 * 2**20
_PEEK = 2**16
# The longest row that the parser must hold in one piece.
_BLOCK = 2**26
_LISTED = 5

_NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
_NUMBER_OR_INFINITE = rf"^({_NUMBER}|[+-]?(?i:inf|infinity))$"
_WHOLE = r"^[+-]?\d+$"
_LEADING_ZERO = r"^[+-]?0\d"
_ZONE = r"(Z|[+-]\d{2}:?\d{2})$"
_ISO = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?$"
_TRUE = ("true", "True", "TRUE")
_FALSE = ("false", "False", "FALSE")
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
_INT64 = np.iinfo(np.int64)


class _DescribedColumn(Protocol):
    @property
    def name(self) -> Hashable: ...
    @property
    def kind(self) -> str: ...
    @property
    def format(self) -> str | None: ...
    @property
    def time_zone(self) -> str | None: ...
    @property
    def order(self) -> tuple[Any, ...] | None: ...
    @property
    def regenerate(self) -> str | None: ...


class Described(Protocol):
    """What this module asks of metadata: its columns."""

    @property
    def columns(self) -> Sequence[_DescribedColumn]: ...


# ----------------------------------------------------------------------------------------------- reading


def read_table(
    path: str | Path,
    metadata: Described | None = None,
    missing: Collection[str] = ("",),
    *,
    max_bytes: int = MAX_BYTES,
) -> pd.DataFrame:
    r"""Read a table from a file.

    Args:
        path: A ``.csv``, ``.csv.gz``, ``.parquet`` or ``.pq`` file. CSV is UTF-8, separated by commas, with a header.
        metadata: What the columns of a CSV file are; a name that is a number fits the header that spells it.
        missing: The cells of a CSV file that mean "missing", exactly as they are written.
        max_bytes: The most bytes that the file may unpack to.

    Returns:
        The table, with a plain row index.

    Raises:
        TableFileError: The file is missing, of another format, broken, or too large.
        ColumnTypeError: Cells do not fit the declared kind; with their number and the first rows.
        DuplicateColumnsError: Two columns share a name.
        ConfigError: ``missing`` is not a collection of texts.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "t.csv").write_text("land,age\nNA,7\nDE,\n")
        ...     read_table(f"{folder}/t.csv").to_dict("list")
        {'land': ['NA', 'DE'], 'age': [7, None]}
    """
    if isinstance(missing, str) or not all(isinstance(token, str) for token in missing):
        raise ConfigError(Problem("missing", "must be a list of texts, such as ['', 'NA'], found something else"))
    file_path = Path(path)
    extension = _extension(file_path)
    try:
        if not file_path.is_file():
            raise TableFileError(
                Problem(str(path), "is a folder or a device, not a file" if file_path.exists() else "does not exist")
            )
        with file_path.open("rb") as file:
            if extension in (".parquet", ".pq"):
                return _read_parquet(file, str(path), max_bytes)
            return _read_csv(file, str(path), metadata, frozenset(missing), max_bytes, gzipped=extension == ".csv.gz")
    except OSError as error:
        raise TableFileError(Problem(str(path), f"cannot be read: {error.strerror or 'the file is broken'}")) from None
    except ValueError:
        raise TableFileError(Problem(ascii(str(path)), "cannot be read: the path is not valid")) from None


def _extension(path: Path) -> str:
    name = path.name.lower()
    for extension in sorted(EXTENSIONS, key=len, reverse=True):
        if name.endswith(extension):
            return extension
    raise TableFileError(
        Problem(str(path), f"is no table file by its name; use one that ends in {', '.join(EXTENSIONS)}")
    )


class _Capped(io.RawIOBase):
    """A stream that stops with an error where a small file would unpack to a huge one."""

    def __init__(self, source: Any, place: str, limit: int) -> None:
        self._source, self._place, self._limit, self._count = source, place, limit, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._source.read(len(buffer))
        except (EOFError, gzip.BadGzipFile, _zlib_error()):
            raise TableFileError(Problem(self._place, "is no gzip file, or a broken one; write it again")) from None
        self._count += len(data)
        if self._count > self._limit:
            text = f"unpacks to more than {self._limit:,} bytes, which is refused; pass max_bytes= if it is what you expect"
            raise TableFileError(Problem(self._place, text))
        buffer[: len(data)] = data
        return len(data)


def _zlib_error() -> type[Exception]:
    import zlib

    return zlib.error


def _read_csv(
    file: BinaryIO, place: str, metadata: Described | None, missing: frozenset[str], max_bytes: int, *, gzipped: bool
) -> pd.DataFrame:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    limit = max_bytes
    if gzipped and max_bytes == MAX_BYTES:
        limit = min(max_bytes, max(_FREE_BYTES, size * _MAX_RATIO))
    source = gzip.GzipFile(fileobj=file) if gzipped else file
    stream = io.BufferedReader(_Capped(source, place, limit), buffer_size=_PEEK)
    n_columns = _check_start(stream.peek(_PEEK)[:_PEEK], place)
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
            columns.append(_column(table.column(position), column, missing))
        except _BadCells as bad:
            problems.append(Problem(f"{place}: column {head!r}", str(bad), ColumnTypeError))
    if problems:
        raise DataError.of(problems)
    df = pd.concat(columns, axis=1) if columns else pd.DataFrame()
    df.columns = pd.Index(names, dtype=object) if any(not isinstance(name, str) for name in names) else pd.Index(names)
    return df


def _check_start(start: bytes, place: str) -> int:
    """Return how many columns the header line names, or say what the file is instead of a CSV table."""
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
    return len(header)


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
    if ragged:
        rows = ", ".join(str(number) for number in ragged[:_LISTED]) + (", ..." if len(ragged) > _LISTED else "")
        plural = len(ragged) > 1
        text = (
            f"{len(ragged)} row{'s have' if plural else ' has'} another number of cells than the header, which names "
            f"{table.num_columns} columns; row{'s' if plural else ''} {rows}, the header being row 1; mend the "
            "file, or quote cells that hold a comma"
        )
        raise TableFileError(Problem(place, text))
    header = [str(column[0].as_py()) for column in table.columns]
    return header, table.slice(1)


def _check_header(header: list[str], place: str) -> None:
    problems = []
    for head in dict.fromkeys(head for head in header if head and header.count(head) > 1):
        text = f"{header.count(head)} columns have this name; rename or drop all but one"
        problems.append(Problem(f"{place}: column {head!r}", text, DuplicateColumnsError))
    unnamed = [position for position, head in enumerate(header, start=1) if not head.strip()]
    if unnamed:
        cure = (
            "; a first column without a name is often the row index: write it with index=False"
            if unnamed[0] == 1
            else ""
        )
        listed = ", ".join(map(str, unnamed[:_LISTED])) + (", ..." if len(unnamed) > _LISTED else "")
        problems.append(
            Problem(place, f"{len(unnamed)} column(s) have no name in the header: {listed}{cure}", TableFileError)
        )
    if problems:
        raise DataError.of(problems)
    numeric = [re.fullmatch(_NUMBER, head) is not None for head in header]
    if all(numeric) and not all(head.isdigit() for head in header):
        raise TableFileError(Problem(place, "has no header: the first line holds numbers; put the column names there"))


def _by_header(header: list[str], metadata: Described | None) -> dict[str, _DescribedColumn]:
    """Return the described column that each header names; ``"7"`` names a column called 7 where there is no ``"7"``."""
    if metadata is None:
        return {}
    by_name = {column.name: column for column in metadata.columns}
    by_text: dict[str, _DescribedColumn | None] = {}
    for column in metadata.columns:
        text = str(column.name)
        by_text[text] = None if text in by_text else column
    found = {head: by_name.get(head) or by_text.get(head) for head in header}
    return {head: column for head, column in found.items() if column is not None}


# ------------------------------------------------------------------------------------- one column of text


class _BadCells(Exception):
    """Cells of one column that do not fit its kind; the message counts them."""


def _column(texts: Any, column: _DescribedColumn | None, missing: Collection[str]) -> pd.Series:
    """Return a column of texts as what it is declared to be, or as what it looks like."""
    import pyarrow as pa
    import pyarrow.compute as pc

    def without_missing(cells: Any) -> Any:
        # replace_with_mask, because if_else with a null scalar loses the text of a sliced array in pyarrow 21.
        absent = pc.is_in(cells, value_set=pa.array(sorted(missing), cells.type))
        return pc.replace_with_mask(cells, absent, pa.scalar(None, cells.type))

    texts = texts.combine_chunks()
    as_text = without_missing(texts)
    if column is None:
        return _guessed(as_text)
    trimmed = without_missing(pc.utf8_trim_whitespace(texts))
    match column.kind:
        case "continuous":
            return _numbers(trimmed)
        case "boolean":
            return _booleans(trimmed)
        case "datetime" if column.format is None:
            return _dates(trimmed, column.time_zone)
        case "ordinal" if column.order is not None and all(type(value) in (int, float) for value in column.order):
            return _numbers(trimmed)
        case "id" if column.regenerate == "sequence":
            return _guessed(as_text, whole_only=True)
        case _:
            return _texts(as_text)


def _texts(cells: Any) -> pd.Series:
    values = cells.to_pandas().astype(object)
    return values.where(values.notna(), np.nan)


def _guessed(cells: Any, *, whole_only: bool = False) -> pd.Series:
    filled = cells.drop_null()
    if len(filled) and not _any(filled, _LEADING_ZERO):
        if _all(filled, _WHOLE if whole_only else f"^{_NUMBER}$"):
            try:
                return _numbers(cells)
            except _BadCells:  # more digits than a number of 64 bits can hold
                return _texts(cells)
        if not whole_only and _all(filled, f"^({'|'.join(_TRUE + _FALSE)})$"):
            return _booleans(cells)
    return _texts(cells)


def _matches(cells: Any, pattern: str) -> Any:
    import pyarrow.compute as pc

    return pc.match_substring_regex(cells, pattern)


def _all(cells: Any, pattern: str) -> bool:
    import pyarrow.compute as pc

    return pc.all(_matches(cells, pattern), min_count=0).as_py()


def _any(cells: Any, pattern: str) -> bool:
    import pyarrow.compute as pc

    return pc.any(_matches(cells, pattern), min_count=0).as_py()


def _refuse_misfits(cells: Any, pattern: str, expected: str, cure: str) -> None:
    """Raise with the number of cells that do not match, and the first rows they stand in."""
    fits = _matches(cells, pattern).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(fits == False) + 1  # noqa: E712  (a missing cell is None here, neither true nor false)
    if rows.size:
        listed = ", ".join(map(str, rows[:_LISTED])) + (", ..." if rows.size > _LISTED else "")
        raise _BadCells(
            f"{rows.size} of {len(cells)} cells {'are' if rows.size > 1 else 'is'} no {expected} (data row{'s' if rows.size > 1 else ''} {listed}); {cure}"
        )


def _numbers(cells: Any) -> pd.Series:
    import pyarrow as pa
    import pyarrow.compute as pc

    cure = "mend them, declare the tokens that mean 'missing', or declare the column 'categorical'"
    _refuse_misfits(cells, _NUMBER_OR_INFINITE, "number", cure)
    filled = cells.drop_null()
    if not len(filled):
        return pd.Series(np.full(len(cells), np.nan))
    unsigned = pc.replace_substring_regex(cells, r"^\+", "")
    if _all(filled, _WHOLE):
        for kind in (pa.int64(), pa.uint64()):
            try:
                whole = pc.cast(unsigned, kind)
            except pa.ArrowInvalid:
                continue
            if not whole.null_count:
                return whole.to_pandas()
            return whole.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype(), pa.uint64(): pd.UInt64Dtype()}.get)
        raise _BadCells("whole numbers beyond 64 bits; declare the column 'categorical' or 'id' if they are codes")
    return pc.cast(unsigned, pa.float64()).to_pandas()


def _booleans(cells: Any) -> pd.Series:
    import pyarrow as pa
    import pyarrow.compute as pc

    filled = cells.drop_null()
    if len(filled) and _all(filled, "^[01]$"):
        return _numbers(cells)
    words = "|".join(_TRUE + _FALSE)
    _refuse_misfits(cells, f"^({words})$", "true or false", "mend them, or declare the column 'categorical'")
    truth = pc.is_in(cells, value_set=pa.array(_TRUE, cells.type))
    truth = pc.replace_with_mask(truth, pc.is_null(cells), pa.scalar(None, pa.bool_()))
    return truth.to_pandas(types_mapper={pa.bool_(): pd.BooleanDtype()}.get) if truth.null_count else truth.to_pandas()


def _dates(cells: Any, time_zone: str | None) -> pd.Series:
    import pyarrow as pa
    import pyarrow.compute as pc

    _refuse_misfits(
        cells, _ISO, "date as in 2024-12-31 or 2024-12-31T23:59:59", "mend them, or give the column's format"
    )
    filled = cells.drop_null()
    zoned = _matches(filled, _ZONE)
    n_zoned = pc.sum(pc.cast(zoned, pa.int64())).as_py() or 0
    if 0 < n_zoned < len(filled):
        raise _BadCells(f"{n_zoned} of {len(filled)} dates have a time zone and the rest have none; give all one")
    fine = _any(filled, r"\.\d{7,9}")
    zone = "UTC" if n_zoned else None
    try:
        dates = pc.cast(cells, pa.timestamp("ns" if fine else "us", zone))
    except pa.ArrowInvalid:
        raise _BadCells(
            "some cells have the shape of a date and are none, or lie outside the years that can be held"
        ) from None
    series = dates.to_pandas()
    with contextlib.suppress(pd.errors.OutOfBoundsDatetime):  # before 1677, after 2262: microseconds reach further
        series = series.astype(f"datetime64[ns, {zone}]" if zone else "datetime64[ns]")
    if time_zone is None:
        return series
    try:
        return series.dt.tz_convert(time_zone) if zone else series.dt.tz_localize(time_zone)
    except Exception as error:  # pytz and zoneinfo each have their own
        raise _BadCells(
            f"some dates do not exist, or are ambiguous, in the time zone {time_zone!r} ({type(error).__name__}); "
            "write them with their offset"
        ) from None


# ----------------------------------------------------------------------------------------------- Parquet


# Beside the table, in its own key of the file's metadata: what Parquet itself would lose.
_EXTRAS_KEY = b"clover_tvae"
_LEVEL_DTYPES = (
    "object",
    "str",
    "string",
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float32",
    "float64",
)


def _read_parquet(file: BinaryIO, place: str, max_bytes: int) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        parquet = pq.ParquetFile(file)
        found = parquet.metadata
        unpacked = sum(found.row_group(group).total_byte_size for group in range(found.num_row_groups))
        if max(unpacked, found.num_rows * found.num_columns) > max_bytes:
            text = (
                f"unpacks to more than {max_bytes:,} bytes, which is refused; pass max_bytes= if it is what you expect"
            )
            raise TableFileError(Problem(place, text))
        repeated = {name for name in parquet.schema_arrow.names if parquet.schema_arrow.names.count(name) > 1}
        if repeated:
            text = "more than one column has this name; rename or drop all but one"
            raise DuplicateColumnsError([Problem(f"{place}: column {name!r}", text) for name in sorted(repeated)])
        table = parquet.read()
        extras = (table.schema.metadata or {}).get(_EXTRAS_KEY)
        df = table.to_pandas(timestamp_as_object=False)
        if not isinstance(df.index, pd.RangeIndex):
            df = df.reset_index(drop=all(name is None for name in df.index.names))
        if extras is not None:
            df = _with_extras(df, json.loads(extras))
        return df
    except (pa.ArrowException, ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError, OSError):
        raise TableFileError(
            Problem(place, "is no Parquet file that can be read, or a broken one; write it again")
        ) from None


# ----------------------------------------------------------------------------------------------- writing


def write_table(df: pd.DataFrame, path: str | Path) -> None:
    """Write a table to a file, atomically; its index is left out.

    Args:
        df: The table, with one level of unique names.
        path: Where to: ``.csv``, ``.csv.gz``, ``.parquet`` or ``.pq``.

    Raises:
        TableFileError: The path has another extension or cannot be written (an older file stands), or text in the
            table is not valid Unicode.
        DataError: ``df`` is no such table.
        ColumnTypeError: Parquet has no type for the cells of a column.

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
    extension = _extension(Path(path))
    if not isinstance(df, pd.DataFrame) or isinstance(df.columns, pd.MultiIndex):
        raise DataError(f"only a pandas DataFrame with one level of names can be written, found {type(df).__name__}")
    if not len(df.columns):
        raise DataError("the table has no columns, so that there is nothing to write")
    repeated = df.columns[df.columns.duplicated()].unique()
    if len(repeated):
        text = "more than one column has this name; rename or drop all but one"
        raise DuplicateColumnsError([Problem(f"column {name!r}", text) for name in repeated])
    try:
        if extension in (".parquet", ".pq"):
            _write_parquet(df, path)
        else:
            _write_csv(df, path, gzipped=extension == ".csv.gz")
    except UnicodeEncodeError:
        text = "text in the table, or a name, is not valid Unicode (a lone surrogate) and cannot be written; replace it"
        raise TableFileError(Problem(str(path), text)) from None


def _write_csv(df: pd.DataFrame, path: str | Path, *, gzipped: bool) -> None:
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


def _inert(text: str) -> str:
    """Return text that no spreadsheet runs: a formula gets an apostrophe; a number and a lone sign stay as they are."""
    if not text.startswith(_FORMULA) or text in ("+", "-") or re.fullmatch(_NUMBER, text, flags=re.ASCII):
        return text
    return "'" + text


def _write_parquet(df: pd.DataFrame, path: str | Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = df.columns.tolist()
    problems = [
        Problem(
            f"column {name!r}",
            f"a name of type {type(name).__name__} has no place in Parquet; rename it to text",
            TableFileError,
        )
        for name in names
        if not isinstance(name, str | int)
    ]
    texts = pd.Index([str(name) for name in names])
    if not problems and texts.has_duplicates:
        where = f"column {texts[texts.duplicated()][0]!r}"
        problems.append(Problem(where, "a number and a text spell the same name; rename one", TableFileError))
    plain = df.set_axis(texts, axis=1)
    problems += _without_type(plain) if not problems else []
    if problems:
        raise DataError.of(problems)
    table = pa.Table.from_pandas(plain, preserve_index=False)
    extras = json.dumps(_extras(plain, names)).encode()
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), _EXTRAS_KEY: extras})
    atomic_write(path, lambda file: pq.write_table(table, file), mode=0o666)


def _extras(df: pd.DataFrame, names: list[Any]) -> dict[str, Any]:
    """Return what Parquet has no room for: names that are numbers, levels of a category, kinds of text and second."""
    columns: dict[str, Any] = {}
    for name in df.columns:
        dtype = df[name].dtype
        if isinstance(dtype, pd.CategoricalDtype):
            levels = dtype.categories.tolist()
            plain = str(dtype.categories.dtype) in _LEVEL_DTYPES and all(
                isinstance(level, str | int | float) for level in levels
            )
            columns[name] = {
                "levels": levels if plain else None,
                "of": str(dtype.categories.dtype) if plain else None,
                "ordered": bool(dtype.ordered),
            }
        elif re.match(r"datetime64\[s[,\]]", str(dtype)):
            columns[name] = {"unit": "s"}
        elif isinstance(dtype, pd.StringDtype):
            columns[name] = {"storage": dtype.storage, "nan": getattr(dtype, "na_value", pd.NA) is not pd.NA}
    return {"names": names, "columns": columns}


def _with_extras(df: pd.DataFrame, extras: dict[str, Any]) -> pd.DataFrame:
    """Put back what :func:`_extras` noted; raise ``ValueError`` where it does not fit the table."""
    for name, noted in extras["columns"].items():
        cells = df[name]
        if "unit" in noted:
            df[name] = cells.dt.as_unit("s")
        elif "storage" in noted:
            df[name] = cells.astype(pd.StringDtype(noted["storage"], **({"na_value": np.nan} if noted["nan"] else {})))
        elif noted["levels"] is None:
            df[name] = cells.astype("category").cat.set_categories(
                cells.astype("category").cat.categories, ordered=noted["ordered"]
            )
        else:
            if noted["of"] not in _LEVEL_DTYPES:
                raise ValueError
            levels = pd.Index(noted["levels"], dtype=noted["of"])
            labels = cells.astype(pd.CategoricalDtype(levels, ordered=noted["ordered"] is True))
            if not labels.isna().equals(cells.isna()):
                raise ValueError
            df[name] = labels
    if [str(name) for name in extras["names"]] != df.columns.tolist():
        raise ValueError
    if not all(isinstance(name, str) for name in extras["names"]):
        df.columns = pd.Index(extras["names"], dtype=object)
    return df


def _without_type(df: pd.DataFrame) -> Iterable[Problem]:
    """Return a problem for every column whose cells Parquet has no type for."""
    import pyarrow as pa

    problems = []
    for name in df.columns:
        try:
            pa.array(df[name], from_pandas=True)
        except UnicodeEncodeError:
            raise
        except (pa.ArrowException, TypeError, ValueError, OverflowError):  # their messages quote cells
            text = (
                f"Parquet has no type for these cells (dtype {df[name].dtype}); give every cell one type, or write CSV"
            )
            problems.append(Problem(f"column {name!r}", text, ColumnTypeError))
    return problems
