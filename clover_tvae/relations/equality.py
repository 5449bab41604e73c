"""Cells that equal another cell of their row: in every row, in a part of them, or where another column says so."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from clover_tvae.relations.reading import comparable, filled
from clover_tvae.relations.relation import Cell, Name, Relation

__all__ = ["Equal"]


class Equal(Relation):
    """Two columns hold the same: in every row, in a share of the rows (a copy), or where a third says so.

    Args:
        source: A column.
        target: The column that equals it.
        share: Share of the rows in which it does, in (0, 1]. Below 1 no single row can break it.
        when: The column that says where; ``None``: everywhere.
        values: Its values there.
    """

    about = ("when", "source", "target")
    kind: Literal["equal"] = "equal"
    source: Name
    target: Name
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    when: Name | None = None
    values: tuple[Cell, ...] = ()

    @property
    def determines(self) -> tuple[Any, ...]:
        return (self.target,) if self.share == 1 else ()

    def _where(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        return np.full(len(df), self.share == 1) & (self.when is None or df[self.when].isin(self.values).to_numpy(bool))

    def applies(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        return super().applies(df) & self._where(df)

    def breaks(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        first, second = comparable(df[self.source]), comparable(df[self.target])
        return self.applies(df) & ~np.asarray(first == second)

    def complete(self, df: pd.DataFrame) -> pd.DataFrame:
        return filled(df, self.target, df[self.source].where(self._where(df)))

    def __str__(self) -> str:
        where = f" in {self.share:.0%} of the rows" if self.share < 1 else ""
        if self.when is not None:
            where += f" where {self.when} is {' or '.join(map(repr, self.values))}"
        return f"{self.target} equals {self.source}{where}"
