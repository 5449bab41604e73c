"""Which columns are made from which: chosen so that none is made twice, or from itself; and as a file holds it."""

from __future__ import annotations

import functools
import graphlib
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.calendar import heaps_on_months
from clover_tvae.columns.numeric import COMMON, commonest, shared_bound, spread
from clover_tvae.columns.people import People, ends_of_each, even_rows
from clover_tvae.columns.plain_data import check, integer, list_of, name_from_plain, name_to_plain, number, optional
from clover_tvae.errors import UserError
from clover_tvae.reduction.cells import Cells
from clover_tvae.relations.computed import Computed
from clover_tvae.relations.groups import OneHot
from clover_tvae.relations.lookup import Dependency
from clover_tvae.relations.order import Order
from clover_tvae.relations.reading import numbers
from clover_tvae.relations.relation import Relation

MAX_DECIMALS = 9
DAY, HOUR = 86_400, 3_600  # seconds
_UNITS = (DAY, HOUR, 60, 1)  # seconds: the longest that all lengths are multiples of
_LARGEST_EXACT = 2.0**53
_FEW_VALUES = 100
#: A column is learnt as a distance only if distances spread at most so much wider than the column itself.
_WIDEST = 2.0


def _room(lengths: NDArray[np.float64]) -> tuple[float, float]:
    """Return the share of rows whose two cells differ, and by how much few of them do, in units of the spread."""
    if len(lengths) == 0:
        return 1.0, math.inf
    return float((lengths > 0).mean()), float(np.quantile(lengths, 0.05) / (spread(lengths) or 1.0))


@dataclass(frozen=True)
class _OfBase:
    """A column that is made from another."""

    made: Any
    base: Any

    @property
    def sources(self) -> tuple[Any, ...]:
        """The columns from which it is made."""
        return (self.base,)


class Clock(_OfBase):
    """A column of dates at full hours that is learnt as its day: another column holds the hour."""


@dataclass(frozen=True)
class Distance(_OfBase):
    """A column that is learnt as its distance from another, which is never negative.

    Args:
        sign: 1 where ``made`` is ``base`` plus the distance, -1 where it is ``base`` minus the distance.
        unit: Of dates: seconds of one unit of the distance; ``None`` for numbers.
        decimals: Decimals of the distance; ``None`` where it has too many.
        typical: The distance that stands for an unknown one.
        least: The smallest distance: 0 unless the order is strict.
        reach: No distance is longer.
        ends: Of dates: drawn ones lie between these, in seconds; ``None``: within the range of the column.
    """

    sign: int
    unit: int | None
    decimals: int | None
    typical: float
    least: float
    reach: float
    ends: tuple[float, float] | None = None

    @property
    def size(self) -> int:
        """One unit, in the values of the columns."""
        return self.unit or 1

    def inside(self, distance: NDArray[np.float64], start: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return drawn distances from ``start`` (in the values of the columns), changed by whole units so that the dates lie within the ends."""
        if self.ends is None:
            return distance
        near, far = (self.sign * (end - start) / self.size for end in self.ends[:: self.sign])
        if self.decimals == 0:
            near, far = np.ceil(near - 1e-9), np.floor(far + 1e-9)
        return np.maximum(np.minimum(np.maximum(distance, near), far), self.least)

    def base_clear_of(self, base: NDArray[np.float64], made: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values of the base moved to where the known ones of the column leave room."""
        return (np.fmin if self.sign > 0 else np.fmax)(base, made - self.sign * self.least * self.size)


Step = Distance | Clock | Relation
"""What makes columns from others."""


def made_by(step: Step) -> tuple[Any, ...]:
    """Return the columns that a step makes."""
    if isinstance(step, _OfBase):
        return (step.made,)
    return step.columns if isinstance(step, OneHot) else step.determines


def changed_by(relation: Relation) -> Any:
    """Return the column that a relation corrects."""
    return (relation.determines or relation.columns[-1:])[0]


def in_order(steps: Sequence[Step], corrected: Sequence[Relation]) -> tuple[Step, ...]:
    """Return what makes and what corrects columns, each after all that makes or corrects its sources.

    Raises:
        ValueError: A column would be made from itself.
    """
    every = (*steps, *corrected)
    writers: dict[Any, list[int]] = {}
    for i, step in enumerate(every):
        for name in made_by(step) if i < len(steps) else [changed_by(step)]:  # type: ignore[arg-type]
            writers.setdefault(name, []).append(i)
    after = {
        i: [] if isinstance(step, OneHot) else [w for name in step.sources for w in writers.get(name, ())]
        for i, step in enumerate(every)
    }
    for i, relation in enumerate(corrected, len(steps)):
        after[i] += [w for w in writers[changed_by(relation)] if w < i]
    return tuple(every[i] for i in graphlib.TopologicalSorter(after).static_order())


class _Plan:
    """The columns that are made so far, and from which."""

    def __init__(self, df: pd.DataFrame, cells: Cells, min_count: int, people: People | None) -> None:
        self.df, self.cells, self.min_count, self.people = df, cells, min_count, people
        self.even = even_rows(people, min_count)
        self._values = functools.cache(functools.partial(cells.values, df))  # texts are read as dates once
        self.made_from: dict[Any, set[Any]] = {}
        self.corrected_from: dict[Any, set[Any]] = {}
        self.steps: list[Step] = []
        self.corrected: list[Relation] = []

    def reached(self, sources: Iterable[Any]) -> set[Any]:
        """Return the sources and all columns that they are made from."""
        reached: set[Any] = set()
        waiting = list(sources)
        while waiting:
            reached.add(name := waiting.pop())
            waiting += (self.made_from.get(name, set()) | self.corrected_from.get(name, set())) - reached
        return reached

    def may_be_made(self, names: Iterable[Any], sources: Iterable[Any]) -> bool:
        """Whether no column is made already, and none of the sources is made from one of them."""
        return not set(names) & (self.reached(sources) | set(self.made_from))

    def add(self, step: Step, sources: Iterable[Any]) -> None:
        self.steps.append(step)
        self.made_from |= {name: set(sources) for name in made_by(step)}

    def add_relation(self, relation: Relation) -> None:
        """Let a relation make its columns, or correct them where it determines only some of their cells."""
        if isinstance(relation, OneHot):
            gaps = self.df[list(relation.group)].isna().to_numpy(dtype=bool)
            if (gaps.all(axis=1) | ~gaps.any(axis=1)).all() and self.may_be_made(relation.group, ()):
                self.add(relation, ())
        elif (clock := self._clock(relation)) is not None:
            self.add(clock, clock.sources)
        elif relation.determines and self.may_be_made(relation.determines, relation.sources):
            if self._is_whole(relation):
                self.add(relation, relation.sources)
            else:
                self._correct(relation)
        elif (
            not relation.determines
            and type(relation).complete is not Relation.complete
            and relation.columns[-1] not in self.reached(relation.sources)
            and not (relation.lends and relation.columns[-1] in self.made_from)
        ):
            self._correct(relation)

    def _correct(self, relation: Relation) -> None:
        self.corrected.append(relation)
        self.corrected_from.setdefault(changed_by(relation), set()).update(relation.sources)

    def _clock(self, relation: Relation) -> Clock | None:
        """Return how the date is made whose hour a relation says, if it says all that the day does not."""
        if not isinstance(relation, Computed) or not relation.tells_hour:
            return None
        (date,), hour, cells = relation.sources, relation.target, self.cells
        if not (cells.is_date(date) and self.may_be_made([date], [hour])):
            return None
        moments, hours = self._values(date), numbers(self.df[hour])
        return Clock(date, hour) if (np.isnan(moments) | (moments % DAY == hours * HOUR)).all() else None

    def _is_whole(self, relation: Relation) -> bool:
        """Whether a relation gives the determined column in every row, missing cells included."""
        if isinstance(relation, Dependency) and not relation.is_single:
            return False
        (target,) = relation.determines
        try:
            made = self.cells.typed(target, self.cells.completed(relation, self.df[list(relation.sources)])[target])
        except (UserError, TypeError, ValueError):
            return False
        return bool((made.isna().to_numpy() == self.df[target].isna().to_numpy()).all())

    def add_distances(self, kept: Iterable[Relation]) -> None:
        """Let one end of an order be made from the other, first where the two are nearest: chance would break these most."""
        orders = self._orders(kept)
        lengths = {pair: self._lengths(*pair) for pair in orders}
        n_orders = Counter(itertools.chain.from_iterable(orders))
        n_values = {name: self.df[name].nunique() for name in n_orders}

        def as_base(name: Any) -> tuple[bool, bool, int]:
            """A column of few values stays as it is, as a distance it would have many; and one of many orders."""
            return name not in self.made_from, n_values[name] > _FEW_VALUES, -n_orders[name]

        for low, high in sorted(orders, key=lambda pair: _room(lengths[pair])):
            for base in sorted((low, high), key=as_base):
                made, sign = (high, 1) if base == low else (low, -1)
                if made in self.corrected_from and not self.cells.is_date(made):
                    continue  # where no other relation gives it, it may be no length at all: benchmarks/README.md
                how = orders[low, high], lengths[low, high]
                if self.may_be_made([made], [base]) and (found := self._distance(made, base, sign, *how)):
                    self.add(found, [base])
                    break

    def _orders(self, kept: Iterable[Relation]) -> dict[tuple[Any, Any], bool]:
        """Return the pairs of numbers or dates in order, and whether strictly, without those that follow from others."""
        orders = {
            pair: relation.is_strict
            for relation in kept
            if isinstance(relation, Order)
            for pair in relation.pairs
            if all(map(self.cells.is_number, pair))
        }
        for first, last in [*orders]:
            is_strict = orders[first, last]
            between = [high for low, high in orders if low == first and (high, last) in orders]
            if any(not is_strict or orders[first, name] or orders[name, last] for name in between):
                del orders[first, last]
        return orders

    def _lengths(self, low: Any, high: Any) -> NDArray[np.float64]:
        """Return the known distances of two columns in order."""
        lengths = (self._values(high) - self._values(low))[self.even]
        return lengths[~np.isnan(lengths)]

    def _distance(self, made: Any, base: Any, sign: int, strict: bool, lengths: NDArray[np.float64]) -> Distance | None:
        cells = self.cells
        start, end = self._values(base), self._values(made)
        if spread(lengths) > _WIDEST * spread(end):
            return None  # the error of a long length would be that of a short column: let the other be made, or neither
        if commonest(end[self.even]) > max(COMMON, 2 * commonest(lengths)):
            return None  # a value that many rows share (the last day of a study) would be one of many
        is_filled = bool((np.isnan(start) & ~np.isnan(end)).any())
        for name, moments in ((made, end), (base, start))[: 1 + is_filled]:
            if cells.is_date(name) and not cells.keeps_months(name) and heaps_on_months(moments // DAY):
                return None  # so would the first or last days of months be
        if len(np.unique(lengths)) > 2 * (n_values := self.df[made].nunique()) and n_values <= _FEW_VALUES:
            return None
        found = sign * (end - start)
        known = ~np.isnan(found)
        longest = ends_of_each(found[known], None if self.people is None else self.people[known])[1]
        if len(longest) < 2 * self.min_count or np.nanmax(np.abs([start, end])) > _LARGEST_EXACT:
            return None
        is_computed = any(base in made_by(step) for step in self.steps if not isinstance(step, Distance))
        if is_computed and is_filled:
            return None
        unit, decimals = None, None
        if cells.is_date(made):
            unit = next((u for u in _UNITS if not np.any(lengths % u)), None)
            unit, decimals = (1, 6) if unit is None else (unit, 0)
        else:
            both = [cells.number(name).grid.decimals for name in (made, base)]
            most = max(MAX_DECIMALS + 1 if places is None else places for places in both)
            decimals = None if most > MAX_DECIMALS else most
        least = 10.0 ** -(MAX_DECIMALS if decimals is None else decimals) if strict else 0.0
        size = unit or 1
        typical = float(np.round(np.median(lengths) / size, decimals or 0))
        reach = -shared_bound(-longest / size, self.min_count)
        return Distance(made, base, sign, unit, decimals, typical, least, reach)


def planned(
    df: pd.DataFrame, kept: Iterable[Relation], cells: Cells, min_count: int, people: People | None
) -> tuple[tuple[Step, ...], tuple[Relation, ...]]:
    """Choose what makes which column of a table in which every kept relation holds.

    Returns:
        What makes columns that are not learnt as they are; and relations that determine a column in part of the rows,
        where it is written over.
    """
    plan, kept = _Plan(df, cells, min_count, people), list(kept)
    for relation in sorted(kept, key=lambda relation: not isinstance(relation, OneHot)):
        if not relation.lends:
            plan.add_relation(relation)
    plan.add_distances(kept)
    for relation in (relation for relation in kept if relation.lends):
        plan.add_relation(relation)
    return tuple(plan.steps), tuple(plan.corrected)


def step_to_plain(step: Step, kept: tuple[Relation, ...]) -> dict[str, Any]:
    """Return a step as plain data; a relation is its place among those that are kept."""
    if isinstance(step, Relation):
        return {"relation": kept.index(step)}
    made, base, *sizes = astuple(step)
    ends = sizes.pop() or () if isinstance(step, Distance) else ()
    return {type(step).__name__.lower(): [name_to_plain(made), name_to_plain(base), *sizes, *ends]}


def relation_at(place: Any, kept: tuple[Relation, ...]) -> Relation:
    """Return the relation at a place in a file; ``ValueError`` where there is none."""
    return kept[integer(place, "relation", 0, len(kept) - 1)]


def step_from_plain(item: Any, kept: tuple[Relation, ...], cells: Cells) -> Step:
    """Read what ``step_to_plain`` wrote; ``ValueError`` on anything else."""
    check(type(item) is dict and len(item) == 1, "a step must be a distance or a relation")
    if "relation" in item:
        relation = relation_at(item["relation"], kept)
        check(isinstance(relation, OneHot) or len(relation.determines) == 1, "a step must make a column")
        return relation
    is_clock = "clock" in item
    parts = list_of(item.get("clock", item.get("distance")), "step")
    check(len(parts) in ((2,) if is_clock else (8, 10)), "a clock must have two parts, a distance eight or ten")
    made, base = (name_from_plain(name) for name in parts[:2])
    check({made, base} <= set(cells.table.names) and made != base, "a step must be between two columns")
    if is_clock:
        check(cells.is_date(made), "a clock must be of dates")
        return Clock(made, base)
    check(cells.is_number(made) and cells.is_number(base), "a distance must be between columns of numbers")
    sign, unit, decimals, *sizes = parts[2:]
    check(type(sign) is int and sign in (1, -1), "sign must be 1 or -1")
    unit = optional(unit, lambda value: integer(value, "unit", 1, 86_400))
    decimals = optional(decimals, lambda value: integer(value, "decimals", 0, MAX_DECIMALS))
    typical, least, reach = (number(value, "distance") for value in sizes[:3])
    check(math.isfinite(typical + least + reach) and least >= 0, "a distance must be finite, and at least 0")
    ends = tuple(number(value, "end") for value in sizes[3:])  # the first files have none
    check(all(map(math.isfinite, ends)), "ends must be finite")
    return Distance(made, base, sign, unit, decimals, typical, least, reach, (ends[0], ends[1]) if ends else None)
