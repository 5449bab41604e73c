"""Partial rows completed so that they keep the relations, whatever of them is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.backends.protocol import Backend
from clover_tvae.columns.dtypes import with_cells
from clover_tvae.reduction import Reduction
from clover_tvae.reduction.partial import inferred, pinned
from clover_tvae.relations.computed import Computed
from clover_tvae.relations.reading import comparable
from clover_tvae.relations.relation import Relation
from clover_tvae.seeds import Read, child, generator

#: Times that partial rows are completed until they keep every relation.
ROUNDS = 24
#: From that round on, rows of a pool of so many lend the sources of a column that is known.
_LEND_FROM, _POOL_ROWS = 3, 4_096

Fill = Callable[[pd.DataFrame, np.random.SeedSequence], pd.DataFrame]


def completed(
    plan: Reduction,
    inner: Backend,
    given: pd.DataFrame,
    fill: Fill,
    seed: np.random.SeedSequence,
    *,
    missing: bool,
    beyond: bool = False,
) -> tuple[pd.DataFrame, list[Relation], NDArray[np.int64]]:
    """Return partial rows completed, what those break that never came to keep the relations, and the places of these.

    Args:
        given: The partial rows, labelled by their places.
        fill: Completes rows of the table that was learnt.
        beyond: Whether the one unknown term of a formula may lie beyond all that was learnt.
    """
    given = given.copy()
    for name in (n for n in given if n in plan.written and plan.cells.is_date(n)):  # texts may be given as dates
        given[name] = plan.cells.typed(name, given[name])
    given, parts, left, pool = inferred(plan, given), [], list[Relation](), None
    for round_ in range(ROUNDS):
        mend = round_ >= ROUNDS // 2
        drawn, full = _filled(plan, inner, given, given, fill, child(seed, round_), missing, mend)
        if round_ == _LEND_FROM:
            frames = inner.sample_frames(_POOL_ROWS, seed=child(seed, ROUNDS))
            rows = pd.concat(list(frames), ignore_index=True)
            pool = plan.brought_back(rows) if plan.is_repair else plan.restore(rows, rows[[]])
        pinned_down = pinned(plan, given, drawn, full, pool if round_ % 2 else None, round_ // 2, beyond)
        if not pinned_down.equals(given):
            drawn, full = _filled(plan, inner, pinned_down, given, fill, child(seed, round_, 1), missing, mend)
        wrong, left, changed = plan.undetermined(full, given), [], False
        for name in (name for name in given.columns if name in plan.written):
            off = np.flatnonzero(_differs(full[name], given[name]))
            if len(off):  # it lies beyond all that was learnt: it stays, and is held against the relations
                full[name], changed = with_cells(full[name], off, given[name].iloc[off]), True
        for i, broken in plan.broken(full, is_brought_back=not changed).items():
            left.append(plan.kept[i])
            wrong |= broken
        is_last = round_ == ROUNDS - 1
        parts.append(full if is_last else full[~wrong])
        given = given[wrong]
        if not len(given):
            break
    out = pd.concat(parts).sort_index()  # each part keeps the labels of its rows
    return out, left if len(given) else [], given.index.to_numpy()


def _filled(
    plan: Reduction,
    inner: Backend,
    known: pd.DataFrame,
    given: pd.DataFrame,
    fill: Fill,
    seed: np.random.SeedSequence,
    missing: bool,
    mend: bool,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return partial rows completed once: rows of the reduced table, and the same brought back.

    Args:
        known: The partial rows, with what was solved for.
        given: The same as they were given: a distance, or what was solved for, that was never seen is not told to the
            network, which knows no such value; it is written into the rows afterwards.
        mend: Whether cells are moved to where they break no relation, where the table was learnt as it is.
    """
    if plan.is_repair:
        made = fill(known, seed).set_axis(known.index)
        drawn = plan.reduce(made)
        return drawn, plan.brought_back(made) if mend else plan.restore(drawn)
    partial = plan.reduce(known, is_partial=True, missing=missing)
    distances = {name: partial[name].copy() for name in plan.distances if name in partial}
    bases = {distance.base for distance in plan.distances.values()}
    bases |= {name for step in plan.steps if isinstance(step, Computed) for name in step.sources}
    solved: dict[Any, tuple[NDArray[np.int64], pd.Series]] = {}
    for column in inner.transform.transforms:
        name = column.name
        if name in partial and name in plan.distances.keys() | bases:
            cells = partial[name]
            unseen = column.encode(cells, generator(seed, Read.ENCODE), "mask").choices < 0
            if name not in plan.distances:
                unseen &= cells.notna().to_numpy(dtype=bool)
                unseen &= given[name].isna().to_numpy(dtype=bool) if name in given else True
                solved[name] = np.flatnonzero(unseen), cells
            partial[name] = cells.mask(unseen)
    drawn = fill(partial, seed).set_axis(known.index)
    for name, distance in distances.items():
        drawn[name] = distance.astype(np.float64).fillna(drawn[name].astype(np.float64))
    for name, (rows, cells) in solved.items():
        drawn[name] = with_cells(drawn[name], rows, cells.iloc[rows])
    return drawn, plan.restore(drawn, known)


def _differs(made: pd.Series, given: pd.Series) -> NDArray[np.bool_]:
    """Return the rows in which a known cell came out as another."""
    is_known = given.notna().to_numpy(dtype=bool)
    first, second = comparable(made[is_known]), comparable(given[is_known].infer_objects())
    off = np.zeros(len(given), dtype=bool)
    numeric = first.dtype.kind == "f" and second.dtype.kind == "f"
    off[is_known] = ~np.isclose(first, second, rtol=1e-9, atol=1e-9) if numeric else first != second
    return off
