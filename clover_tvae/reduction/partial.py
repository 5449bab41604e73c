"""Partial rows: the sources of columns that are known, while they are not.

The network completes the learnt columns. Where a made column is known and its sources are not (a discharge without an
admission, a total without its parts), they are solved for, with the help of what was drawn.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.reduction.cells import Cells
from clover_tvae.reduction.plan import DAY, HOUR, Clock, Distance, made_by
from clover_tvae.reduction.reduced import Reduction
from clover_tvae.relations.computed import Computed, Equal
from clover_tvae.relations.groups import OneHot
from clover_tvae.relations.lookup import Dependency
from clover_tvae.relations.reading import filled, numbers
from clover_tvae.relations.relation import Relation

_HALVINGS = 40  # of a range, down to less than a second of thousands of years
_TRIES = 32  # lent rows that are tried for a term that a formula is solved for


def inferred(plan: Reduction, df: pd.DataFrame) -> pd.DataFrame:
    """Return partial rows with the cells that known ones determine: wholes of parts, what equals them, hours of dates."""
    out = df.copy()
    for whole in plan.wholes:
        rows = _gaps(out, whole.name)
        out = _put(out, whole.name, rows, whole.told(out.loc[rows]).reindex(out.index))
    for step in reversed(plan.ordered):
        if isinstance(step, Clock) and step.made in df:
            moments = plan.cells.values(out, step.made)
            rows = ~np.isnan(moments) & _gaps(out, step.base)
            hours = plan.cells.typed(step.base, pd.Series(moments[rows] % DAY / HOUR, index=out.index[rows]))
            out = _put(out, step.base, rows, hours.reindex(out.index))
        elif isinstance(step, Equal) and step.when is None and step.target in df:
            rows = out[step.target].notna().to_numpy(dtype=bool)
            out = _put(
                out, step.source, rows & _gaps(out, step.source), plan.cells.equal_to(step.source, out, step.target)
            )
    return out


def pinned(
    plan: Reduction,
    given: pd.DataFrame,
    drawn: pd.DataFrame,
    full: pd.DataFrame,
    pool: pd.DataFrame | None,
    rank: int,
    beyond: bool,
) -> pd.DataFrame:
    """Return partial rows with sources that fit what is known of the columns made from them.

    Args:
        pool: Other rows: those nearest to what is known lend their sources; ``None``: ``full`` lends them.
        rank: How many nearer rows of the pool are passed over.
        beyond: Whether the one unknown term of a formula may lie beyond all that was learnt.
    """
    out, left = given.copy(), list[tuple[Any, NDArray[np.bool_], pd.Series]]()
    for formula in (step for step in plan.steps if isinstance(step, Computed) and step.target in out):
        alone = np.sum([_gaps(out, name) for name in formula.sources], axis=0) == 1
        out = _solved(plan.cells, formula, out, full, ~_gaps(out, formula.target) & alone, stretch=False, beyond=beyond)
    for whole in plan.wholes:
        rows = _gaps(out, whole.name)
        out = _put(out, whole.name, rows, whole.told(out.loc[rows], full.loc[rows, whole.name]).reindex(out.index))
    if pool is not None:
        for relation in (one for one in plan.kept if one.lends):
            out = _lent(plan, relation, out, pool, rank)
    corrected = [relation for relation in plan.corrected if isinstance(relation, Dependency | Computed)]
    for step in (*reversed([step for step in plan.ordered if step not in corrected]), *corrected):
        if isinstance(step, OneHot) or not made_by(step) or made_by(step)[0] not in out:
            continue
        (target,) = made_by(step)
        rows = out[target].notna().to_numpy(dtype=bool)
        free = {name: gaps for name in step.sources if (gaps := rows & _gaps(out, name)).any()}
        if not free:
            continue
        if isinstance(step, Distance):
            length = np.nan_to_num(np.maximum(drawn[step.made].to_numpy(np.float64, na_value=np.nan), step.least))
            start = plan.cells.values(out, target) - step.sign * length * step.size
            for other in plan.steps:  # the other known columns that are made from the base leave it room
                if isinstance(other, Distance) and other.base == step.base and other.made in out:
                    start = other.base_clear_of(start, plan.cells.values(out, other.made))
            start = np.where(free[step.base], start, plan.cells.ends(step.base)[0])
            out = _put(out, step.base, free[step.base], plan.cells.write(step.base, start))
            continue
        lenders = [full]
        if pool is not None:
            names, is_looked_up = (*step.sources, target), isinstance(step, Dependency)
            nearest = _nearest(plan, names, pool, out, rank + _TRIES, rare=is_looked_up)
            lenders = [pool.iloc[nearest[:, k]].set_axis(out.index) for k in range(rank, nearest.shape[1])]
            left += [(name, rows, lenders[0][name]) for name in free]
        if isinstance(step, Computed):
            for lender in lenders:
                out = _solved(plan.cells, step, out, lender, rows, stretch=False, beyond=beyond)
            out = _alone(plan.cells, step, out, lenders[0], rows)
            if pool is not None:
                out = _solved(plan.cells, step, out, lenders[0], rows, stretch=True, beyond=beyond)
                for name in plan.distances.keys() & set(free):  # before its base is solved for
                    out = _put(out, name, rows & _gaps(out, name), lenders[0][name])
    for name, rows, cells in left:  # what nothing else tells
        out = _put(out, name, rows & _gaps(out, name), cells)
    return out


def _solved(
    cells: Cells,
    step: Computed,
    given: pd.DataFrame,
    lent: pd.DataFrame,
    rows: NDArray[np.bool_],
    *,
    stretch: bool,
    beyond: bool,
) -> pd.DataFrame:
    """Return partial rows with the unknown terms of a formula: the last that it can be solved for, the others lent.

    Args:
        rows: The rows of which the target is known.
        stretch: Move every term in turn, as far as its range allows, rather than leave a row as it is where the last
            would lie outside its range.
        beyond: Let a term that alone is unknown lie outside its range.
    """
    gaps = {name: unknown for name in step.sources if (unknown := rows & _gaps(given, name)).any()}
    solved = {
        name: relation
        for name in gaps
        if cells.is_number(name) and (relation := step.solved_for(name, cells.ends_told(name)[0]))
    }
    if not solved:
        return given
    whole = _with_known(lent, given, step.columns)
    # The last is the one of the most decimals: it takes what is left of the rounding of others.
    order = sorted(solved, key=lambda name: 99 if (d := cells.number(name).grid.decimals) is None else d)
    settled = np.zeros(len(given), dtype=bool)
    alone = (np.sum([*gaps.values()], axis=0) == 1) & beyond
    for target in order if stretch else reversed(order):
        terms = whole.copy()
        for name in (name for name in step.columns if cells.is_number(name)):
            terms[name] = cells.told(whole, name)
        values, (low, high) = solved[target].exact(terms), cells.ends_told(target)
        now = gaps[target] if stretch else gaps[target] & ~settled & (alone | ((values >= low) & (values <= high)))
        values = np.where(alone, values, np.clip(values, low, high))
        whole = filled(whole, target, cells.write_told(target, values).set_axis(whole.index).where(now))
        settled |= now
    out = given
    for name, unknown in gaps.items():
        out = _put(out, name, unknown & settled, whole[name])
    return out


def _alone(
    cells: Cells, step: Computed, given: pd.DataFrame, lent: pd.DataFrame, rows: NDArray[np.bool_]
) -> pd.DataFrame:
    """Return partial rows with the one unknown source of a formula that cannot be solved for it (an age at a date)."""
    unknown = {name: rows & _gaps(given, name) for name in step.sources}
    alone, out = np.sum([*unknown.values()], axis=0) == 1, given
    for name, gaps in unknown.items():
        now = gaps & alone
        if step.words is None and now.any() and cells.is_number(name) and step.solved_for(name, 0.0) is None:
            whole = _with_known(lent, given, step.columns)[now]
            out = _put(out, name, now, _moved(cells, step, whole, name).reindex(out.index))
    return out


def _moved(cells: Cells, step: Computed, df: pd.DataFrame, name: Any) -> pd.Series:
    """Return the cells of one source, moved as little as it takes until a formula gives what the target holds.

    The formula must rise or fall with them (an age with a date, whole weeks with a length), else they may stay.
    """
    low, high = (np.full(len(df), end) for end in cells.ends(name))
    target = numbers(df[step.target])

    def off(values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return by how much the formula gives too much, 0 where the target is met."""
        frame = df.assign(**{name: cells.write(name, values).set_axis(df.index)})
        return np.where(step.breaks(frame), step.exact(frame) - target, 0.0)

    sign, ends = np.where(off(high) < off(low), -1.0, 1.0), list[NDArray[np.float64]]()
    # The first value that does not give too little, and the last that does not give too much.
    for is_first in (True, False):
        first, last = low, high
        for _ in range(_HALVINGS):
            middle = (first + last) / 2
            gives = sign * off(middle)
            goes_on = gives < 0 if is_first else gives <= 0
            first, last = np.where(goes_on, middle, first), np.where(goes_on, last, middle)
        ends.append(last if is_first else first)
    return cells.write(name, np.clip(cells.values(df, name), *ends)).set_axis(df.index)


def _lent(plan: Reduction, relation: Relation, given: pd.DataFrame, pool: pd.DataFrame, rank: int) -> pd.DataFrame:
    """Return partial rows in which a row of the pool that keeps a relation lends what is not known of its columns."""
    gaps = np.column_stack([_gaps(given, name) for name in relation.columns])
    rows = gaps.any(axis=1) & ~gaps.all(axis=1)
    if not rows.any():
        return given
    near = [one for one in plan.kept if {*one.columns} & {*relation.columns}]
    pool = pool[~np.any([one.breaks(pool) for one in near], axis=0)]
    if not len(pool):
        return given
    names = dict.fromkeys(name for one in near for name in one.columns)
    lender, out = pool.iloc[_nearest(plan, names, pool, given, rank + 1)[:, -1]].set_axis(given.index), given
    for name in relation.columns:
        out = _put(out, name, rows & _gaps(out, name), lender[name])
    return out


def _nearest(
    plan: Reduction, names: Iterable[Any], pool: pd.DataFrame, given: pd.DataFrame, n: int, *, rare: bool = False
) -> NDArray[np.int64]:
    """Return the ``n`` rows of the pool that are nearest to each row in what is known of it. **Shape** ``(rows, n)``.

    Args:
        names: The columns that tell.
        pool: The rows to choose from, at least one.
        n: How many; fewer where the pool has fewer.
        rare: Whether a value that is in no look-up table goes with rows of which the same is true.
    """
    cells, far = plan.cells, np.zeros((len(given), len(pool)), dtype=np.float32)
    if rare:
        far -= plan.undetermined(pool)
    for name in (name for name in names if name in given):
        if cells.is_number(name):
            there, here = cells.values(pool, name), cells.values(given, name)
            apart = np.abs(here[:, None] - there) / (np.nanstd(there) + 1e-12)
        else:
            here, levels = pd.factorize(given[name].astype(object))
            there = levels.get_indexer(pool[name].astype(object))
            apart = 100.0 * ((here[:, None] != there) & (here[:, None] >= 0))
        far += np.nan_to_num(apart).astype(np.float32)
    n = min(n, len(pool))
    found = np.argpartition(far, n - 1, axis=1)[:, :n]
    return np.take_along_axis(found, np.argsort(np.take_along_axis(far, found, axis=1), axis=1, kind="stable"), axis=1)


def _with_known(lent: pd.DataFrame, given: pd.DataFrame, names: Iterable[Any]) -> pd.DataFrame:
    """Return other rows with what is known of some columns written into them."""
    for name in (name for name in names if name in given):
        lent = filled(lent, name, given[name])
    return lent


def _gaps(df: pd.DataFrame, name: Any) -> NDArray[np.bool_]:
    """Return the rows in which a cell is unknown."""
    return df[name].isna().to_numpy(dtype=bool) if name in df else np.ones(len(df), dtype=bool)


def _put(df: pd.DataFrame, name: Any, rows: NDArray[np.bool_], cells: pd.Series) -> pd.DataFrame:
    """Return the table with the cells of some rows written."""
    if not rows.any():
        return df
    cells = cells.set_axis(df.index).where(rows)
    if name in df and df[name].notna().any():
        return filled(df, name, cells)
    out = df.copy()
    out[name] = cells
    return out
