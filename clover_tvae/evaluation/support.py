"""Alpha-precision and beta-recall: does a synthetic table fill the real one's support, core and fringe?

Knows coded tables and distances (``neighbours``). Must not know how figures are shown.

Following Alaa et al. (2022) on rows as they are, in the distances of ``neighbours`` rather than in a learnt embedding:

* the alpha-support of a table is the ball around its mean that holds a share alpha of its rows;
* precision P(alpha) is the share of synthetic rows inside the real table's alpha-support;
* recall R(beta) is the share of real rows that have a synthetic row nearer than their nearest other real row, that
  synthetic row lying in the synthetic table's beta-support, whose radii are taken over the synthetic rows that are
  some real row's nearest (over all of them, the crowding of neighbours near the centre would lift a perfect 0.5);
* each is summed up as ``1 - mean |P(a) - a| / mean a`` over 100 levels from 0.01 to 1 (1 where the curve is a diagonal).

A fresh sample has P(alpha) = alpha, but R(beta) = beta / 2: of two equally good neighbours, one real and one synthetic,
either is the nearer half of the time. So beta-recall is 0.5 for a perfect generator, and more only for copies.

References:
    Alaa, van Breugel, Saveliev, van der Schaar, How Faithful is your Synthetic Data?, ICML 2022, arXiv 2102.08921.
"""

from __future__ import annotations

import numpy as np

from clover_tvae.evaluation.frames import CodedTable, CodedTables
from clover_tvae.evaluation.neighbours import MixedSpace, Points, nearest
from clover_tvae.evaluation.seeds import generator

__all__ = ["SUPPORT_MAX_ROWS", "alpha_precision_beta_recall"]

SUPPORT_MAX_ROWS = 5_000  # rows drawn from each table: the neighbours of all against all are sought
_LEVELS = np.linspace(0.01, 1.0, 100)


def alpha_precision_beta_recall(
    tables: CodedTables, real: CodedTable, synthetic: CodedTable, *, seed: int = 0
) -> tuple[float, float, int]:
    """Return alpha-precision, beta-recall, and the rows drawn of each table.

    Args:
        tables: The tables that the two belong to.
        real: Real rows.
        synthetic: The rows held against them.
        seed: Seed of the draws; both tables are cut to as many rows.
    """
    rng = generator(seed, 0xA1FA)
    n_rows = min(real.n_rows, synthetic.n_rows, SUPPORT_MAX_ROWS)
    if n_rows < 3:
        return float("nan"), float("nan"), n_rows
    drawn = [table.take(rng.permutation(table.n_rows)[:n_rows]) for table in (real, synthetic)]
    space = MixedSpace(drawn[0], tables)
    real_points, synthetic_points = space.place(drawn[0]), space.place(drawn[1])

    real_radius = _from_centre(real_points, real_points)
    synthetic_radius = _from_centre(synthetic_points, real_points)
    precision = np.searchsorted(np.sort(synthetic_radius), np.quantile(real_radius, _LEVELS), side="right") / n_rows

    to_real, _ = nearest(real_points, real_points, exclude=np.arange(n_rows))
    to_synthetic, at = nearest(real_points, synthetic_points)
    nearest_radius = _from_centre(synthetic_points, synthetic_points)[at[:, 0]]
    reached = np.where(to_synthetic[:, 0] <= to_real[:, 0], nearest_radius, np.inf)
    recall = np.searchsorted(np.sort(reached), np.quantile(nearest_radius, _LEVELS), side="right") / n_rows
    return _diagonality(precision), _diagonality(recall), n_rows


def _diagonality(curve: np.ndarray) -> float:
    return float(1 - np.abs(curve - _LEVELS).sum() / _LEVELS.sum())


def _from_centre(points: Points, centre_of: Points) -> np.ndarray:
    """Distance of each row to the mean of a table, category columns as one-hot vectors of squared length 1/2."""
    squared = ((points.ranks - centre_of.ranks.mean(axis=0)) ** 2).sum(axis=1)
    squared += ((points.missing.astype(np.float64) - centre_of.missing.mean(axis=0)) ** 2).sum(axis=1)
    for column in range(points.codes.shape[1]):
        codes, known = points.codes[:, column] + 1, centre_of.codes[:, column] + 1
        shares = np.bincount(known, minlength=int(codes.max()) + 1) / len(known)
        squared += 0.5 * (1 - 2 * shares[codes] + (shares**2).sum())
    return np.sqrt(np.maximum(squared, 0.0))
