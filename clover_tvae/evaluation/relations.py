"""Relations that hold in a real table, and how often another table breaks them.

Knows coded tables (``frames``). Must not know figures, or how a table was made.

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
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clover_tvae.evaluation.frames import CodedTable, CodedTables
from clover_tvae.evaluation.seeds import generator

__all__ = ["HOLDS_IN", "Relation", "break_rates", "find_relations", "relation_table"]

HOLDS_IN = 0.995  # share of the real rows that must keep a relation
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
        breaks: Says for each row of a table coded alike whether it breaks the relation; rows where a cell is missing
            or has a value that the real table lacks do not.
    """

    kind: str
    first: Hashable
    second: Hashable
    by_chance: float
    breaks: Callable[[CodedTable], np.ndarray]


@dataclass(frozen=True)
class _Levels:
    """A column as few levels: code of each row (-1: missing or unknown), and how other tables' cells are coded so."""

    codes: np.ndarray
    n_levels: int
    code: Callable[[CodedTable], np.ndarray]


def find_relations(tables: CodedTables, role: str = "real", *, seed: int = 0) -> list[Relation]:
    """Find the relations of a table.

    Args:
        tables: The coded tables.
        role: The table in which relations must hold.
        seed: Seed of the draw of at most 20,000 rows.

    Returns:
        At most 300 relations, those least likely by chance first.
    """
    table = tables[role]
    if table.n_rows > _MAX_ROWS:
        rng = generator(seed, 0x4E1)
        table = table.take(np.sort(rng.permutation(table.n_rows)[:_MAX_ROWS]))
    relations = _number_relations(tables, table)
    settled = {frozenset((relation.first, relation.second)) for relation in relations}
    levels = _all_levels(tables, table)
    for name_1, name_2 in itertools.combinations(levels, 2):
        pair = frozenset((name_1, name_2))
        if pair not in settled:
            relations += _level_relations(name_1, levels[name_1], name_2, levels[name_2], tables)
    return sorted(relations, key=lambda relation: relation.by_chance)[:_MAX_RELATIONS]


def break_rates(relations: list[Relation], table: CodedTable) -> np.ndarray:
    """Return for each relation the share of the table's rows that break it."""
    return np.array([relation.breaks(table).mean() for relation in relations], dtype=np.float64)


def _number_relations(tables: CodedTables, table: CodedTable) -> list[Relation]:
    relations = []
    columns = [np.sort(column[~np.isnan(column)]) for column in table.numbers.T]
    for i, j in itertools.combinations(range(len(columns)), 2):
        name_i, name_j = tables.number_names[i], tables.number_names[j]
        if (name_i in tables.dates) != (name_j in tables.dates):
            continue
        x, y = table.numbers[:, i], table.numbers[:, j]
        both = ~np.isnan(x) & ~np.isnan(y)
        if both.sum() < _MIN_ROWS:
            continue
        same, below, above = (float(test[both].mean()) for test in (x == y, x <= y, x >= y))
        if same >= HOLDS_IN:
            chance = _chance_equal(columns[i], columns[j])
            if chance <= _BY_CHANCE:
                relations.append(Relation("equality", name_i, name_j, chance, _unequal(i, j)))
            continue
        for holds, first, second in ((below, i, j), (above, j, i)):
            chance = _chance_below(columns[first], columns[second])
            if holds >= HOLDS_IN and chance <= _BY_CHANCE:
                names = tables.number_names[first], tables.number_names[second]
                relations.append(Relation("inequality", *names, chance, _greater(first, second)))
                break
    return relations


def _chance_below(x: np.ndarray, y: np.ndarray) -> float:
    """P(x <= y) of independent draws from two sorted samples."""
    return float((len(y) - np.searchsorted(y, x, side="left")).mean() / len(y))


def _chance_equal(x: np.ndarray, y: np.ndarray) -> float:
    hits = np.searchsorted(y, x, side="right") - np.searchsorted(y, x, side="left")
    return float(hits.mean() / len(y))


def _unequal(i: int, j: int) -> Callable[[CodedTable], np.ndarray]:
    def breaks(table: CodedTable) -> np.ndarray:
        x, y = table.numbers[:, i], table.numbers[:, j]
        return (x != y) & ~np.isnan(x) & ~np.isnan(y)

    return breaks


def _greater(i: int, j: int) -> Callable[[CodedTable], np.ndarray]:
    def breaks(table: CodedTable) -> np.ndarray:
        return table.numbers[:, i] > table.numbers[:, j]  # a comparison with NaN is False: missing breaks nothing

    return breaks


def _all_levels(tables: CodedTables, table: CodedTable) -> dict[Hashable, _Levels]:
    """The columns whose values repeat often enough to take part in dependencies and combinations."""
    levels: dict[Hashable, _Levels] = {}
    for position, name in enumerate(tables.category_names):
        codes = table.codes[:, position]
        known = np.unique(codes[codes >= 0])
        if 2 <= len(known) <= table.n_rows / _MIN_ROWS_A_VALUE:
            levels[name] = _Levels(codes, len(tables.categories[position]), _category_coder(position))
    for position, name in enumerate(tables.number_names):
        numbers = table.numbers[:, position]
        known = np.unique(numbers[~np.isnan(numbers)])
        if 2 <= len(known) <= table.n_rows / _MIN_ROWS_A_VALUE:
            coder = _number_coder(position, known)
            levels[name] = _Levels(coder(table), len(known), coder)
    return levels


def _category_coder(position: int) -> Callable[[CodedTable], np.ndarray]:
    return lambda table: table.codes[:, position]


def _number_coder(position: int, known: np.ndarray) -> Callable[[CodedTable], np.ndarray]:
    def code(table: CodedTable) -> np.ndarray:
        numbers = table.numbers[:, position]
        at = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
        return np.where(known[at] == numbers, at, -1)

    return code


def _level_relations(
    name_1: Hashable, levels_1: _Levels, name_2: Hashable, levels_2: _Levels, tables: CodedTables
) -> list[Relation]:
    both = (levels_1.codes >= 0) & (levels_2.codes >= 0)
    n_rows = int(both.sum())
    if n_rows < _MIN_ROWS:
        return []
    first, second = levels_1.codes[both].astype(np.int64), levels_2.codes[both].astype(np.int64)
    cells, counts = _count_cells(first * levels_2.n_levels + second, levels_1.n_levels * levels_2.n_levels)
    rows, columns = cells // levels_2.n_levels, cells % levels_2.n_levels
    found = _dependency(name_1, levels_1, name_2, levels_2, rows, columns, counts)
    found += _dependency(name_2, levels_2, name_1, levels_1, columns, rows, counts)
    if found:
        return found
    if name_1 in tables.category_names and name_2 in tables.category_names:
        return _combination(name_1, levels_1, name_2, levels_2, cells, counts)
    return []


def _count_cells(cells: np.ndarray, n_cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells that occur, and how often."""
    if n_cells > _DENSE_CELLS:
        return np.unique(cells, return_counts=True)
    counts = np.bincount(cells, minlength=n_cells)
    filled = np.flatnonzero(counts)
    return filled, counts[filled]


def _dependency(
    name: Hashable,
    levels: _Levels,
    settled_name: Hashable,
    settled: _Levels,
    rows: np.ndarray,
    columns: np.ndarray,
    counts: np.ndarray,
) -> list[Relation]:
    """``name`` settles ``settled_name`` if its majority answers are right often enough, and better than one for all."""
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
    right = counts[order][leading].sum() / n_rows
    if right < HOLDS_IN:
        return []

    def breaks(table: CodedTable) -> np.ndarray:
        expected, given = answers[levels.code(table)], settled.code(table)
        # A value that the real table never shows here (-1) is not the expected one either, unless it is missing.
        return (expected >= 0) & (given != expected) & ~_is_missing(table, settled)

    return [Relation("dependency", name, settled_name, chance, breaks)]


def _is_missing(table: CodedTable, levels: _Levels) -> np.ndarray:
    return levels.code(table) < 0


def _combination(
    name_1: Hashable, levels_1: _Levels, name_2: Hashable, levels_2: _Levels, cells: np.ndarray, counts: np.ndarray
) -> list[Relation]:
    """The most frequent combinations that cover 99.5% of the rows; the others count as never."""
    n_rows = counts.sum()
    # Good and Turing: the share of cells seen once estimates how many fresh rows bring a combination never seen.
    if (counts == 1).sum() / n_rows > 1 - HOLDS_IN:
        return []
    order = np.argsort(-counts, kind="stable")
    covered = np.cumsum(counts[order]) / n_rows
    allowed = np.sort(cells[order[: int(np.searchsorted(covered, HOLDS_IN)) + 1]])
    n_2 = levels_2.n_levels
    share_1 = np.bincount(cells // n_2, weights=counts, minlength=levels_1.n_levels) / n_rows
    share_2 = np.bincount(cells % n_2, weights=counts, minlength=n_2) / n_rows
    chance = float((share_1[allowed // n_2] * share_2[allowed % n_2]).sum())
    if chance > _BY_CHANCE:
        return []
    known_1, known_2 = share_1 > 0, share_2 > 0

    def breaks(table: CodedTable) -> np.ndarray:
        first, second = levels_1.code(table).astype(np.int64), levels_2.code(table).astype(np.int64)
        known = (first >= 0) & (second >= 0) & known_1[first] & known_2[second]
        return known & ~np.isin(first * n_2 + second, allowed)

    return [Relation("combination", name_1, name_2, chance, breaks)]


def relation_table(relations: list[Relation], shares: dict[str, np.ndarray]) -> pd.DataFrame:
    """Return one row a relation: kind, columns, share by chance, and the share of rows that break it in each table.

    Args:
        relations: The relations.
        shares: ``break_rates`` by role.
    """
    frame = pd.DataFrame(
        {
            "kind": [relation.kind for relation in relations],
            "column_1": pd.Series([relation.first for relation in relations], dtype=object),
            "column_2": pd.Series([relation.second for relation in relations], dtype=object),
            "kept_by_chance": np.array([relation.by_chance for relation in relations], dtype=np.float64),
        }
    )
    for role, values in shares.items():
        frame[f"broken_{role}"] = values
    return frame
