"""A table as the finder reads it: every column once, as numbers, dates or levels; a sample of the rows; candidates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.dtypes import CellType
from clover_tvae.columns.numeric import commonest, spread
from clover_tvae.columns.people import People
from clover_tvae.errors import UserError
from clover_tvae.relations.expression import MAX_CHARACTERS
from clover_tvae.relations.reading import date_format, dates, numbers, seconds

_SAMPLE_ROWS, _LEAST_EVIDENCE = 2_000, 10
_MAX_DECIMALS = 6


@dataclass(frozen=True)
class Candidate:
    """A relation that the sample does not contradict.

    Args:
        log_p: Logarithm of its p-value; ``None``: by ``chance`` and the rows that keep it.
        n_exceptions: Rows that break it; ``None``: to be counted.
        n_levels: Of a dependency: values of the determining columns.
        n_rows: Rows of which it says something, once they are counted.
    """

    relation: Any
    chance: float
    log_p: float | None = None
    n_exceptions: int | None = None
    n_levels: int = 0
    n_rows: int = 0


@dataclass
class Candidates:
    """Candidates, and how many were tried to get them."""

    found: list[Candidate] = field(default_factory=list)
    n_tried: int = 0


class Table:
    """The columns that are modelled.

    Args:
        kinds: The kind of each column in the metadata; columns of kind ``id`` and ``ignore`` are left out.
        people: The number of the person of each row; ``None``: every row is one.

    Attributes:
        shared: Fewest rows of a combination that may be told: ``min_count``.
        min_count: Fewest rows that speak for a relation: ``min_count``, but at least 10, as fewer are chance.
    """

    def __init__(
        self, df: pd.DataFrame, kinds: Mapping[Any, str], min_count: int, seed: int, people: People | None = None
    ) -> None:
        self.people = people
        self.shared, self.min_count, self.n_rows = min_count, max(min_count, _LEAST_EVIDENCE), len(df)
        self.amounts: list[Any] = []  # numbers that are not codes
        self.numeric: list[Any] = []  # and those that are
        self.packed: list[Any] = []  # dates written as whole numbers
        self.dates: list[Any] = []
        self.labels: list[Any] = []  # neither numbers nor dates
        self.categories: list[Any] = []  # by their kind, of any cells
        self.values: dict[Any, NDArray[np.float64]] = {}  # of numbers and dates
        self.codes: dict[Any, NDArray[np.int32]] = {}
        self.levels: dict[Any, Any] = {}
        columns: dict[Any, Any] = {}
        for name in list[Any](df.columns):
            can_be_written = type(name) in (str, int) and 0 < len(str(name)) <= MAX_CHARACTERS // 4
            if kinds.get(name, "ignore") not in ("id", "ignore") and can_be_written:
                try:
                    columns[name] = self._read(df[name], name, kinds[name])
                except (TypeError, UserError):  # cells that cannot be learnt either, such as lists
                    continue
        self.names = list(columns)
        self.frame = pd.DataFrame(columns, index=range(self.n_rows), copy=False)
        self.rows = np.sort(np.random.default_rng(seed).permutation(self.n_rows)[:_SAMPLE_ROWS])
        self.sample = self.frame.iloc[self.rows]
        self.missing = np.array([self.codes[name] < 0 for name in self.names]).reshape(len(self.names), self.n_rows).T
        self._decimals: dict[Any, int | None] = {}

    def _read(self, column: pd.Series, name: Any, kind: str) -> Any:
        """Return a column as relations compare it: floats, dates or a pandas category."""
        codes, levels = pd.factorize(column)
        held = CellType.of(pd.Series(levels, dtype=object) if column.dtype == object else column, name).holds
        made: Any = None
        if not len(levels):
            raise TypeError("no cells")
        if held in ("integer", "float", "decimal"):
            made = numbers(column)
            if np.isinf(made).any():
                raise TypeError("infinite")
            self.values[name] = made
            self.numeric.append(name)
            if kind in ("continuous", "ordinal"):
                self.amounts.append(name)
            elif kind == "datetime":
                self.packed.append(name)
        elif held == "datetime" or (kind == "datetime" and date_format(column) is not None):
            made = dates(column)
            self.values[name] = seconds(made)
            self.dates.append(name)
        elif held in ("text", "category", "boolean"):
            made = pd.Categorical.from_codes(codes, categories=pd.Index(levels, dtype=object))
            self.labels.append(name)
        else:
            raise TypeError(held)
        if kind in ("categorical", "boolean", "ordinal"):
            self.categories.append(name)
        self.codes[name], self.levels[name] = codes.astype(np.int32), levels
        return made

    def matrix(self, names: list[Any]) -> NDArray[np.float64]:
        """Return the numbers of the sample, ``(rows, columns)``, NaN where a cell is missing."""
        return np.array([self.values[name][self.rows] for name in names]).reshape(len(names), len(self.rows)).T

    def sample_codes(self, names: list[Any]) -> NDArray[np.int32]:
        """Return the levels of the sample, ``(rows, columns)``, -1 where a cell is missing."""
        return np.column_stack([self.codes[name][self.rows] for name in names])

    @cached_property
    def dealt(self) -> pd.DataFrame:
        """The sample with the cells of each column of numbers dealt to its rows at random."""
        rng, frame = np.random.default_rng(0), self.sample.copy()
        for name in self.numeric:
            frame[name] = rng.permutation(self.values[name][self.rows])
        return frame

    @cached_property
    def shapes(self) -> dict[Any, tuple[float, float]]:
        """Of each column of numbers, in the sample: the share of its commonest value, and its spread."""
        cells = {name: self.values[name][self.rows] for name in self.numeric}
        return {name: (commonest(numbers), spread(numbers)) for name, numbers in cells.items()}

    def level(self, name: Any, code: int) -> Any:
        """Return a level as a plain value."""
        value = self.levels[name][code]
        value = value.item() if isinstance(value, np.generic) else value
        return value if isinstance(value, str | int | float) else float(value)

    def decimals(self, name: Any) -> int | None:
        """Return how many decimals the numbers of a column have; ``None`` for more than six."""
        if name not in self._decimals:
            values = self.values[name][self.rows]
            values = values[np.isfinite(values)]
            exact = (d for d in range(_MAX_DECIMALS + 1) if np.allclose(values, values.round(d), rtol=1e-12, atol=1e-9))
            self._decimals[name] = next(exact, None)
        return self._decimals[name]
