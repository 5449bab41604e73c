"""Numbers of a fixed form: columns of which exactly one is 1, and multiples of a step."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from clover_tvae.relations.reading import filled, known, numbers
from clover_tvae.relations.relation import Name, Relation, listed

__all__ = ["Increments", "OneHot"]


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
