"""Columns of a fixed form: exactly one of them is 1, multiples of a step, missing together or when another column says so."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, StrictBool

from clover_tvae.relations.reading import exchanged, filled, known, numbers
from clover_tvae.relations.relation import Cell, Name, Relation, listed


class OneHot(Relation):
    """Columns of zeros and ones, exactly one of which is 1 in each row; so the others determine the last.

    Args:
        group: The columns.
    """

    about = ("group",)
    kind: Literal["one_hot"] = "one_hot"
    group: Annotated[tuple[Name, ...], Field(min_length=2)]

    @property
    def determines(self) -> tuple[Any, ...]:
        return self.group[-1:]

    def breaks(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        values = np.array([numbers(df[name]) for name in self.group])
        wrong = ((values != 0) & (values != 1)).any(axis=0) | (values.sum(axis=0) != 1)
        return wrong & known(df, self.group)

    def complete(self, df: pd.DataFrame) -> pd.DataFrame:
        rest = 1 - np.sum([numbers(df[name]) for name in self.sources], axis=0)
        return filled(df, self.group[-1], pd.Series(rest, index=df.index))

    def mend(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return the rows with a 1 in the column of the highest number, the first of several, and 0 in the others."""
        values = np.array([numbers(df[name]) for name in self.group])
        highest = np.nan_to_num(values, nan=-np.inf).argmax(axis=0)
        for i, name in enumerate(self.group):
            hot = pd.Series((highest == i).astype(np.float64), index=df.index)
            df = filled(df, name, hot.where(pd.Series(~np.isnan(values).any(axis=0), index=df.index)))
        return df

    def __str__(self) -> str:
        return f"exactly one of {listed(self.group)} is 1"


class Increments(Relation):
    """A column holds whole multiples of a step.

    Args:
        column: The column.
        step: The step.
    """

    about = ("column",)
    kind: Literal["increments"] = "increments"
    column: Name
    step: Annotated[float, Field(gt=0)]

    def breaks(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        steps = numbers(df[self.column]) / self.step
        return np.abs(steps - np.round(steps)) > 1e-9 * np.maximum(np.abs(steps), 1)

    def complete(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return the table with the column rounded to whole steps."""
        return filled(df, self.column, pd.Series(np.round(numbers(df[self.column]) / self.step) * self.step, df.index))

    def __str__(self) -> str:
        return f"{self.column} is a multiple of {self.step:g}"


class MissingTogether(Relation):
    """The cells of some columns are all missing or all there.

    Args:
        group: The columns.
        nested: Whether a cell may also be missing alone: it is where that of a column before it is.
    """

    about = ("group",)
    kind: Literal["missing_together"] = "missing_together"
    group: Annotated[tuple[Name, ...], Field(min_length=2)]
    nested: StrictBool = False

    def applies(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        return np.ones(len(df), dtype=bool)

    def breaks(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        missing = df[list(self.group)].isna().to_numpy(dtype=bool)
        said = np.logical_or.accumulate(missing, axis=1) if self.nested else missing.any(axis=1, keepdims=True)
        return (missing != said).any(axis=1)

    def complete(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return the table without the cells of the last column that must be missing."""
        made, last = df.copy(), self.group[-1]
        made[last] = df[last].mask(~known(df, self.sources))
        return made

    def mend(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return the rows with all cells missing where one is, or one before it."""
        rows, made = self.breaks(df), df.copy()
        for i, name in enumerate(self.group):
            made[name] = df[name].mask(~known(df, self.group[:i]) if self.nested else rows)
        return made

    def exchanged(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return rows of one table in which gaps have changed places with cells, so that fewer break it and none are lost."""
        leader, *others = self.group[::-1] if self.nested else self.group
        for name in others:
            there, said = known(df, [name]), known(df, [leader])
            df = exchanged(df, name, ~there & said, there & ~said)
            leader = name if self.nested else leader
        return df

    def __str__(self) -> str:
        first, *others = self.group
        if self.nested:
            return f"{', then '.join(map(str, others))} {'are' if others[1:] else 'is'} missing where {first} is"
        return f"{listed(self.group)} are missing together"


class MissingWhen(Relation):
    """A cell is missing exactly when another column has one of some values.

    Args:
        target: The column with missing cells.
        when: The column that says where.
        values: Its values there.
        missing: Whether ``target`` is missing there and nowhere else, or there is the only place where it is not.
    """

    about = ("when", "target")
    kind: Literal["missing_when"] = "missing_when"
    target: Name
    when: Name
    values: Annotated[tuple[Cell, ...], Field(min_length=1)]
    missing: bool = True

    def applies(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        return df[self.when].notna().to_numpy(dtype=bool)

    def must_be_missing(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        """Return the rows in which the cell must be missing."""
        return self.applies(df) & (df[self.when].isin(self.values).to_numpy(dtype=bool) == self.missing)

    def breaks(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        return self.applies(df) & (df[self.target].isna().to_numpy(dtype=bool) != self.must_be_missing(df))

    def exceptions(self, df: pd.DataFrame, min_count: int) -> int:
        """Return how many rows break it, without those of values of ``when`` that fewer than ``min_count`` rows have together."""
        wrong, when = self.breaks(df), df[self.when]
        is_rare = ~when.isin(self.values) & (when.map(when.value_counts()).astype(float) < min_count)
        decides_nothing = int(is_rare.sum()) < min_count
        return int((wrong & ~is_rare.to_numpy(dtype=bool)).sum()) if decides_nothing else int(wrong.sum())

    def complete(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return the table without the cells that must be missing."""
        made = df.copy()
        made[self.target] = df[self.target].mask(self.must_be_missing(df))
        return made

    def __str__(self) -> str:
        values = " or ".join(map(repr, self.values))
        return f"{self.target} is {'missing' if self.missing else 'there'} exactly when {self.when} is {values}"
