"""The numbers of a pandas column, read without loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.dtypes import CellType, where_of
from clover_tvae.errors import ColumnTypeError, NonFiniteError, Problem

__all__ = ["read_numbers"]

_CURE = "convert it to numbers, for instance with pandas.to_numeric, or declare the column under 'categorical'"


def read_numbers(series: pd.Series, cells: CellType, name: object) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return the numbers of a column, without loss, and which cells are missing.

    Args:
        series: Numbers of any dtype: numpy, nullable, Arrow, or Python ints, floats, bools or Decimals.
        cells: Its ``CellType``.
        name: What to call the column in messages.

    Returns:
        int64, uint64 or float64 ``(rows,)``, 0 where missing; and bool ``(rows,)``.

    Raises:
        ColumnTypeError: The cells are not numbers.
        NonFiniteError: Some are infinite.
    """
    kind = f"{cells.family} {cells.name}".lower()
    missing = series.isna().to_numpy(dtype=bool)
    if cells.family == "object" and cells.name == "mixed" and _only_numbers(series[~missing]):
        cells, kind = CellType("object", "float", cells.missing), "object float"
    numeric = cells.family in ("numpy", "nullable") or (
        cells.family in ("arrow", "object")
        and any(word in kind for word in ("int", "float", "double", "bool", "decimal", "empty"))
    )
    if not numeric:
        found = f"'{cells.family}' cells of type '{cells.name}'" if cells.family != "category" else "a 'category' dtype"
        raise ColumnTypeError(Problem(where_of(name), f"numbers are expected, found {found}; {_CURE}", ColumnTypeError))
    whole = "int" in kind or "bool" in kind
    if cells.family == "numpy":
        raw = series.to_numpy()
    elif whole:
        raw = series.to_numpy(dtype=object, na_value=0) if cells.family == "object" else _integers(series, kind)
        if cells.family == "object":
            raw = _object_integers(raw, missing, name)
    else:
        raw = np.zeros(len(series))
        known = series[~missing]
        raw[~missing] = (
            known.astype(float).to_numpy() if cells.family == "object" else known.to_numpy(dtype=float, na_value=np.nan)
        )
    values = raw.astype(np.uint64 if raw.dtype == np.uint64 else np.int64 if raw.dtype.kind in "biu" else np.float64)
    if values.dtype.kind == "f":
        infinite = int(np.isinf(values).sum())
        if infinite:
            message = f"{infinite} infinite cells; replace them by finite numbers or by missing cells"
            raise NonFiniteError(Problem(where_of(name), message, NonFiniteError))
    values[missing] = 0
    return values, missing


def _only_numbers(known: pd.Series) -> bool:
    return pd.api.types.infer_dtype(known, skipna=False) == "mixed-integer-float"


def _integers(series: pd.Series, kind: str) -> NDArray[Any]:
    dtype = np.uint64 if "uint64" in kind else np.int64
    if "bool" in kind:
        return series.to_numpy(dtype=bool, na_value=False).astype(np.int64)
    return series.to_numpy(dtype=dtype, na_value=0)


def _object_integers(cells: NDArray[Any], missing: NDArray[np.bool_], name: object) -> NDArray[Any]:
    cells = cells.copy()
    cells[missing] = 0
    try:
        return cells.astype(np.int64)
    except OverflowError:
        pass
    try:
        if all(cell >= 0 for cell in cells):
            return cells.astype(np.uint64)
    except OverflowError:
        pass
    message = f"Python integers that do not fit 64 bits; convert the column to float, or {_CURE}"
    raise ColumnTypeError(Problem(where_of(name), message, ColumnTypeError))
