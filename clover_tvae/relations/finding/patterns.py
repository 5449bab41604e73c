"""Candidates for patterns of missing cells and of zeros and ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clover_tvae.columns.people import People, people_of_each
from clover_tvae.parameters import MIN_COUNT
from clover_tvae.relations.finding.chance import log_p_kept
from clover_tvae.relations.finding.table import Candidate, Candidates, Table
from clover_tvae.relations.groups import MissingTogether, MissingWhen, OneHot

_ATOM = 0.01  # share of the rows from which one value of a column of many may say that a cell is missing
_TOLERATED = 0.005


def missing_patterns(table: Table) -> Candidates:
    """Return columns that are missing together, where another is missing, and exactly when another has some values."""
    made = Candidates()
    counts = table.missing.sum(axis=0)
    some = np.flatnonzero((counts >= table.min_count) & (table.n_rows - counts >= table.min_count))
    names, masks = [table.names[i] for i in some], table.missing[:, some]
    made.n_tried = len(names) * (len(names) - 1)
    groups: dict[int, list[int]] = {}  # by their first column
    for i in range(len(names)):
        alike = (g for g in groups if (masks[:, g] != masks[:, i]).sum() <= _TOLERATED * masks[:, g].sum())
        groups.setdefault(next(alike, i), []).append(i)
    for first, group in groups.items():
        if len(group) > 1:
            rate = float(masks[:, first].mean())
            relation = MissingTogether(group=tuple(names[i] for i in group))
            made.found.append(Candidate(relation, rate**2 + (1 - rate) ** 2))
    inside = {i: [j for j in groups if j != i and not (masks[:, i] & ~masks[:, j]).any()] for i in groups}
    for i, wider in inside.items():
        for j in (j for j in wider if not any(j in inside[k] for k in wider)):
            relation = MissingTogether(group=(names[i], names[j]), nested=True)
            made.found.append(Candidate(relation, 1 - float(masks[:, i].mean() * (1 - masks[:, j].mean()))))
    for when in (name for name in table.names if name not in table.dates):
        made.n_tried += len(groups)
        codes = _with_rare_ones_together(table.codes[when], table.people)[table.rows]
        held = table.rows[codes >= 0]
        codes = codes[codes >= 0]
        totals = np.bincount(codes)
        for i in groups:
            n_missing = np.bincount(codes, weights=masks[held, i], minlength=len(totals))
            split = min(n_missing.sum(), len(held) - n_missing.sum())
            if names[i] != when and 0 < split >= 50 * np.minimum(n_missing, totals - n_missing).sum():
                made.found += _missing_when(table, names[i], when, masks[:, i])
    return made


def _are_common(codes: NDArray[Any], people: People | None) -> NDArray[np.bool_]:
    """Return which levels of a column enough rows have, of enough people."""
    counts = np.bincount(codes + 1, minlength=2)[1:]
    return (counts >= _ATOM * counts.sum()) & (people_of_each(codes, len(counts), people) >= MIN_COUNT)


def _with_rare_ones_together(codes: NDArray[Any], people: People | None) -> NDArray[Any]:
    """Return levels with those of too few rows to be told apart as one last level."""
    common = _are_common(codes, people)
    return np.append(np.where(common, np.cumsum(common) - 1, common.sum()), -1)[codes]


def _missing_when(table: Table, target: Any, when: Any, missing: NDArray[Any]) -> list[Candidate]:
    codes, held = table.codes[when], table.codes[when] >= 0
    counts, n_missing = np.bincount(codes[held]), np.bincount(codes[held], weights=missing[held])
    common, states = _are_common(codes, table.people), n_missing > 0.5 * counts
    # What the values that are not listed say: the rare ones together if enough rows have them, else the greater part.
    n_rare = counts[~common].sum()
    decide = n_rare >= table.min_count
    state = bool(n_missing[~common].sum() > 0.5 * n_rare if decide else states[common].mean() > 0.5)
    if not decide:  # nor are those exceptions
        held &= common[codes]
    listed = np.flatnonzero(common & (states != state) & (counts >= table.min_count))
    if not len(listed):
        return []
    values = tuple(table.level(when, code) for code in listed)
    said = held & (np.isin(codes, listed) != state)  # to be missing
    wrong, rate = held & (said != missing), float(missing[held].mean())
    # The p-value is that of the rows said to be of the rarer state, for the best of all choices of values.
    rarer, n_choices = held & (said == (rate <= 0.5)), int(common.sum()) + 1
    log_p = log_p_kept(int((rarer & ~wrong).sum()), int(rarer.sum()), min(rate, 1 - rate)) + n_choices * np.log(2)
    relation = MissingWhen(target=target, when=when, values=values, missing=not state)
    return [Candidate(relation, max(rate, 1 - rate), min(0.0, float(log_p)), int(wrong.sum()), n_choices)]


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
