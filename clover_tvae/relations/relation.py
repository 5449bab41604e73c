"""What every relation is: columns, a handling, the rows that break it, and what it determines from what."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, StrictBool, StrictFloat, StrictInt, StrictStr
from typing_extensions import Self

from clover_tvae.columns.people import People
from clover_tvae.relations.reading import known

Name = StrictStr | StrictInt
"""The name of a column in a relation."""

Cell = StrictStr | StrictBool | StrictInt | StrictFloat
"""A value in the table of a relation."""

Handling = Literal["keep", "learn", "ignore"]
"""What becomes of a relation: kept in every synthetic row, left to the network, or not looked at."""


class Relation(BaseModel):
    """One relation between columns of a table. What a kind's docstring says of its arguments, the JSON Schema says, too.

    Args:
        handling: ``keep`` (every synthetic row obeys), ``learn`` (left to the network) or ``ignore``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    #: Whether ``complete`` writes the last column with cells of earlier rows.
    lends: ClassVar[bool] = False
    #: The fields that name columns, the determined one last.
    about: ClassVar[tuple[str, ...]] = ()
    #: The field that holds what it learns of a table; ``None`` in it: not learnt yet, then no row breaks it.
    learns: ClassVar[str | None] = None
    kind: Any
    handling: Handling = "keep"

    @property
    def columns(self) -> tuple[Any, ...]:
        """The columns that it is about."""
        named = [getattr(self, field) for field in self.about]
        return tuple(
            name for names in named for name in (names if isinstance(names, tuple) else [names]) if name is not None
        )

    @property
    def sources(self) -> tuple[Any, ...]:
        """The columns from which it determines, or completes, the last."""
        return self.columns[:-1]

    @property
    def determines(self) -> tuple[Any, ...]:
        """The columns that it determines, which ``complete`` computes."""
        return ()

    def applies(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        """Return the rows of which it says something: those where no cell is missing."""
        return known(df, self.columns)

    def breaks(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        """Return the rows that break it."""
        raise NotImplementedError

    def exceptions(self, df: pd.DataFrame, min_count: int) -> int:
        """Return how many rows break it, without those of which fewer than ``min_count`` rows may well be otherwise."""
        return int(self.breaks(df).sum())

    def complete(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return the table with the determined column written where the sources are known."""
        return df

    def mend(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return rows that break it with cells changed so that they do not, as far as it can tell which."""
        return self.complete(df)

    @property
    def is_learnt(self) -> bool:
        """Whether it knows what it must know of a table."""
        return self.learns is None or getattr(self, self.learns) is not None

    def learnt(self, df: pd.DataFrame, min_count: int, people: People | None = None) -> Self:
        """Return the relation with what it must know of a table: values that at least ``min_count`` people share."""
        return self

    def declared(self) -> Self:
        """Return the relation without what it learnt of a table."""
        return self if self.learns is None else self.model_copy(update={self.learns: None})

    def to_plain(self) -> dict[str, Any]:
        """Return the relation as JSON and YAML write it, without what is understood."""
        return {"kind": self.kind, **self.model_dump(mode="json", exclude_defaults=True, exclude={"kind"})}


def listed(names: Iterable[Any]) -> str:
    """Return ``a, b and c``."""
    *first, last = map(str, names)
    return f"{', '.join(first)} and {last}" if first else last
