"""Distances between rows of mixed type, and the nearest rows.

The squared distance of two rows is a sum over columns, each between 0 and 1:

* a number: the squared difference of its ranks (0 to 1, interpolated between the reference's values), so that neither
  units nor heavy tails decide; one missing cell counts about 1, two missing cells 0;
* a category: 0 if equal, 1 if not; missing is a category of its own.

The search is exact: blocks of a matrix product in float32 find candidates, whose distances are then computed in
float64. Columns of many categories are compared code by code, so that 10,000 categories cost one column, not 10,000.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clover_tvae.evaluation.frames import CodedTable, CodedTables

_MAX_ONE_HOT = 8  # above this many categories, comparing codes is cheaper than a one-hot product
_BLOCK_CELLS = 2_000_000  # cells of one block of distances: 8 MB in float32, about a cache
_FEW = 8  # up to so many neighbours, searching for the smallest again and again is quicker than a partition
_MISSING_FILL = 0.5
_MISSING_WEIGHT = 11 / 12  # 1 less the mean of (rank - 0.5)^2, so that present against missing costs 1 on average


@dataclass(frozen=True)
class Points:
    """Rows placed in a ``MixedSpace``.

    Shape:
        ``ranks`` and ``missing`` (rows, number columns); ``codes`` (rows, category columns); ``dense`` (rows, d).
    """

    ranks: NDArray[Any]
    missing: NDArray[Any]
    codes: NDArray[Any]
    dense: NDArray[Any]
    wide: NDArray[Any]

    def __len__(self) -> int:
        return len(self.ranks)

    def take(self, rows: NDArray[Any] | slice) -> Points:
        """Return the given rows, by position or by mask."""
        return Points(self.ranks[rows], self.missing[rows], self.codes[rows], self.dense[rows], self.wide[rows])


class MixedSpace:
    """The scale of distances, fixed by one reference table.

    Args:
        reference: Real rows that give the ranks. Where training and held-out rows are compared it must hold both
            alike, or the scale itself would tell them apart.
        tables: All the tables that will be placed.
    """

    def __init__(self, reference: CodedTable, tables: CodedTables) -> None:
        self._scales = [_rank_scale(values) for values in reference.numbers.T]
        self._n_categories = [len(values) for values in tables.categories]
        self._wide = np.array([n + 1 > _MAX_ONE_HOT for n in self._n_categories], dtype=bool)
        self._gaps = np.any([np.isnan(table.numbers).any(axis=0) for table in tables.tables.values()], axis=0)

    def place(self, table: CodedTable) -> Points:
        """Place the rows of a table."""
        missing = np.isnan(table.numbers)
        ranks = np.full(table.numbers.shape, _MISSING_FILL)
        for column, (values, positions) in enumerate(self._scales):
            there = ~missing[:, column]
            ranks[there, column] = np.interp(table.numbers[there, column], values, positions)
        parts = [ranks, missing[:, self._gaps] * np.sqrt(_MISSING_WEIGHT)]
        for column in np.flatnonzero(~self._wide):
            levels = np.arange(-1, self._n_categories[column])
            parts.append((table.codes[:, column, None] == levels) * np.sqrt(0.5))
        dense = np.hstack(parts).astype(np.float32)
        return Points(ranks, missing, table.codes, dense, np.ascontiguousarray(table.codes[:, self._wide]))


def _rank_scale(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Distinct values and their mean rank, from 0 to 1; values beyond the ends take the ends' rank."""
    values = values[~np.isnan(values)]
    if not len(values):
        return np.zeros(1), np.full(1, _MISSING_FILL)
    distinct, counts = np.unique(values, return_counts=True)
    return distinct, (np.cumsum(counts) - counts / 2) / len(values)


def nearest(
    targets: Points, pool: Points, k: int = 1, *, exclude: NDArray[Any] | None = None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the distances to the ``k`` nearest rows of ``pool``, in rising order, and their positions.

    Args:
        pool: The rows searched; where it has fewer than ``k`` (one less with ``exclude``), all are found.
        exclude: For each target the position of one row of the pool that does not count (itself), -1 for none.

    Shape:
        both results are (targets, k).
    """
    k = min(k, len(pool) if exclude is None else len(pool) - 1)
    squared, positions = np.empty((len(targets), k)), np.empty((len(targets), k), dtype=np.int64)
    # |a - b|^2 less |a|^2, which no order depends on, as one product: (-2a, 1) . (b, |b|^2)
    left = np.hstack([-2 * targets.dense, np.ones((len(targets), 1), dtype=np.float32)])
    right = np.hstack([pool.dense, (pool.dense**2).sum(axis=1, keepdims=True)])
    pool_wide = [np.ascontiguousarray(codes) for codes in pool.wide.T]
    block = max(1, _BLOCK_CELLS // max(len(pool), 1))
    for start in range(0, len(targets), block):
        rows = np.arange(start, min(start + block, len(targets)))
        distance = left[rows] @ right.T
        for column, codes in enumerate(pool_wide):
            distance += targets.wide[rows, column, None] != codes
        if exclude is not None:
            excluded = np.flatnonzero(exclude[rows] >= 0)
            distance[excluded, exclude[rows][excluded]] = np.inf
        candidates = _smallest(distance, k)
        exact = _squared_distances(targets, rows, pool, candidates)
        order = np.argsort(exact, axis=1, kind="stable")
        squared[rows] = np.take_along_axis(exact, order, axis=1)
        positions[rows] = np.take_along_axis(candidates, order, axis=1)
    return np.sqrt(squared), positions


def _smallest(distance: NDArray[Any], k: int) -> NDArray[Any]:
    """Positions of each row's ``k`` smallest values; spoils ``distance``."""
    if k > _FEW:
        return np.argpartition(distance, k - 1, axis=1)[:, :k]
    found = np.empty((len(distance), k), dtype=np.int64)
    each = np.arange(len(distance))
    for order in range(k):
        found[:, order] = distance.argmin(axis=1)
        distance[each, found[:, order]] = np.inf
    return found


def _squared_distances(targets: Points, rows: NDArray[Any], pool: Points, candidates: NDArray[Any]) -> NDArray[Any]:
    total = np.zeros(candidates.shape)
    for column in range(targets.ranks.shape[1]):
        total += (targets.ranks[rows, column, None] - pool.ranks[candidates, column]) ** 2
        total += _MISSING_WEIGHT * (targets.missing[rows, column, None] != pool.missing[candidates, column])
    for column in range(targets.codes.shape[1]):
        total += targets.codes[rows, column, None] != pool.codes[candidates, column]
    return total
