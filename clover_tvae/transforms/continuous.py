"""Columns of numbers, coded by mode or by rank.

This module knows dtypes and numbers; how numbers become choices is the business of the codec that it holds
(``mixture.py``, ``quantile.py``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.dtypes import CellType, where_of
from clover_tvae.columns.numeric import read_numbers
from clover_tvae.columns.plain_data import check, fields, name_from_plain, name_to_plain
from clover_tvae.conditions import Condition
from clover_tvae.encoded import ColumnLayout
from clover_tvae.errors import ConditionError, DataError, Problem
from clover_tvae.transforms.column import ColumnCodes, ConditionCodes, NumberCodec, Unseen
from clover_tvae.transforms.mixture import ModeCodec
from clover_tvae.transforms.numbers import Grid
from clover_tvae.transforms.quantile import RankCodec

__all__ = ["CODECS", "ContinuousTransform", "Numbers", "allow_numbers", "fit_codec", "located"]

Numbers = Literal["mode", "rank"]
CODECS: dict[str, Any] = {"mode": ModeCodec, "rank": RankCodec}


def fit_codec(values: NDArray[Any], missing: NDArray[np.bool_], grid: Grid, numbers: str) -> NumberCodec:
    """Learn how to code the numbers of a column."""
    known = grid.cast(values[~missing])
    if numbers == "mode":
        return ModeCodec.fit(known, int(missing.sum()), grid)
    return RankCodec.fit(known, int(missing.sum()), grid)


@contextmanager
def located(name: Any) -> Iterator[None]:
    """Name the column in a ``DataError`` of its codec, which does not know it."""
    try:
        yield
    except DataError as error:
        message = f"{error}; remove those rows, or fit on data that have them"
        raise DataError(Problem(where_of(name), message)) from None


def allow_numbers(codec: NumberCodec, condition: Condition, read: Any) -> ConditionCodes:
    """Return what meets a condition on numbers.

    Args:
        codec: The column's codec.
        condition: The condition.
        read: Makes a number of the column's own kind of a value.
    """
    layout, grid = codec.layout, codec.grid
    never_missing = "asks for missing cells, but the column was never missing in training"
    if condition.form == "not missing":
        allowed = codec.allow(-math.inf, math.inf)
    elif condition.form == "range":
        low = -math.inf if condition.low is None else grid.first_at_least(read(condition.low), condition.above)
        high = math.inf if condition.high is None else grid.last_at_most(read(condition.high), condition.below)
        allowed = codec.allow(low, high)
        if low > high or not allowed.choices.any():
            raise ConditionError(
                "no value of the range was seen in training: it is empty, or outside the column's range"
            )
    elif condition.form == "not in":
        allowed = codec.allow(-math.inf, math.inf)
        for value in condition.values:
            alone = codec.allow(*[read(value)] * 2)
            if alone.choices[: layout.n_numbered].any():
                raise ConditionError("'!=' needs a value that repeats often in the column; use '<' or '>' here")
            allowed = ConditionCodes(allowed.choices & ~alone.choices, allowed.lower, allowed.upper)
    else:
        mask = np.zeros(layout.n_base, dtype=bool)
        lower, upper = codec.allow(-math.inf, math.inf).lower, codec.allow(-math.inf, math.inf).upper
        n_unseen = n_between = n_numbered = 0
        for value in condition.values:
            alone = codec.allow(*[read(value)] * 2)
            if not alone.choices.any():
                n_unseen += 1
                n_between += bool(grid.decimals is None and grid.minimum <= read(value) <= grid.maximum)
            if alone.choices[: layout.n_numbered].any():
                n_numbered += 1
                lower, upper = alone.lower, alone.upper
            mask |= alone.choices
        if n_between:
            raise ConditionError("its numbers have so many digits that none equals another; use ('between', low, high)")
        if n_unseen:
            raise ConditionError(f"{n_unseen} of {len(condition.values)} values are outside what was seen in training")
        if n_numbered > 1:
            raise ConditionError("a list of several numbers needs values that repeat often; use ('between', low, high)")
        if condition.missing:
            if layout.missing is None:
                raise ConditionError(never_missing)
            mask[layout.missing] = True
        allowed = ConditionCodes(mask, lower, upper)
    if not allowed.choices.any():
        raise ConditionError("no value that was seen in training meets it")
    return allowed


@dataclass(frozen=True, eq=False)
class ContinuousTransform:
    """A fitted column of numbers.

    Args:
        name: Name of the column.
        cells: Its dtype.
        codec: How its numbers are coded.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> ages = pd.Series(rng.integers(18, 90, 1000))
        >>> column = ContinuousTransform.fit(ages, "age", "rank")
        >>> codes = column.encode(ages, rng, "error")
        >>> bool((column.decode(codes.choices, codes.scalars + codes.spreads / 2) == ages).all())
        True
    """

    name: Any
    cells: CellType
    codec: NumberCodec
    kind: str = "continuous"

    @classmethod
    def fit(cls, values: pd.Series, name: Any, numbers: str) -> ContinuousTransform:
        """Learn the numbers of a column.

        Args:
            values: The column.
            name: Its name.
            numbers: ``mode`` or ``rank``.

        Raises:
            ColumnTypeError: Cells that are not numbers.
            NonFiniteError: Infinite cells.
        """
        cells, read, missing = read_numbers(values, name)
        exact = values[~missing].map(Decimal) if "decimal" in cells.name.lower() else None
        grid = Grid.of(read[~missing], cells, exact)
        return cls(name, cells, fit_codec(read, missing, grid, numbers))

    @property
    def grid(self) -> Grid:
        """Type, decimals and range of the numbers."""
        return self.codec.grid

    @property
    def layout(self) -> ColumnLayout:
        """The choices of the codec."""
        return self.codec.layout

    def encode(self, values: pd.Series, rng: np.random.Generator, unseen: Unseen) -> ColumnCodes:
        """Return the cells as choices and numbers."""
        return self.encode_numbers(*self.read(values), rng, unseen)

    def read(self, values: pd.Series) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the numbers of cells, and which are missing."""
        if values.isna().all():  # whatever dtype pandas gives a column without a value
            return np.zeros(len(values), self.grid.dtype), np.ones(len(values), dtype=bool)
        return read_numbers(values, self.name)[1:]

    def encode_numbers(
        self, values: NDArray[Any], missing: NDArray[np.bool_], rng: np.random.Generator, unseen: Unseen
    ) -> ColumnCodes:
        """Return numbers as choices and numbers."""
        with located(self.name):
            return self.codec.encode(values, missing, rng, unseen)

    def decode(self, choices: NDArray[Any], scalars: NDArray[Any] | None) -> pd.Series:
        """Return the cells."""
        return self.restore(*self.codec.decode(choices, scalars))

    def restore(self, values: NDArray[Any], missing: NDArray[np.bool_]) -> pd.Series:
        """Return numbers of the column as its cells."""
        return self.cells.of_numbers(values, missing, self.grid.decimals)

    def allow(self, condition: Condition) -> ConditionCodes:
        """Return what meets a condition; the column must have been such in training."""
        condition.check(self.kind, "truth" if "bool" in self.cells.name else "number")
        return allow_numbers(self.codec, condition, self._operand)

    def _operand(self, value: Any) -> float:
        if isinstance(value, (int, np.integer)):
            return int(value)
        # 0.1 is not the nearest number of a float32 column, nor 0.1 + 0.2 one of a column with one decimal.
        near = float(self.grid.cast(np.array([float(value)]))[0])
        return near if math.isclose(near, value, rel_tol=1e-6 if self.grid.single else 1e-12) else float(value)

    def to_plain(self) -> dict[str, Any]:
        """Return the fitted column as plain data."""
        return {"name": name_to_plain(self.name), "cells": self.cells.to_plain(), "codec": self.codec.to_plain()}

    @classmethod
    def from_plain(cls, plain: Any, numbers: str) -> ContinuousTransform:
        """Read what ``to_plain`` wrote; ``ValueError`` on anything else."""
        plain = fields(plain, ("name", "cells", "codec"), "continuous column")
        cells = CellType.from_plain(plain["cells"])
        made = cls(name_from_plain(plain["name"]), cells, CODECS[numbers].from_plain(plain["codec"]))
        try:
            ends = np.array([made.grid.minimum, made.grid.maximum], dtype=made.grid.dtype)
            unknown = np.full(2, made.layout.n_base == 1 and made.layout.missing is not None)
            _, back, _ = read_numbers(made.restore(ends, unknown), made.name)
            absent = made.restore(ends, unknown | np.array([made.layout.missing is not None, False])).isna()
        except Exception as error:
            raise ValueError("the numbers do not fit their dtype") from error
        check(bool(absent.iloc[0]) == (made.layout.missing is not None), "the dtype cannot hold missing cells")
        check(bool((back == ends).all()), "the numbers do not fit their dtype")
        return made
