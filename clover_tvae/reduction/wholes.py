"""Columns whose parts are columns (a clock's hour and minute, a date's year and month): their parts tell them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.calendar import PER_SECOND
from clover_tvae.conditions import Condition
from clover_tvae.errors import ConditionError
from clover_tvae.reduction.cells import Cells
from clover_tvae.reduction.plan import DAY
from clover_tvae.relations.computed import Computed, Predicate
from clover_tvae.relations.reading import labels
from clover_tvae.relations.relation import Relation

_MOST_VALUES = 100_000
_PROBES = 8


@dataclass(frozen=True, eq=False)
class Level:
    """One of the terms whose sum a column is, the day or the time of a date, or all of it.

    Args:
        values: What it can be, ascending: numbers, or seconds.
        parts: The columns that it tells, for each of these values.
    """

    values: NDArray[np.float64]
    parts: pd.DataFrame

    def told(self, df: pd.DataFrame, beside: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """Return the value that the known parts of each row leave, NaN where they leave several or none.

        Args:
            beside: Of several values, the nearest to these; and these where no part is known.
        """
        there = [name for name in self.parts if name in df]
        known = df[there].notna().to_numpy(dtype=bool)
        told = np.full(len(df), np.nan) if beside is None else np.where(known.any(axis=1), np.nan, beside)
        for pattern in np.unique(known[known.any(axis=1)], axis=0):
            names = [name for name, is_known in zip(there, pattern, strict=True) if is_known]
            rows = np.flatnonzero((known == pattern).all(axis=1))
            every, sought = (
                pd.MultiIndex.from_arrays([labels(part[name]) for name in names])
                for part in (self.parts, df.iloc[rows])
            )
            keys = every.unique()
            codes, asked = keys.get_indexer(every), keys.get_indexer(sought)
            for code in np.unique(asked[asked >= 0]):
                left, same = self.values[codes == code], rows[asked == code]
                if len(left) == 1:
                    told[same] = left
                elif beside is not None:
                    told[same] = left[np.abs(beside[same, None] - left).argmin(axis=1)]
        return told


@dataclass(frozen=True, eq=False)
class Whole:
    """A column of whole numbers or dates, some of whose parts are columns.

    Args:
        levels: The terms whose sum it is: the day and the time of a time stamp, else one.
    """

    name: Any
    cells: Cells
    levels: tuple[Level, ...]

    def told(self, df: pd.DataFrame, beside: pd.Series | None = None) -> pd.Series:
        """Return the value that the known parts of each row leave, missing where they leave several or none.

        Args:
            beside: Cells of the column: of several values, the nearest to these.
        """
        nearest: list[Any] = [None] * len(self.levels)
        if beside is not None:
            near = self.cells.values(beside.to_frame(self.name), self.name)
            nearest = [near] if len(self.levels) == 1 else [near // DAY * DAY, near % DAY]
        total = np.sum([level.told(df, near) for level, near in zip(self.levels, nearest, strict=True)], axis=0)
        parts = [name for level in self.levels for name in level.parts if name in df]
        total[df[parts].isna().all(axis=1).to_numpy(dtype=bool)] = np.nan
        return self.cells.write(self.name, total, inside=False).set_axis(df.index)

    def asked(self, conditions: Mapping[Any, Condition]) -> Condition | None:
        """Return between which values the column lies, given conditions on it and its parts; ``None`` where none are.

        Raises:
            ConditionError: No value meets them.
        """
        ends, every = np.zeros(2), set[Any]()
        for level in self.levels:
            asked = {name: conditions[name] for name in level.parts if name in conditions}
            every |= asked.keys()
            if any(one.missing for one in asked.values()):
                return None
            frame = level.parts
            if len(self.levels) == 1 and asked and self.name in conditions and not conditions[self.name].missing:
                asked[self.name] = conditions[self.name]
                frame = frame.assign(**{self.name: self.cells.write(self.name, level.values, inside=False)})
            if not len(left := level.values[self.cells.meets(frame, asked)]):
                together = " and ".join(f"column {name!r}" for name in asked)
                rule = f"must be parts of one {self.name!r}, found values that no {self.name!r} has"
                raise ConditionError(rule, together)
            ends += left[0], left[-1]
        if not every or (len(self.levels) > 1 and self.name in conditions):
            return None
        low, high = self.cells.write(self.name, ends, inside=False).tolist()
        return Condition.of([low] if low == high else ("between", low, high))


def wholes(cells: Cells, kept: Iterable[Relation]) -> tuple[Whole, ...]:
    """Return the columns of few enough values from which others are computed."""
    kept = list(kept)
    computed, found = [one for one in kept if isinstance(one, Computed)], list[Whole]()
    for name in dict.fromkeys(one.sources[0] for one in computed if len(one.sources) == 1):
        if not cells.is_number(name):
            continue
        column = cells.number(name)
        low, high = cells.ends(name)
        if cells.is_date(name):
            calendar = column.reader.calendar  # type: ignore[union-attr]
            step = calendar.step / PER_SECOND[calendar.unit]
        elif column.grid.decimals == 0:
            step = 1.0
        else:
            continue
        if cells.is_date(name) and calendar.day_of_month:
            steps = np.arange(int(column.grid.minimum), int(column.grid.maximum) + 1)
            values = [calendar.instants(steps) / PER_SECOND[calendar.unit]]
        elif (high - low) / step < _MOST_VALUES:
            values = [np.arange(low, high + step, step)]
        elif cells.is_date(name) and step >= 1 and (high - low) / DAY < _MOST_VALUES and DAY % step == 0:
            values = [np.arange(low // DAY, high // DAY + 1) * DAY, np.arange(0, DAY, step)]
        else:
            continue
        levels = tuple(_level(cells, name, values, i, kept, computed) for i in range(len(values)))
        if any(len(level.parts.columns) for level in levels):
            found.append(Whole(name, cells, levels))
    return tuple(found)


def _level(
    cells: Cells, name: Any, values: list[NDArray[Any]], i: int, kept: list[Relation], computed: list[Computed]
) -> Level:
    """Return one of the terms of a column, with the columns that it alone tells."""
    at, others = values[i], [0.0]
    if len(values) > 1:  # what is the same with several values of the other term, it alone tells
        others = values[1 - i][np.linspace(0, len(values[1 - i]) - 1, _PROBES).astype(int)]
    frames = [cells.write(name, at + other, inside=False).to_frame(name) for other in others]
    keep = ~frames[0][name].duplicated().to_numpy()  # 24:00 is written as 0:00
    for one in kept if len(values) == 1 else ():
        if isinstance(one, Predicate) and set(one.columns) == {name}:
            keep &= ~one.breaks(frames[0])
    at, frames = at[keep], [frame[keep].reset_index(drop=True) for frame in frames]
    left = list(computed)
    while step := next((one for one in left if {*one.sources} <= {*frames[0].columns}), None):
        left.remove(step)
        if step.target in frames[0]:
            continue
        made = [cells.typed(step.target, step.complete(frame[[*step.sources]])[step.target]) for frame in frames]
        if all(cell.equals(made[0]) for cell in made):
            for frame in frames:
                frame[step.target] = made[0]
    return Level(at, frames[0].drop(columns=name))
