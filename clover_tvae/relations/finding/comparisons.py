"""Candidates for comparisons of two columns: equal cells, in all rows, in a part of them or where another column says so; orders."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.relations.computed import Equal
from clover_tvae.relations.finding.chance import chance_below, log_p_kept
from clover_tvae.relations.finding.table import Candidate, Candidates, Table
from clover_tvae.relations.order import Inequality, Interval
from clover_tvae.relations.relation import Relation

_ALL, _PART = 0.98, 0.02  # shares of the sample, and of the rows, from which a pair is a candidate
_COMMON = 0.01  # a value of more rows than this share is equal by habit, not by copy
_NEAR_STEPS = 5  # copies are told from closeness by how many cells differ by so few steps
_TIMES_CHANCE = 3.0
_EXPLAINED = 0.8
_MAX_LEVELS = 50
_LOOSE = 0.01  # exceptions in the sample
_MIN_ROWS = 30
_MIN_UNEQUAL = 20  # rows of the sample in which the two differ: of fewer a coin could show the same side
_BY_CHANCE = 0.97
_BY_CHANCE_OF_AMOUNTS = 0.9  # of numbers that are no interval: their length is no easier to learn than either
_EDGE = 0.4  # the lowest twentieth of the differences must come so much nearer to zero than their median


def equalities(table: Table) -> Candidates:
    """Return pairs of columns of one family whose cells are often the same."""
    made, pairs = Candidates(), list[tuple[Any, Any]]()
    levels = [pd.Index(table.levels[name], dtype=object) for name in table.labels]
    shared = np.split(pd.factorize(np.concatenate([*levels, []]))[0], np.cumsum([len(held) for held in levels]))
    # A missing cell has the code -1: the last one.
    values = table.values | {
        name: np.append(numbers, np.nan)[table.codes[name]] for name, numbers in zip(table.labels, shared, strict=False)
    }

    def rare(name: Any, rows: Any = slice(None)) -> NDArray[Any]:
        return np.where(_is_rare(table, name, rows), values[name][rows], np.nan)

    for names in (table.numeric, table.dates, table.labels):
        made.n_tried += len(names) * (len(names) - 1) // 2
        sample = [[values[name][table.rows] for name in names], [rare(name, table.rows) for name in names]]
        cells, rare_cells = (np.array(columns).reshape(len(names), len(table.rows)) for columns in sample)
        for i, name in enumerate(names[:-1]):
            n_both = np.maximum((~np.isnan(cells[i]) & ~np.isnan(cells[i + 1 :])).sum(axis=1), 1)
            n_copies = (rare_cells[i] == rare_cells[i + 1 :]).sum(axis=1)
            often = (n_copies >= _PART / 2 * n_both) | ((cells[i] == cells[i + 1 :]).sum(axis=1) >= _ALL * n_both)
            pairs += [(name, names[i + 1 + j]) for j in np.flatnonzero(often)]
    copies: dict[frozenset[Any], NDArray[Any]] = {}
    part: list[Candidate] = []
    for first, second in pairs:
        x, y = values[first], values[second]
        rare_x, rare_y = rare(first), rare(second)
        both, same, copied = ~np.isnan(x) & ~np.isnan(y), x == y, rare_x == rare_y
        n_both, n_copies = int(both.sum()), int(copied.sum())
        if n_both and same.sum() >= _ALL * n_both:
            made.found.append(Candidate(Equal(source=first, target=second), _chance(x, y)))
        elif n_copies >= max(table.min_count, _PART * n_both):
            nearness = 0.0 if first in table.labels else _nearness(rare_x, rare_y)
            chance = max(_chance(rare_x, rare_y), nearness)
            if n_copies >= _TIMES_CHANCE * chance * n_both:
                share = round(float(same[both].mean()), 3)
                relation = Equal(source=first, target=second, share=share, handling="learn")
                log_p = log_p_kept(n_copies, n_both, chance)
                part.append(Candidate(relation, chance, log_p, 0, n_rows=int(same.sum())))
                copies[frozenset((first, second))] = copied
                _where(table, first, second, same, both, made)
    made.found += [candidate for candidate in part if not _follows(candidate.relation, copies)]
    return made


def _follows(relation: Equal, copies: dict[frozenset[Any], NDArray[Any]]) -> bool:
    """Return whether a third column, a copy of both in more rows, is the same in most of the rows of a copy."""
    source, target = relation.source, relation.target
    copied = copies[frozenset((source, target))]
    middles = {name for pair in copies for name in pair} - {source, target}
    between = ((copies.get(frozenset((source, m))), copies.get(frozenset((m, target)))) for m in middles)
    return any(
        min(first.sum(), second.sum()) > copied.sum() <= (copied & first & second).sum() / _EXPLAINED
        for first, second in between
        if first is not None and second is not None
    )


def _is_rare(table: Table, name: Any, rows: Any) -> NDArray[Any]:
    counts = np.bincount(table.codes[name] + 1, minlength=2)
    return (counts <= max(_COMMON * table.n_rows, 5))[table.codes[name][rows] + 1]


def _chance(x: NDArray[Any], y: NDArray[Any]) -> float:
    """Return how often independent columns of these values would be the same (a missing cell never is)."""
    values, codes = np.unique(np.concatenate([x, y]), return_inverse=True)
    known = ~np.isnan(values)
    counts = [np.bincount(part, minlength=len(values))[known] for part in np.split(codes, 2)]
    return float((counts[0] / len(x)) @ (counts[1] / len(x)))


def _nearness(x: NDArray[Any], y: NDArray[Any]) -> float:
    """Return how often the two would be the same if they were as often equal as one step apart, on average."""
    distinct = np.unique(np.concatenate([x, y]))
    step = np.diff(distinct[~np.isnan(distinct)]).min()
    apart = np.abs(x - y)
    return float(((apart > 0) & (apart <= _NEAR_STEPS * step * 1.001)).sum()) / (2 * _NEAR_STEPS * len(x))


def _where(table: Table, first: Any, second: Any, same: NDArray[Any], both: NDArray[Any], made: Candidates) -> None:
    """Add the column whose values say for the most rows that the two are the same."""
    best, rate = (0, 0.0, None, same), float(same[both].mean())
    for when in table.categories:
        n_levels = len(table.levels[when])
        if not 2 <= n_levels <= _MAX_LEVELS or when in (first, second, *table.dates):
            continue
        made.n_tried += 1
        rows = both & (table.codes[when] >= 0)
        counts = np.bincount(table.codes[when][rows], minlength=n_levels)
        equal = np.bincount(table.codes[when][rows], weights=same[rows], minlength=n_levels)
        chosen = (counts >= table.min_count) & (equal >= 0.995 * counts)
        n_chosen, n_kept, n_left = int(counts[chosen].sum()), float(equal[chosen].sum()), float(equal[~chosen].sum())
        n_other = int(counts.sum()) - n_chosen
        if n_chosen > best[0] and n_other >= table.min_count and n_left <= min(n_kept, 0.5 * n_other):
            best = (n_chosen, n_kept, when, chosen)
    n_chosen, n_kept, when, chosen = best
    if when is not None:
        values = tuple(table.level(when, code) for code in np.flatnonzero(chosen))
        relation = Equal(source=first, target=second, when=when, values=values)
        made.found.append(Candidate(relation, rate, log_p_kept(n_kept, n_chosen, rate), n_levels=len(chosen)))


def orders(table: Table) -> Candidates:
    """Return pairs of numbers or of dates of which one is hardly ever above the other."""
    made = Candidates()
    for names in (table.amounts, table.dates, table.packed):
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
