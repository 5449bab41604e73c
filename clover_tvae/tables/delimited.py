"""CSV: one header line, in the dialect of the file; plain or gzipped.

This module knows how rows and names are split and written. What the cells of a column mean is said by ``texts``.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import datetime
import decimal
import gzip
import io
import itertools
import re
import zlib
from collections import Counter
from collections.abc import Hashable, Iterator
from typing import Any, BinaryIO, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from clover_tvae.errors import ColumnTypeError, DataError, Problem, TableFileError, first_of
from clover_tvae.metadata.column import Column
from clover_tvae.metadata.description import Metadata
from clover_tvae.metadata.validate import repeated_names
from clover_tvae.tables.dialect import Dialect
from clover_tvae.tables.texts import NUMBER, BadCells, column_of

MAX_BYTES = 8 * 2**30
"""A table that unpacks to more than this is refused unless the caller asks for more."""
TOO_LARGE = "must unpack to at most {:,} bytes, found more; pass max_bytes= if it is what you expect"

# gzip reaches about 1000:1 on zeros; a real CSV stays far below this.
_MAX_RATIO = 200
_FREE_BYTES = 32 * 2**20
_BROKEN_GZIP = (EOFError, gzip.BadGzipFile, zlib.error)
_PEEK = 2**20
# A smaller file is unpacked once to be counted, before its text is held.
_SMALL = 4 * 2**20
# The longest row that the parser must hold in one piece.
_BLOCK = 2**26
_SIGNS = {
    b"PAR1": "Parquet",
    b"PK\x03\x04": "a zip or Excel file",
    b"\x1f\x8b": "gzip",
    b"%PDF": "PDF",
    b"\x89HDF": "HDF5",
}
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
# The first line by which Excel is told what separates the cells.
_SEP_LINE = re.compile(r'"?sep=([,;\t|])"?\r?\n', re.IGNORECASE)
# What Excel takes for text whatever it looks like.
_TEXT_FORMULA = '^="([^"]*)"$'
# A number as any country writes it: -1.234,50 and -$1,234.50.
_SIGNED = re.compile("[+-][$€£¥]?[0-9][0-9.,'\u00a0\u202f ]*[%$€£¥]?")
_SIGN = tuple("=+-@＝＋－＠")
# What shows nothing before a sign (blanks, controls, letters of no width), and quotes, which a program may take off.
_UNSEEN = re.compile(
    "['\"\\x00-\\x20\\x7f-\\xa0\\xad\\u034f\\u061c\\u115f\\u1160\\u1680\\u17b4\\u17b5\\u180b-\\u180f\\u2000-\\u200f\\u2028-\\u202f"
    "\\u205f-\\u206f\\u2800\\u3000\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufffb\\U000e0000-\\U000e0fff]*"
)


# ----------------------------------------------------------------------------------------------- reading


class _Capped(io.RawIOBase):
    """A stream that becomes UTF-8, and stops with an error where a small file would unpack to a huge one, or is no such text."""

    def __init__(self, source: Any, place: str, limit: int, encoding: str | None) -> None:
        self._source, self._place, self._limit, self._count = source, place, limit, 0
        self.encoding, self.is_text, self._waiting = encoding, True, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._waiting
        while not data and (block := self._block(min(len(buffer), _PEEK))) is not None:
            data = block
        data, self._waiting = data[: len(buffer)], data[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)

    def _block(self, size: int) -> bytes | None:
        """Return the next bytes as UTF-8, perhaps none yet; ``None`` at the end."""
        try:
            # Of a whole block there would be three copies at once.
            data = self._source.read(size)
        except _BROKEN_GZIP:
            raise TableFileError("is no gzip file, or a broken one; write it again", self._place) from None
        self._count += len(data)
        if self._count > self._limit:
            raise TableFileError(TOO_LARGE.format(self._limit), self._place)
        if is_first := self._count == len(data):
            if self.encoding is None:
                self.encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
            # A mark of UTF-8 goes on to the parser, which passes over it.
            self._is_utf8 = self.encoding in ("utf-8", "utf-8-sig")
            # Python asks UTF-16 for its mark; what Windows writes without one is little-endian.
            is_bare = self.encoding == "utf-16" and not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            name = "utf-8" if self._is_utf8 else "utf-16-le" if is_bare else self.encoding
            self._decoder = codecs.getincrementaldecoder(name)()
        try:
            text = self._decoder.decode(data, final=not data)
            block = data if self._is_utf8 else text.encode()
        except UnicodeError:
            block, self.is_text = data, False
        if not is_first:  # what stands first may tell another format
            self.require_text()
        return block if data or block else None

    def require_text(self) -> None:
        """Refuse what is no text of its encoding, as far as it was read."""
        if not self.is_text:
            name = "UTF-8" if self._is_utf8 else self.encoding
            cure = "save it as UTF-8, or say how it is encoded, such as read: {encoding: cp1252}, or --read encoding=cp1252"
            raise TableFileError(f"is not {name} text; {cure}", self._place)


def csv_cells(
    file: BinaryIO, place: str, metadata: Metadata | None, max_bytes: int | None, read: Dialect, *, gzipped: bool
) -> tuple[list[str], Any, Dialect]:
    """Return the header of a CSV file that is open in binary, a table of pyarrow in which every cell is text, and the dialect.

    The marks of its numbers are not settled yet: that is done by :func:`csv_table`, which knows all cells.
    """
    stream = _unpacked(file, place, max_bytes, gzipped, read.encoding)
    header, dialect = _header(stream, place, read)
    columns_of(header, place, metadata)
    return header, _parse(stream, place, header, dialect), dialect


def csv_table(
    header: list[str], cells: Any, place: str, metadata: Metadata | None, missing: frozenset[str], dialect: Dialect
) -> tuple[pd.DataFrame, Dialect]:
    """Return the table that cells of text are, and the dialect; see :func:`clover_tvae.tables.read_table`."""
    described = columns_of(header, place, metadata)
    texts = [_active_cells(column) for column in cells.columns]
    dialect = dialect.in_cells(_of_numbers(header, described, texts, missing), place)
    columns: list[pd.Series] = []
    problems: list[Problem] = []
    for head, column, of_column in zip(header, described, texts, strict=True):
        try:
            columns.append(column_of(of_column, column, missing, dialect))
        except BadCells as bad:
            problems.append(Problem(f"{place}: column {head!r}", str(bad), ColumnTypeError))
    DataError.raise_any(problems)
    df = pd.concat(columns, axis=1) if columns else pd.DataFrame()
    names = names_of(header, described)
    df.columns = pd.Index(names, dtype=None if all(isinstance(name, str) for name in names) else object)
    known = (_known(pc.utf8_trim_whitespace(cells), missing) for cells in texts)
    cells_of = zip(names, columns, known, strict=True)
    return df, dialect.with_decimals({name: cells for name, column, cells in cells_of if column.dtype == np.float64})


def _known(cells: Any, missing: frozenset[str]) -> Any:
    """Return the cells that are not missing."""
    return cells.filter(pc.invert(pc.is_in(cells, value_set=pa.array(sorted(missing), cells.type))))


def _of_numbers(
    header: list[str], described: list[Column | None], texts: list[Any], missing: frozenset[str]
) -> Iterator[tuple[str, Any, bool]]:
    """Yield the columns that may say how numbers are written: name, cells without missing ones, whether numbers are declared."""
    for head, column, cells in zip(header, described, texts, strict=True):
        if column is None or (column.kind in ("continuous", "ordinal") and not column.reads_text):
            yield head, _known(pc.utf8_trim_whitespace(cells) if column else cells, missing), column is not None


def csv_names(file: BinaryIO, place: str, metadata: Metadata | None, read: Dialect, *, gzipped: bool) -> list[Hashable]:
    """Return the names that :func:`csv_table` gives the columns, from the first lines alone."""
    header, _ = _header(_unpacked(file, place, None, gzipped, read.encoding), place, read)
    return names_of(header, columns_of(header, place, metadata))


def names_of(header: list[str], described: list[Column | None]) -> list[Hashable]:
    """Return the names of the columns of a header: those of their descriptions, which may be numbers."""
    return [head if column is None else column.name for head, column in zip(header, described, strict=True)]


def _unpacked(
    file: BinaryIO, place: str, max_bytes: int | None, gzipped: bool, encoding: str | None
) -> io.BufferedReader:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    limit = MAX_BYTES if max_bytes is None else max_bytes
    if gzipped and max_bytes is None:
        limit = min(MAX_BYTES, max(_FREE_BYTES, size * _MAX_RATIO))
        if size <= _SMALL:
            source, count = gzip.GzipFile(fileobj=file), 0
            with contextlib.suppress(*_BROKEN_GZIP):  # told when it is read
                while count <= limit and (data := source.read(_PEEK)):
                    count += len(data)
            if count > limit:
                raise TableFileError(TOO_LARGE.format(limit), place)
            file.seek(0)
    stream = _Capped(gzip.GzipFile(fileobj=file) if gzipped else file, place, limit, encoding)
    return io.BufferedReader(stream, buffer_size=_PEEK)


def _header(stream: io.BufferedReader, place: str, read: Dialect) -> tuple[list[str], Dialect]:
    """Return what the header line names, moving to it, and the dialect, or say what the file is instead of a CSV table."""
    start = stream.peek(_PEEK)[:_PEEK]
    raw: Any = stream.raw
    for sign, what in _SIGNS.items():
        if start.startswith(sign):
            raise TableFileError(f"is {what} inside, not CSV; rename or export it", place)
    if 3 * start[:1000].count(b"\0") > len(start[:1000]):
        raise TableFileError("seems to be UTF-16; say read: {encoding: utf-16}, or --read encoding=utf-16", place)
    raw.require_text()
    text = start.decode("utf-8-sig", "replace")
    if said := _SEP_LINE.match(text):
        stream.read(len(said[0]) + len(start) - len(start.removeprefix(codecs.BOM_UTF8)))
        text, read = text[said.end() :], read.but(separator=said[1])
    if not text.strip():
        raise TableFileError("is empty; the first line must name the columns", place)
    try:
        dialect = read.but(encoding=raw.encoding).in_lines(text, place, cut=len(start) == _PEEK)
        header = next(iter(dialect.rows(text)))
    except (csv.Error, StopIteration):
        raise TableFileError("has no header line that can be read; is it a CSV file?", place) from None
    if dialect.blank:
        header = [head.lstrip(" ") for head in header]
    if dialect.trailing and header.pop():
        raise TableFileError("the header must end with a separator, as every line, found a name after it", place)
    return [_active(head) for head in header], dialect


def _parse(stream: Any, place: str, header: list[str], dialect: Dialect) -> Any:
    """Return a pyarrow table of the rows below the header, in which every cell is text."""
    n_columns, ragged = len(header) + bool(dialect.trailing), list[int]()

    def note(row: Any) -> str:
        ragged.append(row.number)
        return "skip"

    try:
        # The header is read as a row like any other, so that one parser decides what a cell is.
        table = arrow_csv.read_csv(
            stream,
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=_BLOCK, autogenerate_column_names=True),
            parse_options=arrow_csv.ParseOptions(
                delimiter=dialect.separator,
                quote_char=dialect.quote,
                newlines_in_values=True,
                invalid_row_handler=note,
                ignore_empty_lines=n_columns > 1,
            ),
            convert_options=arrow_csv.ConvertOptions(
                strings_can_be_null=False,
                column_types={f"f{position}": pa.large_string() for position in range(n_columns)},
            ),
        )
    except pa.ArrowInvalid:  # its message can quote a row
        text = "cannot be read as CSV: a quote that never ends, a row that is too long, or no header"
        raise TableFileError(text, place) from None
    if dialect.blank:
        table = pa.table([pc.utf8_ltrim(cells, characters=" ") for cells in table.columns], table.column_names)
        quoted = [pc.any(pc.starts_with(cells, str(dialect.quote)), min_count=0).as_py() for cells in table.columns]
        if any(quoted):
            text = "has a quote after a blank, which cannot be read; save it without blanks after the separators"
            raise TableFileError(text, place)
    if dialect.trailing and table.num_columns == n_columns:
        if pc.any(pc.not_equal(table.column(n_columns - 1), ""), min_count=0).as_py():
            raise TableFileError("must name every column, found cells after the last name", place)
        table, n_columns = table.drop_columns([table.column_names[-1]]), n_columns - 1
    if table.num_columns != n_columns or [_active(str(column[0].as_py())) for column in table.columns] != header:
        raise TableFileError(f"has a header that cannot be read, or is over {_PEEK // 2**20} MiB long", place)
    if ragged:
        found = f"{len(ragged)} with another number (row {first_of(ragged)}, the header being row 1)"
        cure = "mend the file, or quote cells that hold the separator"
        if len(ragged) > table.num_rows:
            cure = "delete lines above the header, such as a title, or say read: {separator: ...}, --read separator=..."
        text = f"must have {table.num_columns} cells in each row, as its header, found {found}; {cure}"
        raise TableFileError(text, place)
    return table.slice(1)


def _active_cells(column: Any) -> Any:
    """Take off what makes text of a cell in Excel, ``="007"``, and the apostrophes that :func:`write_csv` puts before formulas."""
    if pc.any(pc.starts_with(column, pattern='="'), min_count=0).as_py():
        column = pc.replace_substring_regex(column, _TEXT_FORMULA, r"\1")
    if not pc.any(pc.starts_with(column, pattern="'"), min_count=0).as_py():
        return column
    return pa.chunked_array([pa.array([_active(cell) for cell in column.to_pylist()], type=pa.large_string())])


def columns_of(header: list[str], place: str, metadata: Metadata | None) -> list[Column | None]:
    """Check a header, and return the column that each name means: ``"7"`` may mean one called 7."""
    problems = repeated_names(filter(None, header), place)
    unnamed = [position for position, head in enumerate(header, start=1) if not head.strip()]
    if unnamed:
        index = "; a first one is often the row index: write it with index=False, in R row.names=FALSE"
        cure = index if unnamed[0] == 1 else "; delete lines above the header, such as a title" if unnamed[1:] else ""
        text = f"must name every column, found {len(unnamed)} without a name ({first_of(unnamed)}){cure}"
        problems.append(Problem(place, text, TableFileError))
    DataError.raise_any(problems)
    numeric = [re.fullmatch(NUMBER, head.replace(",", ".")) is not None for head in header]
    if all(numeric) and not all(head.isdigit() for head in header):
        raise TableFileError("has no header: the first line holds numbers; put the column names there", place)

    by_name = {column.name: column for column in metadata.columns} if metadata else {}
    spelt = Counter(map(str, by_name))
    by_text = {str(name): column for name, column in by_name.items() if spelt[str(name)] == 1}
    return [by_name.get(head) or by_text.get(head) for head in header]


# ----------------------------------------------------------------------------------------------- writing


def print_csv(df: pd.DataFrame, file: Any, dialect: Dialect | None = None, *, gzipped: bool = False) -> None:
    """Write a table as CSV to a file that is open for bytes."""
    written = Dialect() if dialect is None else dialect
    separator = written.separator or ","
    columns = (_as_in_file(_spelt(df.iloc[:, position]), written) for position in range(df.shape[1]))
    spelt = pd.DataFrame(dict(enumerate(columns)), index=df.index)
    spelt.columns = pd.Index([_inert(str(name)) for name in df.columns])
    # Python's csv leaves a carriage return bare; names may look like others with another separator; and a byte order mark
    # that begins the file is no part of the name.
    texts = itertools.chain(spelt.columns, *(cells for _, cells in _texts_of(spelt).items()))
    returns = any(isinstance(text, str) and "\r" in text for text in texts)
    others = [mark for mark in ",;\t| " if mark != separator]
    ambiguous = spelt.columns[0].startswith("\ufeff") or any(_could_separate(mark, spelt) for mark in others)
    quoting: Literal[0, 2] = csv.QUOTE_NONNUMERIC if returns or ambiguous else csv.QUOTE_MINIMAL
    target: Any = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) if gzipped else file
    text = io.TextIOWrapper(target, encoding=written.encoding or "utf-8", newline="")
    options: dict[str, Any] = {"sep": separator, "quotechar": written.quote or '"', "quoting": quoting}
    try:
        spelt.to_csv(text, index=False, lineterminator="\n", **options)
    except csv.Error:  # of a NUL character, which the csv of Python 3.10 does not know
        cure = "take it out, write .parquet, or use Python 3.11"
        raise TableFileError(f"text holds a character that Python 3.10 cannot write as CSV (NUL); {cure}") from None
    finally:
        text.detach()
    if gzipped:
        target.close()


def _could_separate(mark: str, spelt: pd.DataFrame) -> bool:
    """Whether the names and every row hold a mark, so that it could be taken for the separator; of a lone column the name or a cell."""
    texts = _texts_of(spelt)
    if spelt.shape[1] == 1:
        return mark in spelt.columns[0] or any(
            mark in cell for cells in texts for cell in texts[cells] if isinstance(cell, str)
        )
    if mark == " ":  # before a cell
        return all(name.startswith(mark) for name in spelt.columns[1:])
    if not any(mark in name for name in spelt.columns):
        return False
    return bool(texts.map(lambda cell: mark in str(cell)).any(axis=1).all())


def _texts_of(spelt: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that hold texts, which pandas 3 makes ``str`` where pandas 2 has objects."""
    return spelt.loc[:, [not pd.api.types.is_numeric_dtype(cells.dtype) for _, cells in spelt.items()]]


def _as_in_file(series: pd.Series, dialect: Dialect) -> pd.Series:
    """Return a column with the decimal mark and the decimals of a dialect in its numbers."""
    is_whole = pd.api.types.is_numeric_dtype(series.dtype) and not pd.api.types.is_float_dtype(series.dtype)
    if is_whole or dialect.spelt(0.5, series.name) == "0.5":  # as pandas writes it
        return series
    numbers = (float, np.floating, decimal.Decimal)
    return series.astype(object).map(
        lambda cell: dialect.spelt(cell, series.name) if isinstance(cell, numbers) else cell, na_action="ignore"
    )


def _spelt(series: pd.Series) -> pd.Series:
    """Return a column as CSV shall show it: dates in ISO, text made inert, numbers untouched."""
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        levels = np.array([*_spelt(pd.Series(dtype.categories)), None], dtype=object)
        return pd.Series(levels[series.cat.codes.to_numpy()], index=series.index, dtype=object)
    if pd.api.types.is_numeric_dtype(dtype):  # true and false, too
        return series
    cells = series.astype(object)
    if pd.api.types.is_datetime64_any_dtype(dtype):
        known = series.dropna()
        at_midnight = getattr(dtype, "tz", None) is None and bool((known.dt.normalize() == known).all())
        return cells.map(lambda cell: _iso(cell, as_date=at_midnight))
    return cells.map(lambda cell: _inert(cell) if isinstance(cell, str) else _iso(cell))


def _iso(cell: Any, *, as_date: bool = False) -> Any:
    if not isinstance(cell, datetime.date) or cell is pd.NaT:
        return None if cell is pd.NaT else cell
    return cell.date().isoformat() if as_date and isinstance(cell, datetime.datetime) else cell.isoformat()


def _is_formula(text: str) -> bool:
    """Whether a spreadsheet could run the text, with or without its apostrophes; a number and a lone sign it does not."""
    bare = _UNSEEN.sub("", text, count=1)
    is_number = _SIGNED.fullmatch(bare) is not None or re.fullmatch(NUMBER, bare, re.ASCII) is not None
    is_run = bare.startswith(_SIGN) and bare not in ("+", "-") and not is_number
    return is_run or text.lstrip("'").startswith(("\t", "\r", "\n"))


def _inert(text: str) -> str:
    """Return text that no spreadsheet runs: a formula gets an apostrophe, even one that has apostrophes already."""
    return "'" + text if _is_formula(text) else text


def _active(text: str) -> str:
    """Undo :func:`_inert`."""
    return text[1:] if text.startswith("'") and _is_formula(text) else text
