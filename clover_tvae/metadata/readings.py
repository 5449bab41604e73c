"""Readings: a table as it is becomes the table as it is learnt, and synthetic rows are written as the table was.

This module knows the options of a column that say how its cells are read (``read_as``, ``unit``, ``missing``, ``formats``...) and
applies them. Reading twice changes nothing: what is read already passes. It proposes nothing; ``proposals`` does.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.cells import is_missing, is_number
from clover_tvae.columns.date_formats import read_texts
from clover_tvae.columns.dtypes import TEXT_DTYPE, where_of
from clover_tvae.columns.number_texts import NumberStyle, plain_text
from clover_tvae.errors import ColumnTypeError, Problem, data_rows
from clover_tvae.metadata.column import Column

MOST_ODD = 0.05
"""The largest share of cells that ``odd: missing`` makes missing: with more, the column is something else."""
PAIR = re.compile(r" *([0-9.,]+) */ *([0-9.,]+ *[^\W\d_]{0,6}) *")
"""Two numbers with ``/`` between them, and perhaps their unit."""
_NO_CELL = object()


def has_reading(column: Column) -> bool:
    """Return whether a column's cells are to be read before they are learnt."""
    return column.reads_text or column.missing is not None


def style_of(column: Column) -> NumberStyle:
    """Return how the numbers of a column are written."""
    marks = column.decimal or ".", column.thousands or "", column.decimals
    return NumberStyle(*marks, column.unit, column.below, column.above)


def read_names(columns: Iterable[Column], names: Iterable[Hashable]) -> list[Hashable]:
    """Return the names that the columns of a table have once it is read: those of its parts for a column that is split."""
    parts = _parts(columns)
    out: list[Hashable] = []
    for name in names:
        out += [column.name for column in parts[name]] if name in parts else [name]
    return out


def read_table(columns: Sequence[Column], df: pd.DataFrame) -> tuple[pd.DataFrame, list[Problem]]:
    """Return a table as it is learnt, and what could not be read; a column that could not stays as it is."""
    readable = [c for c in columns if has_reading(c)]
    if not readable or not isinstance(df, pd.DataFrame) or not df.columns.is_unique:
        return df, []
    problems: list[Problem] = []
    made: dict[Hashable, pd.Series] = {}
    for column in readable:
        is_split = column.part_of in df.columns and column.name not in df.columns
        source = column.part_of if is_split else column.name
        if source not in df.columns:
            continue
        try:
            made[column.name] = read_column(df[source], column)
        except ColumnTypeError as error:
            problems += error.problems
            if is_split:
                made[column.name] = df[source]
    parts = {name: halves for name, halves in _parts(columns).items() if all(half.name in made for half in halves)}
    names = read_names([c for halves in parts.values() for c in halves], df.columns)
    read = {name: made[name] if name in made else df[name] for name in names}
    return pd.DataFrame(read, index=df.index, columns=pd.Index(names, dtype=df.columns.dtype)), problems


def write_table(columns: Sequence[Column], df: pd.DataFrame) -> pd.DataFrame:
    """Return rows as they are learnt, written as the table was that they were learnt from."""
    written: dict[Hashable, pd.Series] = {}
    for column in columns:
        if column.name in df.columns and (column.read_as or column.true):
            words: dict[Any, Any] = {True: column.true, False: column.false}
            write = style_of(column).write if column.read_as else words.get
            written[column.name] = _mapped(df[column.name], write)
    if not written:
        return df
    out: dict[Hashable, pd.Series] = {}
    halves = {c.name: (source, both) for source, both in _parts(columns).items() for c in both}
    for name in df.columns:
        source, both = halves.get(name, (name, ()))
        if not both or not all(half.name in written for half in both):
            out[name] = written.get(name, df[name])
        elif source not in out:
            first, second = (written[half.name] for half in both)
            out[source] = first + "/" + second
    return pd.DataFrame(out, index=df.index)


def fill_table(columns: Sequence[Column], df: pd.DataFrame, filled: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose gaps are filled: what the filled table, as it is learnt, has where ``df`` has nothing once it is read.

    All other cells stay as they are spelt.
    """
    out = write_table(columns, filled)
    for source in dict.fromkeys(c.part_of if c.part_of in df.columns else c.name for c in columns if has_reading(c)):
        if source in df.columns and source in out.columns:
            halves = [c for c in columns if source in (c.name, c.part_of)]
            gaps = pd.concat([read_column(df[source], half).isna() for half in halves], axis=1).any(axis=1)
            dtype = out[source].dtype
            if dtype == TEXT_DTYPE and df[source].dtype != TEXT_DTYPE:  # numbers beside texts stay numbers
                dtype = np.dtype(object)
            out[source] = df[source].astype(dtype, errors="ignore").where(~gaps, out[source])
    return out


def read_column(series: pd.Series, column: Column) -> pd.Series:
    """Return the cells of one column as they are learnt.

    Raises:
        ColumnTypeError: Cells that cannot be read, with their number and the first rows; none is quoted.
    """
    if isinstance(series.dtype, pd.CategoricalDtype):
        if column.kind in ("categorical", "ordinal"):
            left = [level for level in series.cat.categories if read_column(pd.Series([level]), column).notna().all()]
            return series.cat.set_categories(left)
        series = series.astype(series.cat.categories.dtype)
    is_numeric = pd.api.types.is_numeric_dtype(series.dtype) and not pd.api.types.is_bool_dtype(series.dtype)
    is_text = column.reads_text or (column.missing is not None and column.kind != "continuous")
    if is_numeric or not is_text:
        return _without_markers(series, column)
    read = _reader(column)
    texts = {plain_text(str(word)).casefold() for word in column.missing or ()}

    def cell(value: Any) -> Any:
        if isinstance(value, str):
            text = plain_text(value)
            return None if text.casefold() in texts else read(text, value)
        return read(None, value)

    codes, found = pd.factorize(series.to_numpy(dtype=object), use_na_sentinel=True)
    cells = [cell(value) for value in found]
    odd = np.array([value is _NO_CELL for value in cells] + [False], dtype=bool)[codes]
    if odd.any():
        _check_odd(odd, int((codes >= 0).sum()), column)
    known = [None if value is _NO_CELL else value for value in cells] + [None]
    out = pd.Series([known[code] for code in codes], index=series.index, dtype=object)
    return _without_markers(_typed(out, series, column), column)


def _reader(column: Column) -> Callable[[str | None, Any], Any]:
    """Return what reads a cell: its plain text, ``None`` for other cells, and the cell."""
    if column.kind == "continuous":
        style, part = style_of(column), (column.part or 0)

        def number(text: str | None, cell: Any) -> Any:
            if text is None:
                return float(cell) if is_number(cell) else _NO_CELL
            if part and (pair := PAIR.fullmatch(text)):
                text = pair[part]
            found = style.read(text)
            return _NO_CELL if found is None else found

        return number
    if column.kind == "boolean" and column.true and column.false:
        truth = {plain_text(column.true).casefold(): True, plain_text(column.false).casefold(): False}
        return lambda text, cell: (
            (cell if isinstance(cell, bool) else _NO_CELL) if text is None else truth.get(text.casefold(), _NO_CELL)
        )
    if column.kind == "datetime" and column.format:
        return _date_reader(column)
    return lambda text, cell: cell


def _date_reader(column: Column) -> Callable[[str | None, Any], Any]:
    main = str(column.format)

    def date(text: str | None, cell: Any) -> Any:
        if isinstance(cell, datetime.date) and not is_missing(cell):  # a workbook holds both
            return cell.strftime(main)
        text = str(int(cell)) if text is None and is_number(cell) and cell == cell // 1 else text
        if text is None:
            return _NO_CELL
        for format in (main, *(column.formats or ())):
            instants, readable, _ = read_texts([text], format, column.century_starts)
            if readable[0]:
                return text if format == main else np.datetime64(int(instants[0]), "us").item().strftime(main)
        return _NO_CELL

    return date


def _check_odd(odd: NDArray[np.bool_], n_known: int, column: Column) -> None:
    n_odd = int(odd.sum())
    if column.odd == "missing" and n_odd <= max(1, MOST_ODD * n_known):
        return
    what = {"continuous": "numbers", "boolean": f"{column.true!r} or {column.false!r}"}.get(
        column.kind, f"dates of the format {column.format!r}"
    )
    what += f" as {style_of(column).write(1234.5)!r}" if column.kind == "continuous" else ""
    cure = "mend them, list their text as 'missing', or write odd: missing"
    if column.odd == "missing":
        cure = f"odd: missing takes at most {MOST_ODD:.0%} of the cells; mend them, or list their text as 'missing'"
    found = f"{n_odd} of {n_known} cells that are none ({data_rows(np.flatnonzero(odd).tolist())})"
    raise ColumnTypeError(Problem(where_of(column.name), f"must hold {what}, found {found}; {cure}", ColumnTypeError))


def _typed(cells: pd.Series, source: pd.Series, column: Column) -> pd.Series:
    """Return cells with the dtype of what they are now."""
    if column.kind == "continuous":
        numbers = cells.astype(float)
        known = numbers.dropna()
        is_whole = not column.decimals and bool((known == known.round()).all() and (known.abs() < 2**53).all())
        if not is_whole or not len(known):
            return numbers
        return numbers.astype("int64" if len(known) == len(numbers) else "Int64")
    if column.kind == "boolean" and column.true:
        return cells.astype("boolean" if cells.isna().any() else "bool")
    return cells.where(cells.notna(), np.nan) if source.dtype == object else cells.astype(source.dtype)


def _without_markers(series: pd.Series, column: Column) -> pd.Series:
    """Return a column without the numbers that mean missing."""
    markers = [word for word in column.missing or () if not isinstance(word, str)]
    if not markers or not (pd.api.types.is_numeric_dtype(series.dtype) or series.dtype == object):
        return series
    marked = series.isin(markers)
    if series.dtype == object:
        marked = series.map(lambda cell: is_number(cell) and cell in markers).astype(bool)
    if not marked.any():
        return series
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in "iu":
        series = series.astype("UInt64" if series.dtype.kind == "u" else "Int64")
    return series.mask(marked)


def _parts(columns: Iterable[Column]) -> dict[Hashable, list[Column]]:
    """Return the two parts of each column that is split, in their order."""
    found: dict[Hashable, list[Column]] = {}
    for column in sorted((c for c in columns if c.part_of), key=lambda c: c.part or 0):
        found.setdefault(column.part_of, []).append(column)
    return {source: parts for source, parts in found.items() if [c.part for c in parts] == [1, 2]}


def _mapped(series: pd.Series, write: Callable[[Any], Any]) -> pd.Series:
    """Return each cell as text; missing ones are NaN, and text stays."""
    codes, found = pd.factorize(series.to_numpy(dtype=object), use_na_sentinel=True)
    texts = [cell if isinstance(cell, str) else write(_plain(cell)) for cell in found]
    return pd.Series(np.array([*texts, np.nan], dtype=object)[codes], index=series.index, dtype=TEXT_DTYPE)


def _plain(cell: Any) -> Any:
    return bool(cell) if isinstance(cell, bool | np.bool_) else float(cell)
