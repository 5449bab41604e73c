"""Diagnostics: the plain checks that a table must pass before any other figure is worth reading."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.evaluation.disclosure import Disclosure
from clover_tvae.evaluation.frames import CodedTable, CodedTables

__all__ = [
    "copied_share",
    "dtype_kinds",
    "duplicate_share",
    "finer_columns",
    "missing_rates",
    "out_of_range_share",
    "present_share",
    "rare_frequency",
    "rare_rows",
    "rare_table",
    "unseen_share",
]

_RARE = 0.01  # a category under this share of the real rows is rare
_MAX_DECIMALS = 12


def missing_rates(tables: CodedTables, table: CodedTable) -> pd.Series:
    """Return the share of missing cells by column."""
    return tables.by_column(np.isnan(table.numbers).mean(axis=0), (table.codes < 0).mean(axis=0))


def duplicate_share(table: CodedTable) -> float:
    """Return the share of rows that equal an earlier row."""
    return float(pd.Series(_row_hashes(table)).duplicated().mean())


def copied_share(table: CodedTable, source: CodedTable) -> float:
    """Return the share of rows that equal a row of ``source`` in every column."""
    return float(np.isin(_row_hashes(table), _row_hashes(source)).mean())


def _row_hashes(table: CodedTable) -> NDArray[Any]:
    """One 64-bit hash a row; equal rows, missing cells included, have equal ones."""
    frame = pd.DataFrame(np.hstack([table.numbers + 0.0, table.codes]))  # + 0.0 makes -0.0 the 0.0 that it equals
    return pd.util.hash_pandas_object(frame, index=False).to_numpy()


def out_of_range_share(real: CodedTable, table: CodedTable) -> float:
    """Return the share of number cells outside the real column's range; NaN without any number."""
    outside = present = 0
    for columns in zip(real.numbers.T, table.numbers.T, strict=True):
        known, values = (column[~np.isnan(column)] for column in columns)
        if len(known):
            outside += int(((values < known.min()) | (values > known.max())).sum())
            present += len(values)
    return outside / present if present else float("nan")


def unseen_share(real: CodedTable, table: CodedTable) -> float:
    """Return the share of category cells whose category the real table does not have; NaN without any."""
    known, found = _category_counts(real, table)
    return float(found[known == 0].sum() / found.sum()) if found.any() else float("nan")


def present_share(real: CodedTable, table: CodedTable) -> float:
    """Return the share of the real table's categories, over all columns, that the other table has."""
    known, found = _category_counts(real, table)
    return float((found[known > 0] > 0).sum() / (known > 0).sum()) if known.any() else float("nan")


def rare_rows(real: CodedTable, table: CodedTable) -> int:
    """Return the cells of ``table``, over all columns, that hold a category of under 1% of the real rows."""
    known, found = _category_counts(real, table)
    return int(found[(known > 0) & (known / real.n_rows < _RARE)].sum())


def _category_counts(real: CodedTable, table: CodedTable) -> tuple[NDArray[Any], NDArray[Any]]:
    """How often two tables hold each category, the columns one after the other."""
    sizes = np.maximum(real.codes.max(axis=0, initial=-1), table.codes.max(axis=0, initial=-1)) + 1
    none = np.zeros(0, dtype=np.int64)
    known, found = (
        np.concatenate([none, *(_counts(codes, size) for codes, size in zip(coded.codes.T, sizes, strict=True))])
        for coded in (real, table)
    )
    return known, found


def _counts(codes: NDArray[Any], n_categories: int) -> NDArray[Any]:
    return np.bincount(codes + 1, minlength=n_categories + 1)[1:]  # the first is missing


def rare_frequency(real: CodedTable, table: CodedTable) -> tuple[float, tuple[float, float]]:
    """Return the frequency of all rare categories together over their real one, and its 95% interval; NaN without any.

    For the interval both counts are taken as Poisson.
    """
    known, found = rare_rows(real, real), rare_rows(real, table)
    if not known:
        return math.nan, (math.nan, math.nan)
    ratio = found / table.n_rows * real.n_rows / known
    spread = math.exp(1.96 * math.sqrt(1.0 / max(found, 1) + 1.0 / known))
    return ratio, (ratio / spread, max(ratio, 1.0 / table.n_rows) * spread)


def rare_table(tables: CodedTables, disclosure: Disclosure) -> pd.DataFrame:
    """Return one row a rare category: column, category, real rows, and its share (%) in each table but the bootstrap.

    Categories that may not be named are put together, one row a column.
    """
    rows = []
    roles = [role for role in tables.tables if role != "bootstrap"]
    for position, name in enumerate(tables.category_names):
        size = len(tables.categories[position])
        counts = {role: _counts(tables[role].codes[:, position], size) for role in roles}
        known = counts["real"]
        rare = (known > 0) & (known < _RARE * tables["real"].n_rows)
        small = rare & disclosure.is_small(known)
        named = np.flatnonzero(rare & ~small)
        groups = [
            (str(tables.categories[position][code]), np.array([code]))
            for code in named[np.argsort(-known[named], kind="stable")]
        ]
        if small.any():
            groups.append((f"(fewer than {disclosure.min_count} rows each)", np.flatnonzero(small)))
        for label, codes in groups:
            row: dict[str, object] = {"column": name, "category": label, "n_categories": len(codes)}
            for role, found in counts.items():
                count, total = int(found[codes].sum()), tables[role].n_rows if role == "real" else int(found.sum())
                share = count / max(total, 1) if role == "synthetic" else disclosure.share(count, total)
                row[role] = 100 * share
                if role == "real":
                    row["real_rows"] = round(share * total) if not np.isnan(share) else float("nan")
            rows.append(row)
    columns = ["column", "category", "n_categories", "real_rows", *roles]
    return pd.DataFrame(rows, columns=columns).astype({"column": object})


def dtype_kinds(frame: pd.DataFrame, names: Iterable[Hashable]) -> dict[Hashable, str]:
    """Return the kind of each column's dtype; whole numbers and fractions are one kind, as are all texts."""
    return {name: _dtype_kind(frame[name]) for name in names}


def _dtype_kind(column: pd.Series) -> str:
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _dtype_kind(pd.Series(dtype.categories))
    if pd.api.types.is_bool_dtype(dtype):
        return "boolean"
    if pd.api.types.is_numeric_dtype(dtype):
        return "number"
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return "datetime"
    if pd.api.types.is_object_dtype(dtype) or pd.api.types.is_string_dtype(dtype):
        inferred = pd.api.types.infer_dtype(column, skipna=True)
        return "boolean" if inferred == "boolean" else "text"
    return str(dtype)


def finer_columns(tables: CodedTables, real: CodedTable, table: CodedTable) -> list[Hashable]:
    """Return the number columns with more decimals than the real ones have."""
    columns = zip(tables.number_names, table.numbers.T, real.numbers.T, strict=True)
    return [name for name, x, known in columns if name not in tables.dates and _decimals(x) > _decimals(known)]


def _decimals(values: NDArray[Any]) -> int:
    """Most decimals that any value is written with; 13 stands for full precision."""
    values = values[np.abs(values) < 1e15]  # no missing ones either
    for decimals in range(_MAX_DECIMALS + 1):
        values = values[np.abs(np.round(values, decimals) - values) > 1e-12 * np.maximum(np.abs(values), 1.0)]
        if not len(values):
            return decimals
    return _MAX_DECIMALS + 1
