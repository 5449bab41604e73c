"""Diagnostics: the plain checks that a table must pass before any other figure is worth reading."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.dtypes import CellType
from clover_tvae.errors import ColumnTypeError
from clover_tvae.evaluation.frames import CodedTable, CodedTables

_RARE = 0.01  # a category under this share of the real rows is rare
_MAX_DECIMALS = 12
_NUMBERS = dict.fromkeys(("integer", "float", "decimal"), "number")
_DTYPE_KINDS = {"boolean": "boolean", "datetime": "datetime", **_NUMBERS}


def missing_rates(tables: CodedTables, table: CodedTable) -> pd.Series:
    """Return the share of missing cells by column."""
    return tables.by_column(np.isnan(table.numbers).mean(axis=0), (table.codes < 0).mean(axis=0))


def duplicate_share(table: CodedTable) -> float:
    """Return the share of rows that equal an earlier row."""
    return float(pd.Series(table.row_hashes).duplicated().mean())


def out_of_range_share(real: CodedTable, table: CodedTable) -> float:
    """Return the share of number cells outside the real column's range; NaN without any number."""
    outside = present = 0
    for columns in zip(real.numbers.T, table.numbers.T, strict=True):
        known, values = (column[~np.isnan(column)] for column in columns)
        if len(known):
            outside += int(((values < known.min()) | (values > known.max())).sum())
            present += len(values)
    return outside / present if present else float("nan")


@dataclass(frozen=True)
class CategoryCounts:
    """How often the real table, and another, hold each category, the columns one after the other; and their rows."""

    known: NDArray[Any]
    found: NDArray[Any]
    n_rows: tuple[int, int]

    @classmethod
    def of(cls, real: CodedTable, table: CodedTable) -> CategoryCounts:
        """Count the categories of two tables."""
        sizes = np.maximum(real.codes.max(axis=0, initial=-1), table.codes.max(axis=0, initial=-1)) + 1
        known, found = (
            np.concatenate(
                [
                    np.zeros(0, dtype=np.int64),
                    *(
                        np.bincount(codes[codes >= 0], minlength=n)
                        for codes, n in zip(coded.codes.T, sizes, strict=True)
                    ),
                ]
            )
            for coded in (real, table)
        )
        return cls(known, found, (real.n_rows, table.n_rows))

    def unseen_share(self) -> float:
        """Return the share of the other table's cells whose category the real one does not have; NaN without any."""
        return float(self.found[self.known == 0].sum() / self.found.sum()) if self.found.any() else math.nan

    def present_share(self) -> float:
        """Return the share of the real table's categories that the other has; NaN without any."""
        return float((self.found[self.known > 0] > 0).mean()) if self.known.any() else math.nan

    def rare_rows(self) -> tuple[int, int]:
        """Return the cells of each table, over all columns, that hold a category of under 1% of the real rows."""
        rare = (self.known > 0) & (self.known / self.n_rows[0] < _RARE)
        return int(self.known[rare].sum()), int(self.found[rare].sum())

    def rare_frequency(self) -> tuple[float, tuple[float, float]]:
        """Return the frequency of all rare categories together over their real one, and its 95% interval; NaN without any.

        For the interval both counts are taken as Poisson.
        """
        known, found = self.rare_rows()
        if not known:
            return math.nan, (math.nan, math.nan)
        ratio = found / self.n_rows[1] * self.n_rows[0] / known
        spread = math.exp(1.96 * math.sqrt(1.0 / max(found, 1) + 1.0 / known))
        return ratio, (ratio / spread, max(ratio, 1.0 / self.n_rows[1]) * spread)


def dtype_kind(column: pd.Series) -> str:
    """Return the kind of a column's dtype; whole numbers and fractions are one kind, as are all texts."""
    try:
        cells = CellType.of(column)
    except ColumnTypeError:
        return str(column.dtype)
    return _DTYPE_KINDS.get((cells.inner or cells).holds, "text")


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
