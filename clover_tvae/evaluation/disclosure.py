"""Disclosure: what may be told of real people, and the only way from counts to a page, a plot, a card or JSON.

The rule, for k = ``min_count``:

* a category, or a value that repeats, is named only if at least k real rows hold it; the others share one rest;
* a share of real rows is made from a count rounded to a multiple of k // 2, so that no small count can be had by
  subtraction, and it is withheld (NaN) where 1 to k - 1 rows are in the cell, or out of it;
* errors of columns and pairs, and how strongly real columns go together, are rounded likewise where some cell of the
  real tables has 1 to k - 1 rows;
* where people have several rows (``unit``), k counts people: it becomes the fewest rows that k people must share;
* the categories that a metadata lists (``order``) are counted, not shown.

Synthetic rows are nobody: their counts are exact everywhere.

References:
    Hundepohl et al. (2012), Statistical Disclosure Control, chapter 5 (frequency tables, rounding).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.people import least_rows
from clover_tvae.evaluation.frames import CodedTable, CodedTables
from clover_tvae.parameters import MIN_COUNT, whole_number


@dataclass(frozen=True)
class Disclosure:
    """The rule with its one parameter.

    Args:
        min_count: Fewest real rows that anything shown may rest on, at least 1; 1 shows all.
        n_people: Fewest people; ``None``: every row is a person.

    Raises:
        ConfigError: ``min_count`` is no whole number of at least 1.

    Example:
        >>> rule = Disclosure(10)
        >>> [rule.share(count, 100) for count in (0, 3, 12, 97, 100)]
        [0.0, nan, 0.1, nan, 1.0]
        >>> rule.is_small(np.array([0, 3, 10])).tolist(), rule.may_name(np.array([0, 3, 10])).tolist()
        ([False, True, False], [False, False, True])
    """

    min_count: int = MIN_COUNT
    n_people: int | None = None

    def __post_init__(self) -> None:
        whole_number(self.min_count, "min_count", least=1)

    @classmethod
    def of(cls, min_count: int, tables: CodedTables) -> Disclosure:
        """Return the rule for these tables: so many rows that they are of ``min_count`` people, whichever rows they are."""
        rule = cls(min_count)
        real = [table for role, table in tables.tables.items() if role != "synthetic"]
        return cls(max(least_rows(table.people, rule.min_count) for table in real), rule.min_count)

    @property
    def step(self) -> int:
        """What counts of real rows are rounded to multiples of."""
        return max(1, self.min_count // 2)

    @property
    def withheld(self) -> str:
        """The words in the place of a share that is withheld."""
        return f"under {self.min_count} rows"

    def is_small(self, counts: Any) -> Any:
        """Whether 1 to k - 1 rows are counted: so few that neither their number nor their name may be told."""
        return (counts > 0) & (counts < self.min_count)

    def may_name(self, counts: Any) -> Any:
        """Whether what so many real rows hold may be named or drawn by itself."""
        return counts >= self.min_count

    def rounded(self, count: float) -> float:
        """Round the count of a rest or of a bar that is shown anyway; what is there never reads as none."""
        rounded = self.step * round(count / self.step)
        return float(rounded if rounded or not count else self.step)

    def share(self, count: int, n_rows: int) -> float:
        """Return the share of real rows in a cell as far as it may be told, 0 to 1; NaN where it may not."""
        if self.is_small(count) or self.is_small(n_rows - count):
            return float("nan")
        rounded = n_rows if count == n_rows else min(self.rounded(count), n_rows)
        return rounded / max(n_rows, 1)

    def shares(self, shares: NDArray[Any] | pd.Series, tables: CodedTables, role: str) -> NDArray[Any]:
        """Return exact shares of a table's rows as far as they may be told: all of the synthetic ones; see ``share``."""
        shares, n_rows = np.asarray(shares, dtype=np.float64), tables[role].n_rows
        if role == "synthetic":
            return shares
        return np.array([self.share(round(share * n_rows), n_rows) for share in shares.tolist()], dtype=np.float64)

    def told_present(self, n_present: int, n_rows: int) -> float:
        """Return how many of ``n_rows`` real rows have a value, as far as it may be told: few missing cells are none.

        Example:
            >>> rule = Disclosure(10)
            >>> rule.told_present(77, 80), rule.told_present(63, 80)
            (80.0, 65.0)
        """
        n_missing = n_rows - n_present
        return float(n_rows) if self.is_small(n_missing) else n_rows - self.rounded(n_missing)

    def part(self, count: int, n: int, told: float) -> float:
        """Return the share of ``count`` of ``n`` real rows where ``told`` is what may be told of ``n``.

        An exact ``n`` below a rounded count would tell of the rows that are not in it, such as few missing cells.
        """
        return self.rounded(count * told / max(n, 1)) / max(told, 1.0)

    def assumed_shares(self, shares: pd.Series, n_rows: int) -> pd.Series:
        """Return exact shares, for a figure over many columns: a small count, in or out, is taken for half of k."""
        counts = (shares * n_rows).round()
        half = min(0.5, 0.5 * self.min_count / n_rows)
        assumed = shares.where(~self.is_small(counts), half)
        return assumed.where(~self.is_small(n_rows - counts), 1.0 - half)

    def errors(self, errors: NDArray[Any] | pd.Series, tables: CodedTables, role: str) -> NDArray[Any]:
        """Return the errors of columns or pairs, between ``"real"`` and ``role``, as far as they may be told, 0 to 1.

        An exact error of a column with a cell of 3 real rows says that there are 3. So where some cell of the real tables
        has 1 to k - 1 rows, *all* errors are rounded to half of k rows: with all of them rounded, the exact mean that
        stands beside them gives none away either.
        """
        errors = np.asarray(errors, dtype=np.float64)
        held = [tables[name] for name in ("real", role) if name in ("real", "holdout")]
        if not any(self._has_small_cells(table) for table in held):
            return errors
        step = self.step / min(table.n_rows for table in held)
        return np.round(errors / step) * step

    def _has_small_cells(self, real: CodedTable) -> bool:
        """Whether some category, or the missing or the present cells of some column, has 1 to k - 1 rows."""
        counts = [np.isnan(real.numbers).sum(axis=0), (~np.isnan(real.numbers)).sum(axis=0)]
        counts += [np.unique(real.codes[:, column], return_counts=True)[1] for column in range(real.codes.shape[1])]
        return any(bool(self.is_small(found).any()) for found in counts)

    def merged_bins(self, counts: NDArray[Any]) -> list[int]:
        """Return the edges to keep so that every bin holds at least k rows, as far as there are that many.

        Example:
            >>> Disclosure(10).merged_bins(np.array([12, 3, 8, 2]))
            [0, 1, 4]
        """
        keep, held = [0], 0
        for position, count in enumerate(counts):
            held += int(count)
            if self.may_name(held):
                keep.append(position + 1)
                held = 0
        if keep[-1] != len(counts):
            # The last bins are short of rows: they join the bin before them.
            keep = [*keep[:-1], len(counts)] if len(keep) > 1 else [0, len(counts)]
        return keep


def card_to_show(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model card with the number of ordered categories in the place of the categories, which few may hold.

    Example:
        >>> card_to_show({"metadata": {"ordinal": [{"name": "stage", "order": ["I", "II", "XIV"]}]}})
        {'metadata': {'ordinal': [{'name': 'stage', 'order': 3}]}}
    """
    return {**card, "metadata": _without_orders(card["metadata"])} if "metadata" in card else dict(card)


def _without_orders(part: Any) -> Any:
    if isinstance(part, Mapping):
        return {
            key: len(value) if key == "order" and isinstance(value, list | tuple) else _without_orders(value)
            for key, value in part.items()
        }
    return [_without_orders(value) for value in part] if isinstance(part, list | tuple) else part
