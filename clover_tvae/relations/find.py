"""Find the relations of a table.

Candidates come from 2,000 rows and are confirmed on all. A candidate is a relation if at most one row in 200 breaks it
(and at most a fiftieth of the rows that would if the columns were independent), and if so many rows would not keep it
by chance: its p-value, under independent columns with the same values, passes the step-up procedure of Benjamini and
Hochberg over all candidates that were tried. What follows from other relations is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from clover_tvae.columns.people import People, count_people, even_rows, least_rows
from clover_tvae.parameters import MIN_COUNT
from clover_tvae.relations.computed import Equal
from clover_tvae.relations.finding.chance import accepted, log_p_kept
from clover_tvae.relations.finding.comparisons import equalities, orders
from clover_tvae.relations.finding.dependencies import combinations, dependencies, names_of_dates, ranges
from clover_tvae.relations.finding.formulas import clocks, formulas, narrow
from clover_tvae.relations.finding.patterns import missing_patterns, one_hot_groups
from clover_tvae.relations.finding.pruning import pruned
from clover_tvae.relations.finding.table import Candidate, Table
from clover_tvae.relations.lookup import Combinations, Dependency, Ranges
from clover_tvae.relations.relation import Relation

_FINDERS = (
    equalities, orders, formulas, clocks, narrow, names_of_dates, dependencies, combinations, ranges, missing_patterns,
    one_hot_groups,
)  # fmt: skip
_MIN_ROWS = 30
_TOLERATED = 0.005  # share of the rows that may break a relation
_OF_CHANCE = 0.02  # and share of those that would by chance


@dataclass(frozen=True)
class Found:
    """A relation that was found.

    Args:
        support: Rows that keep it.
        exceptions: Rows that break it; a count below ``min_count`` is told as ``min_count``, and ``support`` is short of it.
        min_count: That limit.
        chance: Share of the rows that would keep it if its columns were independent.
    """

    relation: Relation
    support: int
    exceptions: int
    chance: float
    min_count: int = MIN_COUNT

    def __str__(self) -> str:
        return f"{self.relation} ({self.support:,} rows, {self.exceptions_told}; by chance {self.chance:.0%})"

    @property
    def exceptions_told(self) -> str:
        """The exceptions in words."""
        if not self.exceptions:
            return "no exception"
        return f"{'at most ' * (self.exceptions <= self.min_count)}{self.exceptions:,} exceptions"


def find_relations(
    df: pd.DataFrame,
    kinds: Mapping[Any, str],
    *,
    min_count: int = MIN_COUNT,
    people: People | None = None,
    false_discovery_rate: float = 0.01,
    seed: int = 0,
) -> list[Found]:
    """Find the relations of a table.

    Args:
        kinds: The kind of each column in the metadata; columns of kind ``id`` and ``ignore`` take no part.
        min_count: Fewest people on whom a value in a relation, or a count that is told, may rest; at least 10 rows, as fewer are
            chance, but for the combinations of two categories.
        people: The number of the person of each row; ``None``: every row is one.
        false_discovery_rate: Expected share of chance among the relations, in (0, 1).

    Returns:
        The relations, those that chance explains least first.
    """
    even = even_rows(people, min_count)
    of = None if people is None else people[even]
    table = Table(df[even], kinds, least_rows(of, min_count), seed, of)
    tried = [find(table) for find in _FINDERS]
    counted = [_confirmed(candidate, table, min_count) for made in tried for candidate in made.found]
    confirmed = [candidate for candidate in counted if candidate is not None]
    log_p = np.array([candidate.log_p for candidate in confirmed], dtype=np.float64)
    passing = accepted(log_p, sum(made.n_tried for made in tried), false_discovery_rate)
    told = pruned([candidate for candidate, passes in zip(confirmed, passing, strict=True) if passes], table)
    return [
        _found(candidate, df, table, min_count, people)
        for candidate in sorted(told, key=lambda candidate: candidate.log_p or 0.0)
    ]


def _confirmed(candidate: Candidate, table: Table, n_people: int) -> Candidate | None:
    """Return the candidate with the counts of all rows, or ``None`` where too many rows break it, or it is about too few people."""
    relation = candidate.relation
    of, n_exceptions = relation.applies(table.frame), candidate.n_exceptions
    n_rows = int(of.sum())
    if table.people is not None and count_people(table.people[of], n_rows) < n_people:
        return None
    if isinstance(relation, Equal) and relation.share < 1:  # a rate, which no single row can break
        return candidate
    if n_exceptions is None:
        n_exceptions = int(relation.breaks(table.frame).sum())
    if n_rows < _MIN_ROWS or n_exceptions > min(_TOLERATED, _OF_CHANCE * (1 - candidate.chance)) * n_rows:
        return None
    log_p = (
        candidate.log_p if candidate.log_p is not None else log_p_kept(n_rows - n_exceptions, n_rows, candidate.chance)
    )
    return replace(candidate, n_rows=n_rows, n_exceptions=n_exceptions, log_p=log_p)


def _found(candidate: Candidate, df: pd.DataFrame, table: Table, n_people: int, people: People | None) -> Found:
    min_count = table.shared if isinstance(candidate.relation, Combinations) else table.min_count
    relation = candidate.relation.learnt(df, min_count if people is None else n_people, people)
    n_rows, n_exceptions = candidate.n_rows, candidate.n_exceptions or 0
    is_rate = isinstance(relation, Equal) and relation.share < 1
    if (
        people is not None and not is_rate and not isinstance(relation, Combinations | Ranges)
    ):  # found in part of the rows
        n_rows, n_exceptions = int(relation.applies(df).sum()), relation.exceptions(df, table.min_count)
    elif n_exceptions and isinstance(relation, Dependency):  # a key may turn out to have several values
        n_exceptions = int(relation.breaks(df).sum())
    if n_exceptions:
        relation = relation.model_copy(update={"handling": "learn"})
    told = max(n_exceptions, min_count) if n_exceptions else 0
    return Found(relation, n_rows - told, told, candidate.chance, min_count)
