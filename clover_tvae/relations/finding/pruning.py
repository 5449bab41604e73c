"""Relations told once: what follows from others is left out."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from clover_tvae.columns.numeric import COMMON
from clover_tvae.relations.computed import Computed, Equal, Predicate
from clover_tvae.relations.expression import quoted
from clover_tvae.relations.finding.table import Candidate, Table
from clover_tvae.relations.groups import MissingTogether, MissingWhen, OneHot
from clover_tvae.relations.lookup import Combinations, Dependency, Ranges
from clover_tvae.relations.order import Order

_LOUD = 2.5  # a column is computed from others last if their errors are so many times its own
_NUDGE, _SAME = 0.1, 1e-6  # errors in parts of a column's spread; what is no difference, relatively
_FINER = 0.75  # a finer category tells ranges only if they are so much narrower than those of a coarser one


def pruned(candidates: list[Candidate], table: Table) -> list[Candidate]:
    """Return the candidates without those that follow from others.

    A column is determined once, by the simplest relation that closes no circle, and first by those that do not blow errors up: a
    part that is small beside the whole is not the whole less the other parts. Of relations between two columns those
    stay that lie in no such relation, and whose columns neither determine each other nor are both determined.
    """
    clocks = [c for c in candidates if not c.n_exceptions and _is_clock(c.relation, table)]
    candidates = _unpacked_elsewhere([c for c in candidates if c not in clocks])
    place = {name: i for i, name in enumerate(table.names)}
    n_missing = dict(zip(table.names, table.missing.sum(axis=0), strict=True))
    determined: dict[Any, tuple[Any, ...]] = {}
    kept: list[Candidate] = []
    waiting = [
        (candidate, _orientations(candidate.relation, table, place, n_missing))
        for candidate in sorted(candidates, key=lambda c: _simplicity(c, place))
    ]
    for takes_all in (False, True):
        left = []
        for candidate, ways in waiting:
            for relation in ways:
                (target,) = relation.determines
                is_free = target not in determined and not _depends(relation.sources, target, determined)
                if not is_free or not (takes_all or _is_quiet(relation, table)):
                    continue
                if not (takes_all and _follows(relation, kept, table)):
                    determined[target] = relation.sources
                    kept.append(replace(candidate, relation=relation))
                break
            else:
                left.append((candidate, ways))
        waiting = left
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

    Of two that are equal, the one with more missing cells: the other tells it, not the reverse.
    """
    match relation:
        case Computed(decimals=None):
            # Turned round, midnight might be another than the column's.
            is_of_clocks = "minutes_of(" in relation.formula
            sources = [name for name in relation.sources if name not in table.dates and not is_of_clocks]
            made = {relation.target: relation} | {name: relation.solved_for(name) for name in sources}
            return [made[name] for name in sorted(made, key=lambda name: -place[name]) if made[name] is not None]
        case Equal(share=1, when=None):
            both = [relation, Equal(source=relation.target, target=relation.source)]
            return sorted(both, key=lambda one: -n_missing[one.target])
        case OneHot() | Dependency() | Computed():
            return [relation]
    return []


def _is_quiet(relation: Any, table: Table) -> bool:
    """Return whether errors of its sources are no larger in what a formula computes, and no common value of that is lost in them."""
    if not isinstance(relation, Computed) or not {*relation.columns} <= {*table.numeric}:
        return True
    if any(sign in relation.formula for sign in ("%", "//", "(")):  # digits are drawn as they are, without error
        return True
    shares, spreads = ({name: table.shapes[name][i] for name in relation.columns} for i in (0, 1))
    if shares.pop(relation.target) > max(COMMON, 2 * max(shares.values())):
        return False
    sample, error = table.sample[list(relation.sources)], 0.0
    made = relation.exact(sample)
    for name in relation.sources:
        change = relation.exact(sample.assign(**{name: sample[name] + _NUDGE * spreads[name]})) - made
        error += float(np.nanmean(np.abs(change))) ** 2 if np.isfinite(change).any() else 0.0
    return error**0.5 <= _LOUD * _NUDGE * spreads[relation.target]


def _follows(relation: Any, kept: Iterable[Candidate], table: Table) -> bool:
    """Return whether a formula holds wherever those that are kept do: in rows whose other cells were dealt at random."""
    if not isinstance(relation, Computed) or not {*relation.columns} <= {*table.numeric}:
        return False
    formulas = {c.relation.target: c.relation for c in kept if isinstance(c.relation, Computed)}
    frame, settled = table.dealt.copy(deep=False), set[Any]()

    def settle(name: Any) -> None:
        if name in formulas and name not in settled:
            settled.add(name)
            for source in formulas[name].sources:
                settle(source)
            frame[name] = formulas[name].exact(frame)

    for name in relation.columns:
        settle(name)
    found, told = frame[relation.target].to_numpy(np.float64), relation.exact(frame)
    both = np.isfinite(found) & np.isfinite(told)
    return bool(both.any() and np.mean(np.abs(told - found)[both] <= _SAME * np.abs(told[both]) + _SAME) > 0.95)


def _depends(names: Iterable[Any], target: Any, determined: dict[Any, tuple[Any, ...]]) -> bool:
    """Return whether one of these columns is the target, or is determined by it through any number of steps."""
    return any(name == target or _depends(determined.get(name, ()), target, determined) for name in names)
