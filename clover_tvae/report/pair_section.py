"""The pairs of columns: how strongly they go together in real and synthetic rows, and the trend error of each.

The trend errors are those of the evaluation, and how strongly two columns go together is what it compares: Pearson's r of
two numbers, Cramér's V where one of them is a category.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.evaluation.disclosure import Disclosure
from clover_tvae.evaluation.frames import CodedTables
from clover_tvae.evaluation.shape_and_trend import pair_errors
from clover_tvae.report.charts import heat_map
from clover_tvae.report.formatting import count_text, decimal_text, percent_text, printable, real_share_text
from clover_tvae.report.svg import Chart, diverging, sequential

_N_WORST = 15
_N_RELATIONS = 12
_DARKEST = 0.3  # the trend error that is drawn darkest


@dataclass(frozen=True)
class PairTrends:
    """The pairs of columns of two tables, the worst first.

    Args:
        names: The columns, those with the largest errors first.
        pairs: One row a pair, the worst first: ``column_1, column_2, real, synthetic, error_synthetic`` and, where rows
            were held out, ``error_holdout``; errors from 0 to 1, as far as they may be told.
    """

    names: tuple[Hashable, ...]
    pairs: pd.DataFrame

    @classmethod
    def of(cls, tables: CodedTables, disclosure: Disclosure, figures: Any = None) -> PairTrends:
        """Return the pairs of the coded tables; ``figures`` lends their trend errors, measured here where it has none."""
        pairs = getattr(figures, "tables", {}).get("pair_trends")
        roles = [role for role in ("synthetic", "holdout") if role in tables.tables]
        errors = [f"error_{role}" for role in roles]
        if (
            pairs is None
            or not {"real", "synthetic", *errors} <= set(pairs)
            or {*pairs["column_1"], *pairs["column_2"]} != set(tables.names)
        ):
            measured = {role: pair_errors(tables, role) for role in roles}
            exact = {f"error_{role}": 100 * frame["error"] for role, frame in measured.items()}
            pairs = measured["synthetic"].assign(**exact)
        told = {name: disclosure.errors(pairs[name] / 100, tables, name[len("error_") :]) for name in errors}
        told["real"] = disclosure.errors(pairs["real"], tables, "real")
        ends = _places(pairs, tables.names)
        # Of equal errors the columns' order decides, so that no order of exact errors shows through rounded ones.
        order = np.lexsort((ends[1], ends[0], -told["error_synthetic"]))
        pairs = pairs.assign(**told).iloc[order].reset_index(drop=True)
        total = np.zeros(len(tables.names))
        for positions in ends:
            np.add.at(total, positions[order], pairs["error_synthetic"].fillna(0.0))
        return cls(tuple(tables.names[at] for at in np.argsort(-total, kind="stable")), pairs)

    def worst(self) -> list[tuple[str, str, float, float | None]]:
        """Return names, error and the holdout's error of the worst pairs."""
        known = self.pairs.dropna(subset="error_synthetic").head(_N_WORST)
        floors = known.get("error_holdout", [None] * len(known))
        return [
            (printable(first), printable(second), float(error), floor)
            for first, second, error, floor in zip(
                known["column_1"], known["column_2"], known["error_synthetic"], floors, strict=True
            )
        ]

    def maps(self) -> list[tuple[str, Chart]]:
        """Return caption and chart of three heat maps: real, synthetic, and the trend errors; none without a pair."""
        if self.pairs.empty:
            return []
        names = [printable(name) for name in self.names]
        at = _places(self.pairs, self.names)
        size = f"{len(names)} by {len(names)} columns"
        worst = "".join(f"; the worst pair is {first} and {second}" for first, second, *_ in self.worst()[:1])
        charts = []
        trend, together = f"Trend error (darkest: {_DARKEST:.0%} and more)", "How strongly columns go together in the"
        for caption, column, words, colour in (
            ("Real", "real", f"{together} real rows", diverging),
            ("Synthetic", "synthetic", f"{together} synthetic rows", diverging),
            (trend, "error_synthetic", f"Trend error of each pair{worst}", lambda error: sequential(error / _DARKEST)),
        ):
            matrix = np.full((len(names), len(names)), np.nan)
            matrix[at] = matrix[at[::-1]] = self.pairs[column].to_numpy(dtype=np.float64)
            charts.append((caption, heat_map(names, matrix, f"{words}, {size}", colour)))
        return charts

    def content(self) -> dict[str, Any]:
        """Return what the page shows: the maps, and the worst pairs as a table."""
        worst = self.worst()
        strengths = self.pairs[["real", "synthetic"]].head(len(worst)).to_numpy(dtype=np.float64)
        rows = [
            (*names, *map(percent_text, errors), *(decimal_text(value, 2) for value in strength))
            for (*names, error, floor), strength in zip(worst, strengths, strict=True)
            for errors in [(error, floor)]
        ]
        n_pairs = count_text(len(self.pairs))
        return {"maps": self.maps(), "n_columns": len(self.names), "rows": rows, "n_pairs": n_pairs}


def broken_relations(figures: Any, disclosure: Disclosure) -> list[tuple[str, ...]]:
    """Return the relations of the real rows that synthetic rows break most, by the evaluation's table of them."""
    table = getattr(figures, "tables", {}).get("relations")
    if table is None or "broken_synthetic" not in table:
        return []
    rows = table.sort_values("broken_synthetic", ascending=False, kind="stable").head(_N_RELATIONS).to_dict("records")
    return [
        (
            printable(row["relation"]),
            "kept in every row" if row["handling"] == "keep" else "left to the network",
            percent_text(row["broken_synthetic"] / 100),
            real_share_text(row["broken_holdout"] / 100 if "broken_holdout" in row else None, disclosure),
        )
        for row in rows
    ]


def _places(pairs: pd.DataFrame, names: Sequence[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places, among these names, of both columns of each pair."""
    place = {name: position for position, name in enumerate(names)}
    first, second = (np.array([place[name] for name in pairs[end]], dtype=np.int64) for end in ("column_1", "column_2"))
    return first, second
