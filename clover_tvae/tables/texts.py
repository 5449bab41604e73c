"""What a column of texts means: numbers, true and false, dates, or text.

This module knows one column at a time, as a pyarrow array of text, and gives back a pandas column.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from clover_tvae.columns.date_formats import packed_width
from clover_tvae.columns.dtypes import DATE_UNIT, TEXT_DTYPE
from clover_tvae.errors import data_rows
from clover_tvae.metadata.column import Column
from clover_tvae.tables.dialect import Dialect

NUMBER = r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?"
_NUMBER_OR_INFINITE = rf"^({NUMBER}|[+-]?(?i:inf|infinity))$"
_WHOLE = r"^[+-]?\d+$"
#: A float is written in at most so many digits; zeros at either end are none.
_MOST_DIGITS = 17
_LONG = r"[1-9]\.?(?:\d\.?){16,}[1-9]"
_LEADING_ZERO = r"^[+-]?0\d"
_ZONE = r"(Z|[+-]\d{2}:?\d{2})$"
_ISO = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?$"
_TRUE = ("true", "True", "TRUE")
_TRUTH = rf"^({'|'.join(_TRUE)}|false|False|FALSE)$"


class BadCells(Exception):
    """Cells of one column that do not fit its kind; the message counts them."""


def column_of(texts: Any, column: Column | None, missing: Collection[str], dialect: Dialect) -> pd.Series:
    """Return a column of texts as what it is declared to be, or as what it looks like."""

    def without_missing(cells: Any) -> Any:
        # replace_with_mask, because if_else with a null scalar loses the text of a sliced array in pyarrow 21.
        absent = pc.is_in(cells, value_set=pa.array(sorted(missing), cells.type))
        return pc.replace_with_mask(cells, absent, pa.scalar(None, cells.type))

    texts = texts.combine_chunks()
    as_text = without_missing(texts)
    if column is None:
        return _guessed(as_text, dialect)
    if column.reads_text:  # which readings do, of files and of DataFrames alike
        return _texts(as_text)
    trimmed = without_missing(pc.utf8_trim_whitespace(texts))
    match column.kind:
        case "continuous":
            return _numbers(dialect.plain_numbers(trimmed))
        case "boolean":
            return _booleans(trimmed)
        case "datetime" if packed_width(column.format):  # as numbers, where they have no leading zeros
            return _guessed(trimmed, dialect)
        case "datetime" if column.format is None:
            return _dates(trimmed, column.time_zone)
        case "ordinal" if column.order is not None and all(type(value) in (int, float) for value in column.order):
            return _numbers(dialect.plain_numbers(trimmed))
        case "id" if column.regenerate == "sequence":
            return _guessed(as_text, dialect, whole_only=True)
        case _:
            return _texts(as_text)


def _texts(cells: Any) -> pd.Series:
    values = cells.to_pandas().astype(object if cells.null_count == len(cells) else TEXT_DTYPE)
    return values.where(values.notna(), np.nan)


def _guessed(cells: Any, dialect: Dialect, *, whole_only: bool = False) -> pd.Series:
    filled = cells.drop_null()
    if len(filled) and not _any(filled, _LEADING_ZERO):
        if _all(dialect.plain_numbers(filled), _WHOLE if whole_only else f"^{NUMBER}$"):
            with contextlib.suppress(BadCells):  # more digits than a number of 64 bits can hold
                return _numbers(dialect.plain_numbers(cells))
        elif not whole_only and _all(filled, _TRUTH):
            return _booleans(cells)
    return _texts(cells)


def _matches(cells: Any, pattern: str) -> Any:
    return pc.match_substring_regex(cells, pattern)


def _all(cells: Any, pattern: str) -> bool:
    return pc.all(_matches(cells, pattern), min_count=0).as_py()


def _any(cells: Any, pattern: str) -> bool:
    return pc.any(_matches(cells, pattern), min_count=0).as_py()


def _refuse_misfits(cells: Any, pattern: str, expected: str, cure: str) -> None:
    """Raise with the number of cells that do not match, and the first rows they stand in."""
    fits = _matches(cells, pattern).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(fits == False)  # noqa: E712  (a missing cell is None here, neither true nor false)
    _refuse(rows, len(cells), expected, "that are none", cure)


def _refuse(rows: NDArray[np.int64], n_cells: int, expected: str, found: str, cure: str) -> None:
    """Raise if there are rows whose cells are not what is expected."""
    if rows.size:
        told = f"{rows.size} of {n_cells} cells {found} ({data_rows(rows.tolist())})"
        raise BadCells(f"must hold {expected}, found {told}; {cure}")


def _numbers(cells: Any) -> pd.Series:
    cure = "mend them, declare the tokens that mean 'missing', or declare the column 'categorical'"
    _refuse_misfits(cells, _NUMBER_OR_INFINITE, "numbers", cure)
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
        raise BadCells("whole numbers beyond 64 bits; declare the column 'categorical' or 'id' if they are codes")
    numbers = pc.cast(unsigned, pa.float64()).to_pandas()
    cure = "round them, or declare the column 'categorical' or 'id' if they are codes"
    rows = np.flatnonzero(_inexact(unsigned, numbers.to_numpy()))
    _refuse(rows, len(cells), "numbers that a float holds", "with more digits, or beyond its range", cure)
    return numbers


def _inexact(texts: Any, numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which texts a float does not hold: more than 17 digits, whole numbers that it rounds, powers beyond its range."""

    def fit(pattern: str, among: NDArray[np.bool_]) -> NDArray[np.bool_]:
        found = np.zeros(len(numbers), dtype=bool)
        found[among] = _matches(texts.filter(pa.array(among)), pattern).to_numpy(zero_copy_only=False)
        return found

    lost = np.isinf(numbers)
    lost &= ~fit("(?i)inf", lost)
    lost |= fit("^[^eE]*[1-9]", numbers == 0)
    lengths = pc.utf8_length(texts).fill_null(0).to_numpy(zero_copy_only=False)
    lost |= fit(_LONG, lengths > _MOST_DIGITS)
    for row in np.flatnonzero(fit(r"^-?\d{16,17}$", (lengths >= 16) & (lengths <= 18))):
        lost[row] |= int(numbers[row]) != int(texts[row].as_py())
    return lost


def _booleans(cells: Any) -> pd.Series:
    filled = cells.drop_null()
    if len(filled) and _all(filled, "^[01]$"):
        return _numbers(cells)
    _refuse_misfits(cells, _TRUTH, "true or false", "mend them, or declare the column 'categorical'")
    truth = pc.is_in(cells, value_set=pa.array(_TRUE, cells.type))
    truth = pc.replace_with_mask(truth, pc.is_null(cells), pa.scalar(None, pa.bool_()))
    return truth.to_pandas(types_mapper={pa.bool_(): pd.BooleanDtype()}.get) if truth.null_count else truth.to_pandas()


def _dates(cells: Any, time_zone: str | None) -> pd.Series:
    expected = "dates as in 2024-12-31 or 2024-12-31T23:59:59"
    _refuse_misfits(cells, _ISO, expected, "mend them, or give the column's format")
    filled = cells.drop_null()
    n_zoned = pc.sum(_matches(filled, _ZONE)).as_py() or 0
    if 0 < n_zoned < len(filled):
        found = f"found {n_zoned} of {len(filled)} dates have a time zone"
        raise BadCells(f"must all have a time zone or none, {found}; give all one")
    fine = _any(filled, r"\.\d{7,9}")
    zone = "UTC" if n_zoned else None
    try:
        dates = pc.cast(cells, pa.timestamp("ns" if fine else "us", zone))
    except pa.ArrowInvalid:
        text = "must hold dates that can be held, found some that have the shape of a date and are none"
        raise BadCells(text) from None
    series = dates.to_pandas()
    with contextlib.suppress(pd.errors.OutOfBoundsDatetime):  # before 1677, after 2262: microseconds reach further
        series = series.dt.as_unit("ns" if fine else DATE_UNIT)
    if time_zone is None:
        return series
    try:
        return series.dt.tz_convert(time_zone) if zone else series.dt.tz_localize(time_zone)
    except Exception as error:  # pytz and zoneinfo each have their own
        found = f"found some that do not exist or are ambiguous ({type(error).__name__}); write them with their offset"
        raise BadCells(f"must hold dates of the time zone {time_zone!r}, {found}") from None
