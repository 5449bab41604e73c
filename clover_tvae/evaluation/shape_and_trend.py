"""Shape and Trend: how far the columns, and the pairs of columns, of two tables are apart.

The definitions are those of sdmetrics' Column Shapes and Column Pair Trends, computed at once for all columns; the tests
hold the two together.

What sdmetrics 0.32 does, and so does this module:

* a shape ignores missing cells; numbers are rounded to 14 decimals before the Kolmogorov-Smirnov distance; a category
  that only the synthetic table has counts as 1e-6 of a real row;
* a contingency counts missing cells as a category of their own, save that with each table's **own** edges a missing
  number falls in the bin of the largest value;
* Pearson's correlation takes the rows where both cells are there; a pair with a constant column has no score.

What it does not: sdmetrics draws 50,000 rows (unseeded) of a larger table for each contingency; we count all rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.evaluation.frames import CodedTables

Edges = Literal["own", "shared"]

_N_BINS = 10
_DECIMALS = 14  # sdmetrics compares numbers to this many decimals
_UNSEEN_COUNT = 1e-6  # ... and counts a category without a real row as this many rows
_STRONG_CORRELATION = 0.5  # sdmetrics' QualityReport leaves out pairs weaker than these two
_STRONG_ASSOCIATION = 0.3


def shape_errors(tables: CodedTables, role: str) -> pd.Series:
    """Return each column's distance between the real table and another, from 0 to 1; NaN where one has no value at all.

    Kolmogorov-Smirnov for numbers, total variation for categories.
    """
    real, other = tables["real"], tables[role]
    of_numbers = [_ks_distance(*columns) for columns in zip(real.numbers.T, other.numbers.T, strict=True)]
    of_categories = [_tv_distance(*columns) for columns in zip(real.codes.T, other.codes.T, strict=True)]
    return tables.by_column(of_numbers, of_categories).rename("error")


def _ks_distance(real: NDArray[Any], other: NDArray[Any]) -> float:
    real, other = (np.sort(_rounded(values[~np.isnan(values)])) for values in (real, other))
    if not len(real) or not len(other):
        return float("nan")
    grid = np.concatenate([real, other])
    below, below_other = (np.searchsorted(values, grid, side="right") / len(values) for values in (real, other))
    return float(np.abs(below - below_other).max())


def _rounded(values: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = np.round(values, _DECIMALS)
    return np.where(np.isfinite(rounded), rounded, values)


def _tv_distance(real: NDArray[Any], other: NDArray[Any]) -> float:
    real, other = real[real >= 0], other[other >= 0]
    if not len(real) or not len(other):
        return float("nan")
    size = max(real.max(), other.max()) + 1
    real_counts, other_counts = (np.bincount(codes, minlength=size).astype(np.float64) for codes in (real, other))
    real_counts[(real_counts == 0) & (other_counts > 0)] = _UNSEEN_COUNT
    return float(0.5 * np.abs(real_counts / real_counts.sum() - other_counts / other_counts.sum()).sum())


def pair_errors(tables: CodedTables, role: str, edges: Edges = "shared") -> pd.DataFrame:
    """Return the distance of every pair of columns.

    Two numbers: half the difference of Pearson's r. Otherwise the total variation of the contingency table, numbers in
    10 equal bins.

    Args:
        edges: ``"own"``: each table is binned between its own extremes (sdmetrics); one outlier moves every bin.
            ``"shared"``: the real table's edges for both, values beyond them in the outer bins, missing apart.

    Returns:
        One row a pair: ``column_1, column_2, metric, error, real, synthetic, strength, strong``. ``real`` and
        ``synthetic`` are Pearson's r, or Cramér's V of a contingency; ``strength`` is the real one's size; ``strong``
        marks the pairs that sdmetrics' QualityReport keeps by default (|r| > 0.5, V > 0.3).
    """
    real, other = tables["real"], tables[role]
    correlations = _correlations(real.numbers), _correlations(other.numbers)
    numbers = zip(tables.number_names, real.numbers.T, other.numbers.T, strict=True)
    codes = zip(tables.category_names, real.codes.T + 1, other.codes.T + 1, tables.categories, strict=True)
    levels = {name: _binned(x, y, edges) for name, x, y in numbers}
    levels |= {name: (x, y, len(values) + 1) for name, x, y, values in codes}
    place = {name: position for position, name in enumerate(levels)}
    contingencies = _contingencies(list(levels.values()))
    number_position = {name: position for position, name in enumerate(tables.number_names)}
    rows = []
    for pair in itertools.combinations(tables.names, 2):
        if number_position.keys() >= set(pair):
            at = number_position[pair[0]], number_position[pair[1]]
            r_real, r_other = float(correlations[0][at]), float(correlations[1][at])
            rows.append((*pair, "correlation", abs(r_real - r_other) / 2, r_real, r_other, abs(r_real)))
        else:
            error, v_real, v_other = (float(of_pairs[place[pair[0]], place[pair[1]]]) for of_pairs in contingencies)
            rows.append((*pair, "contingency", error, v_real, v_other, v_real))
    columns = ["column_1", "column_2", "metric", "error", "real", "synthetic", "strength"]
    frame = pd.DataFrame(rows, columns=columns, dtype=object).astype(dict.fromkeys(columns[3:], np.float64))
    threshold = np.where(frame["metric"] == "correlation", _STRONG_CORRELATION, _STRONG_ASSOCIATION)
    frame["strong"] = frame["strength"].to_numpy(dtype=np.float64) > threshold
    return frame


Levels = tuple[NDArray[Any], NDArray[Any], int]  # of one column: of each row of the two tables, and how many there are


def _binned(real: NDArray[Any], other: NDArray[Any], edges: Edges) -> Levels:
    binned = []
    for values, source in ((real, real), (other, other if edges == "own" else real)):
        borders = np.histogram_bin_edges(source[~np.isnan(source)], bins=_N_BINS)
        bins = np.searchsorted(borders, values, side="right")
        if edges == "shared":
            bins = np.clip(bins, 1, _N_BINS)
        # With own edges the largest value lies on the last border, in bin 11, where sdmetrics puts missing cells too.
        bins[np.isnan(values)] = _N_BINS + 1
        binned.append(bins)
    return binned[0], binned[1], _N_BINS + 2


def _contingencies(levels: Sequence[Levels]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Total variation of the contingency tables of all pairs of columns, and Cramér's V, without correction, in each table.

    The product of a table's one-hot columns with themselves holds the contingency of every two columns as a block. It is
    sparse: levels that never stand together take no memory, however many there are. V is NaN with one row or column.

    Shape:
        each result is (columns, columns).
    """
    from scipy import sparse

    sizes = [n_levels for *_, n_levels in levels]
    starts = np.cumsum([0, *sizes[:-1]])
    column_of = np.repeat(np.arange(len(sizes)), sizes)
    in_column = sparse.csr_array((np.ones(len(column_of)), (np.arange(len(column_of)), column_of)))

    def of_blocks(cells: Any) -> NDArray[np.float64]:
        return np.asarray((in_column.T @ cells @ in_column).todense())

    shares, associations = [], []
    for table in (0, 1):
        hot = np.column_stack([column[table] for column in levels]) + starts
        ends = np.arange(0, hot.size + 1, len(levels))
        one_hot = sparse.csr_array((np.ones(hot.size, np.int32), hot.ravel(), ends), shape=(len(hot), sum(sizes)))
        counts = (one_hot.T @ one_hot).tocoo()
        totals = np.bincount(hot.ravel(), minlength=sum(sizes))
        # chi2 / n = sum O^2 / (R C) - 1, over the filled cells alone
        parts = counts.data / totals[counts.row] * (counts.data / totals[counts.col])
        chi2_per_row = of_blocks(sparse.csr_array((parts, (counts.row, counts.col)), shape=counts.shape)) - 1
        n_filled = np.bincount(column_of, totals > 0)
        smaller_side = np.minimum.outer(n_filled, n_filled)
        v = np.sqrt(np.maximum(chi2_per_row, 0.0) / np.maximum(smaller_side - 1, 1))
        associations.append(np.where(smaller_side < 2, np.nan, v))
        shares.append(counts.tocsr() / len(hot))
    return 0.5 * of_blocks(abs(shares[0] - shares[1])), associations[0], associations[1]


def _correlations(numbers: NDArray[Any]) -> NDArray[np.float64]:
    """Pearson's r of all pairs of columns over the rows where both are there; NaN where it is undefined."""
    largest = np.nan_to_num(np.abs(numbers)).max(axis=0, initial=0.0)
    scaled = numbers / np.where(largest > 0, largest, 1.0)  # squares of 1e300 are infinite
    return pd.DataFrame(scaled).corr().to_numpy()
