"""Whether a table fits its description: every fault at once, in counts, names and dtypes.

This module knows pandas and columns. It never quotes a cell.
"""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from clover_tvae.columns.families import (
    cell_types,
    family,
    has_several_offsets,
    is_number_text,
    parses,
    present,
    single_format,
)
from clover_tvae.errors import (
    ColumnsMismatchError,
    ColumnTypeError,
    DataError,
    DuplicateColumnsError,
    IdentifierColumnError,
    NonFiniteError,
    Problem,
    TooFewRowsError,
)
from clover_tvae.metadata.column import Column

__all__ = ["UNLEARNABLE_LEVELS", "name_problems", "raise_problems", "require_frame"]

_MIN_ROWS = 2
# Fewer rows than this can all differ by chance, so that a unique column is no proof of an identifier.
_MIN_UNIQUE_ROWS = 50
_UNIQUE_SHARE = 0.95
_MAX_LISTED = 20
# What the categories of a category dtype may not be.
UNLEARNABLE_LEVELS = ("timedelta", "period", "interval", "nested", "complex", "bytes")
_INT64 = np.iinfo(np.int64)

_CURES = {
    "boolean": "declare it 'boolean', or convert it with astype('int64')",
    "complex": "split it into a real and an imaginary column",
    "datetime": "declare it 'datetime'",
    "timedelta": "convert it to seconds with .dt.total_seconds()",
    "period": "convert it with .dt.to_timestamp() and declare it 'datetime'",
    "interval": "declare the bounds as two columns, or convert it with astype(str) and declare it 'categorical'",
    "category": "declare it 'categorical' or 'ordinal', or convert it with astype(float)",
    "bytes": "decode it to text, or declare it 'ignore'",
    "nested": "spread the cells over columns of their own, or declare it 'ignore'",
    "sparse": "convert it with .sparse.to_dense()",
    "mixed": "give every cell one type, or declare it 'categorical'",
    "integer": "declare it 'continuous' or 'categorical'",
    "float": "declare it 'continuous' or 'categorical'",
    "decimal": "declare it 'continuous' or 'categorical'",
    "text": "declare it 'categorical'",
}


def raise_problems(columns: Sequence[Column], df: Any) -> None:
    """Raise a :class:`DataError` with every problem, or return if the table fits."""
    require_frame(df, duplicates_too=False)
    problems = _duplicates(df)
    described = {column.name: column for column in columns}
    if not any(column.modelled for column in columns):
        text = "the metadata declares no column that can be modelled; declare at least one that is not 'id' or 'ignore'"
        problems.append(Problem("metadata", text))
    problems += name_problems(columns, df.columns)
    if len(df) < _MIN_ROWS:
        rows = "1 row" if len(df) == 1 else f"{len(df)} rows"
        text = f"has {rows}; at least {_MIN_ROWS} are needed, and some hundreds to learn anything of use"
        problems.append(Problem("table", text, TooFewRowsError))
    repeated = df.columns.duplicated(keep=False)
    for place, name in enumerate(df.columns):
        column = described.get(name)
        if column is not None and column.modelled and not repeated[place]:
            series = df.iloc[:, place]
            problems += [Problem(f"column {name!r}", text, kind) for text, kind in _column_faults(column, series)]
    if problems:
        raise DataError.of(problems)


def require_frame(df: Any, *, duplicates_too: bool = True) -> None:
    """Raise unless ``df`` is a DataFrame with one level of names that can be names (and each only once)."""
    if not isinstance(df, pd.DataFrame):
        module = type(df).__module__.partition(".")[0]
        cure = "convert it with .to_pandas()" if hasattr(df, "to_pandas") else "make one with pd.DataFrame(...)"
        what = type(df).__name__ if module == "builtins" else f"{module}'s {type(df).__name__}"
        raise DataError(f"the table must be a pandas DataFrame, found {what}; {cure}")
    if isinstance(df.columns, pd.MultiIndex):
        raise DataError(
            f"the table has column names of {df.columns.nlevels} levels; join them into one, such as "
            "df.columns = ['_'.join(map(str, name)) for name in df.columns]"
        )
    n_missing = int(np.count_nonzero(df.columns.isna()))
    if n_missing:
        raise DataError(f"the table has {n_missing} column(s) whose name is missing; name every column")
    problems = _duplicates(df) if duplicates_too else []
    if problems:
        raise DataError.of(problems)


def _duplicates(df: pd.DataFrame) -> list[Problem]:
    counts = df.columns[df.columns.duplicated(keep=False)].value_counts(sort=False)
    return [
        Problem(
            f"column {name!r}", f"{count} columns have this name; rename or drop all but one", DuplicateColumnsError
        )
        for name, count in counts.items()
    ]


def name_problems(columns: Sequence[Column], names: Iterable[Hashable]) -> list[Problem]:
    """Return a problem for each column that a table lacks, and for each that nothing describes."""
    described, found = {column.name: column for column in columns}, list(dict.fromkeys(names))
    held = set(found)
    missing = [name for name, column in described.items() if name not in held and not _may_be_absent(column)]
    extra = [name for name in found if name not in described]
    problems = []
    for name in missing[:_MAX_LISTED]:
        text = f"the table has no such column, declared {described[name].kind!r}{_nearest(name, extra)}"
        problems.append(Problem(f"column {name!r}", text, ColumnsMismatchError))
    for name in extra[:_MAX_LISTED]:
        hint = _nearest(name, missing) or "; declare it (as 'ignore' to leave it out), or drop it"
        problems.append(
            Problem(f"column {name!r}", f"the metadata does not know this column{hint}", ColumnsMismatchError)
        )
    rest = max(0, len(missing) - _MAX_LISTED) + max(0, len(extra) - _MAX_LISTED)
    if rest:
        problems.append(Problem("columns", f"{rest} more are missing or unknown", ColumnsMismatchError))
    return problems


def _may_be_absent(column: Column) -> bool:
    return column.kind == "ignore" or (column.kind == "id" and column.regenerate is None)


def _nearest(name: Hashable, others: Iterable[Hashable]) -> str:
    others = list(others)
    same = [other for other in others if str(other) == str(name)]
    if same:
        return f"; there is {same[0]!r} ({type(same[0]).__name__}) where this is {type(name).__name__}"
    near = difflib.get_close_matches(str(name).casefold(), [str(other).casefold() for other in others], n=1, cutoff=0.6)
    nearest = [other for other in others if near and str(other).casefold() == near[0]]
    return f"; did you mean {nearest[0]!r}?" if nearest else ""


_Faults = list[tuple[str, type[DataError] | None]]


def _column_faults(column: Column, series: pd.Series) -> _Faults:
    kind = family(series)
    if kind in ("nested", "sparse", "complex", "bytes"):
        return [(_wrong(column, series, kind), ColumnTypeError)]
    if kind == "empty" or not series.notna().any():
        return []
    match column.kind:
        case "continuous":
            return _continuous_faults(column, series, kind)
        case "boolean":
            return _boolean_faults(column, series, kind)
        case "datetime":
            return _datetime_faults(column, series, kind)
        case _:
            return _label_faults(column, series, kind)


def _wrong(column: Column, series: pd.Series, kind: str) -> str:
    counts = cell_types(series) if series.dtype == object else {}
    n_cells = counts.get(kind, 0) if kind in counts else 0
    held = (
        f"{n_cells} {kind} cell{'s' if n_cells != 1 else ''} in a column of dtype object"
        if n_cells
        else f"dtype {series.dtype}"
    )
    if kind in ("nested", "mixed"):
        what = "lists, dicts, sets or other objects" if kind == "nested" else "cells of several types"
        held = (
            f"{what} (dtype {series.dtype})"
            if not n_cells
            else f"{n_cells} cells that are lists, dicts or other objects"
        )
    return f"declared {column.kind!r}, but holds {held}; {_CURES[kind]}"


def _continuous_faults(column: Column, series: pd.Series, kind: str) -> _Faults:
    if kind in ("text", "mixed"):
        return _text_in_numbers(series, kind)
    if kind not in ("integer", "float", "decimal"):
        return [(_wrong(column, series, kind), ColumnTypeError)]
    if series.dtype == object:
        huge = sum(isinstance(cell, int) and not _INT64.min <= cell <= _INT64.max for cell in present(series))
        if huge:
            text = (
                f"{huge} whole number{'s' if huge != 1 else ''} beyond 64 bits; convert the column with astype(float)"
            )
            return [(text, ColumnTypeError)]
    numbers = present(series).to_numpy(dtype=float, na_value=np.nan)
    infinite = int(np.isinf(numbers).sum())
    if infinite:
        text = (
            f"{infinite} infinite cell{'s' if infinite != 1 else ''}; make them missing, or put a finite number there"
        )
        return [(text, NonFiniteError)]
    finite = numbers[np.isfinite(numbers)]
    if (finite.size and not np.isfinite(finite.max() / 4 - finite.min() / 4)) or np.abs(finite).max(initial=0) > 1e307:
        return [("holds numbers beyond 1e307, whose spread has no finite size; scale the column down", NonFiniteError)]
    return []


def _text_in_numbers(series: pd.Series, kind: str) -> _Faults:
    cells = present(series).astype(object)
    types = cell_types(cells)
    faults: _Faults = []
    if n_text := types.get("text", 0):
        texts = cells[cells.map(lambda cell: isinstance(cell, str))]
        n_number = int(is_number_text(texts).sum())
        cure = (
            "convert it with pd.to_numeric"
            if n_number == n_text
            else "mend these cells, declare missing tokens, or declare it 'categorical'"
        )
        as_text = f", {n_number} of them numbers written as text" if n_number else ""
        plural = f"{n_text} of {len(series)} cells are text{as_text} (dtype {series.dtype})"
        faults.append((f"declared 'continuous', but {plural}; {cure}", ColumnTypeError))
    others = {name: count for name, count in types.items() if name not in ("text", "integer", "float", "decimal")}
    for name, count in others.items():
        faults.append(
            (f"declared 'continuous', but {count} of {len(series)} cells are {name}; {_CURES[name]}", ColumnTypeError)
        )
    return faults


def _boolean_faults(column: Column, series: pd.Series, kind: str) -> _Faults:
    if kind == "boolean":
        return []
    cells = present(series)
    if kind in ("integer", "float") and bool(cells.isin([0, 1]).all()):
        return []
    n_distinct = int(cells.astype(object).nunique()) if kind != "datetime" else int(cells.nunique())
    text = f"declared 'boolean', but holds {kind} cells with {n_distinct} distinct values (dtype {series.dtype})"
    return [
        (
            f"{text}; expected True and False, or 0 and 1; declare it 'categorical', or convert it with astype('boolean')",
            ColumnTypeError,
        )
    ]


def _datetime_faults(column: Column, series: pd.Series, kind: str) -> _Faults:
    if kind == "text":
        return _text_dates(column, series)
    if kind in ("integer", "float", "decimal"):
        cure = "convert it with pd.to_datetime(..., unit='s') (or the unit it counts in), or declare it 'continuous'"
        return [(f"declared 'datetime', but holds numbers (dtype {series.dtype}); {cure}", ColumnTypeError)]
    if kind == "mixed":
        counts = cell_types(series)
        wrong = sum(counts.values()) - counts.get("datetime", 0)
        text = f"declared 'datetime', but {wrong} of {len(series)} cells are no dates; convert the column with pd.to_datetime"
        return [(text, ColumnTypeError)]
    if kind != "datetime":
        cure = "convert it with pd.to_datetime" if kind == "category" else _CURES[kind]
        return [(f"declared 'datetime', but holds dtype {series.dtype}; {cure}", ColumnTypeError)]
    if series.dtype == object:
        aware = present(series).map(lambda cell: getattr(cell, "tzinfo", None) is not None)
        if aware.any() and not aware.all():
            text = (
                f"{int(aware.sum())} of {len(aware)} dates have a time zone and the rest have none; give all one zone"
            )
            return [(f"{text}, with pd.to_datetime(..., utc=True)", ColumnTypeError)]
        return []
    return _zone_faults(column, series)


def _zone_faults(column: Column, series: pd.Series) -> _Faults:
    zone = getattr(series.dtype, "tz", None) or getattr(getattr(series.dtype, "pyarrow_dtype", None), "tz", None)
    if column.time_zone is None or str(zone) == column.time_zone:
        return []
    if zone is None:
        text = f"declared with the time zone {column.time_zone!r}, but the dates have none"
        return [(f"{text}; add it with .dt.tz_localize, or drop it from the metadata", ColumnTypeError)]
    text = f"declared with the time zone {column.time_zone!r}, but the dates are in {str(zone)!r}"
    return [(f"{text}; convert them with .dt.tz_convert", ColumnTypeError)]


def _text_dates(column: Column, series: pd.Series) -> _Faults:
    texts = present(series).astype(object)
    if column.format is None:
        format, _ = single_format(texts)
        cure = (
            f"format={format!r} reads them"
            if format
            else "give the format, such as '%Y-%m-%d', or convert with pd.to_datetime"
        )
        return [(f"declared 'datetime' without a format, but holds text; {cure}", ColumnTypeError)]
    bad = int((~parses(texts, column.format)).sum())
    if not bad:
        if column.time_zone is None and has_several_offsets(texts, column.format):
            what = "the dates have several offsets from UTC; name their 'time_zone', such as 'Europe/Berlin' or 'UTC'"
            return [(what, ColumnTypeError)]
        return []
    format, _ = single_format(texts) if bad == len(texts) else (None, False)
    cure = f"the format {format!r} reads them" if format else "mend the format, or make these cells missing"
    return [(f"{bad} of {len(texts)} cells are no dates by the format {column.format!r}; {cure}", ColumnTypeError)]


def _label_faults(column: Column, series: pd.Series, kind: str) -> _Faults:
    if kind in ("timedelta", "period", "interval"):
        return [(_wrong(column, series, kind), ColumnTypeError)]
    if kind == "category" and not isinstance(series.dtype, pd.CategoricalDtype):
        return [(f"its dtype {series.dtype} cannot be given back; convert it with astype('category')", ColumnTypeError)]
    if isinstance(series.dtype, pd.CategoricalDtype):
        levels = pd.Series(series.dtype.categories)
        inner = family(levels)
        if inner in UNLEARNABLE_LEVELS:
            return [(f"declared {column.kind!r}, but its categories are {inner}; {_CURES[inner]}", ColumnTypeError)]
    cells = present(series)
    n_distinct = int(cells.nunique())
    nearly_all = len(cells) >= _MIN_UNIQUE_ROWS and n_distinct >= _UNIQUE_SHARE * len(cells)
    if column.kind == "categorical" and kind != "boolean" and nearly_all:
        how_many = "each" if n_distinct == len(cells) else f"nearly each ({n_distinct})"
        text = (
            f"declared 'categorical', but {how_many} of its {len(cells)} cells is different: an identifier, which must not be "
            "learnt"
        )
        return [
            (
                f"{text}; declare it 'id' (dropped, or made anew) or 'ignore'{_or_continuous(kind)}",
                IdentifierColumnError,
            )
        ]
    return _order_faults(column, series, kind) if column.kind == "ordinal" else []


def _or_continuous(kind: str) -> str:
    return ", or 'continuous' if it is a measurement" if kind in ("integer", "float", "decimal") else ""


def _order_faults(column: Column, series: pd.Series, kind: str) -> _Faults:
    cells = present(series).astype(object)
    if column.order is not None:
        unknown = cells[~cells.isin(list(column.order))]
        if unknown.empty:
            return []
        text = f"{len(unknown)} of {len(cells)} cells ({int(unknown.nunique())} distinct) are not in 'order'"
        alike = set(map(str, unknown.unique())) <= set(map(str, column.order))
        types = " and ".join(sorted({type(value).__name__ for value in column.order}))
        cure = (
            f"the same values as {types} are: use one type"
            if alike
            else "list every value, or make these cells missing"
        )
        return [(f"{text}; {cure}", ColumnTypeError)]
    if kind == "mixed":
        text = "declared 'ordinal' without an order, but holds cells of several types, which have none"
        return [(f"{text}; list the values as 'order', lowest first", ColumnTypeError)]
    return []
