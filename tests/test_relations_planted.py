"""Two exports with planted relations, made before the finder was read: the true ones are found, the tempting ones not."""

from __future__ import annotations

import pandas as pd
import pytest
from relations_planted_blind import Planted, planted

from clover_tvae.relations.find import Found, find_relations

TABLES = ("hospital", "staff")
KINDS = {
    "determines": {"determines"},
    "combination": {"combinations"},
    "interval": {"interval", "inequality"},
    "inequality": {"interval", "inequality"},
    "one-hot": {"one_hot"},
    "equal": {"equal"},
    "equal when": {"equal"},
    "missing together": {"missing_together"},
    "missing when": {"missing_when"},
    "ranges": {"ranges"},
}
FORMULAS = {"from date", "sum", "ratio", "product", "difference", "integer part", "remainder"}


def is_told(one: Planted, found: Found) -> bool:
    kinds = {"computed"} if one.kind in FORMULAS else KINDS[one.kind]
    relation = found.relation
    return relation.handling == "keep" and relation.kind in kinds and set(relation.columns) == set(one.columns)


def missed_and_false(
    table: str, n_rows: int, seed: int, fresh: pd.DataFrame
) -> tuple[list[tuple[str, ...]], list[str]]:
    """Return the truths that are not to be kept, and what is to be kept though it is not true.

    That is what was planted to tempt, and what more than 1% of fresh rows break (of ranges 3%: they are those of the
    rows that were seen).
    """
    df, kinds, truths, temptations = planted(n_rows, seed, table)
    found = find_relations(df, kinds)
    missed = [one.columns for one in truths if not any(is_told(one, other) for other in found)]
    false = [
        str(other)
        for other in found
        if any(is_told(one, other) for one in temptations)
        or (
            other.relation.handling == "keep"
            and other.relation.breaks(fresh).mean() > (0.03 if other.relation.kind == "ranges" else 0.01)
        )
    ]
    return missed, false


@pytest.mark.parametrize("table", TABLES)
def test_a_small_table(table: str) -> None:
    """In 300 rows some combinations are too rare to be told, and an order may be that of two scales."""
    missed, false = missed_and_false(table, 300, 0, planted(5_000, 999, table)[0])
    assert false == []
    assert set(missed) <= {("drug", "form"), ("diastolic", "systolic")}


@pytest.mark.parametrize("table", TABLES)
def test_a_table(table: str) -> None:
    assert missed_and_false(table, 6_000, 0, planted(5_000, 999, table)[0]) == ([], [])


@pytest.mark.slow
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("n_rows", [300, 30_000])
def test_ten_tables(table: str, n_rows: int) -> None:
    fresh = planted(30_000, 999, table)[0]
    results = [missed_and_false(table, n_rows, seed, fresh) for seed in range(10)]
    assert sum(len(false) for _, false in results) <= 1
    assert sum(len(missed) for missed, _ in results) <= (0 if n_rows == 30_000 else 20)
