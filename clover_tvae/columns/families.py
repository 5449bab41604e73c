"""What the cells of one column hold, counted: the eyes of ``infer`` and ``validate``.

This module knows pandas and gives back counts, dtypes and masks, never a cell.
"""

from __future__ import annotations

import datetime
import decimal
import re
from collections import Counter
from typing import Any, Literal

import numpy as np
import pandas as pd

__all__ = [
    "DATE_FORMATS",
    "Family",
    "cell_types",
    "family",
    "has_several_offsets",
    "is_number_text",
    "parses",
    "present",
    "single_format",
]

Family = Literal[
    "boolean", "integer", "float", "decimal", "complex", "text", "category", "datetime", "timedelta", "period",
    "interval", "bytes", "nested", "mixed", "empty", "sparse",
]  # fmt: skip
"""What a column holds as a whole; ``decimal`` is a column of Python numbers, ``empty`` one of missing cells only."""

DATE_FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%dT%H:%M:%S.%f%z",
    "%Y-%m-%d %H:%M:%S%z",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M:%S",
    "%d/%m/%y",
    "%m/%d/%y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%Y%m%d",
)
"""Ways to write a date that ``infer`` knows; the first of two that fit the same cells is taken."""

_NUMBER = re.compile(r"\s*[-+]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?\s*%?\s*")
_DATE_LIKE = re.compile(r"(?=.*\d).{6,40}", flags=re.DOTALL)


def present(series: pd.Series) -> pd.Series:
    """Return the cells that are not missing."""
    try:
        held = series.notna().to_numpy(dtype=bool)
    except decimal.InvalidOperation:  # a signalling NaN, which pandas cannot compare
        comparable = [0 if _is_signal(cell) else cell for cell in series]
        held = pd.Series(comparable, dtype=object).notna().to_numpy(dtype=bool)
    return series[held]


def _is_signal(cell: Any) -> bool:
    return isinstance(cell, decimal.Decimal) and cell.is_snan()


def family(series: pd.Series) -> Family:
    """Say what the column holds as a whole, by its dtype and, for object columns, by every cell."""
    dtype = series.dtype
    if isinstance(dtype, pd.SparseDtype):
        return "sparse"
    if isinstance(dtype, pd.CategoricalDtype):
        return "category"
    if isinstance(dtype, pd.IntervalDtype):
        return "interval"
    if isinstance(dtype, pd.PeriodDtype):
        return "period"
    if isinstance(dtype, pd.ArrowDtype):
        return _arrow_family(dtype)
    if isinstance(dtype, pd.StringDtype):
        return "text"
    checks: tuple[tuple[Any, Family], ...] = (
        (pd.api.types.is_bool_dtype, "boolean"),
        (pd.api.types.is_integer_dtype, "integer"),
        (pd.api.types.is_float_dtype, "float"),
        (pd.api.types.is_complex_dtype, "complex"),
        (pd.api.types.is_datetime64_any_dtype, "datetime"),
        (pd.api.types.is_timedelta64_dtype, "timedelta"),
    )
    if not pd.api.types.is_object_dtype(dtype):
        return next((name for check, name in checks if check(dtype)), "mixed")
    return _object_family(cell_types(series))


def _arrow_family(dtype: pd.ArrowDtype) -> Family:
    import pyarrow as pa

    arrow = dtype.pyarrow_dtype
    types = pa.types
    checks: tuple[tuple[Any, Family], ...] = (
        (types.is_boolean, "boolean"),
        (types.is_integer, "integer"),
        (types.is_floating, "float"),
        (types.is_decimal, "decimal"),
        (types.is_string, "text"),
        (types.is_large_string, "text"),
        (types.is_timestamp, "datetime"),
        (types.is_date, "datetime"),
        (types.is_duration, "timedelta"),
        (types.is_time, "timedelta"),
        (types.is_dictionary, "category"),
        (types.is_binary, "bytes"),
        (types.is_large_binary, "bytes"),
        (types.is_nested, "nested"),
        (types.is_null, "empty"),
    )
    return next((name for check, name in checks if check(arrow)), "mixed")


def cell_types(series: pd.Series) -> Counter[Family]:
    """Count the cells of an object column by what they are; missing cells are not counted."""
    cells = present(series)
    counts: Counter[type] = Counter(map(type, cells))
    found: Counter[Family] = Counter()
    for kind, count in counts.items():
        found[_cell_family(kind)] += count
    if found["decimal"] and (n_signals := sum(map(_is_signal, cells))):
        found.update(nested=n_signals, decimal=-n_signals)
    return +found


def _cell_family(kind: type) -> Family:
    table: tuple[tuple[Any, Family], ...] = (
        ((bool, np.bool_), "boolean"),
        (str, "text"),
        (bytes, "bytes"),
        ((datetime.timedelta, np.timedelta64, datetime.time), "timedelta"),
        ((datetime.date, np.datetime64), "datetime"),
        (pd.Period, "period"),
        (pd.Interval, "interval"),
        ((int, np.integer), "integer"),
        (decimal.Decimal, "decimal"),
        ((float, np.floating), "float"),
        ((complex, np.complexfloating), "complex"),
    )
    return next((name for classes, name in table if issubclass(kind, classes)), "nested")


def _object_family(counts: Counter[Family]) -> Family:
    kinds = set(counts)
    if not kinds:
        return "empty"
    if len(kinds) == 1:
        return kinds.pop()
    if kinds <= {"integer", "float", "decimal"}:
        return "decimal"
    return "nested" if "nested" in kinds else "mixed"


def is_number_text(texts: pd.Series) -> pd.Series:
    """Return, for each text, whether it is a plain number: ``12.5``, ``-3``, ``1,234``, ``40 %``."""

    def check(text: str) -> bool:
        return len(text) <= 64 and any(map(str.isdigit, text)) and _NUMBER.fullmatch(text) is not None

    return texts.map(check).astype(bool)


def parses(texts: pd.Series, format: str) -> pd.Series:
    """Return, for each text, whether ``strptime`` reads it by ``format``; dates before 1677 included."""
    distinct = pd.Series(texts.unique(), dtype=object)
    try:
        good = pd.to_datetime(distinct, format=format, errors="coerce", utc=True).notna()
    except (ValueError, TypeError, OverflowError, re.error):
        good = pd.Series(False, index=distinct.index)
    # pandas counts nanoseconds and stops at 1677 and 2262: the rest is asked one by one.
    for position in np.flatnonzero(~good.to_numpy()):
        good.iloc[position] = _strptime_reads(distinct.iloc[position], format)
    accepted = set(distinct[good])
    return texts.map(lambda text: text in accepted).astype(bool)


def has_several_offsets(texts: pd.Series, format: str) -> bool:
    """Return whether dates, written by a format with ``%z``, have more than one offset from UTC, as summer time makes."""
    if "%z" not in format:
        return False
    found = set()
    for text in texts.unique():
        try:
            found.add(datetime.datetime.strptime(text, format).utcoffset())
        except (ValueError, TypeError, OverflowError, re.error):
            continue
        if len(found) > 1:
            return True
    return False


def _strptime_reads(text: str, format: str) -> bool:
    try:
        datetime.datetime.strptime(text, format)
    except (ValueError, TypeError, OverflowError, re.error):
        return False
    return True


def single_format(texts: pd.Series, share: float = 0.95, n_sample: int = 1000) -> tuple[str | None, bool]:
    """Return the format that reads more than ``share`` of the texts, and whether another reads them as well.

    Args:
        texts: The cells that are not missing, all of them text.
        share: The part that must parse, in [0, 1).
        n_sample: Distinct cells that are tried.
    """
    sample = pd.Series(texts.unique()[:n_sample], dtype=object)
    if sample.empty or sample.map(lambda text: _DATE_LIKE.fullmatch(text) is not None).mean() <= share:
        return None, False
    fitting = []
    for format in DATE_FORMATS:
        if "%Y%m%d" in format and not sample.map(lambda text: re.fullmatch(r"(19|20)\d{6}", text) is not None).all():
            continue
        read = parses(sample.head(20), format)
        if read.any() and (len(sample) <= 20 or read.mean() > 0.5) and parses(sample, format).mean() > share:
            fitting.append(format)
    return (fitting[0], len(fitting) > 1) if fitting else (None, False)
