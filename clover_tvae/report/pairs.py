"""The pairs of columns: how they go together in real and synthetic rows, and which differ most.

Knows coded tables, trend errors and heat maps. Must not know figures or HTML.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clover_tvae.evaluation.disclosure import Disclosure
from clover_tvae.evaluation.frames import CodedTables
from clover_tvae.evaluation.marginals import pair_errors
from clover_tvae.report import palette, svg
from clover_tvae.report.associations import associations
from clover_tvae.report.marginals import Marginal
from clover_tvae.report.text import count_text, decimal_text, percent_text, printable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PairErrors"]

_N_WORST_PAIRS = 15


@dataclass(frozen=True)
class PairErrors:
    """The associations of the columns, and the pairs with the largest trend errors."""

    names: tuple[str, ...]
    real: np.ndarray
    synthetic: np.ndarray
    worst: tuple[tuple[str, str, float, float | None], ...]
    rows: tuple[tuple[str, ...], ...]
    n_pairs: int

    @classmethod
    def of(
        cls,
        tables: CodedTables,
        shown: Sequence[Marginal],
        seed: int,
        disclosure: Disclosure,
    ) -> PairErrors:
        errors = pair_errors(tables, "real", "synthetic")
        errors["error"] = disclosure.errors(errors["error"].to_numpy(), tables, "synthetic")
        ordered = _columns_by_error(errors, [marginal.name for marginal in shown])
        maps = [
            associations(tables[role], tables.number_names, tables.category_names, ordered, seed=seed)
            for role in ("real", "synthetic")
        ]
        floor = None
        if "holdout" in tables.tables:
            exact = pair_errors(tables, "real", "holdout")["error"].to_numpy()
            floor = disclosure.errors(exact, tables, "holdout")
        place = {name: position for position, name in enumerate(ordered)}
        values = errors["error"].to_numpy(dtype=np.float64)
        ranking = [
            row for row in np.argsort(-np.nan_to_num(values, nan=-1.0), kind="stable") if not math.isnan(values[row])
        ]
        worst, rows = [], []
        for row in ranking[:_N_WORST_PAIRS]:
            first, second = errors["column_1"].iloc[row], errors["column_2"].iloc[row]
            of_holdout = None if floor is None else float(floor[row])
            at = place[first], place[second]
            worst.append((printable(first), printable(second), float(values[row]), of_holdout))
            rows.append(
                (
                    printable(first),
                    printable(second),
                    percent_text(float(values[row])),
                    percent_text(of_holdout),
                    decimal_text(float(maps[0][at]), 2),
                    decimal_text(float(maps[1][at]), 2),
                )
            )
        names = tuple(printable(name) for name in ordered)
        return cls(names, maps[0], maps[1], tuple(worst), tuple(rows), len(values))

    def content(self) -> dict[str, Any]:
        """Return what the template shows."""
        if len(self.names) < 2:
            return {"maps": []}
        difference = np.abs(self.real - self.synthetic)
        worst = " The worst pair is " + " and ".join(self.worst[0][:2]) + "." if self.worst else ""
        size = f"{len(self.names)} by {len(self.names)} columns."
        maps = [
            ("Real", svg.heat_map(self.names, self.real, f"Associations in the real rows, {size}", palette.diverging)),
            (
                "Synthetic",
                svg.heat_map(
                    self.names, self.synthetic, f"Associations in the synthetic rows, {size}", palette.diverging
                ),
            ),
            (
                "Difference (darkest: 0.3 and more)",
                svg.heat_map(
                    self.names,
                    difference,
                    f"Absolute difference of the associations, {size}{worst}",
                    lambda value: palette.sequential(value / 0.3),
                ),
            ),
        ]
        unnamed = (
            ""
            if len(self.names) <= 32
            else "More columns than there is room for names: the table below names the worst."
        )
        return {
            "maps": maps,
            "unnamed": unnamed,
            "head": ("column", "and column", "trend error", "holdout's", "real", "synthetic"),
            "rows": self.rows,
            "note": f"{len(self.rows)} of {count_text(self.n_pairs)} pairs. Trend error: half the difference of Pearson's r for "
            "two numbers, else the share of rows that would have to move between the cells of the two columns' table.",
        }


def _columns_by_error(errors: pd.DataFrame, names: Sequence[Hashable]) -> list[Hashable]:
    total = dict.fromkeys(names, 0.0)
    for first, second, error in zip(errors["column_1"], errors["column_2"], errors["error"], strict=True):
        if not math.isnan(error):
            total[first] += error
            total[second] += error
    return sorted(names, key=lambda name: -total[name])
