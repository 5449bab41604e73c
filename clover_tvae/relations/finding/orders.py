"""Candidates for inequalities and intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.relations.finding.chance import chance_below
from clover_tvae.relations.finding.table import Candidate, Candidates, Table
from clover_tvae.relations.order import Inequality, Interval
from clover_tvae.relations.relation import Relation

__all__ = ["orders"]

_LOOSE = 0.01  # exceptions in the sample
_MIN_ROWS = 30
_MIN_UNEQUAL = 20  # rows of the sample in which the two differ: of fewer a coin could show the same side
_BY_CHANCE = 0.97
_BY_CHANCE_OF_AMOUNTS = 0.9  # of numbers that are no interval: their length is no easier to learn than either
_EDGE = 0.4  # the lowest twentieth of the differences must come so much nearer to zero than their median


def orders(table: Table) -> Candidates:
    """Return pairs of numbers or of dates of which one is hardly ever above the other."""
    made = Candidates()
    for names in (table.amounts, table.dates):
        sample = table.matrix(names)
        known = ~np.isnan(sample)
        both = known.T.astype(np.float32) @ known.astype(np.float32)
        made.n_tried += len(names) * (len(names) - 1)
        shuffled = np.roll(sample, len(sample) // 2, axis=0)
        for i, low in enumerate(names):
            above, apart = (sample[:, [i]] > sample).sum(axis=0), (sample[:, [i]] > shuffled).sum(axis=0)
            candidates = (above <= _LOOSE * both[i]) & (apart > (1 - _BY_CHANCE) / 2 * both[i]) & (both[i] >= _MIN_ROWS)
            for j in np.flatnonzero(candidates):
                rows = known[:, i] & known[:, j]
                x, y = sample[rows, i], sample[rows, j]
                lengths = y - x
                lowest, median = np.quantile(lengths, [0.05, 0.5])
                is_apart = names is not table.dates and lowest > _EDGE * median
                if np.count_nonzero(lengths) < _MIN_UNEQUAL or is_apart:
                    continue  # apart by far: it says that the ranges differ, not that one bounds the other
                chance = chance_below(x, y)
                relation = _kind(low, names[j], x, y, names is table.dates)
                if chance <= (_BY_CHANCE if isinstance(relation, Interval) else _BY_CHANCE_OF_AMOUNTS):
                    made.found.append(Candidate(relation, chance))
    return made


def _kind(low: Any, high: Any, x: NDArray[Any], y: NDArray[Any], are_dates: bool) -> Relation:
    """An interval if its length has less to do with its start than its end has."""
    ranks = pd.DataFrame({"x": x, "y": y, "length": y - x}).rank().corr().to_numpy()
    if are_dates or abs(ranks[0, 2]) < 0.5 * abs(ranks[0, 1]):
        return Interval(start=low, end=high)
    return Inequality(ascending=(low, high))
