"""Coded tables as the matrices that models take: codes for trees, one-hot columns for linear models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clover_tvae.evaluation.frames import CodedTable

__all__ = ["filled_where_empty", "one_hot_matrix", "tree_matrix"]

_MAX_TREE_CATEGORIES = 255  # HistGradientBoosting's limit for one column; the rarest categories share the last code


def tree_matrix(tables: Sequence[CodedTable]) -> tuple[list[NDArray[Any]], NDArray[Any]]:
    """Return one float matrix a table for gradient-boosted trees: numbers, then categories; NaN where missing.

    The 254 categories most frequent over all the tables keep a code of their own, the rest share the code 254.

    Returns:
        The matrices, and which of their columns are categories.

    Shape:
        each matrix is (rows, number columns + category columns); the mask is (columns,).
    """
    n_numbers, n_categories = tables[0].numbers.shape[1], tables[0].codes.shape[1]
    coded = [table.codes.astype(np.float64) for table in tables]
    for column in range(n_categories):
        codes = np.concatenate([table.codes[:, column] for table in tables])
        counts = np.bincount(codes + 1)[1:]  # the first is missing
        group = np.full(len(counts) + 1, np.nan)  # the last entry is read for code -1
        group[np.argsort(-counts, kind="stable")] = np.minimum(np.arange(len(counts)), _MAX_TREE_CATEGORIES - 1)
        for part, table in zip(coded, tables, strict=True):
            part[:, column] = group[table.codes[:, column]]
    mask = np.arange(n_numbers + n_categories) >= n_numbers
    matrices = [np.hstack([table.numbers, part]) for table, part in zip(tables, coded, strict=True)]
    return matrices, mask


def filled_where_empty(features: NDArray[Any]) -> NDArray[Any]:
    """Return the rows that trees learn from, columns without any value put to 0: scikit-learn cannot bin them.

    A constant column is never split upon, so that whatever other rows hold in it plays no part.
    """
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
        tables: The tables to transform.
        max_categories: Most categories with a column of their own.
        tail: Share of the numbers beyond each of the two quantiles.
        mark_missing: Whether a number column with gaps has another beside it, which marks them.
    """
    parts: list[list[NDArray[Any]]] = [[] for _ in tables]
    for column, cells in enumerate(reference.numbers.T):
        known = cells[~np.isnan(cells)]
        if not len(known):
            continue
        # In units of its own: squares of numbers beyond 1e154 are infinite.
        unit = np.abs(known).max() or 1.0
        known = known / unit
        low, high = np.quantile(known, [tail, 1 - tail])
        clipped = np.clip(known, low, high)
        mean, deviation = clipped.mean(), clipped.std()
        mark = mark_missing and len(known) < reference.n_rows
        for part, table in zip(parts, tables, strict=True):
            with np.errstate(over="ignore"):  # a number far beyond the reference's largest is clipped at once
                values = table.numbers[:, column] / unit
            missing = np.isnan(values)
            scaled = (np.clip(values, low, high) - mean) / (deviation if deviation > 0 else 1.0)
            part.append(np.where(missing, 0.0, scaled))
            if mark:
                part.append(missing.astype(np.float64))
    for column, known_codes in enumerate(reference.codes.T):
        counts = np.bincount(known_codes + 1, minlength=1)[1:]  # the first is missing
        frequent = np.argsort(-counts, kind="stable")[:max_categories]
        frequent = frequent[counts[frequent] > 0]
        for part, table in zip(parts, tables, strict=True):
            part.extend((table.codes[:, column] == code).astype(np.float64) for code in frequent)
    return [
        np.column_stack(part) if part else np.zeros((table.n_rows, 1))
        for part, table in zip(parts, tables, strict=True)
    ]
