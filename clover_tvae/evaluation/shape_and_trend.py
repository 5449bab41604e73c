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

__all__ = ["Edges", "pair_errors", "shape_errors"]

Edges = Literal["own", "shared"]

_N_BINS = 10
_DECIMALS = 14  # sdmetrics compares numbers to this many decimals
_UNSEEN_COUNT = 1e-6  # ... and counts a category without a real row as this many rows
_MOST_LEVELS = 4_000  # of all columns together: above it a product of their one-hot columns would take too much memory
_ONE_HOT_CELLS = 20_000_000  # of the rows whose product is taken at a time
_DENSE_CELLS = 4_000_000  # above this many cells a contingency table is counted by sorting instead
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
        tables: The coded tables.
        role: Role of the table held against the real one.
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
    at_once = _contingencies(list(levels.values()))
    number_position = {name: position for position, name in enumerate(tables.number_names)}
    rows = []
    for pair in itertools.combinations(tables.names, 2):
        if number_position.keys() >= set(pair):
            at = number_position[pair[0]], number_position[pair[1]]
            r_real, r_other = float(correlations[0][at]), float(correlations[1][at])
            rows.append((*pair, "correlation", abs(r_real - r_other) / 2, r_real, r_other, abs(r_real)))
        else:
            if at_once is None:
                error, v_real, v_other = _contingency(levels[pair[0]], levels[pair[1]])
            else:
                error, v_real, v_other = (float(of_pairs[place[pair[0]], place[pair[1]]]) for of_pairs in at_once)
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


def _contingencies(levels: Sequence[Levels]) -> tuple[NDArray[Any], ...] | None:
    """What ``_contingency`` returns, of all pairs at once; ``None`` where the columns have too many levels for it.

    The product of a table's one-hot columns with themselves holds the contingency of every two columns as a block.

    Shape:
        each result is (columns, columns).
    """
    sizes = [n_levels for *_, n_levels in levels]
    if not 0 < sum(sizes) <= _MOST_LEVELS:
        return None
    starts = np.cumsum([0, *sizes[:-1]])

    def of_blocks(cells: NDArray[Any]) -> NDArray[Any]:
        return np.add.reduceat(np.add.reduceat(cells, starts, axis=1), starts, axis=0)

    shares, associations = [], []
    for table in (0, 1):
        hot = np.column_stack([column[table] for column in levels]) + starts
        counts = _counted_together(hot, sum(sizes))
        totals = counts.diagonal()
        n_filled = np.add.reduceat((totals > 0).astype(np.int64), starts)
        smaller_side = np.minimum.outer(n_filled, n_filled)
        inverse = np.divide(1.0, totals, where=totals > 0, out=np.zeros_like(totals))
        chi2_per_row = of_blocks(counts**2 * inverse * inverse[:, np.newaxis]) - 1
        v = np.sqrt(np.maximum(chi2_per_row, 0.0) / np.maximum(smaller_side - 1, 1))
        associations.append(np.where(smaller_side < 2, np.nan, v))
        shares.append(counts / len(hot))
    return 0.5 * of_blocks(np.abs(shares[0] - shares[1])), *associations


def _counted_together(hot: NDArray[Any], n_levels: int) -> NDArray[np.float64]:
    """Return in how many rows each two levels stand together; ``hot`` names the levels of each row, one a column."""
    counts = np.zeros((n_levels, n_levels))
    step = max(1, _ONE_HOT_CELLS // n_levels)
    for begin in range(0, len(hot), step):
        part = hot[begin : begin + step]
        one_hot = np.zeros((len(part), n_levels), np.float32)  # exact: a product of fewer than 2^24 rows
        np.put_along_axis(one_hot, part, 1.0, axis=1)
        counts += one_hot.T @ one_hot
    return counts


def _contingency(levels_1: Levels, levels_2: Levels) -> tuple[float, float, float]:
    """Total variation of two contingency tables, and Cramér's V of each."""
    n_2 = levels_2[2]
    real = levels_1[0].astype(np.int64) * n_2 + levels_2[0]
    other = levels_1[1].astype(np.int64) * n_2 + levels_2[1]
    n_cells = levels_1[2] * n_2
    if n_cells <= _DENSE_CELLS:
        cells = np.arange(n_cells)
    else:
        cells, inverse = np.unique(np.concatenate([real, other]), return_inverse=True)
        real, other = np.split(inverse, [len(real)])
    real_counts, other_counts = (np.bincount(table, minlength=len(cells)) for table in (real, other))
    distance = 0.5 * np.abs(real_counts / len(real) - other_counts / len(other)).sum()
    return float(distance), _cramers_v(cells, real_counts, n_2), _cramers_v(cells, other_counts, n_2)


def _cramers_v(cells: NDArray[Any], counts: NDArray[Any], n_columns: int) -> float:
    """Cramér's V, without correction, of a table given as cell numbers and counts; NaN with one row or column."""
    filled = counts > 0
    counts, (rows, columns) = counts[filled].astype(np.float64), np.divmod(cells[filled], n_columns)
    row_totals, column_totals = np.bincount(rows, weights=counts), np.bincount(columns, weights=counts)
    smaller_side = min((row_totals > 0).sum(), (column_totals > 0).sum())
    if smaller_side < 2:
        return float("nan")
    # chi2 / n = sum O^2 / (R C) - 1, over the filled cells alone
    chi2_per_row = (counts**2 / (row_totals[rows] * column_totals[columns])).sum() - 1
    return float(np.sqrt(max(chi2_per_row, 0.0) / (smaller_side - 1)))


def _correlations(numbers: NDArray[Any]) -> NDArray[Any]:
    """Pearson's r of all pairs of columns over the rows where both are there; NaN where it is undefined."""
    n_columns = numbers.shape[1]
    result = np.full((n_columns, n_columns), np.nan)
    present = ~np.isnan(numbers)
    usable = np.flatnonzero([_varies(numbers[present[:, j], j]) for j in range(n_columns)])
    if not len(usable):
        return result
    # Scaled first, so that neither dates (1e18) nor tiny numbers lose digits in the sums below.
    values = numbers[:, usable]
    with np.errstate(over="ignore", invalid="ignore"):
        largest = np.nanmax(np.abs(values), axis=0)
        values = values / largest
        values = values - np.nanmean(values, axis=0)
        values = values / np.sqrt(np.nanmean(values**2, axis=0))
    complete = present[:, usable].all(axis=0)
    whole = np.flatnonzero(complete)
    block = values[:, whole]
    norms = np.linalg.norm(block, axis=0)
    result[np.ix_(usable[whole], usable[whole])] = np.clip((block / norms).T @ (block / norms), -1, 1)
    for i in np.flatnonzero(~complete):
        both = present[:, usable[i]]
        for j in range(len(usable)):
            if complete[j] or j <= i:
                rows = both & present[:, usable[j]]
                r = _pearson(values[rows, i], values[rows, j])
                result[usable[i], usable[j]] = result[usable[j], usable[i]] = r
    return result


def _varies(values: NDArray[Any]) -> bool:
    return len(values) > 1 and values.min() != values.max()


def _pearson(x: NDArray[Any], y: NDArray[Any]) -> float:
    if not _varies(x) or not _varies(y):
        return float("nan")
    x, y = x - x.mean(), y - y.mean()
    return float(np.clip((x / np.linalg.norm(x)) @ (y / np.linalg.norm(y)), -1, 1))
