"""Which rows are of one person: how to count people, divide a table between them, and draw them.

A person is whoever has one value in the column ``unit``; a row where it is missing is a person of its own, and so is every
row where there is no such column.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

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


def least_rows(people: People | None, n_people: int) -> int:
    """Return the fewest rows that are of at least ``n_people`` people, whichever rows they are.

    Example:
        >>> least_rows(np.array([0, 0, 0, 1, 2, 2]), 3)
        6
    """
    if people is None or not len(people):
        return n_people
    return int(np.sort(np.bincount(people))[::-1][: n_people - 1].sum()) + 1


def shuffled_people(people: People | None, n_rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the positions of all rows with the people in random order, the rows of each together."""
    if people is None:
        return rng.permutation(n_rows)
    place = rng.permutation(int(people.max(initial=-1)) + 1)
    return np.argsort(place[people], kind="stable")


def drawn_people(people: People | None, n_all: int, n_rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the positions of at most ``n_rows`` rows of people drawn at random, each with all of their rows.

    Example:
        >>> rows = drawn_people(np.array([0, 0, 1, 1, 2, 2]), 6, 3, np.random.default_rng(0))
        >>> len(rows), int(abs(rows[0] - rows[1]))
        (2, 1)
    """
    order = shuffled_people(people, n_all, rng)
    if people is None:
        return order[:n_rows]
    sizes = np.bincount(people)[people[order]]
    first = np.r_[True, people[order][1:] != people[order][:-1]] if len(order) else np.zeros(0, dtype=bool)
    fits = np.cumsum(np.where(first, sizes, 0)) <= n_rows  # whoever comes after one that does not fit waits too
    return order[fits]


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
