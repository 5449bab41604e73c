"""Files of other programs: workbooks (Excel, OpenDocument), Feather, Stata and SPSS.

This module knows what their cells become. The parsing is done by python-calamine, XlsxWriter, pyarrow, pandas and pyreadstat.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import numbers
import re
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any, BinaryIO
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pyarrow as pa

from clover_tvae.columns.dtypes import DATE_UNIT, TEXT_DTYPE
from clover_tvae.errors import ColumnTypeError, DataError, Problem, TableFileError, data_rows, package
from clover_tvae.metadata.column import Column
from clover_tvae.metadata.description import Metadata
from clover_tvae.metadata.validate import repeated_names
from clover_tvae.tables.delimited import TOO_LARGE, columns_of, names_of
from clover_tvae.tables.parquet import frame_of

WORKBOOKS = (".xlsx", ".xls", ".ods")
_MOST_ROWS, _MOST_LETTERS, _MOST_WHOLE = 2**20, 2**15 - 1, 2**53
_MOST_CELLS = 2**25
_BROKEN = "is no workbook that can be read, or a broken one; write it again"
_MARKUP = "is HTML or XML inside, not a workbook; open it in Excel and save it as .xlsx"
# Formats of Stata that count months, quarters and halves of a year from 1960 on, in months.
_STATA_MONTHS = {"%tm": 1, "%tq": 3, "%th": 6}
_KINDS = {bool: "true or false", float: "numbers", datetime.datetime: "dates", str: "text"}


def read_workbook(
    file: BinaryIO,
    place: str,
    metadata: Metadata | None,
    missing: frozenset[str],
    sheet: str | int | None,
    most: int,
    *,
    only_names: bool = False,
) -> pd.DataFrame:
    """Read a sheet of a workbook that is open in binary, or its columns alone; see :func:`clover_tvae.tables.read_table`."""
    header, *rows = _cells(file, place, sheet, most)
    names = [str(int(name)) if isinstance(name, float) and name.is_integer() else name for name in header]
    if empty := [position for position, name in enumerate(names, start=1) if name == ""]:
        text = f"found {len(empty)} columns without a name in the first row; the first row must name every column"
        cure = "delete rows above it, such as a title, and columns beside the table"
        raise TableFileError(f"{text}: {cure}", place)
    if not all(isinstance(name, str) for name in names):
        raise TableFileError("must name the columns by text in its first row, found dates or other cells", place)
    described = columns_of(names, place, metadata)
    columns, problems = [], []
    rows = [] if only_names else [row for row in rows if any(cell != "" for cell in row)]
    for position, (name, column) in enumerate(zip(names, described, strict=True)):
        try:
            columns.append(_column([row[position] for row in rows], column, missing))
        except ValueError as error:
            problems.append(Problem(f"{place}: column {name!r}", str(error), ColumnTypeError))
    DataError.raise_any(problems)
    df = pd.concat(columns, axis=1)
    return df.set_axis(pd.Index(names_of(names, described), dtype=object), axis=1)


def _cells(file: BinaryIO, place: str, sheet: str | int | None, most: int) -> list[list[Any]]:
    """Return the rows of a sheet, from the first that has a cell."""
    calamine = package("python_calamine", "a workbook")
    n_bytes = n_cells = 0
    try:
        with zipfile.ZipFile(file) as parts:
            n_bytes = sum(part.file_size for part in parts.infolist())
            n_cells = max(map(partial(_area, parts), parts.namelist()), default=0) if n_bytes <= most else 0
    except zipfile.BadZipFile:
        pass  # .xls is no zip file; what is broken is told below
    except (zlib.error, EOFError, NotImplementedError, RuntimeError, ElementTree.ParseError, ValueError, OSError):
        raise TableFileError(_BROKEN, place) from None
    if n_bytes > most:
        raise TableFileError(TOO_LARGE.format(most), place)
    if n_cells > _MOST_CELLS:
        text = f"must have at most {_MOST_CELLS:,} cells up to its last row and column, found more"
        raise TableFileError(f"{text}; delete what stands far off the table", place)
    file.seek(0)
    try:
        book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(file.read()))
        if sheet is None and len(book.sheet_names) > 1:
            filled = [name for name in book.sheet_names if book.get_sheet_by_name(name).height]
            sheet = filled[0] if len(filled) == 1 else None
        names = ", ".join(map(repr, book.sheet_names))
        cure = f"say which: read: {{sheet: NAME}}, or --read sheet=NAME; it has {names}"
        if sheet is None and len(book.sheet_names) > 1:
            raise TableFileError(f"holds several sheets; {cure}", place)
        called = str(sheet) if str(sheet) in book.sheet_names else None
        if sheet is None or (called is None and str(sheet).isdigit() and 1 <= int(sheet) <= len(book.sheet_names)):
            called = book.sheet_names[0 if sheet is None else int(sheet) - 1]
        if called is None:
            raise TableFileError(f"has no such sheet; {cure}", place)
        found = book.get_sheet_by_name(called)
        if found.merged_cell_ranges:
            found_others = f"found {len(found.merged_cell_ranges)} merged ones; unmerge them"
            raise TableFileError(f"must hold one cell a column and row, {found_others}", place)
        rows: list[list[Any]] = found.to_python()
    except calamine.CalamineError:
        file.seek(0)
        start = file.read(1024).lstrip()
        is_markup = start.startswith((b"<", b"\xef\xbb\xbf<"))
        raise TableFileError(_MARKUP if is_markup else _BROKEN, place) from None
    if not rows:
        raise TableFileError("is empty; the first row must name the columns", place)
    return rows


def _area(parts: zipfile.ZipFile, name: str) -> int:
    """Return how many cells a part of a workbook asks the parser to hold, which ends the process where they are too many."""
    if re.fullmatch("/?xl/worksheets/.*[.]xml", name, re.IGNORECASE):
        content = parts.read(name)
        places = re.findall(rb"""\br=["']([A-Z]*)([0-9]+)["']""", content)
        letters = {column for column, _ in places}
        # A cell that does not say where it is stands beside the one before.
        placed = sum(column != b"" for column, _ in places)
        n_beside = len(re.findall(rb"<(?:\w+:)?c[\s/>]", content)) - placed
        width = max((_number_of(column) for column in letters), default=0) + max(n_beside, 0)
        return width * max((int(row) for _, row in places), default=0)
    n_rows = last_row = width = area = 0
    if name == "content.xml":  # of OpenDocument, whose rows and cells can be repeated
        for _, element in ElementTree.iterparse(parts.open(name)):
            if element.tag.endswith("}table-row"):
                n_rows += _repeats(element, "rows")
                position = last = 0
                for cell in element:
                    position += _repeats(cell, "columns")
                    last = position if any(key.endswith("}value-type") for key in cell.attrib) else last
                width, last_row = max(width, last), n_rows if last else last_row
                area = max(area, width * last_row)
                element.clear()
            elif element.tag.endswith("}table"):
                n_rows = last_row = width = 0
    return area


def _repeats(element: Any, what: str) -> int:
    return next((int(n) for key, n in element.attrib.items() if key.endswith(f"}}number-{what}-repeated")), 1)


def _number_of(letters: bytes) -> int:
    """Return the number of the column that Excel calls by these letters."""
    number = 0
    for letter in letters:
        number = 26 * number + letter - 64
    return number


def _column(cells: list[Any], column: Column | None, missing: frozenset[str]) -> pd.Series:
    """Return cells of a sheet as one column; raise ``ValueError`` where they are of several kinds."""
    kinds = np.array([None if cell == "" or cell in missing else _kind(cell) for cell in cells], dtype=object)
    filled = kinds != None  # noqa: E711  (of each cell)
    if column is not None and column.reads_text:  # which readings do, of cells of several kinds, too
        return pd.Series(
            [cell if there else np.nan for cell, there in zip(cells, filled, strict=True)],
            dtype=TEXT_DTYPE if {*kinds[filled]} == {str} else object,
        )
    counts = {kind: int((kinds == kind).sum()) for kind in dict.fromkeys(kinds[filled])}
    if len(counts) > 1 and column is not None and column.kind in ("categorical", "id", "ignore"):
        cells, counts = [_as_text(cell) for cell in cells], {str: 0}
    if len(counts) > 1 or type(None) in counts:
        rare = min(counts, key=lambda kind: counts[kind])
        told = " and ".join(_KINDS.get(kind, "times") for kind in counts)
        rows = data_rows(np.flatnonzero(kinds == rare).tolist())
        cure = "give every cell one type, declare the column categorical (or odd: missing), or say what means missing (missing: [TEXT], or --missing TEXT)"
        raise ValueError(f"must hold cells of one type, found {told} ({_KINDS.get(rare, 'times')} in {rows}); {cure}")
    kept: Any = [cell if there else None for cell, there in zip(cells, filled, strict=True)]
    kind = next(iter(counts), float)
    if kind is str:
        return pd.Series(kept, dtype=TEXT_DTYPE).where(filled, np.nan)
    if kind is datetime.datetime:
        dates = pd.Series(np.array(kept, dtype="datetime64[us]"))
        with contextlib.suppress(pd.errors.OutOfBoundsDatetime):
            return dates.dt.as_unit(DATE_UNIT)
        return dates
    if kind is bool:
        return pd.Series(kept, dtype="bool" if filled.all() else "boolean")
    values = pd.Series(kept, dtype="float64")
    if counts and bool((values.dropna() % 1 == 0).all()) and bool((values.dropna().abs() <= _MOST_WHOLE).all()):
        return values.astype("int64" if filled.all() else "Int64")
    return values


def _kind(cell: Any) -> type:
    if isinstance(cell, bool | str):
        return type(cell)
    if isinstance(cell, int | float):
        return float
    return datetime.datetime if isinstance(cell, datetime.date) else type(None)


def _as_text(cell: Any) -> str:
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def write_workbook(df: pd.DataFrame, place: str) -> Callable[[BinaryIO], None]:
    """Return what writes a table as an Excel sheet; text that looks like a formula is text there."""
    excel = package("xlsxwriter", "an Excel file")
    DataError.raise_any(repeated_names([str(name) for name in df.columns], place))
    if len(df) >= _MOST_ROWS:
        raise TableFileError(f"must have fewer than {_MOST_ROWS:,} rows in Excel, found {len(df):,}; use CSV", place)

    def write(file: BinaryIO) -> None:
        book = excel.Workbook(file, {"in_memory": True})
        book.set_properties({"created": datetime.datetime(2000, 1, 1)})  # the same table, the same bytes
        formats = {text: book.add_format({"num_format": text}) for text in ("yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss.000")}
        sheet = book.add_worksheet()
        for position, name in enumerate(df.columns):
            cells = df.iloc[:, position].astype(object)
            dates: Any = [cell for cell in cells if isinstance(cell, datetime.datetime) and cell is not pd.NaT]
            is_day = all((date.hour, date.minute, date.second, date.microsecond) == (0, 0, 0, 0) for date in dates)
            style = formats["yyyy-mm-dd" if is_day else "yyyy-mm-dd hh:mm:ss.000"]
            for row, cell in enumerate([str(name), *cells]):
                if (told := _write_cell(sheet, row, position, cell, style)) is not None:
                    text = f"Excel cannot hold {told} (row {row + 1}); write CSV"
                    raise ColumnTypeError(text, f"column {str(name)!r}")
        book.close()

    return write


def _write_cell(sheet: Any, row: int, position: int, cell: Any, style: Any) -> str | None:
    """Write a cell, or tell why Excel has no place for it."""
    if cell is None or (not isinstance(cell, str) and pd.isna(cell)):
        return None
    if isinstance(cell, bool | np.bool_):
        return _place(sheet.write_boolean(row, position, bool(cell)))
    if isinstance(cell, str):
        cell.encode()
        fault = "a text of more than 32,767 letters" if len(cell) > _MOST_LETTERS else None
        return fault or (_place(sheet.write_string(row, position, cell)) if cell else None)
    if isinstance(cell, datetime.date):
        if getattr(cell, "tzinfo", None) is not None:
            return "a time zone"
        if cell.year < 1901 or cell.year > 9999:
            return "a date before 1901"
        if getattr(cell, "nanosecond", 0) or getattr(cell, "microsecond", 0) % 1000:
            return "a time finer than a thousandth of a second"
        return _place(sheet.write_datetime(row, position, cell, style))
    if isinstance(cell, numbers.Number):
        number = float(cell)  # type: ignore[arg-type]
        if not np.isfinite(number) or (abs(number) > _MOST_WHOLE and isinstance(cell, int | np.integer)):
            return "a number that is infinite, or whole and beyond 2^53"
        return _place(sheet.write_number(row, position, number))
    return f"a cell of type {type(cell).__name__}"


def _place(code: int | None) -> str | None:
    return "so many columns" if code else None


def read_feather(file: BinaryIO, place: str, most: int) -> pd.DataFrame:
    """Read a Feather file that is open in binary."""
    try:
        table = pa.ipc.open_file(file).read_all()
        if table.nbytes > most:
            raise TableFileError(TOO_LARGE.format(most), place)
        DataError.raise_any(repeated_names(table.column_names, place))
        return frame_of(table)
    except (pa.ArrowException, ValueError, TypeError, KeyError, AttributeError, IndexError, OSError):
        raise TableFileError("is no Feather file that can be read, or a broken one; write it again", place) from None


def read_statistics(file: BinaryIO, place: str, extension: str) -> pd.DataFrame:
    """Read a file of Stata or SPSS; empty text is missing.

    Value labels become categories, in the order of the codes, where every value has a label of its own; else the codes stay.
    """
    program = "Stata" if extension == ".dta" else "SPSS"
    pyreadstat = package("pyreadstat", f"a file of {program}")
    read = pyreadstat.read_dta if extension == ".dta" else pyreadstat.read_sav
    try:
        df, about = read(file, dates_as_pandas_datetime=True)
    except Exception:  # of many kinds; some quote what the file holds
        text = f"is no {program} file that can be read, or a broken one; write it again"
        raise TableFileError(text, place) from None
    for name in df.columns:
        labels = about.variable_value_labels.get(name, {})
        if months := _STATA_MONTHS.get(str(about.original_variable_types.get(name))[:3]):
            since = (months * df[name].fillna(0)).to_numpy().astype("timedelta64[M]")
            dates = (np.datetime64("1960-01") + since).astype(f"datetime64[{DATE_UNIT}]")
            df[name] = pd.Series(dates, index=df.index).where(df[name].notna())
        if labels and df[name].dropna().isin(list(labels)).all() and len({*labels.values()}) == len(labels):
            levels = [labels[code] for code in sorted(labels)]
            df[name] = pd.Categorical(df[name].map(labels), categories=levels)
        elif df[name].dtype in (object, TEXT_DTYPE):
            df[name] = df[name].where(df[name] != "", np.nan)
    return df
