"""Columns that are not compared, as they are declared ``id`` or ``ignore``: do cells of people who were learnt stand in the table?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.evaluation.copies import of_so_many_learnt
from clover_tvae.evaluation.figures import Figure
from clover_tvae.evaluation.frames import CodedTables

__all__ = ["identifier_figure"]

# People are counted in a column in which chance finds as many more rarely than so.
_LEAST_CHANCE = 0.01


def identifier_figure(
    tables: CodedTables, frames: Mapping[str, pd.DataFrame | None] | None, *, seed: int, min_count: int
) -> Figure:
    """Return ``privacy.identifiers``: how many people who were learnt have a cell of such a column in the synthetic table.

    Only cells that fewer than ``min_count`` people have name anybody, and of a column that the table numbers through none does.
    An exact test compares them with people who were held out, in each column; where none of these is found, either that test
    or what equal cells of real people and the number of texts of this form let expect of chance (Poisson) may tell.

    Args:
        tables: In the roles ``real``, ``synthetic`` and perhaps ``holdout``.
        frames: The same tables as they were given.
        seed: Stands in the figure.
        min_count: Fewest people who must share a cell for it to name none.
    """
    key, size = "privacy.identifiers", {"n": tables["synthetic"].n_rows, "seed": seed}
    given = {role: frame for role, frame in (frames or {}).items() if frame is not None}
    if not given.keys() >= tables.tables.keys():
        return Figure.of(key, None, note="Not measured: the tables as they were given are not at hand.", **size)
    columns = [
        name
        for name in given["synthetic"]
        if name not in tables.names and all(name in given[role] for role in tables.tables)
    ]
    if not columns:
        return Figure.of(key, 0.0, note="No column that is declared id or ignore stands in the table.", **size)
    if "holdout" not in tables.tables:
        return Figure.of(key, None, note=f"Not measured: {tables.learnt_holdout or 'no holdout was given.'}", **size)
    real = tables["real"].append(tables["holdout"])
    people, is_learnt = real.person_of_row, np.arange(real.n_rows) < tables["real"].n_rows
    exposed, named, p = np.zeros(real.n_rows, dtype=bool), [], 1.0
    for name in columns:
        cells = _texts(pd.concat([given["real"][name], given["holdout"][name]], ignore_index=True))
        drawn = _texts(given["synthetic"][name]).dropna()
        found = _found(cells, drawn, people, min_count)
        if (found & is_learnt).any():
            of_column = len(columns) * _by_chance(found, cells, drawn, people, is_learnt)
            p = min(p, of_column)
            if of_column < _LEAST_CHANCE:
                named.append(repr(name))
                exposed |= found & is_learnt
    note = f"{len(columns)} such columns stand in the table; more cells of people than by chance are in {', '.join(named) or 'none of them'}."
    return Figure.of(key, float(len(np.unique(people[exposed]))), p=min(p, 1.0), note=note, **size)


def _found(cells: pd.Series, drawn: pd.Series, people: NDArray[Any], min_count: int) -> NDArray[np.bool_]:
    """Return the real rows whose cell stands in the synthetic table, those of cells that so many people have left out."""
    if _are_numbered_through(drawn):
        return np.zeros(len(cells), dtype=bool)
    holders = pd.Series(people, dtype="int64").groupby(cells.to_numpy()).nunique()
    rare = cells.map(holders).to_numpy(dtype=np.float64) < min_count
    return np.asarray(rare & cells.isin(drawn).to_numpy())


def _by_chance(
    found: NDArray[Any], cells: pd.Series, drawn: pd.Series, people: NDArray[Any], is_learnt: NDArray[Any]
) -> float:
    """Return how likely it is that chance finds as many of those who were learnt."""
    from scipy.stats import poisson

    fisher = of_so_many_learnt(found, people, is_learnt)
    if (found & ~is_learnt).any():
        return fisher
    known = pd.DataFrame({"cell": cells, "person": people}).dropna().drop_duplicates()
    holders, n = known["cell"].value_counts().to_numpy(dtype=np.float64), max(len(known), 2)
    of_two = (holders * (holders - 1)).sum() / (n * (n - 1))
    n_learnt, n_found = len(np.unique(people[is_learnt])), len(np.unique(people[found]))
    chance = min(1.0, drawn.nunique() * max(of_two, 1 / _n_texts(known["cell"])))
    return 2 * min(fisher, float(poisson.sf(n_found - 1, n_learnt * chance)))


def _n_texts(texts: pd.Series) -> float:
    """Return how many texts there are of the most frequent length, with the characters that these have in each place."""
    lengths = texts.str.len()
    same = texts[lengths == lengths.mode()[0]].unique()
    return float(np.prod([float(len(set(place))) for place in zip(*same, strict=True)]))


def _texts(cells: pd.Series) -> pd.Series:
    """Return cells as text, whole numbers without a point; missing ones stay missing."""
    cells = cells.reset_index(drop=True)
    known = cells.dropna().map(
        lambda cell: str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()
    )
    return known.astype(object).reindex(cells.index)


def _are_numbered_through(texts: pd.Series) -> bool:
    """Whether texts differ in nothing but their first or last figures, which count the rows."""
    for place in (r"^(\D*)(\d{1,18})(.*)$", r"^(.*?)(\d{1,18})(\D*)$"):
        parts = texts.str.extract(place)
        counts = len(texts) > 1 and parts.notna().all(axis=None) and (np.diff(parts[1].astype(np.int64)) == 1).all()
        if counts and parts[[0, 2]].nunique().max() == 1:
            return True
    return False
