"""Coded tables as the matrices that models take: codes for trees, one-hot columns for linear models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clover_tvae.evaluation.frames import CodedTable

_MAX_TREE_CATEGORIES = 255  # HistGradientBoosting's limit for one column; the rarest categories share the last code


def tree_matrix(tables: Sequence[CodedTable]) -> tuple[list[NDArray[Any]], NDArray[Any]]:
    """Return one float matrix a table for gradient-boosted trees: numbers, then categories; NaN where missing.

    The 254 categories most frequent over all the tables keep a code of their own, the rest share the code 254.

    Returns:
        The matrices, and which of their columns are categories.

    Shape:
        each matrix is (rows, number columns + category columns); the mask is (columns,).
    """
    numbers, codes, ends = _stacked(tables)
    groups = np.empty(codes.shape)
    for column, cells in enumerate(codes.T):
        counts = np.bincount(cells + 1)[1:]  # the first is missing
        group = np.full(len(counts) + 1, np.nan)  # the last entry is read for code -1
        group[np.argsort(-counts, kind="stable")] = np.minimum(np.arange(len(counts)), _MAX_TREE_CATEGORIES - 1)
        groups[:, column] = group[cells]
    mask = np.repeat([False, True], [numbers.shape[1], codes.shape[1]])
    return np.split(np.hstack([numbers, groups]), ends), mask


def _stacked(tables: Sequence[CodedTable]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """The numbers and codes of all tables, one below the other, and where all but the first begin."""
    numbers, codes = (np.vstack([getattr(table, part) for table in tables]) for part in ("numbers", "codes"))
    return numbers, codes, np.cumsum([table.n_rows for table in tables])[:-1]


def tree_options(is_category: NDArray[Any], seed: int) -> dict[str, Any]:
    """Return how scikit-learn's boosted trees are grown here: without early stopping, and the same from the same seed."""
    return {"categorical_features": is_category, "early_stopping": False, "random_state": seed % 2**32}


def filled_where_empty(features: NDArray[Any]) -> NDArray[Any]:
    """Return the rows that trees learn from, empty columns put to 0: scikit-learn cannot bin them, nor split a constant."""
    return np.where(np.isnan(features).all(axis=0), 0.0, features)


def one_hot_matrix(
    reference: CodedTable,
    tables: Sequence[CodedTable],
    *,
    max_categories: int = 50,
    tail: float = 0.001,
    mark_missing: bool = True,
) -> list[NDArray[Any]]:
    """Return one float matrix a table for linear models.

    Numbers are clipped to quantiles of the reference, scaled to mean 0 and deviation 1, and missing ones put to 0. Each
    category column gives one column a category, for its most frequent ones in the reference; all others, missing ones
    too, are zeros in these.

    Args:
        reference: The table that fixes scales and categories: the one that a model is trained on.
        max_categories: Most categories with a column of their own.
        tail: Share of the numbers beyond each of the two quantiles.
        mark_missing: Whether a number column with gaps has another beside it, which marks them.
    """
    numbers, codes, ends = _stacked(tables)
    parts: list[NDArray[Any]] = []
    for cells, values in zip(reference.numbers.T, numbers.T, strict=True):
        known = cells[~np.isnan(cells)]
        if not len(known):
            continue
        # In units of its own: squares of numbers beyond 1e154 are infinite.
        unit = np.abs(known).max() or 1.0
        known = known / unit
        low, high = np.quantile(known, [tail, 1 - tail])
        clipped = np.clip(known, low, high)
        with np.errstate(over="ignore"):  # a number far beyond the reference's largest is clipped at once
            scaled = (np.clip(values / unit, low, high) - clipped.mean()) / (clipped.std() or 1.0)
        missing = np.isnan(values)
        parts.append(np.where(missing, 0.0, scaled))
        if mark_missing and len(known) < reference.n_rows:
            parts.append(missing)
    for known_codes, cells in zip(reference.codes.T, codes.T, strict=True):
        counts = np.bincount(known_codes + 1, minlength=1)[1:]  # the first is missing
        frequent = np.argsort(-counts, kind="stable")[:max_categories]
        parts += [cells == code for code in frequent if counts[code]]
    matrix = np.column_stack(parts).astype(np.float64) if parts else np.zeros((len(numbers), 1))
    return np.split(matrix, ends)
