"""Relations told once: what follows from others is left out."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from clover_tvae.columns.numeric import COMMON, commonest, spread
from clover_tvae.relations.computed import Computed, Equal, Predicate
from clover_tvae.relations.expression import quoted
from clover_tvae.relations.finding.table import Candidate, Table
from clover_tvae.relations.groups import MissingTogether, MissingWhen, OneHot
from clover_tvae.relations.lookup import Combinations, Dependency, Ranges
from clover_tvae.relations.order import Order

_FAR_WIDER = 2.0  # a column of a sum is not computed if another spreads so many times as wide
_NAME = re.compile(r"`(?:[^`]|``)+`|column\(-?\d+\)|[A-Za-z_]\w*")
_SUM = re.compile(r"-? ?x(?: [+-] (?:x|\d+))+")
_FINER = 0.75  # a finer category tells ranges only if they are so much narrower than those of a coarser one


def pruned(candidates: list[Candidate], table: Table) -> list[Candidate]:
    """Return the candidates without those that follow from others.

    A column is determined once, by the simplest relation that closes no circle. Of relations between two columns those
    stay that lie in no such relation, and whose columns neither determine each other nor are both determined.
    """
    clocks = [c for c in candidates if not c.n_exceptions and _is_clock(c.relation, table)]
    candidates = _unpacked_elsewhere([c for c in candidates if c not in clocks])
    place = {name: i for i, name in enumerate(table.names)}
    n_missing = dict(zip(table.names, table.missing.sum(axis=0), strict=True))
    determined: dict[Any, tuple[Any, ...]] = {}
    kept: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda c: _simplicity(c, place)):
        for relation in _orientations(candidate.relation, table, place, n_missing):
            (target,) = relation.determines
            if target not in determined and not _depends(relation.sources, target, determined):
                determined[target] = relation.sources
                kept.append(replace(candidate, relation=relation))
                break
    for clock in clocks:  # the hour may be told twice: the date then is its day and that hour
        (target,), sources = clock.relation.determines, clock.relation.sources
        if not _depends(sources, target, determined):
            determined.setdefault(target, sources)
            kept.append(clock)
    groups = [set(candidate.relation.columns) for candidate in kept]

    def told(pair: tuple[Any, ...]) -> bool:
        return (
            any(set(pair) <= group for group in groups)
            or determined.keys() >= set(pair)
            or any(_depends([one], other, determined) for one, other in (pair, pair[::-1]))
        )

    best: dict[Any, Candidate] = {}
    for candidate in sorted(candidates, key=lambda c: (c.relation.kind != "combinations", c.n_levels, c.chance)):
        match relation := candidate.relation:
            case MissingTogether():
                kept.append(candidate)
            case Predicate() if not determined.keys() & {*relation.columns}:
                kept.append(candidate)
            case Combinations() if not told(relation.columns) and not determined.keys() & {*relation.columns}:
                kept.append(candidate)
                groups.append(set(relation.columns))
            case MissingWhen():
                best.setdefault(("missing", relation.target), candidate)
            case Ranges() if not told(relation.columns):
                coarser = best.setdefault(("ranges", relation.number), candidate)
                if candidate.chance < _FINER * coarser.chance:
                    best[("ranges", relation.number)] = candidate
            case Equal() if relation.share < 1 or relation.when is not None:
                pair = (relation.source, relation.target)
                explained = any(set(pair) <= group for group in groups)
                if not explained and (relation.when is not None or ("equal", pair) not in best):
                    best[("equal", pair)] = candidate
    orders = {
        candidate.relation.columns: candidate
        for candidate in candidates
        if isinstance(candidate.relation, Order)
        and (set(candidate.relation.columns) <= set(table.dates) or not told(candidate.relation.columns))
    }
    direct = [
        candidate
        for (low, high), candidate in orders.items()
        if not any((low, middle) in orders and (middle, high) in orders for middle in table.names)
    ]
    return [*kept, *best.values(), *direct]


def _is_clock(relation: Any, table: Table) -> bool:
    """Return whether a relation says all of the time of dates without a zone: each of them is at a full hour."""
    if not isinstance(relation, Computed) or not relation.tells_hour:
        return False
    (date,) = relation.sources
    moments = table.values[date][~np.isnan(table.values[relation.target])]
    is_told = (moments % 3_600 == 0).sum() == (~np.isnan(table.values[date])).sum()
    return table.frame[date].dt.tz is None and bool(is_told)


def _unpacked_elsewhere(candidates: list[Candidate]) -> list[Candidate]:
    """Return the candidates with ``packed = part * 100 + rest`` for two parts of which one is also computed otherwise.

    Else the part, which is computed once, would say nothing of one of its two sources.
    """
    exact = {
        (c.relation.target, c.relation.formula): c
        for c in candidates
        if c.relation.kind == "computed" and not c.n_exceptions
    }
    for ((part, text), one), (rest, other) in itertools.product(exact.items(), exact):
        (whole, *_), divisor = one.relation.sources, text.rpartition(" // ")[2]
        is_told_twice = any(c.relation.target == part and whole not in c.relation.sources for c in exact.values())
        if (text, other) == (f"{quoted(whole)} // {divisor}", f"{quoted(whole)} % {divisor}") and is_told_twice:
            formula = f"{quoted(part)} * {divisor} + {quoted(rest)}"
            made = Computed(target=whole, formula=formula, decimals=0)  # with decimals it is not turned round
            three = {*made.columns}
            candidates = [c for c in candidates if c.relation.kind != "computed" or not three >= {*c.relation.columns}]
            candidates.append(replace(one, relation=made))
    return candidates


def _simplicity(candidate: Candidate, place: dict[Any, int]) -> tuple[Any, ...]:
    """No exception before some, formulas before tables, exact before rounded, few sources and values before many."""
    relation = candidate.relation
    order = {"equal": 0, "computed": 0, "determines": 1 if len(relation.sources) == 1 else 3, "one_hot": 2}
    formula = getattr(relation, "formula", "")
    return (
        bool(candidate.n_exceptions),
        order.get(relation.kind, 9),
        getattr(relation, "decimals", None) is not None,
        len(relation.sources),
        candidate.n_levels,
        "/" in formula,
        len(formula),
        [-place[name] for name in relation.determines],
        [place[name] for name in relation.sources],
    )


def _orientations(relation: Any, table: Table, place: dict[Any, int], n_missing: dict[Any, int]) -> Iterable[Any]:
    """Return the relation with each of its columns as the determined one, the last in the table first; no formula gives dates.

    What is small beside another column of a sum, or often one and the same, would be lost in the error of the others: it comes
    last. Of two that are equal, the one with more missing cells: the other tells it, not the reverse.
    """
    match relation:
        case Computed(decimals=None):
            # Turned round, midnight might be another than the column's.
            is_of_clocks = "minutes_of(" in relation.formula
            sources = [name for name in relation.sources if name not in table.dates and not is_of_clocks]
            made = {relation.target: relation} | {name: relation.solved_for(name) for name in sources}
            lost = _lost_in_a_sum(relation, table)
            names = sorted(made, key=lambda name: (name in lost, -place[name]))
            return [made[name] for name in names if made[name] is not None]
        case Equal(share=1, when=None):
            both = [relation, Equal(source=relation.target, target=relation.source)]
            return sorted(both, key=lambda one: -n_missing[one.target])
        case OneHot() | Dependency() | Computed():
            return [relation]
    return []


def _lost_in_a_sum(relation: Computed, table: Table) -> set[Any]:
    """Return the columns of a sum that another is far wider than, or of which a value is common that no other column has."""
    if not _SUM.fullmatch(_NAME.sub("x", relation.formula)):
        return set()
    values = {name: table.values[name][table.rows] for name in relation.columns}
    wide, common = ({name: of(cells) for name, cells in values.items()} for of in (spread, commonest))
    return {
        name
        for name in values
        if _FAR_WIDER * wide[name] < max(wide.values())
        or common[name] > max(COMMON, *(2 * share for other, share in common.items() if other != name))
    }


def _depends(names: Iterable[Any], target: Any, determined: dict[Any, tuple[Any, ...]]) -> bool:
    """Return whether one of these columns is the target, or is determined by it through any number of steps."""
    return any(name == target or _depends(determined.get(name, ()), target, determined) for name in names)
