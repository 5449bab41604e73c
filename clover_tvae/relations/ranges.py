"""Ranges of a number that depend on a category: each test's values, each grade's salary."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.numeric import round_bound
from clover_tvae.relations.reading import filled, labels, lent, numbers
from clover_tvae.relations.relation import Cell, Name, Relation

__all__ = ["Ranges"]


class Ranges(Relation):
    """A number lies in a range that depends on a category.

    Args:
        category: The column that says which range.
        number: The column that lies in it.
        ranges: Rows of a category, its lowest and its highest number. ``None``: not learnt yet; then no row breaks it.
    """

    lends: ClassVar[bool] = True
    about, learns = ("category", "number"), "ranges"
    kind: Literal["ranges"] = "ranges"
    category: Name
    number: Name
    ranges: tuple[tuple[Cell, float, float], ...] | None = None

    def _ends(self, df: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return the numbers, and the lowest and the highest that each may be; NaN where nothing is known."""
        level, rows = labels(df[self.category]), self.ranges or ()
        low, high = (level.map({row[0]: row[i] for row in rows}).to_numpy(np.float64) for i in (1, 2))
        return numbers(df[self.number]), low, high

    def breaks(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        values, low, high = self._ends(df)
        return (values < low) | (values > high)

    def complete(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return the table with numbers out of their range replaced by one above them of the same category."""
        return lent(df, self.number, self.breaks(df), [self.category])

    def mend(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return the rows with the number moved to the nearest end of its range."""
        values, low, high = self._ends(df)
        moved = np.where(np.isnan(values), np.nan, np.fmin(np.fmax(values, low), high))
        return filled(df, self.number, pd.Series(moved, index=df.index))

    def learnt(self, df: pd.DataFrame, min_count: int) -> Self:
        values = pd.Series(numbers(df[self.number])).dropna()
        groups = values.groupby(labels(df[self.category]).reset_index(drop=True).loc[values.index])
        ranges = tuple(
            (level, round_bound(cells.to_numpy(), min_count), -round_bound(-cells.to_numpy(), min_count))
            for level, cells in groups
            if len(cells) >= min_count
        )
        return self.model_copy(update={"ranges": ranges})

    def __str__(self) -> str:
        return f"{self.number} lies in a range that depends on {self.category}"
