"""What a table of values decides: columns that determine another, combinations beside which there are no others, ranges."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import Self

from clover_tvae.columns.numeric import shared_bound
from clover_tvae.columns.people import People, ends_of_each, people_of_each
from clover_tvae.relations.reading import filled, labels, lent, level_codes, numbers
from clover_tvae.relations.relation import Cell, Name, Relation, listed

# Where at most one row in 200 is an exception, a key of which one row in ten is one is no mistake: it may have any of its
# values, if enough people share each of them, and is not told otherwise.
_EXCEPTIONS, _UNDECIDED = 0.005, 0.1


def _combinations(df: pd.DataFrame, names: tuple[Any, ...]) -> tuple[NDArray[np.int64], list[tuple[Any, ...]]]:
    """Return the code of each row's combination (-1 where a cell is missing), and the combinations."""
    codes, n_levels = level_codes(df, names)
    rows = np.zeros(n_levels, dtype=np.int64)
    rows[codes[codes >= 0]] = np.flatnonzero(codes >= 0)
    return codes, list(zip(*(labels(df[name].iloc[rows]) for name in names), strict=True))


def _shared(df: pd.DataFrame, names: tuple[Any, ...], min_count: int, people: People | None) -> pd.DataFrame:
    """Return the combinations that at least ``min_count`` people have, those of most first, with their ``people``."""
    frame = pd.DataFrame({i: labels(df[name]) for i, name in enumerate(names)})
    groups = frame.groupby(list(frame), sort=False)
    counts = groups.size().rename("people").reset_index()
    number = groups.ngroup().fillna(-1).to_numpy(dtype=np.intp)
    counts["people"] = people_of_each(number, len(counts), people)
    return counts[counts["people"] >= min_count].sort_values("people", ascending=False, kind="stable")


class Dependency(Relation):
    """The values of one column, or of several together, determine that of another (a city its region).

    Args:
        by: The columns that determine.
        target: The determined column.
        table: Rows of the values of ``by`` and the value that they determine, the most frequent first where several may
            stand beside the same values. ``None``: not learnt yet; then the most frequent value beside each combination
            counts as the determined one.
    """

    about, learns = ("by", "target"), "table"
    kind: Literal["determines"] = "determines"
    by: Annotated[tuple[Name, ...], Field(min_length=1)]
    target: Name
    table: tuple[tuple[Cell, ...], ...] | None = None

    @property
    def determines(self) -> tuple[Any, ...]:
        return (self.target,)

    @property
    def is_single(self) -> bool:
        """Whether the table has one value for each combination."""
        return self.table is None or len({row[:-1] for row in self.table}) == len(self.table)

    def predicted(self, df: pd.DataFrame) -> pd.Series:
        """Return the determined value of each row, missing where the table has none."""
        table = {row[:-1]: row[-1] for row in reversed(self.table or ())}
        codes, keys = _combinations(df, self.by)
        return pd.Series([*map(table.get, keys), None], dtype=object).take(codes).set_axis(df.index)

    def breaks(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        if self.table is None:
            return self.learnt(df, 1).breaks(df)
        expected, found = self.predicted(df), labels(df[self.target])
        wrong = (expected.notna() & found.notna() & (expected != found)).to_numpy(dtype=bool, copy=True)
        if wrong.any() and not self.is_single:
            codes, found_rows = _combinations(df[wrong], self.columns)
            wrong[wrong] = np.array([row not in self.table for row in found_rows], dtype=bool)[codes]
        return wrong

    def learnt(self, df: pd.DataFrame, min_count: int, people: People | None = None) -> Self:
        every = _shared(df, self.columns, 1, people)
        *keys, _, _ = every
        counts, is_first = every["people"], ~every.duplicated(keys)
        by_key = [every[key] for key in keys]
        most, rows = (counts.groupby(by_key).transform(of) for of in ("max", "sum"))
        least = counts.groupby(by_key).transform("min")
        several = (most <= (1 - _UNDECIDED) * rows) & (counts[~is_first].sum() <= _EXCEPTIONS * counts.sum())
        are_told = (counts >= min_count) & np.where(several, least >= min_count, is_first)
        pairs = every[are_told].drop(columns="people")
        return self.model_copy(update={"table": tuple(pairs.astype(object).itertuples(index=False, name=None))})

    def complete(self, df: pd.DataFrame) -> pd.DataFrame:
        return filled(df, self.target, self.predicted(df))

    def __str__(self) -> str:
        return f"{listed(self.by)} determine{'s' * (len(self.by) == 1)} {self.target}"


class Combinations(Relation):
    """Columns that take some combinations of values and no others.

    Args:
        among: The columns.
        allowed: The combinations. ``None``: not learnt yet; then no row breaks it.
    """

    lends: ClassVar[bool] = True
    about, learns = ("among",), "allowed"
    kind: Literal["combinations"] = "combinations"
    among: Annotated[tuple[Name, ...], Field(min_length=2)]
    allowed: tuple[tuple[Cell, ...], ...] | None = None

    def breaks(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        if self.allowed is None:
            return np.zeros(len(df), dtype=bool)
        allowed = set(self.allowed)
        codes, keys = _combinations(df, self.among)
        return np.array([*(key not in allowed for key in keys), False])[codes]

    def complete(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return the table with combinations that there are not ended as one above them that begins alike."""
        return lent(df, self.among[-1], self.breaks(df), self.sources)

    def mend(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return the rows with the nearest combination: the most frequent one that shares the most of the first values."""
        wrong, made = self.breaks(df), df
        cells = list(zip(*(labels(df[name]) for name in self.among), strict=True))
        nearest: dict[tuple[Any, ...], tuple[Cell, ...]] = {}
        for row in self.allowed or ():
            for n in range(len(row)):
                nearest.setdefault(row[:n], row)
        best = [
            next(nearest[row[:n]] for n in range(len(row) - 1, -1, -1) if row[:n] in nearest) if is_wrong else row
            for row, is_wrong in zip(cells, wrong, strict=True)
        ]
        for i, name in enumerate(self.among):
            values = pd.Series([row[i] for row in best], index=df.index, dtype=object)
            made = filled(made, name, values.where(wrong))
        return made

    def learnt(self, df: pd.DataFrame, min_count: int, people: People | None = None) -> Self:
        rows = _shared(df, self.among, min_count, people).drop(columns="people").astype(object)
        return self.model_copy(update={"allowed": tuple(rows.itertuples(index=False, name=None))})

    def __str__(self) -> str:
        return f"{listed(self.among)} occur in fixed combinations only"


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
        nothing, (codes, keys) = (math.nan, math.nan), _combinations(df, (self.category,))
        ends = {category: pair for category, *pair in self.ranges or ()}
        low, high = np.array([*(ends.get(key, nothing) for (key,) in keys), nothing], dtype=np.float64)[codes].T
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

    def learnt(self, df: pd.DataFrame, min_count: int, people: People | None = None) -> Self:
        values = pd.Series(numbers(df[self.number])).dropna()
        groups = values.groupby(labels(df[self.category]).reset_index(drop=True).loc[values.index])
        ranges = []
        for level, cells in groups:
            found, of = cells.to_numpy(), None if people is None else people[cells.index]
            lowest, highest = ends_of_each(found, of)
            if len(lowest) >= min_count:
                ranges.append((level, shared_bound(lowest, min_count), -shared_bound(-highest, min_count)))
        return self.model_copy(update={"ranges": tuple(ranges)})

    def __str__(self) -> str:
        return f"{self.number} lies in a range that depends on {self.category}"
