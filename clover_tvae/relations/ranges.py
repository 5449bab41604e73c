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

    def breaks(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        if self.ranges is None:
            return np.zeros(len(df), dtype=bool)
        low = {level: low for level, low, _ in self.ranges}
        high = {level: high for level, _, high in self.ranges}
        level, values = labels(df[self.category]), numbers(df[self.number])
        return (values < level.map(low).to_numpy(float)) | (values > level.map(high).to_numpy(float))

    def complete(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return the table with numbers out of their range replaced by one above them of the same category."""
        return lent(df, self.number, self.breaks(df), [self.category])

    def mend(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return the rows with the number moved to the nearest end of its range."""
        level, values = labels(df[self.category]), numbers(df[self.number])
        low, high = ({row[0]: row[i] for row in self.ranges or ()} for i in (1, 2))
        ends = level.map(low).to_numpy(float), level.map(high).to_numpy(float)
        moved = np.fmin(np.fmax(values, ends[0]), ends[1])
        return filled(df, self.number, pd.Series(np.where(np.isnan(values), np.nan, moved), index=df.index))

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
