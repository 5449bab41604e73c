"""Which rows are of one person: how to count people, divide a table between them, and draw them.

A person is whoever has one value in the column ``unit``; a row where it is missing is a person of its own, and so is every
row where there is no such column.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

People = NDArray[np.int64]


def people_of(df: pd.DataFrame, unit: Hashable | None) -> People | None:
    """Return the number of the person of each row, from 0; ``None`` where every row is a person.

    Example:
        >>> people_of(pd.DataFrame({"patient": ["A", "B", None, "A"]}), "patient").tolist()
        [0, 1, 2, 0]
    """
    if unit is None or unit not in df:
        return None
    codes, levels = pd.factorize(df[unit])
    codes = codes.astype(np.int64)
    codes[codes < 0] = len(levels) + np.arange((codes < 0).sum())
    return codes


def count_people(people: People | None, n_rows: int) -> int:
    """Return how many people so many rows are of.

    Example:
        >>> count_people(np.array([0, 2, 2]), 3), count_people(None, 3)
        (2, 3)
    """
    return n_rows if people is None else len(np.unique(people))


def people_of_each(keys: NDArray[np.intp], n_keys: int, people: People | None) -> NDArray[np.intp]:
    """Return how many people have each of ``n_keys`` keys, by the key of each row from 0, below 0 where it has none.

    Example:
        >>> people_of_each(np.array([0, 0, 1, -1]), 2, np.array([7, 7, 7, 8])).tolist()
        [1, 1]
    """
    known = keys >= 0
    if people is not None and known.any():
        n_all = int(people.max()) + 1
        return np.bincount(np.unique(keys[known] * n_all + people[known]) // n_all, minlength=n_keys)
    return np.bincount(keys[known], minlength=n_keys)


def holders(values: pd.Series, people: People | None) -> pd.Series:
    """Return how many people hold each value of a column, in the order in which they come; missing cells are no value.

    Example:
        >>> holders(pd.Series(["x", "x", "y", None]), np.array([7, 7, 7, 8])).to_dict()
        {'x': 1, 'y': 1}
    """
    codes, found = pd.factorize(values)
    return pd.Series(people_of_each(codes, len(found), people), index=found)


def least_rows(people: People | None, n_people: int) -> int:
    """Return the fewest rows that are of at least ``n_people`` people, whichever rows they are.

    Example:
        >>> least_rows(np.array([0, 0, 0, 1, 2, 2]), 3)
        6
    """
    if people is None or not len(people):
        return n_people
    return int(np.sort(np.bincount(people))[::-1][: n_people - 1].sum()) + 1


def even_rows(people: People | None, n_people: int) -> NDArray[np.bool_] | slice:
    """Return the rows to take for nobody to have more than the last of the ``n_people`` with the most; who has more keeps every so many-th.

    Example:
        >>> even_rows(np.array([0, 0, 0, 0, 1, 1, 2]), 2).tolist(), even_rows(None, 2)
        ([False, True, False, True, True, True, True], slice(None, None, None))
    """
    if people is None:
        return slice(None)
    order, sizes = np.argsort(people, kind="stable"), np.bincount(people)
    most = np.sort(sizes)[::-1][:n_people][-1]
    place, size = np.empty_like(people), sizes[people]
    place[order] = np.arange(len(people)) - (np.cumsum(sizes) - sizes)[people[order]]
    return (size <= most) | ((place + 1) * most // size > place * most // size)


def ends_of_each(values: NDArray[Any], people: People | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the lowest and the highest number of each person, so that ends are found among people, whoever has most rows.

    Example:
        >>> lowest, highest = ends_of_each(np.array([3, 1, 7, 5]), np.array([0, 0, 1, 1]))
        >>> lowest.tolist(), highest.tolist()
        ([1, 5], [3, 7])
    """
    if people is None:
        return values, values
    of_each = pd.Series(values).groupby(people)
    return of_each.min().to_numpy(), of_each.max().to_numpy()


def drawn_people(people: People | None, n_all: int, n_rows: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which rows are drawn: at most ``n_rows``, of people drawn at random, each with all of their rows.

    Example:
        >>> drawn_people(np.array([0, 0, 1, 1, 2, 2]), 6, 3, np.random.default_rng(0)).tolist()
        [False, False, True, True, False, False]
    """
    if people is None:
        drawn = np.zeros(n_all, dtype=bool)
        drawn[rng.permutation(n_all)[:n_rows]] = True
        return drawn
    sizes = np.bincount(people)
    place = rng.permutation(len(sizes))
    # Whoever comes after one that does not fit waits, too.
    n_people = int((np.cumsum(sizes[np.argsort(place)]) <= n_rows).sum())
    return place[people] < n_people


def joined_people(parts: Sequence[tuple[People | None, int]]) -> People | None:
    """Return the people of tables one under the other, none of whom is in two of them; ``None`` where all rows are."""
    if all(people is None for people, _ in parts):
        return None
    made, n_before = [], 0
    for people, n_rows in parts:
        made.append((np.arange(n_rows) if people is None else people) + n_before)
        n_before = int(made[-1].max(initial=n_before - 1)) + 1
    return np.concatenate(made).astype(np.int64)


def one_row_each(people: People | None, n_rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the position of one row of each person, drawn at random, the people in random order."""
    order = rng.permutation(n_rows)
    return order if people is None else order[np.sort(np.unique(people[order], return_index=True)[1])]


def bootstrapped(people: People | None, n_all: int, n_rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the positions of ``n_rows`` rows of people drawn with replacement."""
    if people is None:
        return rng.integers(0, n_all, n_rows)
    starts = np.r_[0, np.cumsum(np.bincount(people))]
    rows, n_people = np.argsort(people, kind="stable"), len(starts) - 1
    drawn: list[NDArray[np.int64]] = []
    while (left := n_rows - sum(map(len, drawn))) > 0:
        chosen = rng.integers(0, n_people, max(1, left * n_people // n_all))
        drawn += [rows[starts[person] : starts[person + 1]] for person in chosen]
    return np.concatenate([*drawn, np.zeros(0, dtype=np.int64)])[:n_rows].astype(np.int64)
