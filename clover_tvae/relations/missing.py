"""Cells that are missing together, or exactly when another column says so."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from clover_tvae.relations.relation import Cell, Name, Relation, listed

__all__ = ["MissingTogether", "MissingWhen"]


class MissingTogether(Relation):
    """The cells of some columns are all missing or all there.

    Args:
        group: The columns.
    """

    kind: Literal["missing_together"] = "missing_together"
    group: Annotated[tuple[Name, ...], Field(min_length=2)]

    @property
    def columns(self) -> tuple[Any, ...]:
        return self.group

    def applies(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        return np.ones(len(df), dtype=bool)

    def breaks(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        missing = df[list(self.group)].isna().to_numpy(dtype=bool)
        return missing.any(axis=1) & ~missing.all(axis=1)

    def mend(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return the rows with all cells missing where one is."""
        rows, made = self.breaks(df), df.copy()
        for name in self.group:
            made[name] = df[name].mask(rows)
        return made

    def __str__(self) -> str:
        return f"{listed(self.group)} are missing together"


class MissingWhen(Relation):
    """A cell is missing exactly when another column has one of some values.

    Args:
        target: The column with missing cells.
        when: The column that says where.
        values: Its values there.
        missing: Whether ``target`` is missing there and nowhere else, or there is the only place where it is not.
    """

    kind: Literal["missing_when"] = "missing_when"
    target: Name
    when: Name
    values: Annotated[tuple[Cell, ...], Field(min_length=1)]
    missing: bool = True

    @property
    def columns(self) -> tuple[Any, ...]:
        return (self.when, self.target)

    @property
    def sources(self) -> tuple[Any, ...]:
        return (self.when,)

    def applies(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        return df[self.when].notna().to_numpy(dtype=bool)

    def must_be_missing(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        """Return the rows in which the cell must be missing."""
        return self.applies(df) & (df[self.when].isin(self.values).to_numpy(dtype=bool) == self.missing)

    def breaks(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        return self.applies(df) & (df[self.target].isna().to_numpy(dtype=bool) != self.must_be_missing(df))

    def complete(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return the table without the cells that must be missing."""
        made = df.copy()
        made[self.target] = df[self.target].mask(self.must_be_missing(df))
        return made

    def __str__(self) -> str:
        values = " or ".join(map(repr, self.values))
        return f"{self.target} is {'missing' if self.missing else 'there'} exactly when {self.when} is {values}"
