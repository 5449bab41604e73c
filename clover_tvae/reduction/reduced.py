"""The reduced table: what is learnt, how rows are brought back, and what of it a generator file holds.

A column that others determine is left out and computed. Of two columns in order, one is learnt as its distance from the
other. Columns of which exactly one is 1 are one choice. Whatever is drawn of the rest, every row that comes back obeys.
"""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Collection, Hashable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.people import even_rows, people_of
from clover_tvae.columns.plain_data import check, fields, list_of, name_from_plain, name_to_plain
from clover_tvae.metadata import Column, Metadata
from clover_tvae.reduction.cells import Cells
from clover_tvae.reduction.plan import (
    DAY,
    HOUR,
    Clock,
    Distance,
    Step,
    changed_by,
    in_order,
    made_by,
    planned,
    relation_at,
    step_from_plain,
    step_to_plain,
)
from clover_tvae.reduction.wholes import Whole, wholes
from clover_tvae.relations.computed import Computed, Equal, Predicate
from clover_tvae.relations.document import read_relations, write_relations
from clover_tvae.relations.groups import MissingTogether, MissingWhen, OneHot
from clover_tvae.relations.lookup import Dependency
from clover_tvae.relations.order import Order, looked_at
from clover_tvae.relations.reading import comparable, exchanged, known, labels, numbers
from clover_tvae.relations.relation import Relation
from clover_tvae.transforms import TableTransform

logger = logging.getLogger(__name__)

YES, NO = "yes", "no"
"""What a column says of a base that is missing where the column made from it is there."""


@dataclass(frozen=True, eq=False)
class Reduction:
    """How a table is reduced to what is learnt, and brought back.

    Args:
        kept: The relations that every row must keep.
        steps: What makes columns that are not learnt as they are.
        corrected: Relations that determine a column in part of the rows: it is learnt, and written over where it breaks
            them.
        gaps: Bases that are missing in rows where a column made from them is not: a column of its own says where.
        columns: How the cells of all these columns are read and written, and identifiers made.
        order: The columns that rows have when they are brought back.
        is_repair: Whether the table is learnt as it is; rows are then reduced and brought back once they are drawn.
    """

    kept: tuple[Relation, ...]
    steps: tuple[Step, ...]
    corrected: tuple[Relation, ...]
    gaps: tuple[Any, ...]
    columns: TableTransform
    order: tuple[Hashable, ...]
    is_repair: bool

    @classmethod
    def fit(
        cls,
        df: pd.DataFrame,
        metadata: Metadata,
        rng: np.random.Generator,
        *,
        is_repair: bool,
        min_count: int,
        exact_values: bool = False,
    ) -> Reduction:
        """Plan how a table is learnt.

        Args:
            is_repair: Learn the table as it is, and mend the rows that are drawn.
            min_count: Fewest people on whom a value that is stored may rest.
            exact_values: Whether the ranges of numbers are stored as they are.
        """
        amounts = {column.name for column in metadata.columns if column.kind == "continuous"}
        people = people_of(df, metadata.unit)
        even = df[even_rows(people, min_count)]
        kept = tuple(_if_shared(r, even, amounts) for r in metadata.relations or () if r.handling == "keep")
        touched = {name for relation in kept for name in relation.columns}
        declared = tuple(c for c in metadata.columns if c.name in df and (c.name in touched or not c.modelled))
        how: dict[str, Any] = {
            "numbers": "raw",
            "rng": rng,
            "min_count": min_count,
            "of_relations": True,
            "exact_values": exact_values,
        }
        columns = TableTransform.fit(df[[c.name for c in declared]], Metadata(declared, unit=metadata.unit), **how)
        modelled = {column.name for column in metadata.modelled}
        order = tuple(name for name in df.columns if name in modelled or name in columns.order)
        cells = Cells(columns)
        steps, corrected = planned(df, kept, cells, min_count, people)
        steps = tuple(
            replace(step, ends=cells.shared_ends(df, step.made, 1 if exact_values else min_count, people))
            if isinstance(step, Distance) and cells.is_date(step.made) else step
            for step in steps
        )  # fmt: skip
        plan = cls(kept, steps, corrected, (), columns, order, is_repair)
        filled = plan._with_bases(df[list(modelled)])[1]
        return replace(plan, gaps=tuple(name for name, rows in filled.items() if rows.any()))

    # -- what is made of what -----------------------------------------------------------------------------------------

    @cached_property
    def cells(self) -> Cells:
        """How cells are read and written."""
        return Cells(self.columns)

    @cached_property
    def wholes(self) -> tuple[Whole, ...]:
        """The columns that their parts tell."""
        return wholes(self.cells, self.kept)

    @cached_property
    def made(self) -> frozenset[Any]:
        """The columns that are not learnt as they are."""
        return frozenset(itertools.chain.from_iterable(map(made_by, self.steps)))

    @cached_property
    def ordered(self) -> tuple[Step, ...]:
        """What makes and what corrects columns, in the order in which rows are brought back."""
        return in_order(self.steps, self.corrected)

    @cached_property
    def written(self) -> frozenset[Any]:
        """The columns whose cells may be others than those that were drawn."""
        others = (relation.columns for relation in self.kept) if self.is_repair else ()
        return self.made | set(map(changed_by, self.corrected)) | set(itertools.chain(*others)) | set(self.gaps)

    @cached_property
    def distances(self) -> dict[Any, Distance]:
        """The columns that are learnt as a distance from another, each with how."""
        return {step.made: step for step in self.steps if isinstance(step, Distance)}

    @cached_property
    def modelled(self) -> tuple[Any, ...]:
        """The columns of the table that are modelled, in its order."""
        made_anew = {identifier.name for identifier in self.columns.identifiers}
        return tuple(name for name in self.order if name not in made_anew)

    @cached_property
    def learnt(self) -> tuple[Any, ...]:
        """The columns that are learnt, in their order."""
        return self.modelled if self.is_repair else self.reduced

    @cached_property
    def reduced(self) -> tuple[Any, ...]:
        """The columns of the reduced table, in its order."""
        stay = set(self.distances) | {step.group[0] for step in self.steps if isinstance(step, OneHot)}
        stay |= {step.made for step in self.steps if isinstance(step, Clock)}
        names = [name for name in self.modelled if name not in self.made or name in stay]
        return (*names, *map(self.flag, self.gaps))

    @cached_property
    def checked(self) -> tuple[tuple[Order | Predicate, Any], ...]:
        """What nothing but drawing anew keeps, and the column to draw: orders that no distance keeps, as another relation gives a
        column in part; and predicates of one or two columns, the last that is learnt as it is.
        """
        given = set(map(changed_by, self.corrected))
        orders = [one for one in self.kept if isinstance(one, Order) and not self.made & {*one.columns}]
        found: list[tuple[Order | Predicate, list[Any]]] = [
            (order, [name for name in order.columns if name in given]) for order in orders
        ]
        predicates = [one for one in self.kept if isinstance(one, Predicate) and len(one.columns) <= 2]
        found += [(one, [name for name in one.columns if name not in self.made]) for one in predicates]
        return tuple((relation, names[-1]) for relation, names in found if names)

    def flag(self, base: Any) -> str:
        """Return the name of the column that says where a base is missing."""
        name = f"{base} is missing"
        while name in self.order:
            name += "?"
        return name

    def metadata(self, metadata: Metadata) -> Metadata:
        """Return what each column is that is learnt."""
        if self.is_repair:
            return Metadata(metadata.modelled)
        changed = dict.fromkeys(self.distances, "continuous")
        changed |= {step.group[0]: "categorical" for step in self.steps if isinstance(step, OneHot)}
        kept = [
            Column(c.name, changed[c.name]) if c.name in changed else c  # type: ignore[arg-type]
            for c in metadata.modelled
            if c.name in self.reduced
        ]
        return Metadata((*kept, *(Column(self.flag(name), "categorical") for name in self.gaps)))

    # -- there and back -----------------------------------------------------------------------------------------------

    def reduce(self, df: pd.DataFrame, *, is_partial: bool = False, missing: bool = True) -> pd.DataFrame:
        """Return the reduced table.

        Args:
            is_partial: Whether missing cells are unknown ones, and columns may be absent.
            missing: Of partial rows: whether unknown cells may turn out to be missing.
        """
        given = df[[name for name in self.modelled if name in df]]
        whole, filled = (given, {}) if is_partial else self._with_bases(given)
        out = whole[[name for name in self.reduced if name in whole]].copy()
        for step in self.steps:
            if isinstance(step, OneHot):
                group = [name for name in step.group if name in df]
                if group:
                    hot = np.column_stack([comparable(df[name]) == 1 for name in group])
                    names = pd.Series([str(group[i]) for i in hot.argmax(axis=1)], index=df.index, dtype=object)
                    out[step.group[0]] = names.where(hot.any(axis=1), None)
            elif isinstance(step, Distance) and step.made in df:
                start = self.cells.values(whole, step.base) if step.base in whole else np.full(len(df), np.nan)
                distance = step.sign * (self.cells.values(whole, step.made) - start) / step.size
                distance = distance if step.decimals is None else np.round(distance, step.decimals)
                if self.is_repair:  # a length that nobody had is folded back into those that are
                    distance, reach = np.abs(distance), max(np.round(step.reach, step.decimals or 0), step.least, 1e-9)
                    distance = np.where(distance > reach, reach - np.abs(distance % (2 * reach) - reach), distance)
                is_whole = step.decimals == 0 and not np.isnan(distance).any()
                out[step.made] = distance.astype(np.int64) if is_whole else distance
            elif isinstance(step, Clock) and step.made in df:
                days = self.cells.values(whole, step.made) // DAY * DAY
                out[step.made] = self.cells.write(step.made, days, inside=False).set_axis(df.index)
        for name in self.gaps:
            flags = pd.Series(np.where(filled[name], YES, NO) if filled else NO, index=df.index, dtype=object)
            if is_partial and missing:
                flags = flags.where(df[name].notna() if name in df else np.zeros(len(df), dtype=bool), None)
            out[self.flag(name)] = flags
        return out

    def _with_bases(self, df: pd.DataFrame) -> tuple[pd.DataFrame, dict[Any, NDArray[np.bool_]]]:
        """Return a table with missing bases put at the typical distance from a column made from them, and where.

        They stay between all known columns that are in order with them. The column that is never far goes first, so that
        no distance becomes longer than those of known bases.
        """
        distances = self.distances.values()
        filled = {step.base: np.zeros(len(df), dtype=bool) for step in distances}
        depth: dict[Any, int] = {}
        for step in distances:
            depth[step.made] = depth.get(step.base, 0) + 1
        deepest = sorted(distances, key=lambda step: (-depth[step.made], step.reach * step.size))
        values = {name: self.cells.values(df, name) for name in {*filled, *depth}}
        low, high = dict(values), dict(values)
        for step in (*deepest, *deepest[::-1]):  # towards the root, and back
            first, last = (step.base, step.made)[:: step.sign]
            low[last] = np.fmax(low[last], low[first] + step.least * step.size)
            high[first] = np.fmin(high[first], high[last] - step.least * step.size)
        for step in deepest:
            base, end = step.base, values[step.made]
            rows = np.isnan(values[base]) & ~np.isnan(end)
            if rows.any():
                start = np.clip(end - step.sign * step.typical * step.size, *self.cells.ends(base))
                start = np.fmin(np.fmax(start, low[base]), high[base])
                for other in (other for other in distances if other.base == base):
                    start = other.base_clear_of(start, values[other.made])
                values[base] = np.where(rows, start, values[base])
                filled[base] |= rows
        df = df.copy()
        for name in (name for name, rows in filled.items() if rows.any()):
            df[name] = self.cells.write(name, values[name], inside=False).set_axis(df.index)
        return df, filled

    def restore(self, drawn: pd.DataFrame, given: pd.DataFrame | None = None) -> pd.DataFrame:
        """Return rows of the reduced table as rows of the table, without identifiers.

        Args:
            given: What was known of rows that were drawn: their other dates lie within the ends of those that were learnt. ``None``: they
                are rows of the table, brought back as they were.
        """
        out, bases = drawn.copy(), dict[Any, pd.Series]()

        def blank(name: Any) -> None:
            if name in self.gaps:
                bases[name] = out[name]
                out[name] = out[name].mask(drawn[self.flag(name)].eq(YES).fillna(False).to_numpy(dtype=bool))

        for name in set(self.gaps) - self.made:
            blank(name)
        corrected = set(map(id, self.corrected))
        for step in self.ordered:
            if isinstance(step, Distance):
                distance = drawn[step.made].to_numpy(dtype=np.float64, na_value=np.nan)
                start = self.cells.values({step.base: bases.get(step.base, out[step.base])}, step.base)  # type: ignore[arg-type]
                length = np.maximum(distance, step.least)
                if given is not None:
                    is_known = given[step.made].notna().to_numpy(dtype=bool) if step.made in given else False
                    length = np.where(is_known, length, step.inside(length, start))
                end = start + step.sign * length * step.size
                out[step.made] = self.cells.write(step.made, end).set_axis(out.index)
                blank(step.made)
            elif isinstance(step, Clock):
                moments = self.cells.values(out, step.made) + HOUR * numbers(out[step.base])
                out[step.made] = self.cells.write(step.made, moments, inside=False).set_axis(out.index)
                blank(step.made)
            elif id(step) in corrected:
                name, wrong = changed_by(step), step.breaks(out)
                if wrong.any():
                    rows = out[list(step.columns)]
                    made = step.complete(rows)[wrong] if step.lends else self.cells.completed(step, rows[wrong])
                    out[name] = out[name].copy()
                    out.loc[wrong, name] = self._cells_of(step, name, made[name])
            elif isinstance(step, OneHot):
                which = out[step.group[0]].to_numpy(dtype=object)
                for name in step.group:
                    values = np.where(pd.isna(which), np.nan, which == str(name)).astype(np.float64)
                    out[name] = self.cells.typed(name, pd.Series(values, index=out.index))
            else:
                (target,) = step.determines
                made = self.cells.completed(step, out[list(step.sources)])[target]
                if isinstance(step, Dependency) and step.table and not self.cells.may_lack(target):
                    made = made.where(made.notna(), step.table[0][-1])  # rows that the table does not tell are not kept
                out[target] = self._cells_of(step, target, made)
        return pd.DataFrame({name: out[name] for name in self.modelled})

    def _cells_of(self, relation: Relation, name: Any, made: pd.Series) -> pd.Series:
        """Return what a relation gives as cells: missing where a number that it computes is no date."""
        if isinstance(relation, Computed) and self.cells.is_packed(name):
            return self.cells.write_told(name, numbers(made)).set_axis(made.index)
        return self.cells.typed(name, made)

    # -- rows that break relations ------------------------------------------------------------------------------------

    @cached_property
    def _sure(self) -> frozenset[int]:
        """The places of look-ups that every row keeps once it is brought back."""
        return frozenset(
            i for i, relation in enumerate(self.kept)
            if isinstance(relation, Dependency) and not self.is_repair and any(relation is step for step in self.steps)
        )  # fmt: skip

    def broken(self, df: pd.DataFrame, *, is_brought_back: bool = False) -> dict[int, NDArray[np.bool_]]:
        """Return, for the place of each kept relation that a row breaks, the rows that do.

        Args:
            is_brought_back: Whether they come from ``restore``, so that some relations need not be looked at.
        """
        places = [i for i in range(len(self.kept)) if not (is_brought_back and i in self._sure)]
        table = looked_at(df, self.kept)
        every = ((i, self.kept[i].breaks(table(self.kept[i]))) for i in places)
        return {i: rows for i, rows in every if rows.any()}

    def undetermined(self, df: pd.DataFrame, given: pd.DataFrame | None = None) -> NDArray[np.bool_]:
        """Return the rows whose values of a look-up table are not in it, as too few people share them.

        Args:
            given: What was known of them: values that were asked for do not count.
        """
        rows = np.zeros(len(df), dtype=bool)
        for i, relation in enumerate(self.kept):
            if isinstance(relation, Dependency) and relation.table:
                lacks = relation.predicted(df).isna().to_numpy(dtype=bool)
                if i in self._sure:  # the table may say that the cell is missing, too
                    wrong = known(df, relation.by) & lacks
                    strange = self.unseen(df.loc[wrong, list(relation.by)])
                    wrong[wrong] = strange.get(relation.by[0], False)
                else:
                    wrong = relation.applies(df) & lacks
                if given is not None:
                    for names in (relation.by, relation.determines):
                        wrong &= ~known(given, names) if set(names) <= set(given.columns) else True
                rows |= wrong
        return rows

    def unseen(self, df: pd.DataFrame) -> dict[Any, NDArray[np.bool_]]:
        """Return, for columns of look-up tables, the rows of which known cells are in no row of the table."""
        found: dict[Any, NDArray[np.bool_]] = {}
        for step in (step for step in self.steps if isinstance(step, Dependency) and step.table):
            for names, place in ((step.by, slice(-1)), (step.determines, slice(-1, None))):
                if set(names) <= set(df.columns):
                    there = {row[place] for row in step.table or ()}
                    cells = zip(*(labels(self.cells.typed(name, df[name])) for name in names), strict=True)
                    rows = known(df, names) & np.array([cell not in there for cell in cells], dtype=bool)
                    found |= {name: found.get(name, False) | rows for name in names}
        return {name: rows for name, rows in found.items() if rows.any()}

    @cached_property
    def _told_twice(self) -> tuple[Equal, ...]:
        """Equal columns of which one is there where the other has some values, which may never be drawn exactly.

        The target, drawn as it is, then says what both are.
        """
        pairs = {(one.when, one.target) for one in self.kept if isinstance(one, MissingWhen) and not one.missing}
        return tuple(one for one in self.kept if isinstance(one, Equal) and (one.source, one.target) in pairs)

    def exchanged(self, drawn: pd.DataFrame) -> pd.DataFrame:
        """Return drawn rows in which gaps that break relations have changed places with cells that do.

        Mended row by row, gaps would only grow (two columns that are missing together, each in a third of the rows, in
        half of them) or only shrink; so no missing rate moves.
        """
        sources = {(one.source, one.target) for one in self._told_twice}
        groups = [one for one in self.kept if isinstance(one, MissingTogether) and self.is_repair]
        for one in (one for one in self.kept if isinstance(one, MissingWhen) and self.is_repair):
            there, wrong = known(drawn, [one.target]), one.breaks(drawn)
            name = one.when if (one.when, one.target) in sources else one.target
            drawn = exchanged(drawn, name, wrong & ~there, wrong & there)
        for group in sorted(groups, key=lambda group: not group.nested):  # the first of a group may lie in another
            drawn = group.exchanged(drawn)
        return drawn

    def brought_back(self, drawn: pd.DataFrame) -> pd.DataFrame:
        """Return drawn rows as rows of the table.

        A number out of its range, for which no other row lent one, is moved to the nearest end. Where the table was
        learnt as it is, a negative length becomes a positive one, what is determined is computed, and what still breaks
        a relation is moved to the nearest value that does not.
        """
        for one in self._told_twice if self.is_repair else ():
            cells = drawn[one.target].where(drawn[one.target].notna(), drawn[one.source])
            drawn = drawn.copy()
            drawn[one.source] = cells.astype(drawn[one.source].dtype)
        if self.is_repair:
            reduced = self.reduce(drawn)
            made, dates = self.restore(reduced), [name for name, step in self.distances.items() if step.ends]
            if dates:  # those that come back as they were drawn stay
                made = self.restore(reduced, drawn[dates].where(made[dates] == drawn[dates]))
        else:
            made = self.restore(drawn, drawn[[]])
        for relation in self.kept if self.is_repair else self.corrected:
            if (self.is_repair or relation.lends) and (wrong := relation.breaks(made)).any():
                mended = relation.mend(made[wrong])
                for name in relation.columns:
                    made.loc[wrong, name] = mended[name].astype(made[name].dtype)
        return made

    def changed(self, drawn: pd.DataFrame, made: pd.DataFrame) -> Counter[Any]:
        """Return how many cells of each column were mended in these rows."""
        changed = Counter[Any]()
        for name in self.modelled:
            same = (drawn[name].isna() & made[name].isna()) | (drawn[name] == made[name]).fillna(False)
            changed[name] = int((~same.to_numpy(dtype=bool)).sum())
        return +changed

    # -- the generator file's part ------------------------------------------------------------------------------------

    def to_plain(self) -> dict[str, Any]:
        """Return the plan as plain data."""
        return {
            "kept": write_relations(self.kept),
            "steps": [step_to_plain(step, self.kept) for step in self.steps],
            "corrected": [self.kept.index(relation) for relation in self.corrected],
            "gaps": [name_to_plain(name) for name in self.gaps],
            "columns": self.columns.to_plain(),
            "order": [name_to_plain(name) for name in self.order],
            "is_repair": self.is_repair,
        }

    @classmethod
    def from_plain(cls, plain: Any) -> Reduction:
        """Read what ``to_plain`` wrote; ``ValueError`` or ``MetadataError`` on anything else."""
        names = ("kept", "steps", "corrected", "gaps", "columns", "order", "is_repair")
        plain = fields(plain, names, "relations")
        columns = TableTransform.from_plain(plain["columns"])
        order = tuple(name_from_plain(name) for name in list_of(plain["order"], "order"))
        kept = read_relations(plain["kept"], columns.names)
        check(len(set(order)) == len(order) and set(columns.order) <= set(order), "order must name every column once")
        check(type(plain["is_repair"]) is bool, "is_repair must be true or false")
        cells = Cells(columns)
        steps = tuple(step_from_plain(item, kept, cells) for item in list_of(plain["steps"], "steps"))
        made = [name for step in steps for name in made_by(step)]
        check(len(set(made)) == len(made), "no column may be made twice")
        corrected = tuple(relation_at(item, kept) for item in list_of(plain["corrected"], "corrected"))
        can_correct = all(type(relation).complete is not Relation.complete for relation in corrected)
        check(can_correct, "a relation must correct a column")
        check(not any(step is relation for step in steps for relation in corrected), "a relation must make or correct")
        in_order(steps, corrected)
        gaps = [name_from_plain(name) for name in list_of(plain["gaps"], "gaps")]
        plan = cls(kept, steps, corrected, tuple(gaps), columns, order, plain["is_repair"])
        bases = {distance.base for distance in plan.distances.values()}
        check(len(set(gaps)) == len(gaps) and set(gaps) <= bases, "gaps must be of bases")
        return plan


def _if_shared(relation: Relation, df: pd.DataFrame, amounts: Collection[Any]) -> Relation:
    """Return a relation, without its look-up table where that tells of few of the rows: the others could not be drawn.

    Of categories it must tell of half the rows: those that are rare are not drawn, either. Of amounts, such as ages, which are
    all drawn, of nine in ten.
    """
    if isinstance(relation, Dependency):
        shared = relation.predicted(df).notna().to_numpy(dtype=bool)[relation.applies(df)]
        if shared.sum() < (0.9 if set(relation.by) & set(amounts) else 0.5) * len(shared):
            logger.warning(
                "The relation '%s' is left to the network: too few rows share its values to be surely of min_count people",
                relation,
            )
            return relation.model_copy(update={"table": ()})
    return relation
