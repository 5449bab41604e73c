"""Relations kept: how many rows of a table break what holds between the columns of the real one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.people import People
from clover_tvae.errors import UserError
from clover_tvae.relations.computed import Equal
from clover_tvae.relations.find import find_relations
from clover_tvae.relations.order import looked_at
from clover_tvae.relations.relation import Relation
from clover_tvae.seeds import Measure, generator, of_measure

_MAX_ROWS = 20_000  # rows in which relations are sought


def relations_of(
    real: pd.DataFrame,
    kinds: Mapping[Any, str],
    declared: Sequence[Relation],
    *,
    seed: int,
    min_count: int,
    people: People | None = None,
) -> list[Relation]:
    """Return the relations that a row can break: the declared ones, or those that are found where there are none, in at most 20,000 rows."""
    rows = generator(of_measure(seed, Measure.RELATIONS)).permutation(len(real))[:_MAX_ROWS]
    rows = np.sort(rows)
    sample, of = real.iloc[rows], None if people is None else people[rows]
    found = [r if r.is_learnt else r.learnt(sample, min_count, of) for r in declared if r.handling != "ignore"]
    if not found:
        found = [one.relation for one in find_relations(sample, kinds, min_count=min_count, people=of, seed=seed)]
    return [relation for relation in found if not (isinstance(relation, Equal) and relation.share < 1)]


def break_rates(relations: Sequence[Relation], table: pd.DataFrame) -> NDArray[np.float64]:
    """Return for each relation the share of a table's rows that break it; all do where its columns cannot be read."""
    as_looked_at = looked_at(table, relations)

    def rate(relation: Relation) -> float:
        try:
            return float(relation.breaks(as_looked_at(relation)).mean())
        except (UserError, TypeError, ValueError):
            return 1.0

    return np.array([rate(relation) for relation in relations], dtype=np.float64)


def relation_table(relations: Sequence[Relation], shares: Mapping[str, NDArray[Any]]) -> pd.DataFrame:
    """Return one row a relation, with the ``shares`` of rows that break it in the table of each role, worst first."""
    rows = [(str(relation), relation.kind, relation.handling) for relation in relations]
    frame = pd.DataFrame(rows, columns=["relation", "kind", "handling"], dtype=object)
    frame = frame.assign(**{f"broken_{role}": values for role, values in shares.items()})
    return frame.sort_values("broken_synthetic", ascending=False, kind="stable", ignore_index=True)
