"""How strongly every two columns of a table go together, as one matrix that people can read.

Knows coded tables. Must not know figures: the score of a pair is ``evaluation.fidelity.pair_trends``; these matrices are
for the eye.

Two numbers: Pearson's r of their ranks (Spearman), -1 to 1. A number and a category: epsilon of the ranks, 0 to 1. Two
categories: Cramér's V with Bergsma's correction, 0 to 1. The corrections keep a column of many categories from looking
related to everything.

References:
    Bergsma (2013), A bias-correction for Cramér's V and Tschuprow's T, J. Korean Statistical Society 42.
    Kelley (1935), An unbiased correlation ratio measure, PNAS 21.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from clover_tvae.evaluation.frames import CodedTable

__all__ = ["associations"]

_MAX_ROWS = 20_000  # the eye needs no more rows; the first ones are as good as any after a fixed shuffle
_MAX_CATEGORIES = 60  # the rarer categories of a column share one code


def associations(
    table: CodedTable,
    number_names: Sequence[Hashable],
    category_names: Sequence[Hashable],
    names: Sequence[Hashable],
    *,
    seed: int = 0,
) -> np.ndarray:
    """Return the matrix of associations, in the order of ``names``.

    Args:
        table: The coded table.
        number_names: Its columns of numbers.
        category_names: Its columns of categories.
        names: All columns, in the order wanted.
        seed: For the choice of rows in tables above 20,000.

    Returns:
        Symmetric matrix; NaN where a column is constant or two columns are never there together.

    Shape:
        (columns, columns).
    """
    if table.n_rows > _MAX_ROWS:
        table = table.take(np.sort(np.random.default_rng(seed).choice(table.n_rows, _MAX_ROWS, replace=False)))
    ranks = [_ranks(table.numbers[:, position]) for position in range(len(number_names))]
    codes = [_grouped(table.codes[:, position]) for position in range(len(category_names))]
    order = [*number_names, *category_names]
    size, n_numbers = len(order), len(number_names)
    matrix = np.full((size, size), np.nan)
    matrix[:n_numbers, :n_numbers] = _rank_correlations(ranks)
    for category, (levels, n_levels) in enumerate(codes):
        at = n_numbers + category
        matrix[at, at] = 1.0 if n_levels > 1 else np.nan
        for number, values in enumerate(ranks):
            matrix[at, number] = matrix[number, at] = _epsilon(values, levels, n_levels)
        for other in range(category):
            value = _cramers_v(levels, n_levels, *codes[other])
            matrix[at, n_numbers + other] = matrix[n_numbers + other, at] = value
    position_of = {name: position for position, name in enumerate(order)}
    wanted = [position_of[name] for name in names]
    return matrix[np.ix_(wanted, wanted)]


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return mid-ranks of mean 0 and deviation 1; NaN stays, and a constant column is all NaN."""
    present = ~np.isnan(values)
    _, inverse, counts = np.unique(values[present], return_inverse=True, return_counts=True)
    if len(counts) < 2:
        return np.full(len(values), np.nan)
    middle = np.cumsum(counts) - (counts + 1) / 2
    ranked = middle[inverse].astype(np.float64)
    result = np.full(len(values), np.nan)
    result[present] = (ranked - ranked.mean()) / ranked.std()
    return result


def _grouped(codes: np.ndarray) -> tuple[np.ndarray, int]:
    """Return dense codes, missing as one of them, the rarest beyond 60 together; and how many there are."""
    values, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    if len(values) > _MAX_CATEGORIES:
        group = np.full(len(values), _MAX_CATEGORIES - 1)
        frequent = np.argsort(-counts, kind="stable")[: _MAX_CATEGORIES - 1]
        group[frequent] = np.arange(len(frequent))
        inverse = group[inverse]
    return inverse.astype(np.int64), min(len(values), _MAX_CATEGORIES)


def _rank_correlations(ranks: list[np.ndarray]) -> np.ndarray:
    if not ranks:
        return np.empty((0, 0))
    values = np.column_stack(ranks)
    present = (~np.isnan(values)).astype(np.float64)
    filled = np.nan_to_num(values)
    # Pearson's r over the rows where both are there, from sums that one matrix product each gives for all pairs.
    n = present.T @ present
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (filled.T @ present) / n
        variance = (filled**2).T @ present / n - mean**2
        covariance = filled.T @ filled / n - mean * mean.T
        r = covariance / np.sqrt(variance * variance.T)
    return np.where((n > 2) & np.isfinite(r), np.clip(r, -1, 1), np.nan)


def _epsilon(values: np.ndarray, levels: np.ndarray, n_levels: int) -> float:
    present = ~np.isnan(values)
    values, levels = values[present], levels[present]
    counts = np.bincount(levels, minlength=n_levels)
    n, used = len(values), int((counts > 0).sum())
    if used < 2 or n <= used:
        return float("nan")
    values = values - values.mean()
    total = float((values**2).sum())
    if total <= 0:
        return float("nan")
    sums = np.bincount(levels, weights=values, minlength=n_levels)
    between = float((sums[counts > 0] ** 2 / counts[counts > 0]).sum())
    corrected = 1 - (1 - between / total) * (n - 1) / (n - used)
    return float(np.sqrt(min(max(corrected, 0.0), 1.0)))


def _cramers_v(levels_1: np.ndarray, n_1: int, levels_2: np.ndarray, n_2: int) -> float:
    n = len(levels_1)
    if n_1 < 2 or n_2 < 2 or n < 2:
        return float("nan")
    counts = np.bincount(levels_1 * n_2 + levels_2, minlength=n_1 * n_2).reshape(n_1, n_2).astype(np.float64)
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True) / n
    phi2 = float((counts**2 / expected).sum()) / n - 1
    corrected = max(0.0, phi2 - (n_1 - 1) * (n_2 - 1) / (n - 1))
    smaller = min(n_1 - (n_1 - 1) ** 2 / (n - 1), n_2 - (n_2 - 1) ** 2 / (n - 1)) - 1
    return float(np.sqrt(min(corrected / smaller, 1.0))) if smaller > 0 else float("nan")
