"""Columns whose parts are columns (a clock's hour and minute, a date's year and month): their parts tell them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.conditions import Condition
from clover_tvae.errors import ConditionError
from clover_tvae.reduction.cells import Cells
from clover_tvae.relations.computed import Computed, Predicate
from clover_tvae.relations.reading import comparable, labels
from clover_tvae.relations.relation import Relation

__all__ = ["Whole", "wholes"]

_MOST_VALUES = 100_000


@dataclass(frozen=True, eq=False)
class Whole:
    """A column of whole numbers or dates, with all that it can hold and what each of its parts is then.

    Args:
        name: The column.
        cells: Each value between its ends that breaks no relation of the column alone, and the parts computed from it.
    """

    name: Any
    cells: pd.DataFrame

    @property
    def parts(self) -> tuple[Any, ...]:
        """The columns that are computed from it alone."""
        return tuple(self.cells.columns[1:])

    def told(self, df: pd.DataFrame, beside: pd.Series | None = None) -> pd.Series:
        """Return the value that the known parts of each row leave, missing where they leave several or none.

        Args:
            df: The rows.
            beside: Cells of the column: of several values, the nearest to these.
        """
        there = [name for name in self.parts if name in df]
        known = df[there].notna().to_numpy(dtype=bool)
        place = np.full(len(df), -1)
        for pattern in np.unique(known[known.any(axis=1)], axis=0):
            names = [name for name, is_known in zip(there, pattern, strict=True) if is_known]
            rows = np.flatnonzero((known == pattern).all(axis=1))
            every, sought = (
                pd.MultiIndex.from_arrays([labels(part[name]) for name in names])
                for part in (self.cells, df.iloc[rows])
            )
            keys = every.unique()
            codes, asked = keys.get_indexer(every), keys.get_indexer(sought)
            for code in np.unique(asked[asked >= 0]):
                (left,), same = np.nonzero(codes == code), rows[asked == code]
                if len(left) == 1:
                    place[same] = left
                elif beside is not None:
                    values, near = comparable(self.cells[self.name])[left], comparable(beside)[same]
                    place[same] = left[np.abs(near[:, None] - values).argmin(axis=1)]
        told = self.cells[self.name].iloc[place].astype(object).set_axis(df.index)
        return told.where(place >= 0, None)

    def asked(self, cells: Cells, conditions: Mapping[Any, Condition]) -> Condition | None:
        """Return between which values the whole lies, given conditions on it and its parts; ``None`` where none are.

        Raises:
            ConditionError: No value meets them.
        """
        asked = {name: conditions[name] for name in self.cells.columns if name in conditions}
        if not asked.keys() & set(self.parts) or any(one.missing for one in asked.values()):
            return None
        left = self.cells[self.name][cells.meets(self.cells, asked)]
        if not len(left):
            together = " and ".join(f"column {name!r}" for name in asked)
            raise ConditionError(
                f"must be parts of one {self.name!r}, found values that no {self.name!r} has", together
            )
        return Condition.of([left.iloc[0]] if len(left) == 1 else ("between", left.iloc[0], left.iloc[-1]))


def wholes(cells: Cells, steps: Iterable[Any], kept: Iterable[Relation]) -> tuple[Whole, ...]:
    """Return the columns of few enough values from which steps compute others.

    Args:
        cells: How cells are read and written.
        steps: What makes columns.
        kept: The relations that every row keeps.
    """
    parts, found = dict[Any, list[Computed]](), list[Whole]()
    for step in steps:
        if isinstance(step, Computed) and len(step.sources) == 1:
            parts.setdefault(step.sources[0], []).append(step)
    for name, computed in parts.items():
        if not cells.is_number(name) or not (cells.is_date(name) or cells.number(name).grid.decimals == 0):
            continue
        column = cells.number(name)
        low, high = int(column.grid.minimum), int(column.grid.maximum)
        if high - low >= _MOST_VALUES:
            continue
        values: NDArray[Any] = column.grid.cast(np.arange(low, high + 1).astype(np.float64))
        frame = pd.DataFrame({name: column.restore(values, np.zeros(len(values), dtype=bool))})
        frame = frame.drop_duplicates()  # 24:00 is written as 0:00
        for one in kept:
            if isinstance(one, Predicate) and set(one.columns) == {name}:
                frame = frame[~one.breaks(frame)].reset_index(drop=True)
        for step in computed:
            frame[step.target] = cells.typed(step.target, step.complete(frame[[name]])[step.target])
        found.append(Whole(name, frame))
    return tuple(found)
