"""Cells of drawn rows that are drawn again, given the rest of their rows, so that whole rows need not be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.backends.protocol import ReadsRows
from clover_tvae.columns.dtypes import with_cells
from clover_tvae.reduction import Reduction
from clover_tvae.reduction.reduced import NO, YES
from clover_tvae.relations.groups import MissingWhen
from clover_tvae.seeds import child

if TYPE_CHECKING:
    from clover_tvae.backends.native import NativeBackend

#: Rows that are drawn alike, however many are asked for.
BLOCK = 1_024
#: Rows of a block from which on cells out of their range are drawn again, given the rest of their row. Other rows lend
#: fewer ones: with 37 of 1,000 lent, a correlation of 0.62 became one of 0.59.
_AGAIN_FROM = 10
#: Times that cells out of order, or that break a predicate, are, before their rows are drawn again as a whole.
_ROUNDS = 8


def draw_inside(
    plan: Reduction, inner: NativeBackend, drawn: pd.DataFrame, seed: np.random.SeedSequence, decode: str | None
) -> None:
    """Draw cells anew, in place, that are out of their range or order, or that break a predicate.

    Else other rows would have to lend theirs; and rows that are drawn again as a whole become rarer.
    """
    ranges = [one for one in plan.corrected if one.lends and not plan.made & {*one.columns}]
    checked, blocks = plan.checked, np.arange(len(drawn)) // BLOCK
    is_changed = any(plan.written & {*relation.columns} for relation, _ in checked)
    for again in range(_ROUNDS if checked else 1):
        wrong = dict[Any, NDArray[np.bool_]]()
        for relation in ranges if not again else ():
            name = relation.columns[-1]
            wrong[name] = wrong.get(name, False) | relation.breaks(drawn)
        restored = plan.restore(drawn) if is_changed else drawn  # what another relation gives is in order
        for relation, name in checked:
            wrong[name] = wrong.get(name, False) | relation.breaks(restored)
        if not wrong:
            return
        cells = np.column_stack([*wrong.values()])
        enough = np.bincount(blocks, cells.any(axis=1))[blocks] >= _AGAIN_FROM
        rows = np.flatnonzero(enough & cells.any(axis=1))
        if not len(rows):
            return
        cells = cells[rows]
        made = inner.redrawn(drawn.iloc[rows], [*wrong], cells, blocks[rows], seed=child(seed, again), decode=decode)
        for name, is_wrong in zip(wrong, cells.T, strict=True):
            if is_wrong.any():
                drawn[name] = with_cells(drawn[name], rows[is_wrong], made[name].iloc[np.flatnonzero(is_wrong)])


def draw_what_is_there(
    plan: Reduction, reader: ReadsRows, drawn: pd.DataFrame, relation: MissingWhen, seed: np.random.SeedSequence, i: int
) -> None:
    """Draw the cells, in place, that a relation says are there, and that were drawn as missing.

    Drawn again as a whole, such rows would become rarer than the network says.
    """
    names = [relation.target]
    flag = plan.flag(relation.target) if relation.target in plan.gaps else None
    gaps = drawn[names[0]].isna() if flag is None else drawn[flag].eq(YES)
    lacks = gaps.to_numpy(dtype=bool) & relation.applies(drawn) & ~relation.must_be_missing(drawn)
    names += [] if flag is None else [n for n, made in plan.distances.items() if made.base == relation.target]
    for start in range(0, len(drawn), BLOCK):
        if len(part := start + np.flatnonzero(lacks[start : start + BLOCK])):
            partial = drawn.iloc[part].reset_index(drop=True)
            if flag is not None:
                partial[flag] = pd.Series(NO, index=partial.index, dtype=object)
                drawn[flag] = with_cells(drawn[flag], part, partial[flag])
            for name in names:
                partial[name] = partial[name].mask(np.ones(len(part), dtype=bool))
            made = reader.impute(partial, seed=child(seed, start, i))
            for name in names:
                drawn[name] = with_cells(drawn[name], part, made[name])
