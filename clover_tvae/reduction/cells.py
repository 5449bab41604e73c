"""How the cells of the columns of relations are read as numbers and written back, each in its own type."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.calendar import PER_SECOND
from clover_tvae.columns.date_formats import read_texts
from clover_tvae.columns.dtypes import with_cells
from clover_tvae.columns.people import People, ends_of_each
from clover_tvae.conditions import Condition
from clover_tvae.errors import ConditionError
from clover_tvae.relations.computed import Equal
from clover_tvae.relations.reading import labels, numbers
from clover_tvae.relations.relation import Relation
from clover_tvae.transforms import TableTransform
from clover_tvae.transforms.categorical import CategoricalTransform
from clover_tvae.transforms.numbers import DateCells, NumberTransform

_DAY = 86_400.0  # seconds
_RNG = np.random.default_rng(0)  # never drawn from: raw codes leave nothing to chance


@dataclass(frozen=True, eq=False)
class Cells:
    """The columns of relations, as numbers, seconds or categories.

    Args:
        table: Their transforms, numbers as they are.
    """

    table: TableTransform

    @cached_property
    def _by_name(self) -> dict[Any, NumberTransform | CategoricalTransform]:
        return {transform.name: transform for transform in self.table.transforms}

    def is_number(self, name: Any) -> bool:
        """Whether a column holds numbers or dates."""
        return isinstance(self._by_name[name], NumberTransform)

    def is_date(self, name: Any) -> bool:
        """Whether a column holds dates."""
        column = self._by_name[name]
        return isinstance(column, NumberTransform) and isinstance(column.reader, DateCells)

    def keeps_months(self, name: Any) -> bool:
        """Whether dates are written as the first, or as the last, day of their month, whatever they were."""
        reader = self.number(name).reader
        return isinstance(reader, DateCells) and reader.calendar.day_of_month != 0

    def number(self, name: Any) -> NumberTransform:
        """Return the transform of a column of numbers or dates."""
        column = self._by_name[name]
        assert isinstance(column, NumberTransform)
        return column

    def values(self, df: pd.DataFrame, name: Any) -> NDArray[np.float64]:
        """Return numbers, or dates in seconds, NaN where a cell is missing."""
        column = self.number(name)
        cells, missing = column.read(df[name])
        return np.where(missing, np.nan, self._scaled(column, cells))

    def _scaled(self, column: NumberTransform, steps: NDArray[Any]) -> NDArray[np.float64]:
        values = column.reader.to_scale(steps).astype(np.float64)
        return values / PER_SECOND[column.reader.calendar.unit] if isinstance(column.reader, DateCells) else values

    def write(self, name: Any, values: NDArray[np.float64], *, inside: bool = True) -> pd.Series:
        """Return numbers, or seconds of dates, as cells; ``inside``: moved into the range of the column, else of its dtype."""
        column, missing = self.number(name), np.isnan(values)
        numbers: NDArray[Any] = np.where(missing, 0.0, values)
        if isinstance(column.reader, DateCells):
            moments = np.round(numbers * PER_SECOND[column.reader.calendar.unit]).astype(np.int64)
            numbers = column.reader.from_scale(moments)
        ends = (column.grid.minimum, column.grid.maximum) if inside else column.reader.limits(column.grid)
        made = np.clip(column.grid.cast(numbers), *ends)
        return column.restore(made, missing)

    def may_lack(self, name: Any) -> bool:
        """Whether cells of a column can be missing: whole numbers of numpy cannot."""
        column = self._by_name[name]
        if not isinstance(column, NumberTransform):
            return True
        cells = column.reader.cells
        return not (cells.family == "numpy" and cells.pandas.kind in "iub")

    def typed(self, name: Any, values: pd.Series) -> pd.Series:
        """Return values of any type as cells of a column; those that were not learnt stay as they are."""
        column = self._by_name[name]
        if isinstance(column, NumberTransform):
            made = self.write(name, self.values(values.to_frame(name), name), inside=False)
        else:
            choices = self._choices(column, values)
            unknown = np.flatnonzero(choices < 0)
            made = column.decode(np.maximum(choices, 0), None)
            made = with_cells(made, unknown, values.iloc[unknown]) if len(unknown) else made
        return made.set_axis(values.index)

    def equal_to(self, name: Any, df: pd.DataFrame, other: Any) -> pd.Series:
        """Return the cells of a column as another column that equals it writes them: two texts of one date may differ."""
        if not (self.is_date(name) and self.is_date(other)):
            return df[other]
        return self.write(name, self.values(df, other), inside=False).set_axis(df.index)

    def completed(self, relation: Relation, df: pd.DataFrame) -> pd.DataFrame:
        """Return rows completed by a relation, what equals a date as its own column writes it."""
        if isinstance(relation, Equal):
            df = df.copy()
            df[relation.source] = self.equal_to(relation.target, df, relation.source)
        return relation.complete(df)

    def asked(self, name: Any, values: pd.Series) -> pd.Series:
        """Return values of a condition as cells of a column: a date may be a text."""
        if not self.is_date(name):
            return self.typed(name, values)
        column = self.number(name)
        steps = np.array([column.reader.number_of(value, column.grid) for value in values], dtype=np.float64)
        return column.restore(column.grid.cast(steps), np.isnan(steps)).set_axis(values.index)

    def asked_of_equal(self, name: Any, other: Any, condition: Condition) -> Condition:
        """Return a condition on a column as one on another that equals it: a text in the format of the one is read by it."""
        if not (self.is_date(name) and self.is_date(other)):
            return condition
        column = self.number(name)

        def told(value: Any) -> Any:
            try:
                column.reader.number_of(value, column.grid)
            except ConditionError:
                cells = self.asked(other, pd.Series([value], dtype=object)).to_frame(other)
                return self.equal_to(name, cells, other).iloc[0]
            return value

        ends = {
            end: told(value) for end, value in (("low", condition.low), ("high", condition.high)) if value is not None
        }
        return replace(condition, values=tuple(map(told, condition.values)), **ends)

    def _choices(self, column: CategoricalTransform, values: pd.Series) -> NDArray[np.int32]:
        """Return the category of each cell, or of each value of a table of a relation; -1 where there is none."""
        choices = column.encode(values, _RNG, "mask").choices
        if (unknown := (choices < 0) & values.notna().to_numpy(dtype=bool)).any():
            known = labels(column.decode(np.arange(len(column.categories)), None))
            places = {label: place for place, label in enumerate(known)}
            choices[unknown] = [places.get(label, -1) for label in labels(values[unknown])]
        return choices

    def _day(self, name: Any) -> float:
        return _DAY if self.is_date(name) else 1.0

    def is_packed(self, name: Any) -> bool:
        """Whether a column holds dates or times as whole numbers."""
        return self.is_date(name) and self.number(name).reader.cells.is_number

    def told(self, df: pd.DataFrame, name: Any) -> NDArray[np.float64]:
        """Return the numbers with which formulas compute: days of dates, but those that are whole numbers as they stand."""
        return numbers(df[name]) if self.is_packed(name) else self.values(df, name) / self._day(name)

    def write_told(self, name: Any, told: NDArray[np.float64]) -> pd.Series:
        """Return what a formula gives as cells, missing where a whole number is no date."""
        if self.is_packed(name) and isinstance(reader := self.number(name).reader, DateCells):
            assert reader.calendar.format is not None
            texts = np.array(["" if np.isnan(value) else str(round(value)) for value in told], dtype=object)
            instants, readable, _ = read_texts(texts, reader.calendar.format, reader.calendar.century_starts)
            return self.write(
                name, np.where(readable, instants / PER_SECOND[reader.calendar.unit], np.nan), inside=False
            )
        return self.write(name, told * self._day(name), inside=False)

    def ends_told(self, name: Any) -> tuple[float, float]:
        """Return the lowest and the highest number of a column, as formulas compute with it."""
        grid = self.number(name).grid
        low, high = self._told_steps(name, grid.minimum), self._told_steps(name, grid.maximum)
        if high <= low and grid.maximum > grid.minimum and self.is_packed(name):  # 24:00, which is written as 0
            high = self._told_steps(name, grid.maximum - 1)
        return low, high

    def _told_steps(self, name: Any, steps: float) -> float:
        column = self.number(name)
        cells = column.restore(column.grid.cast(np.array([steps])), np.zeros(1, dtype=bool))
        return float(self.told(cells.to_frame(name), name)[0])

    def ends(self, name: Any, condition: Condition | None = None) -> tuple[float, float]:
        """Return the lowest and the highest value of a column, or those of it that a condition lets through."""
        column, ends = self.number(name), self._asked_for(name, condition)
        clipped = np.clip(np.array(ends, dtype=np.float64), float(column.grid.minimum), float(column.grid.maximum))
        low, high = self._scaled(column, column.grid.cast(clipped)).tolist()
        return low, high

    def shared_ends(self, df: pd.DataFrame, name: Any, least: int, people: People | None) -> tuple[float, float]:
        """Return the means of the lowest values of ``least`` people and of their highest, of which none outweighs the others."""
        column = self.number(name)
        steps, missing = column.read(df[name])
        known, of = column.grid.cast(steps[~missing]), None if people is None else people[~missing]
        lowest, highest = (
            column.grid.shared(column.grid.pulled_in(outer, least), least) for outer in ends_of_each(known, of)
        )
        low, high = self._scaled(column, column.grid.cast(np.array([lowest.minimum, highest.maximum]))).tolist()
        return low, high

    def _asked_for(self, name: Any, condition: Condition | None) -> tuple[float, float]:
        """Return the lowest and the highest number of a column, in its own steps, that a condition lets through."""
        column = self.number(name)
        if condition is not None and condition.form == "range":
            return column.ends(condition)
        if condition is not None and condition.form == "in" and condition.values and not condition.missing:
            steps = [column.reader.number_of(value, column.grid) for value in condition.values]
            return min(steps), max(steps)
        return -math.inf, math.inf

    def bounds(self, name: Any, condition: Condition | None = None) -> tuple[float, float]:
        """Return between which numbers (days, of dates) a column lies, or what of it a condition lets through.

        The ends of a condition may lie beyond all that was seen; of categories that are no numbers nothing is known. Dates
        with a time zone lie up to a day beside those that it shows.
        """
        column, nothing = self._by_name[name], (-math.inf, math.inf)
        if isinstance(column, CategoricalTransform):
            codes = np.arange(len(column.categories))
            codes = codes if condition is None else codes[column.meets(condition, codes, None)]
            levels = labels(column.decode(codes, None)).tolist()
            known = levels and all(isinstance(level, bool | int | float) for level in levels)
            return (min(levels), max(levels)) if known else nothing
        grid = column.grid
        ends = (grid.minimum, grid.maximum) if condition is None else self._asked_for(name, condition)
        if condition is None and max(map(abs, ends)) > 2**53:  # such ends are means, beyond which there are values
            return nothing
        if condition is None and self.is_packed(name):
            return self.ends_told(name)
        low, high = (self._told_steps(name, end) if math.isfinite(end) else end for end in ends)
        slack = float(isinstance(column.reader, DateCells) and column.reader.calendar.zone is not None)
        return low - slack, high + slack

    def meets(self, df: pd.DataFrame, conditions: Mapping[Any, Condition]) -> NDArray[np.bool_]:
        """Return which rows meet conditions."""
        keep = np.ones(len(df), dtype=bool)
        for name, condition in conditions.items():
            column = self._by_name[name]
            if isinstance(column, NumberTransform):  # a computed number may lie beyond all that were seen
                keep &= column.met_by(condition, *column.read(df[name]))
            else:
                keep &= column.meets(condition, column.encode(df[name], _RNG, "mask").choices, None)
        return keep

    def cells_that_meet(self, name: Any, values: list[Any], condition: Condition) -> NDArray[np.bool_]:
        """Return which of the values of a look-up table meet a condition on a column."""
        column, cells = self._by_name[name], pd.Series(values, dtype=object).infer_objects()
        if isinstance(column, CategoricalTransform):
            choices = self._choices(column, cells)
            return column.meets(condition, choices, None) & (choices >= 0)
        codes = column.encode(cells, _RNG, "mask")
        return column.meets(condition, codes.choices, codes.scalars) & (codes.choices >= 0)
