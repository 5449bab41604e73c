"""Candidates for patterns of missing cells and of zeros and ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clover_tvae.relations.finding.chance import log_p_kept
from clover_tvae.relations.finding.table import Candidate, Candidates, Table
from clover_tvae.relations.groups import OneHot
from clover_tvae.relations.missing import MissingTogether, MissingWhen

__all__ = ["missing_patterns", "one_hot_groups"]

_ATOM = 0.01  # share of the rows from which one value of a column of many may say that a cell is missing
_TOLERATED = 0.005


def missing_patterns(table: Table) -> Candidates:
    """Return columns that are missing together, and those that are missing exactly when another has some values."""
    made = Candidates()
    counts = table.missing.sum(axis=0)
    some = np.flatnonzero((counts >= table.min_count) & (table.n_rows - counts >= table.min_count)).tolist()
    if not some:
        return made
    missing = table.missing[:, some].astype(np.float32)
    both, rate = missing.T @ missing, missing.mean(axis=0)
    apart = missing.sum(axis=0)[:, None] + missing.sum(axis=0) - 2 * both
    left, made.n_tried = list(range(len(some))), len(some) * (len(some) - 1) // 2
    leaders = []
    while left:
        first = left[0]
        group = [i for i in left if apart[first, i] <= _TOLERATED * missing[:, first].sum()]
        left = [i for i in left if i not in group]
        leaders.append(first)
        if len(group) > 1:
            chance = float(rate[first] ** 2 + (1 - rate[first]) ** 2)
            made.found.append(Candidate(MissingTogether(group=tuple(table.names[some[i]] for i in group)), chance))
    masks = table.missing[table.rows][:, [some[i] for i in leaders]]
    for when in table.names:
        made.n_tried += len(leaders)
        codes = _with_rare_ones_together(table.codes[when])[table.rows]
        held = codes >= 0
        n_levels = int(codes.max(initial=-1)) + 1
        if n_levels < 2:
            continue
        totals = np.bincount(codes[held], minlength=n_levels)
        for k, i in enumerate(leaders):
            n_missing = np.bincount(codes[held], weights=masks[held, k], minlength=n_levels)
            split = min(n_missing.sum(), held.sum() - n_missing.sum())
            if (
                table.names[some[i]] != when
                and split > 0
                and np.minimum(n_missing, totals - n_missing).sum() <= 0.02 * split
            ):
                made.found += _missing_when(table, table.names[some[i]], when, table.missing[:, some[i]])
    return made


def _with_rare_ones_together(codes: NDArray[Any]) -> NDArray[Any]:
    """Return levels with those of too few rows to be told apart as one last level."""
    counts = np.bincount(codes + 1, minlength=2)[1:]
    common = counts >= max(_ATOM * len(codes), 5)
    new = np.where(common, np.cumsum(common) - 1, common.sum())
    return np.append(new, -1)[codes]


def _missing_when(table: Table, target: Any, when: Any, missing: NDArray[Any]) -> list[Candidate]:
    codes = table.codes[when]
    lumped, held = _with_rare_ones_together(codes), codes >= 0
    totals = np.bincount(lumped[held])
    is_missing = np.bincount(lumped[held], weights=missing[held]) > 0.5 * totals
    levels = np.bincount(codes[held])
    common = np.flatnonzero(levels >= max(_ATOM * len(codes), 5))  # in the order of the lumped levels
    missing_levels = common[is_missing[: len(common)]]
    # What the values that are not listed say: the rare ones together if there are any, else the greater part.
    state = is_missing[-1] if len(totals) > len(common) else len(missing_levels) > len(common) / 2
    chosen = np.setdiff1d(common, missing_levels) if state else missing_levels
    values = tuple(table.level(when, code) for code in chosen if levels[code] >= table.min_count)
    if not values or when in table.dates:
        return []
    rate = float(missing[held].mean())
    relation = MissingWhen(target=target, when=when, values=values, missing=not bool(state))
    must_be = relation.must_be_missing(table.frame)
    wrong = (missing != must_be) & held
    # The rows said to be of the rarer state, by the best of all choices of values.
    said = held & (must_be if rate <= 0.5 else ~must_be)
    log_p = log_p_kept(int((said & ~wrong).sum()), int(said.sum()), min(rate, 1 - rate)) + len(totals) * np.log(2)
    return [Candidate(relation, max(rate, 1 - rate), min(0.0, float(log_p)), int(wrong.sum()), len(totals))]


def one_hot_groups(table: Table) -> Candidates:
    """Return groups of three columns or more of zeros and ones with exactly one 1 in each row."""
    made = Candidates()
    names = [
        name
        for name in (*table.numeric, *table.labels)
        if len(table.levels[name]) == 2 and set(table.levels[name]) == {0, 1} and not (table.codes[name] < 0).any()
    ]
    ones = np.column_stack([table.frame[name].to_numpy(dtype=float) for name in names] or [np.zeros((0, 0))])
    used: set[int] = set()
    for first in range(len(names)):
        made.n_tried += 1
        if first in used or not len(table.rows):
            continue
        group = _cover(ones[table.rows], [i for i in range(first, len(names)) if i not in used], [first])
        if group is not None and len(group) > 2:
            used |= set(group)
            rates = ones[:, group].mean(axis=0)
            chance = float((rates / (1 - rates)).sum() * np.prod(1 - rates))
            relation = OneHot(group=tuple(names[i] for i in sorted(group)))
            n_exceptions = int((ones[:, group].sum(axis=1) != 1).sum())
            made.found.append(Candidate(relation, chance, n_exceptions=n_exceptions))
    return made


def _cover(ones: NDArray[Any], allowed: list[int], chosen: list[int]) -> list[int] | None:
    """Return columns that together have exactly one 1 in each row, by trying those that cover the first open row."""
    total = ones[:, chosen].sum(axis=1)
    if (total == 1).all():
        return chosen
    row = int(np.argmin(total))
    for i in allowed:
        fits = ones[row, i] == 1 and not (ones[:, i] @ total)
        if fits and (group := _cover(ones, allowed, [*chosen, i])) is not None:
            return group
    return None
