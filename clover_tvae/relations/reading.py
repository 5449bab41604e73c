"""The cells of a column as a relation compares them: numbers, dates or labels."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.calendar import PER_SECOND, Calendar
from clover_tvae.columns.cells import zone_of
from clover_tvae.columns.date_formats import guess_format, has_short_years
from clover_tvae.columns.dtypes import CellType, in_dtype, where_of
from clover_tvae.columns.numeric import read_numbers
from clover_tvae.errors import ColumnTypeError, UserError


def known(df: pd.DataFrame, names: Iterable[Any]) -> NDArray[np.bool_]:
    """Return the rows in which none of these cells is missing."""
    held = np.ones(len(df), dtype=bool)
    for name in names:
        held &= df[name].notna().to_numpy(dtype=bool)
    return held


def holds(series: pd.Series) -> str:
    """Return what a column holds: ``number``, ``date`` (a text that reads as one included) or ``label``."""
    return _held(series)[0]


def _held(series: pd.Series) -> tuple[str, str | None]:
    """Return what a column holds, and how it writes its dates as text."""
    cells = CellType.of(series, series.name)
    word = (cells.inner or cells).holds
    if word in ("boolean", "integer", "float", "decimal", "empty"):
        return "number", None
    format = None if word == "datetime" else date_format(series)
    return "date" if word == "datetime" or format is not None else "label", format


def numbers(series: pd.Series) -> NDArray[np.float64]:
    """Return a column of numbers as floats, NaN where a cell is missing."""
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in "biuf":
        return series.to_numpy(dtype=np.float64)
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(object)
    _, values, missing = read_numbers(series, series.name)
    return np.where(missing, np.nan, values.astype(np.float64))


def date_format(series: pd.Series) -> str | None:
    """Return how a column writes its dates as text; ``None`` for cells that are dates, or no dates at all."""
    if not CellType.of(series, series.name).is_text:
        return None
    format = guess_format(series[series.notna().to_numpy(dtype=bool)].astype(object))
    return None if has_short_years(format) else format  # of which century, nothing tells here


def read_dates(series: pd.Series, format: str | None = None) -> tuple[Calendar, NDArray[np.int64], NDArray[np.bool_]]:
    """Return how a column of dates is written, its instants in the unit of that calendar, and which are missing.

    ``format`` says how it writes dates as text, where that is known.
    """
    return Calendar.learn(series, series.name, format or date_format(series))


def dates(series: pd.Series, format: str | None = None) -> pd.DatetimeIndex:
    """Return a column of dates with their zone, if they have one, NaT where a cell is missing; ``format`` as for :func:`read_dates`."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(series.dtype.categories.dtype)
    if getattr(series.dtype, "kind", "") == "M" and not isinstance(series.dtype, pd.ArrowDtype):
        return pd.DatetimeIndex(series)
    calendar, moments, missing = read_dates(series, format)
    made = moments.astype(f"M8[{calendar.unit}]")
    made[missing] = np.datetime64("NaT")
    index = pd.DatetimeIndex(made)
    return index if calendar.zone is None else index.tz_localize("UTC").tz_convert(zone_of(calendar.zone))


def with_dates(df: pd.DataFrame, names: Iterable[Any]) -> pd.DataFrame:
    """Return the table with texts that read as dates as such: who looks at them several times then reads them once."""
    made = df.copy(deep=False)
    for name in names:
        with contextlib.suppress(UserError, TypeError, ValueError):  # whoever looks at them is told
            if (format := _held(df[name])[1]) is not None:
                made[name] = pd.Series(dates(df[name], format), index=df.index)
    return made


def seconds(index: pd.DatetimeIndex) -> NDArray[np.float64]:
    """Return dates as seconds since 1970 (in UTC where there is a zone), NaN where one is missing."""
    return np.where(index.isna(), np.nan, index.asi8 / PER_SECOND[index.unit])


def quantities(df: pd.DataFrame, names: Sequence[Any]) -> list[NDArray[np.float64]]:
    """Return the columns as numbers, or all of them as dates in seconds.

    Raises:
        ColumnTypeError: A column holds neither, or some hold numbers and others dates.
    """
    held = [(df[name], *_held(df[name])) for name in names]
    if any(what == "date" for _, what, _ in held):
        for cells, what, _ in held:
            if what == "number" and cells.notna().any():
                raise ColumnTypeError("must hold dates to be compared with dates, found numbers", where_of(cells.name))
    return [seconds(dates(cells, format)) if what == "date" else numbers(cells) for cells, what, format in held]


def labels(series: pd.Series) -> pd.Series:
    """Return the cells as plain Python values that a table of a relation can hold; dates as text, decimals as floats."""
    cells = CellType.of(series, series.name)
    word, made = (cells.inner or cells).holds, series.astype(object)
    if word == "decimal":
        made = pd.Series(numbers(series), series.index, dtype=object)
    elif word == "datetime":
        codes, moments = pd.factorize(dates(series))
        texts = [*(str(moment).removesuffix(" 00:00:00") for moment in moments), None]  # whatever the other cells are
        made = pd.Series(np.array(texts, dtype=object)[codes], series.index)
    return made.where(series.notna(), None)


def cells_read(series: pd.Series) -> Any:
    """Return cells as what they are: numbers as floats, dates as an index, others as they stand."""
    what, format = _held(series)
    if what == "date":
        return dates(series, format)
    return numbers(series) if what == "number" else labels(series).to_numpy()


def comparable(series: pd.Series) -> NDArray[Any]:
    """Return cells that compare with those of another column: numbers as floats, dates as seconds, others as they are."""
    made = cells_read(series)
    return seconds(made) if isinstance(made, pd.DatetimeIndex) else made


def level_codes(df: pd.DataFrame, names: Sequence[Any]) -> tuple[NDArray[np.int64], int]:
    """Return one code a row for the combination of these columns, -1 where a cell is missing, and how many there are."""
    codes, n_levels = np.zeros(len(df), dtype=np.int64), 1
    for name in names:
        column, levels = pd.factorize(df[name])
        codes = np.where((codes < 0) | (column < 0), -1, codes * len(levels) + column)
        codes, found = pd.factorize(np.where(codes < 0, np.nan, codes))
        n_levels = len(found)
    return codes.astype(np.int64), n_levels


def lent(df: pd.DataFrame, name: Any, wrong: NDArray[np.bool_], by: Sequence[Any]) -> pd.DataFrame:
    """Return the table with each wrong cell of a column replaced by the last right one above it beside equal others.

    Args:
        wrong: The rows; where no row above will do, the cell stays as it is.
        by: The columns that must be equal.
    """
    if not wrong.any():
        return df
    above = df[name].mask(wrong).groupby([df[other] for other in by], observed=True, sort=False).ffill()
    return filled(df, name, above.where(wrong))


def exchanged(df: pd.DataFrame, name: Any, takes: NDArray[np.bool_], gives: NDArray[np.bool_]) -> pd.DataFrame:
    """Return the table with cells of a column exchanged between rows that take and rows that give, as far as both reach."""
    take, give = np.flatnonzero(takes), np.flatnonzero(gives)
    n, places, made = min(len(take), len(give)), np.arange(len(df)), df.copy()
    places[take[:n]], places[give[:n]] = give[:n], take[:n]
    made[name] = df[name].iloc[places].set_axis(df.index)
    return made


def filled(df: pd.DataFrame, name: Any, values: pd.Series) -> pd.DataFrame:
    """Return the table with the values that are not missing written into a column, in its dtype where they fit it."""
    made = df.copy()
    if name not in df:
        made[name] = values
        return made
    column = df[name]
    merged = values.astype(object).where(values.notna(), column.astype(object))
    cells = CellType.of(column, name)
    if cells.holds == "datetime":  # the values may be those of a table, which are text
        merged = pd.to_datetime(merged, format="mixed", utc=dates(column).tz is not None)
        merged = merged.dt.date if cells.name == "date" else merged
    try:
        made[name] = in_dtype(merged, column.dtype)
    except (TypeError, ValueError):
        made[name] = merged.infer_objects()
    return made
