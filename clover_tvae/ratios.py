"""How many times likelier a row is in one table than in another: how far scores are to be believed, and rows kept in proportion.

It knows neither pandas nor torch.

References:
    Platt 1999, Probabilistic Outputs for Support Vector Machines.
    Madow 1949, On the Theory of Systematic Sampling, II.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["picked", "trust"]


def picked(log_ratio: NDArray[np.float64], n_rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the places of ``n_rows`` rows, in order: each is kept in proportion to its ratio, those of large ratios always.

    Args:
        log_ratio: Of each row the log of how many times likelier it is to be wanted.
        n_rows: How many, at most as many as there are.
        rng: Draws.

    **Shape** ``(rows,)``, ``(n_rows,)``.

    Example:
        >>> picked(np.array([0.0, 9.0, 0.0, 9.0]), 2, np.random.default_rng(1)).tolist()
        [1, 3]
    """
    ratio = np.exp(log_ratio - log_ratio.max())
    # Once the k largest are kept for sure, the others share what is left: with the first k for which none of them is more than sure.
    falling, k = np.sort(ratio)[::-1], np.arange(n_rows)
    factors = (n_rows - k) / np.cumsum(falling[::-1])[::-1][:n_rows]
    share = np.minimum(1.0, factors[np.argmax(factors * falling[:n_rows] <= 1.0)] * ratio)
    order = rng.permutation(len(ratio))
    reached = np.cumsum(share[order])
    # Systematic sampling (Madow 1949): exactly as many, each with its own share.
    marks = np.searchsorted(reached, (rng.random() + np.arange(n_rows)) * (reached[-1] / n_rows))
    return np.sort(order[np.minimum(marks, len(order) - 1)])


def trust(scores: NDArray[np.floating[Any]], is_wanted: NDArray[np.int64]) -> float:
    """Return the factor that makes scores log-ratios, by rows that whoever scores them did not learn; 0 where they tell nothing.

    Args:
        scores: Of each row, higher the more it looks wanted.
        is_wanted: 1 of a wanted row, else 0; either kind counts as much, however many rows it has.

    **Shape** ``(rows,)`` each.

    Example:
        >>> rng = np.random.default_rng(1)
        >>> is_wanted = np.repeat([0, 1], 5_000)
        >>> round(trust(2 * (rng.normal(size=10_000) + is_wanted), is_wanted), 1)
        0.5
    """
    from sklearn.linear_model import LogisticRegression  # late, as who only draws rows imports no scikit-learn

    calibrated = LogisticRegression(class_weight="balanced").fit(scores.reshape(-1, 1), is_wanted)
    return max(0.0, float(calibrated.coef_[0, 0]))
