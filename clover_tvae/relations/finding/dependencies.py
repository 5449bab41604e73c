"""Candidates for what a table of values decides: dependencies, fixed combinations, ranges that depend on a category."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clover_tvae.columns.numeric import round_bound
from clover_tvae.relations.computed import Computed
from clover_tvae.relations.expression import quoted, read_expression
from clover_tvae.relations.finding.chance import log_p_kept, log_p_narrow
from clover_tvae.relations.finding.table import Candidate, Candidates, Table
from clover_tvae.relations.lookup import Combinations, Dependency, Ranges

_LOOSE = 0.02  # exceptions in the sample
_MIN_PAIRS = 30  # neighbours of one value in the sample
_ROWS_A_VALUE = 5  # on average; a column of fewer is a name of its rows
_NEARLY_CONSTANT = 0.99
_BY_CHANCE = 0.95
_MAX_KEYS = 40  # columns that are tried in twos
_ROWS_IN_TWOS = 1_000
_MAX_LEVELS = 50
_ROWS_A_RANGE = 20  # on average, where a category has more levels
_NARROW, _VERY_NARROW = 0.7, 0.4  # share of the numbers in the range of a category drawn at random; of few rows a level
_NAMED = ("quarter", "weekday", "month", "hour", "year")


def _agreement(keys: NDArray[Any], codes: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return for each column how many neighbours of equal key it has, and how many of them differ in it."""
    order = np.argsort(keys, kind="stable")
    same = np.flatnonzero((np.diff(keys[order]) == 0) & (keys[order][1:] >= 0))
    before, after = codes[order[same]], codes[order[same + 1]]
    known = (before >= 0) & (after >= 0)
    return known.sum(axis=0), ((before != after) & known).sum(axis=0)


def _agreeing(keys: NDArray[Any], codes: NDArray[Any]) -> NDArray[np.intp]:
    """Return which columns hardly differ between neighbours of equal key, of which there are enough."""
    known, differ = _agreement(keys, codes)
    return np.flatnonzero((differ <= _LOOSE * known) & (known >= _MIN_PAIRS))


def _joined(first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    """Return one code for both, -1 where either is missing."""
    both = (first >= 0) & (second >= 0)
    return np.where(both, first.astype(np.int64) * (int(second.max(initial=0)) + 1) + second, -1)


def _confirmed(table: Table, keys: NDArray[Any], relation: Any, chance: float) -> list[Candidate]:
    """Return a dependency with its exceptions in all rows, or none where too few rows a value speak for it."""
    (target,) = relation.determines
    values, n_values = table.codes[target], len(table.levels[target])
    held = (keys >= 0) & (values >= 0)
    cells, counts = np.unique(keys[held].astype(np.int64) * n_values + values[held], return_counts=True)
    groups = cells // n_values
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    if not len(starts):
        return []
    sizes, most = np.add.reduceat(counts, starts), np.maximum.reduceat(counts, starts)
    # The rows of the most frequent value alone say nothing: a column of zeros and little else "determines" by them.
    n_rest, n_exceptions = int(sizes.sum() - sizes.max()), int(sizes.sum() - most.sum())
    trials = n_rest - (len(sizes) - 1)
    if n_rest < max(table.min_count, _ROWS_A_VALUE * (len(sizes) - 1)):
        return []
    # Where the key is known the target may be nearly constant.
    chance = max(chance, float(np.bincount(values[held]).max() / held.sum()))
    log_p = log_p_kept(trials - n_exceptions, trials, chance)
    return [Candidate(relation, chance, log_p, n_exceptions, len(sizes))] if chance < _NEARLY_CONSTANT else []


def _is_cut(table: Table, name: Any, target: Any) -> bool:
    """Return whether a column is an amount of many values that a category cuts into pieces: then it has its ranges."""
    if name not in table.amounts or len(table.levels[name]) <= _MAX_LEVELS:
        return False
    held = (table.codes[name] >= 0) & (table.codes[target] >= 0)
    ordered = table.codes[target][held][np.argsort(table.values[name][held], kind="stable")]
    return np.count_nonzero(np.diff(ordered)) < 2 * len(table.levels[target])


def dependencies(table: Table) -> Candidates:
    """Return columns, and pairs of columns, that determine another."""
    made, names = Candidates(), table.names
    if len(names) < 2:
        return made
    codes = table.sample_codes(names)
    largest = np.array([np.bincount(table.codes[n] + 1)[1:].max(initial=0) / max(table.n_rows, 1) for n in names])
    agree = np.ones((len(names), len(names)))
    for i, name in enumerate(names):
        known, differ = _agreement(codes[:, i], codes)
        made.n_tried += len(names) - 1
        agree[i] = np.where(known >= _MIN_PAIRS, 1 - differ / np.maximum(known, 1), largest)
        for j in _agreeing(codes[:, i], codes):
            if i != j and largest[j] < _NEARLY_CONSTANT and not _is_cut(table, name, names[j]):
                relation = Dependency(by=(name,), target=names[j])
                made.found += _confirmed(table, table.codes[name], relation, float(largest[j]))
    sizes = sorted((len(table.levels[name]), i) for i, name in enumerate(names) if largest[i] < _BY_CHANCE)
    few = [i for n_levels, i in sizes if 2 <= n_levels <= len(codes) / 10][:_MAX_KEYS]
    codes = codes[:: max(1, len(codes) // _ROWS_IN_TWOS)]
    for i, k in itertools.combinations(few, 2):
        if agree[i, k] > 1 - _LOOSE or agree[k, i] > 1 - _LOOSE:
            continue
        chance = np.maximum(np.maximum(agree[i], agree[k]), largest)  # either alone must explain it less well
        made.n_tried += len(names) - 2
        for j in _agreeing(_joined(codes[:, i], codes[:, k]), codes):
            if j not in (i, k) and chance[j] < _BY_CHANCE:
                relation = Dependency(by=(names[i], names[k]), target=names[j])
                keys = _joined(*(table.codes[name] for name in relation.by))
                made.found += _confirmed(table, keys, relation, float(chance[j]))
    return made


def names_of_dates(table: Table) -> Candidates:
    """Return labels that a part of a date determines, such as the name of its weekday."""
    made, labels = Candidates(), [name for name in table.labels if 2 <= len(table.levels[name]) <= _MAX_LEVELS]
    codes = table.sample_codes(labels) if labels else np.zeros((0, 0))
    for name, part in itertools.product(table.dates if labels else (), _NAMED):
        made.n_tried += len(labels)
        text = f"{part}({quoted(name)})"
        some = read_expression(text).evaluate(table.sample)
        for j in _agreeing(np.nan_to_num(some, nan=-1).astype(np.int64), codes):
            keys = np.nan_to_num(read_expression(text).evaluate(table.frame), nan=-1).astype(np.int64)
            made.found += _confirmed(table, keys, Computed(target=labels[j], formula=text, words=()), 0.0)
    return made


def combinations(table: Table) -> Candidates:
    """Return pairs of categories that occur together in some combinations and not in others."""
    made = Candidates()
    names = [name for name in table.categories if 2 <= len(table.levels[name]) <= 2 * _MAX_LEVELS]
    for first, second in itertools.combinations(names, 2):
        made.n_tried += 1
        if _joint_chance(table.codes[first][table.rows], table.codes[second][table.rows], 1)[0] > _BY_CHANCE:
            continue
        chance, n_rows, n_exceptions = _joint_chance(table.codes[first], table.codes[second], table.shared)
        if n_rows and chance <= _BY_CHANCE:
            log_p = log_p_kept(n_rows - n_exceptions, n_rows, chance)
            made.found.append(Candidate(Combinations(among=(first, second)), chance, log_p, n_exceptions))
    return made


def _joint_chance(first: NDArray[Any], second: NDArray[Any], min_count: int) -> tuple[float, int, int]:
    """Return the share of independent draws that fall into combinations of ``min_count`` rows or more; rows; others."""
    n_second = int(second.max(initial=0)) + 1
    counts = np.bincount(_joined(first, second) + 1, minlength=(int(first.max(initial=0)) + 1) * n_second + 1)[1:]
    counts, n_rows = counts.reshape(-1, n_second), int(counts.sum())
    if not n_rows:
        return 1.0, 0, 0
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / n_rows**2
    return float(expected[counts >= min_count].sum()), n_rows, int(counts[counts < min_count].sum())


def ranges(table: Table) -> Candidates:
    """Return numbers whose range is narrow in each category."""
    made = Candidates()
    ranks = table.sample[table.amounts].rank(pct=True).to_numpy()
    for category in table.categories:
        n_levels = len(table.levels[category])
        if not 2 <= n_levels <= max(_MAX_LEVELS, min(table.n_rows // _ROWS_A_RANGE, 4 * _MAX_LEVELS)):
            continue
        made.n_tried += len(table.amounts)
        has_few_rows = n_levels > max(_MAX_LEVELS, table.n_rows // (2 * _ROWS_A_RANGE))
        narrow = _VERY_NARROW if has_few_rows else _NARROW
        codes = table.codes[category][table.rows]
        order = np.argsort(codes, kind="stable")
        starts = np.flatnonzero(np.diff(codes[order], prepend=-2))
        contents = np.fmax.reduceat(ranks[order], starts) - np.fmin.reduceat(ranks[order], starts)
        sizes = np.diff(starts, append=len(codes)) / len(codes)
        for j in np.flatnonzero(sizes @ np.nan_to_num(contents) <= narrow):
            number = table.amounts[j]
            chance, log_p = _range_chance(table.codes[category], table.values[number], table.min_count)
            if number != category and chance <= narrow:
                relation = Ranges(category=category, number=number)
                made.found.append(Candidate(relation, chance, log_p, n_exceptions=0, n_levels=n_levels))
    return made


def _range_chance(codes: NDArray[Any], values: NDArray[Any], min_count: int) -> tuple[float, float]:
    """Return the share of numbers in the range of a category drawn at random, and the p-value of the narrowest range."""
    held = (codes >= 0) & ~np.isnan(values)
    codes, values = codes[held], values[held]
    if len(values) < 2 * min_count:
        return 1.0, 0.0
    order, ordered = np.lexsort((values, codes)), np.sort(values)
    groups = np.split(values[order], np.flatnonzero(np.diff(codes[order])) + 1)
    chance, log_p = 0.0, 0.0
    for group in groups:
        content = 1.0
        if len(group) >= min_count:
            low, high = round_bound(group, min_count), -round_bound(-group, min_count)
            n_within = np.searchsorted(ordered, high, "right") - np.searchsorted(ordered, low, "left")
            content = float(n_within) / len(ordered)
        chance += content * len(group) / len(values)
        log_p = min(log_p, log_p_narrow(len(group), content))
    return float(chance), min(0.0, log_p + float(np.log(len(groups))))
