"""Columns in order: one is never above the next; and intervals, whose length is the thing with a distribution."""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from clover_tvae.columns.calendar import PER_SECOND
from clover_tvae.relations.reading import filled, holds, known, numbers, quantities, read_dates
from clover_tvae.relations.relation import Name, Relation

__all__ = ["Inequality", "Interval"]


class Inequality(Relation):
    """Numbers or dates in ascending order.

    Args:
        ascending: Two columns or more, the lowest first.
        strict: Whether neighbours must differ.
    """

    kind: Literal["inequality"] = "inequality"
    ascending: Annotated[tuple[Name, ...], Field(min_length=2)]
    strict: bool = False

    @property
    def columns(self) -> tuple[Any, ...]:
        return self.ascending

    def applies(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        return np.logical_or.reduce([known(df, pair) for pair in itertools.pairwise(self.ascending)])

    def breaks(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        values = quantities(df, self.ascending)
        above = np.greater_equal if self.strict else np.greater  # a comparison with NaN is False
        return np.logical_or.reduce([above(low, high) for low, high in itertools.pairwise(values)])

    def mend(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return the rows with the values of columns that are out of order swapped."""
        for _ in self.ascending[1:]:
            for low, high in itertools.pairwise(self.ascending):
                df = _swapped(df, low, high)
        return df

    def __str__(self) -> str:
        return (" < " if self.strict else " <= ").join(map(str, self.ascending))


class Interval(Relation):
    """``end`` is ``start`` plus a length of zero or more, whose distribution depends little on ``start``.

    Args:
        start: A column of numbers or dates.
        end: Another of the same.
    """

    kind: Literal["interval"] = "interval"
    start: Name
    end: Name

    @property
    def columns(self) -> tuple[Any, ...]:
        return (self.start, self.end)

    def breaks(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        return self.lengths(df) < 0

    def mend(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return the rows with the start and the end of a negative length swapped."""
        return _swapped(df, self.start, self.end)

    def lengths(self, df: pd.DataFrame) -> NDArray[np.float64]:
        """Return the length in each row, seconds for dates; NaN where a cell is missing."""
        start, end = quantities(df, self.columns)
        return end - start

    def ends(self, df: pd.DataFrame, lengths: NDArray[np.float64]) -> pd.Series:
        """Return each row's start plus a length (seconds for dates), written as ``start`` is."""
        return _plus(df[self.start], lengths)

    def __str__(self) -> str:
        return f"{self.end} is {self.start} plus a length that is never negative"


def _swapped(df: pd.DataFrame, low: Any, high: Any) -> pd.DataFrame:
    """Return the table with the cells of two columns swapped where the first is above the second."""
    start, end = quantities(df, (low, high))
    lengths = end - start
    for name, way in ((low, lengths), (high, -lengths)):
        df = filled(df, name, _plus(df[name], np.where(lengths < 0, way, np.nan)))
    return df


def _plus(start: pd.Series, lengths: NDArray[np.float64]) -> pd.Series:
    """Return cells plus lengths (seconds for dates), written as they are; missing where a length is NaN."""
    if holds(start) == "number":
        return pd.Series(numbers(start) + lengths, index=start.index)
    calendar, moments, missing = read_dates(start)
    steps = np.round(np.nan_to_num(lengths) * PER_SECOND[calendar.unit]).astype(np.int64)
    return calendar.write(moments + steps, missing | np.isnan(lengths)).set_axis(start.index)
