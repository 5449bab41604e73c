"""Columns in order: one is never above the next; and intervals, whose length is the thing with a distribution."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from clover_tvae.columns.calendar import PER_SECOND
from clover_tvae.relations.reading import filled, holds, known, numbers, quantities, read_dates, with_dates
from clover_tvae.relations.relation import Name, Relation


class Order(Relation):
    """Numbers or dates in ascending order."""

    @property
    def is_strict(self) -> bool:
        """Whether neighbours must differ."""
        return bool(getattr(self, "strict", False))

    @property
    def pairs(self) -> list[tuple[Any, Any]]:
        """Neighbours, the lower one first."""
        return list(itertools.pairwise(self.columns))

    def applies(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        return np.logical_or.reduce([known(df, pair) for pair in self.pairs])

    def breaks(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        values = quantities(df, self.columns)
        above = np.greater_equal if self.is_strict else np.greater  # a comparison with NaN is False
        return np.logical_or.reduce([above(low, high) for low, high in itertools.pairwise(values)])

    def mend(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return the rows with the values of columns that are out of order swapped."""
        for low, high in self.pairs * len(self.pairs):
            df = _swapped(df, low, high)
        return df


class Inequality(Order):
    """Numbers or dates in ascending order.

    Args:
        ascending: Two columns or more, the lowest first.
        strict: Whether neighbours must differ.
    """

    about = ("ascending",)
    kind: Literal["inequality"] = "inequality"
    ascending: Annotated[tuple[Name, ...], Field(min_length=2)]
    strict: bool = False

    def __str__(self) -> str:
        return (" < " if self.strict else " <= ").join(map(str, self.ascending))


class Interval(Order):
    """``end`` is ``start`` plus a length of zero or more, whose distribution depends little on ``start``.

    Args:
        start: A column of numbers or dates.
        end: Another of the same.
    """

    about = ("start", "end")
    kind: Literal["interval"] = "interval"
    start: Name
    end: Name

    def __str__(self) -> str:
        return f"{self.end} is {self.start} plus a length that is never negative"


def looked_at(df: pd.DataFrame, relations: Iterable[Relation]) -> Callable[[Relation], pd.DataFrame]:
    """Return which table each relation is to look at: an order one whose texts are read as dates already, once for all orders."""
    timed = with_dates(df, {name for one in relations if isinstance(one, Order) for name in one.columns})
    return lambda relation: timed if isinstance(relation, Order) else df


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
