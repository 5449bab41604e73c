"""Relations that hold in a real table, and how often another table breaks them.

Four kinds, each found in the real rows alone:

* **equality**: two columns hold the same;
* **inequality**: one number, or date, is never above another;
* **dependency**: the value of one column settles that of another (a city its country);
* **combination**: two categories occur together in some combinations and never in others (no male with an ovarian
  diagnosis).

A relation counts if at least 99.5% of the real rows keep it, and if it says something: were the two columns
independent, at most 95% of the rows would.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.evaluation.frames import CodedTable, CodedTables
from clover_tvae.seeds import Measure, generator, of_measure

__all__ = ["Relation", "break_rates", "find_relations", "relation_table"]

_HOLDS_IN = 0.995  # share of the real rows that must keep a relation
_BY_CHANCE = 0.95  # largest share that would keep it if the columns were independent
_MIN_ROWS = 100  # rows where both cells are there, to call anything a relation
_MIN_ROWS_A_VALUE = 5  # rows a value, on average, of a column that is to settle another
_MAX_ROWS = 20_000  # rows in which relations are sought
_MAX_RELATIONS = 300  # the most telling ones are kept
_DENSE_CELLS = 1_000_000


@dataclass(frozen=True)
class Relation:
    """One relation between two columns.

    Args:
        kind: ``"equality"``, ``"inequality"`` (first <= second), ``"dependency"`` (first settles second) or
            ``"combination"``.
        first: A column.
        second: Another column.
        by_chance: Share of rows that would keep it if the columns were independent.
        breaks: Marks the rows of a table that break it; a missing cell, or a value that the real table lacks, breaks none.
    """

    kind: str
    first: Hashable
    second: Hashable
    by_chance: float
    breaks: Callable[[CodedTable], NDArray[Any]]


@dataclass(frozen=True)
class _Levels:
    """A column of few values as levels.

    Args:
        name: The column.
        position: Of the column among the categories, or among the numbers.
        known: The values behind the levels of a number; ``None`` for a category, whose codes are levels already.
        n_levels: Number of levels.
        codes: The level of each row in which relations are sought.
    """

    name: Hashable
    position: int
    known: NDArray[Any] | None
    n_levels: int
    codes: NDArray[Any]

    def code(self, table: CodedTable) -> NDArray[Any]:
        """Return the level of each row of another table; -1: missing, or a number that the real table lacks."""
        if self.known is None:
            return table.codes[:, self.position]
        return _level_of(table.numbers[:, self.position], self.known)


def _level_of(numbers: NDArray[Any], known: NDArray[Any]) -> NDArray[Any]:
    at = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
    return np.where(known[at] == numbers, at, -1)


def find_relations(tables: CodedTables, *, seed: int) -> list[Relation]:
    """Find the relations of the real table, at most 300, those least likely by chance first.

    Args:
        tables: The coded tables.
        seed: Seed of the draw of at most 20,000 rows.
    """
    table = tables["real"].draw(_MAX_ROWS, generator(of_measure(seed, Measure.RELATIONS)))
    relations = _number_relations(tables, table)
    settled = {frozenset((relation.first, relation.second)) for relation in relations}
    for levels_1, levels_2 in itertools.combinations(_all_levels(tables, table), 2):
        if frozenset((levels_1.name, levels_2.name)) not in settled:
            relations += _level_relations(levels_1, levels_2)
    return sorted(relations, key=lambda relation: relation.by_chance)[:_MAX_RELATIONS]


def break_rates(relations: list[Relation], table: CodedTable) -> NDArray[Any]:
    """Return for each relation the share of the table's rows that break it."""
    return np.array([relation.breaks(table).mean() for relation in relations], dtype=np.float64)


def _number_relations(tables: CodedTables, table: CodedTable) -> list[Relation]:
    relations = []
    columns = [np.sort(column[~np.isnan(column)]) for column in table.numbers.T]
    for i, j in itertools.combinations(range(len(columns)), 2):
        names = tables.number_names[i], tables.number_names[j]
        x, y = table.numbers[:, i], table.numbers[:, j]
        both = ~np.isnan(x) & ~np.isnan(y)
        if (names[0] in tables.dates) != (names[1] in tables.dates) or both.sum() < _MIN_ROWS:
            continue
        same, below, above = (float(test[both].mean()) for test in (x == y, x <= y, x >= y))
        if same >= _HOLDS_IN:
            chance = _chance_equal(columns[i], columns[j])
            if chance <= _BY_CHANCE:
                relations.append(Relation("equality", *names, chance, _number_break(np.not_equal, i, j)))
            continue
        for holds, first, second in ((below, i, j), (above, j, i)):
            chance = _chance_below(columns[first], columns[second])
            if holds >= _HOLDS_IN and chance <= _BY_CHANCE:
                names = tables.number_names[first], tables.number_names[second]
                relations.append(Relation("inequality", *names, chance, _number_break(np.greater, first, second)))
                break
    return relations


def _number_break(compare: np.ufunc, first: int, second: int) -> Callable[[CodedTable], NDArray[Any]]:
    def breaks(table: CodedTable) -> NDArray[Any]:
        x, y = table.numbers[:, first], table.numbers[:, second]
        return compare(x, y) & ~np.isnan(x) & ~np.isnan(y)

    return breaks


def _chance_below(x: NDArray[Any], y: NDArray[Any]) -> float:
    """P(x <= y) of independent draws from two sorted samples."""
    return float((len(y) - np.searchsorted(y, x, side="left")).mean() / len(y))


def _chance_equal(x: NDArray[Any], y: NDArray[Any]) -> float:
    return float((np.searchsorted(y, x, side="right") - np.searchsorted(y, x, side="left")).mean() / len(y))


def _all_levels(tables: CodedTables, table: CodedTable) -> list[_Levels]:
    """The columns whose values repeat often enough to take part in dependencies and combinations."""
    levels = []
    most = table.n_rows / _MIN_ROWS_A_VALUE
    for position, name in enumerate(tables.category_names):
        codes = table.codes[:, position]
        if 2 <= len(np.unique(codes[codes >= 0])) <= most:
            levels.append(_Levels(name, position, None, len(tables.categories[position]), codes))
    for position, name in enumerate(tables.number_names):
        numbers = table.numbers[:, position]
        known = np.unique(numbers[~np.isnan(numbers)])
        if 2 <= len(known) <= most:
            levels.append(_Levels(name, position, known, len(known), _level_of(numbers, known)))
    return levels


def _level_relations(levels_1: _Levels, levels_2: _Levels) -> list[Relation]:
    both = (levels_1.codes >= 0) & (levels_2.codes >= 0)
    if both.sum() < _MIN_ROWS:
        return []
    first, second = levels_1.codes[both].astype(np.int64), levels_2.codes[both]
    cells, counts = _count_cells(first * levels_2.n_levels + second, levels_1.n_levels * levels_2.n_levels)
    rows, columns = np.divmod(cells, levels_2.n_levels)
    found = _dependency(levels_1, levels_2, rows, columns, counts)
    found += _dependency(levels_2, levels_1, columns, rows, counts)
    if found or levels_1.known is not None or levels_2.known is not None:
        return found
    return _combination(levels_1, levels_2, cells, counts)


def _count_cells(cells: NDArray[Any], n_cells: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Cells that occur, and how often."""
    if n_cells > _DENSE_CELLS:
        return np.unique(cells, return_counts=True)
    counts = np.bincount(cells, minlength=n_cells)
    filled = np.flatnonzero(counts)
    return filled, counts[filled]


def _dependency(
    levels: _Levels, settled: _Levels, rows: NDArray[Any], columns: NDArray[Any], counts: NDArray[Any]
) -> list[Relation]:
    """A column settles another if its majority answers are right often enough, and better than one for all."""
    n_rows = counts.sum()
    row_totals = np.bincount(rows, weights=counts, minlength=levels.n_levels)
    if (row_totals > 0).sum() * _MIN_ROWS_A_VALUE > n_rows:
        return []
    chance = float(np.bincount(columns, weights=counts).max() / n_rows)
    if chance > _BY_CHANCE:
        return []
    order = np.lexsort((columns, -counts, rows))
    leading = np.concatenate([[True], np.diff(rows[order]) > 0])
    answers = np.full(levels.n_levels + 1, -1, dtype=np.int64)  # the last entry is read for code -1
    answers[rows[order][leading]] = columns[order][leading]
    if counts[order][leading].sum() / n_rows < _HOLDS_IN:
        return []

    def breaks(table: CodedTable) -> NDArray[Any]:
        expected, given = answers[levels.code(table)], settled.code(table)
        return (expected >= 0) & (given != expected) & (given >= 0)

    return [Relation("dependency", levels.name, settled.name, chance, breaks)]


def _combination(levels_1: _Levels, levels_2: _Levels, cells: NDArray[Any], counts: NDArray[Any]) -> list[Relation]:
    """The most frequent combinations that cover 99.5% of the rows; the others count as never."""
    n_rows = counts.sum()
    # Good and Turing: the share of cells seen once estimates how many fresh rows bring a combination never seen.
    if (counts == 1).sum() / n_rows > 1 - _HOLDS_IN:
        return []
    order = np.argsort(-counts, kind="stable")
    covered = np.cumsum(counts[order]) / n_rows
    allowed = np.sort(cells[order[: int(np.searchsorted(covered, _HOLDS_IN)) + 1]])
    n_2 = levels_2.n_levels
    share_1, share_2 = (
        np.bincount(of_cells, weights=counts, minlength=levels.n_levels) / n_rows
        for levels, of_cells in zip((levels_1, levels_2), np.divmod(cells, n_2), strict=True)
    )
    chance = float((share_1[allowed // n_2] * share_2[allowed % n_2]).sum())
    if chance > _BY_CHANCE:
        return []

    def breaks(table: CodedTable) -> NDArray[Any]:
        first, second = levels_1.code(table).astype(np.int64), levels_2.code(table).astype(np.int64)
        known = (first >= 0) & (second >= 0) & (share_1[first] > 0) & (share_2[second] > 0)
        return known & ~np.isin(first * n_2 + second, allowed)

    return [Relation("combination", levels_1.name, levels_2.name, chance, breaks)]


def relation_table(relations: list[Relation], shares: Mapping[str, NDArray[Any]]) -> pd.DataFrame:
    """Return one row a relation, with the ``shares`` of rows that break it in the table of each role."""
    rows = [(relation.kind, relation.first, relation.second, relation.by_chance) for relation in relations]
    frame = pd.DataFrame(rows, columns=["kind", "column_1", "column_2", "kept_by_chance"], dtype=object)
    frame["kept_by_chance"] = frame["kept_by_chance"].astype(np.float64)
    return frame.assign(**{f"broken_{role}": values for role, values in shares.items()})
