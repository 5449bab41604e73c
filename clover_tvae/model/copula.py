"""A smooth, low-dimensional model of a small table: a Gaussian copula of its encoded columns.

Its rows are what a network sees first: it then starts from simple relations that many rows share, not from none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clover_tvae.encoded import EncodedTable, TableLayout

#: Of the correlations towards none.
_SHRINKAGE = 0.02
_EDGE = 1e-6


def copula_rows(table: EncodedTable, layout: TableLayout, n_rows: int, rng: np.random.Generator) -> EncodedTable:
    """Draw rows of a Gaussian copula that has the columns of a table, its numbers as ranks, and their correlations, and nothing else of it.

    Every cell is a place in [0, 1]: the choices of a column take intervals as long as their frequencies, and a number its
    place in the interval. The normal scores of the places are correlated as those of the table are.

    References:
        Nelsen 2006, An Introduction to Copulas, chapter 2 (Sklar's theorem); Rüschendorf 2009 for ties drawn inside their
        interval.
    """
    from scipy.special import ndtr, ndtri  # drawing needs neither

    places, edges = np.empty(table.choices.shape), []
    for i, column in enumerate(layout.columns):
        choices = table.choices[:, i]
        shares = np.bincount(choices, minlength=column.n_base) / len(choices)
        ends = np.concatenate([[0.0], np.cumsum(shares)])
        inside = rng.random(len(choices))
        if (s := layout.scalar_of.get(i)) is not None:
            spread = 0.0 if table.spreads is None else table.spreads[:, s] * inside
            inside = np.where(choices < column.n_numbered, table.scalars[:, s] + spread, inside)
        places[:, i] = ends[choices] + shares[choices] * inside
        edges.append(ends)
    scores = ndtri(np.clip(places, _EDGE, 1 - _EDGE))
    scores = (scores - scores.mean(axis=0)) / (scores.std(axis=0) + 1e-12)
    correlation = (1 - _SHRINKAGE) * (scores.T @ scores) / len(scores) + _SHRINKAGE * np.eye(layout.n_columns)
    root = np.linalg.cholesky(correlation + 1e-9 * np.eye(layout.n_columns))
    drawn = ndtr(rng.standard_normal((n_rows, layout.n_columns)) @ root.T)
    choices = np.empty(drawn.shape, dtype=np.int32)
    scalars = np.zeros((n_rows, layout.n_scalars), dtype=np.float32)
    for i, ends in enumerate(edges):
        choices[:, i] = np.clip(np.searchsorted(ends, drawn[:, i], side="right") - 1, 0, len(ends) - 2)
        if (s := layout.scalar_of.get(i)) is not None:
            width = np.maximum(np.diff(ends)[choices[:, i]], 1e-12)
            scalars[:, s] = np.clip((drawn[:, i] - ends[choices[:, i]]) / width, 0.0, 1.0)
            scalars[choices[:, i] >= layout.columns[i].n_numbered, s] = 0.0
    equals: NDArray[np.bool_] | None = None
    if layout.copy_pairs:
        equals = np.zeros((n_rows, len(layout.copy_pairs)), dtype=bool)
    spreads = None if table.spreads is None else np.zeros_like(scalars)
    return EncodedTable(choices, scalars, spreads, equals)
