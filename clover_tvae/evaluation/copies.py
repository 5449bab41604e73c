"""Copies: synthetic rows that equal a real row in every column, and how many of them chance would give."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clover_tvae.errors import DataError
from clover_tvae.evaluation.frames import CodedTables

#: A random part shares so many standard deviations more than it is expected to in one of 30,000 tables.
_LEAST_BEYOND = 4
#: ... and where few are expected, so rarely (Poisson): one row may stand there twice.
_LEAST_CHANCE = 1e-3
#: Strangers equal a learnt row at most so many times as often as near misses let expect.
_BEYOND_NEAR_MISSES = 3


@dataclass(frozen=True)
class Copies:
    """How many rows are copies.

    Args:
        of_learnt: Synthetic rows that equal a learnt row.
        of_held: Synthetic rows that equal a held-out row.
        rare: Synthetic rows that equal a learnt row which fewer than k real people share.
        p: Fisher's exact test of the people copied: given how many there are in all, the probability that so many of them
            are learnt ones, where the rows know nobody. ``None`` without a holdout.
        expected: Learnt people of a rare row whom chance would copy, estimated from real rows that differ in one column.
        p_rare: The probability that chance copies so many of them: Fisher's where a held-out one is copied too.
    """

    of_learnt: int
    of_held: int
    rare: int
    p: float | None
    expected: float
    p_rare: float


def require_fresh(tables: CodedTables) -> None:
    """Refuse a holdout of rows of the real table: then copies would look as if nobody were closer to them.

    Strangers equal a learnt row about as often as two learnt rows equal each other, and a random part of a table shares no more
    rows with the rest than the equal rows of both let it.

    Raises:
        DataError: Most of its rows, or significantly more than of a random part, are rows of the real table.
    """
    if not {"real", "holdout"} <= set(tables.tables):
        return
    from scipy.stats import poisson

    rows, held = tables["real"].row_hashes, tables["holdout"].row_hashes
    _, place, counts = np.unique(rows, return_inverse=True, return_counts=True)
    twins = (counts[place] > 1).mean()
    n_shared = int(np.isin(held, rows).sum())
    _, alike = np.unique(np.append(rows, held), return_counts=True)
    share, alike = len(held) / (len(rows) + len(held)), alike[alike > 1].astype(np.float64)
    # Of m equal rows a binomial number is held out, and shared unless it is m.
    expected = alike * (share - share**alike)
    spread = alike * share * (1 - share) + (alike * share) ** 2 - alike**2 * share**alike - expected**2
    beyond, p = n_shared - expected.sum(), poisson.sf(n_shared - 1, expected.sum())
    if n_shared > len(held) * (twins + max((1 - twins) / 2, 4 * (twins * (1 - twins) / len(held)) ** 0.5)) or (
        beyond > _LEAST_BEYOND * spread.sum() ** 0.5 and p < _LEAST_CHANCE
    ):
        text = f"must hold real rows that were never learnt, found {n_shared} of {len(held)} in the real table"
        raise DataError(f"{text}; take them out, and give rows that were held back", "holdout table")


def without_learnt_holdout(tables: CodedTables, known: str = "") -> CodedTables:
    """Return the tables without a holdout that was learnt, and why; as they are where none was.

    Args:
        tables: In the roles ``real``, ``synthetic`` and perhaps ``holdout``.
        known: Why the generator is known to have learnt it; empty looks whether the synthetic rows repeat it.
    """
    if not {"real", "synthetic", "holdout"} <= set(tables.tables) or not (told := known or _repeated(tables)):
        return tables
    left = {role: table for role, table in tables.tables.items() if role != "holdout"}
    return replace(tables, tables=left, learnt_holdout=told)


def _repeated(tables: CodedTables) -> str:
    """Say how many synthetic rows stand in the holdout, where that shows that it was learnt; else nothing.

    Of rows that stand once in the real tables, more held-out than learnt ones are copied than chance has (Fisher), and more
    than near misses let expect (Poisson): common rows of another population are none.
    """
    from scipy.stats import poisson

    learnt, held, drawn = tables["real"], tables["holdout"], tables["synthetic"].row_hashes
    n_copies = int(np.isin(drawn, held.row_hashes).sum())
    real = learnt.append(held)
    people, is_held = real.person_of_row, np.arange(real.n_rows) >= learnt.n_rows
    cells, rows = real.cell_hashes(), real.row_hashes
    _, place, counts = np.unique(rows, return_inverse=True, return_counts=True)
    once = counts[place] == 1
    copied = once & np.isin(rows, drawn)
    if not n_copies or of_so_many_learnt(copied, people, is_held) >= _LEAST_CHANCE:
        return ""
    expected = len(drawn) * _chance(cells, rows, people, once & is_held)
    if poisson.sf(len(np.unique(people[copied & is_held])) - 1, expected) >= _LEAST_CHANCE:
        return ""
    return (
        f"{n_copies:,} of the {len(drawn):,} synthetic rows stand word for word in the holdout: either it and the learnt "
        "rows were exchanged, or the generator learnt it; nothing can be judged by it."
    )


def copies_of(tables: CodedTables, min_count: int) -> Copies:
    """Count the copies among the synthetic rows.

    Args:
        tables: In the roles ``real``, ``synthetic`` and perhaps ``holdout``.
        min_count: Fewest real people who must share a row for it to be no rare one.
    """
    learnt, held = tables["real"], tables.tables.get("holdout")
    real = learnt if held is None else learnt.append(held)
    people = real.person_of_row
    is_learnt = np.arange(real.n_rows) < learnt.n_rows
    from scipy.stats import poisson

    cells, drawn = real.cell_hashes(), tables["synthetic"].row_hashes
    rows = cells.sum(axis=1, dtype=np.uint64)
    kept = np.unique(np.stack([rows, people.astype(np.uint64)], axis=1), axis=0)[:, 0]  # a combination once a person
    combinations, shared_by = np.unique(kept, return_counts=True)
    rare = (shared_by < min_count)[np.searchsorted(combinations, rows)]
    copied = np.isin(rows, drawn)

    n_rare = len(np.unique(people[copied & rare & is_learnt]))
    expected = len(drawn) * _chance(cells, rows, people, rare & is_learnt)
    p_rare = float(poisson.sf(n_rare - 1, expected)) if n_rare else 1.0
    if (copied & rare & ~is_learnt).any():
        p_rare = of_so_many_learnt(copied & rare, people, is_learnt)
    return Copies(
        of_learnt=int(np.isin(drawn, rows[is_learnt]).sum()),
        of_held=int(np.isin(drawn, rows[~is_learnt]).sum()),
        rare=int(np.isin(drawn, rows[rare & is_learnt]).sum()),
        p=None if held is None else of_so_many_learnt(copied, people, is_learnt),
        expected=expected,
        p_rare=p_rare,
    )


def alike(tables: CodedTables, share: float) -> tuple[str, str]:
    """Say how many held-out rows equal a learnt one, where these are over a share of them and many more than chance gives; and what follows.

    Then some may be of people who were learnt, copies of whom would look like chance; nothing where the metadata says whose a row is.
    """
    learnt, held = tables["real"], tables["holdout"]
    if held.people is not None:
        return "", ""
    rows = learnt.row_hashes
    n_alike = int(np.isin(held.row_hashes, rows).sum())
    if n_alike <= share * held.n_rows:
        return "", ""
    each = _chance(learnt.cell_hashes(), rows, learnt.person_of_row, np.ones(len(rows), dtype=bool))
    if n_alike <= _BEYOND_NEAR_MISSES * held.n_rows * min(1.0, each):
        return "", ""
    whose = "if some are the same people, keep each once, or name the column that says whose a row is (unit)"
    told = f"{n_alike:,} of the {held.n_rows:,} held-out rows equal learnt ones"
    return told, f", and copies of those look like chance; {whose}"


def of_so_many_learnt(found: NDArray[Any], people: NDArray[Any], is_learnt: NDArray[Any]) -> float:
    """Return Fisher's exact test: the probability that so many of the people found are learnt ones, where the rows know nobody.

    Args:
        found: Rows in which people are found.
        people: The number of each row's person.
        is_learnt: Rows that were learnt, or are asked for as if they were.

    **Shape** ``(rows,)`` each.
    """
    from scipy.stats import hypergeom

    inside, outside = (len(np.unique(people[found & side])) for side in (is_learnt, ~is_learnt))
    n_learnt, n_all = len(np.unique(people[is_learnt])), len(np.unique(people))
    return float(hypergeom.sf(inside - 1, n_all, inside + outside, n_learnt))


def _chance(cells: NDArray[Any], rows: NDArray[Any], people: NDArray[Any], rare: NDArray[Any]) -> float:
    """How many of the rare rows a fresh row equals by chance.

    Two rows that agree in all columns but one agree there too with odds of at least s / (1 - s), s being the probability
    that two cells of that column agree. So near misses, of which there are many more, tell of the copies to come.
    """
    each = np.unique(people, return_index=True)[1]  # one row a person: nobody is a near miss of himself
    cells, rows, rare = cells[each], rows[each], rare[each]
    _, whole, alike = np.unique(rows, return_inverse=True, return_counts=True)
    found = 0.0
    for column in cells.T:
        _, group, near = np.unique(rows - column, return_inverse=True, return_counts=True)
        misses = float((near[group] - alike[whole])[rare].sum())
        share = float((np.unique(column, return_counts=True)[1] ** 2.0).sum()) / len(rows) ** 2
        found = max(found, misses * share / max(1.0 - share, 1e-9))
    return found / max(len(rows) - 1, 1)
