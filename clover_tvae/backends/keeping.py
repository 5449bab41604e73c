"""A backend whose rows keep the relations of the metadata: around any other, which learns a reduced table.

What the reduction cannot make true (a predicate) is drawn again, row by row, until less than one row in
2 x :data:`DRAWS_A_ROW` is found. Around SDV and the paper's decoder, which are there to be compared,
the table is learnt as it is, and cells that break a relation are mended afterwards and counted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from typing_extensions import Self

from clover_tvae.backends.completing import ROUNDS, completed
from clover_tvae.backends.protocol import Backend, ReadsRows, never_seen, reading, refuse_unknown, require_columns
from clover_tvae.backends.redrawing import BLOCK, draw_inside, draw_what_is_there
from clover_tvae.columns.dtypes import where_of, with_cells
from clover_tvae.conditions import Condition, conditions_of
from clover_tvae.errors import (
    CloverWarning,
    ConditionError,
    CorruptArtifactError,
    NotFittedError,
    Problem,
    data_rows,
    warn,
)
from clover_tvae.metadata import Column, Metadata
from clover_tvae.reduction import Reduction
from clover_tvae.reduction.asked import translated
from clover_tvae.relations.computed import Computed
from clover_tvae.relations.groups import MissingWhen
from clover_tvae.relations.reading import comparable, known
from clover_tvae.relations.relation import Relation
from clover_tvae.seeds import Draw, Fit, Read, child, generator
from clover_tvae.tables import Beyond
from clover_tvae.transforms import TableTransform

if TYPE_CHECKING:
    from clover_tvae.backends.native import NativeBackend

#: Half of the rows that are drawn at most for each one that is found, beyond the first :data:`_LEAST_DRAWS`. It knows nothing of
#: how many are asked for, as a longer table must begin with the shorter one.
DRAWS_A_ROW = 100
_LEAST_DRAWS = 20_000
_LARGEST_BLOCK = 65_536
#: Rows given out that have a seed of their own: whoever wants later ones draws none before them.
STRETCH_ROWS = 16_384
_WHOLE_STRETCH = (STRETCH_ROWS // BLOCK).bit_length() - 1

#: Numbers are kept in here where drawn rows are judged.
_HIGHEST = float(np.finfo(np.float32).max)
#: The column of the reduced table that tells people apart; it is not learnt.
_UNIT = "\x00unit"


def keep_relations(backend: Backend, metadata: Metadata) -> Backend:
    """Return a backend whose rows keep the relations of the metadata, or the backend itself where there are none."""
    inner = backend.inner if isinstance(backend, KeepingBackend) else backend
    if not any(relation.handling == "keep" for relation in metadata.relations or ()):
        return inner
    return (_KeepingReader if isinstance(inner, ReadsRows) else KeepingBackend)(inner)


class KeepingBackend(Backend):
    """Around a backend that can only draw.

    Args:
        inner: The backend that learns the reduced table.
        reduction: How that table is brought back; ``None`` before a table is learnt.
    """

    def __init__(self, inner: Backend, reduction: Reduction | None = None) -> None:
        self.inner, self.name, self._reduction = inner, inner.name, reduction
        self._mended, self._is_prepared = Counter[Any](), False

    @property
    def parameters(self) -> dict[str, Any]:
        return self.inner.parameters

    @property
    def history(self) -> list[dict[str, float]]:
        return self.inner.history

    @property
    def facts(self) -> dict[str, Any]:
        return self.inner.facts

    @property
    def held_out(self) -> NDArray[np.int64]:
        return self.inner.held_out

    @property
    def transform(self) -> TableTransform:
        return self.inner.transform

    @property
    def kinds(self) -> dict[Hashable, str]:
        learnt, columns = self.inner.kinds, self.reduction.columns
        whole = {column.name: column.kind for column in columns.transforms} | dict(columns.left_out)
        names = set(self.reduction.modelled) - set(whole)
        return {name: kind for name, kind in learnt.items() if name in names} | whole

    @property
    def mended_cells(self) -> Counter[Any]:
        return self._mended

    @property
    def reduction(self) -> Reduction:
        """How the table is reduced."""
        if self._reduction is None:
            raise NotFittedError
        return self._reduction

    def sigmas(self) -> dict[Hashable, list[float]]:
        return self.inner.sigmas()

    def set_device(self, device: str) -> None:
        self.inner.set_device(device)

    def _reduced(
        self, df: pd.DataFrame, metadata: Metadata, seed: np.random.SeedSequence
    ) -> tuple[pd.DataFrame, Metadata]:
        if not self._is_prepared:
            is_repair = self.inner.name != "native" or self.inner.parameters.get("decoder") != "autoregressive"
            rng = generator(seed, Fit.RELATIONS)
            self._reduction = Reduction.fit(
                df,
                metadata,
                rng,
                is_repair=is_repair,
                min_count=self.parameters["min_count"],
                exact_values=self.parameters.get("exact_values", False),
            )
        described = self.reduction.metadata(metadata)
        if metadata.unit is not None:
            described = replace(described, columns=(*described.columns, Column(_UNIT, "id")), unit=_UNIT)
        return self._reduced_rows(df, metadata.unit), described

    def _reduced_rows(self, df: pd.DataFrame, unit: Hashable | None) -> pd.DataFrame:
        plan = self.reduction
        reduced = df[list(plan.modelled)] if plan.is_repair else plan.reduce(df)
        # Training is to hold people out, not rows.
        return reduced if unit is None else reduced.assign(**{_UNIT: df[unit].to_numpy()})

    def fit(
        self,
        df: pd.DataFrame,
        metadata: Metadata,
        *,
        seed: np.random.SeedSequence,
        beyond: Beyond | None = None,
        **how: Any,
    ) -> Self:
        reduced, described = self._reduced(df, metadata, seed)
        self._is_prepared, broken = False, Counter[str]()

        def unbroken(rows: pd.DataFrame) -> pd.DataFrame:
            keep = np.ones(len(rows), dtype=bool)
            broken.update(self._left_out(rows, keep))
            return self._reduced_rows(rows[keep], metadata.unit)

        self.inner.fit(reduced, described, seed=seed, beyond=beyond and beyond.mapped(unbroken), **how)
        if broken:
            told = "; ".join(f"{relation}: {n:,}" for relation, n in broken.items())
            text = f"rows beyond the sample break relations that hold in all of it, and were not learnt: {told}"
            warn(text, CloverWarning)
        return self

    def _left_out(
        self, rows: pd.DataFrame, keep: NDArray[np.bool_], *, is_brought_back: bool = False
    ) -> dict[str, int]:
        """Take the rows that break a relation out of those to ``keep``; return how many for each relation."""
        found = {}
        for i, wrong in self.reduction.broken(rows, is_brought_back=is_brought_back).items():
            found[str(self.reduction.kept[i])] = int((wrong & keep).sum())
            keep &= ~wrong
        return found

    def _identified(self, rows: pd.DataFrame, first_id: int, rng: np.random.Generator) -> pd.DataFrame:
        """Return rows with their identifiers, in the order of the table."""
        for identifier in self.reduction.columns.identifiers:
            rows[identifier.name] = identifier.make(len(rows), first_id, rng).set_axis(rows.index)
        return rows[list(self.reduction.order)]

    # -- drawing ------------------------------------------------------------------------------------------------------

    def sample_frames(self, n_rows: int, **how: Any) -> Iterator[pd.DataFrame]:
        return self.sample_rest(0, n_rows, **how)

    def sample_rest(
        self, skip: int, n_rows: int, *, seed: np.random.SeedSequence, first_id: int = 0, **how: Any
    ) -> Iterator[pd.DataFrame]:
        """Yield rows of the endless table: stretches of :data:`STRETCH_ROWS`, each with its own seed."""
        start = skip - skip % STRETCH_ROWS
        while start < n_rows or start == n_rows == 0:
            own = child(seed, Draw.STRETCH, start // STRETCH_ROWS) if start else seed
            # Whoever asks for more than a stretch is given it at once; few rows begin with a small block.
            first = _WHOLE_STRETCH if start else 0
            for rows in self._stretch(min(STRETCH_ROWS, n_rows - start), own, first, **how):
                start += len(rows)
                if start > skip or n_rows == 0:
                    left_out = max(0, skip - (start - len(rows)))
                    given = rows.iloc[left_out:].reset_index(drop=True)
                    # One generator for all frames: identifiers then depend on the row's number alone.
                    yield self._identified(given, first_id + start - len(given), generator(seed, Draw.CELLS))
            if n_rows == 0:
                return

    def _stretch(
        self,
        n_rows: int,
        seed: np.random.SeedSequence,
        block: int = 0,
        *,
        conditions: Mapping[Any, Any] | None = None,
        decode: str | None = None,
        missing: bool = True,
        **how: Any,
    ) -> Iterator[pd.DataFrame]:
        """Yield the first ``n_rows`` rows of a stretch, without identifiers; the first ``block`` holds ``BLOCK * 2**block`` rows."""
        plan, conditions, how = self.reduction, conditions or {}, how | {"decode": decode, "missing": missing}
        inner, outer = translated(plan, conditions, missing=missing)
        place, n_drawn, broken = 0, 0, Counter[str]()
        values = conditions_of(conditions)
        given = values if plan.distances.keys() & set(values) else {}  # one value of a distance is rarely drawn
        for rows in self._from_values(n_rows, given, seed, **how):
            yield rows
            place += len(rows)
        first = block = max(block, int(place > 0))
        while place < n_rows or (place == 0 and block == first):
            if n_drawn >= _LEAST_DRAWS and n_drawn > 2 * DRAWS_A_ROW * place:
                try:
                    rest = list(self._from_values(n_rows - place, values, seed, **how))
                except ConditionError:
                    rest = []
                if not rest:
                    raise ConditionError(_too_few(place, n_rows, n_drawn, broken))
                yield from rest
                return
            size = min(BLOCK * 2**block, _LARGEST_BLOCK)
            rate, left = max(place / n_drawn, 1e-3) if n_drawn else 1.0, n_rows - place
            enough = (left + 3 * math.sqrt(left * (1 - rate))) / rate  # with a probability of 0.999
            wanted = min(size, BLOCK * math.ceil(enough / BLOCK))
            for asked in dict.fromkeys((wanted, size)):  # the rows of fewer are the first of more
                frames = self.inner.sample_frames(asked, seed=child(seed, Draw.ROWS, block), conditions=inner, **how)
                drawn = pd.concat(list(frames), ignore_index=True)
                drawn = self._drawn_again(drawn, child(seed, Draw.AGAIN, block), decode)
                rows = plan.brought_back(plan.exchanged(drawn))
                kept, found = self._accepted(rows, outer, missing)
                if len(kept) >= n_rows - place or asked == size:
                    break
            broken += found
            n_drawn, block = n_drawn + len(rows), block + 1
            kept = kept.iloc[: n_rows - place]
            if plan.is_repair:
                self._mended += plan.changed(drawn.loc[kept.index], kept)
            if len(kept) or n_rows == 0:
                yield kept.reset_index(drop=True)
            place += len(kept)

    def _from_values(
        self, n_rows: int, asked: Mapping[Any, Condition], seed: Any, **how: Any
    ) -> Iterator[pd.DataFrame]:
        """Yield all rows completed from single values that are asked for; none where this cannot be done."""
        yield from ()

    def _drawn_again(self, drawn: pd.DataFrame, seed: np.random.SeedSequence, decode: str | None) -> pd.DataFrame:
        """Return rows with cells that other rows would have to lend drawn again, where the backend can."""
        return drawn

    def _accepted(
        self, rows: pd.DataFrame, conditions: Mapping[Any, Any], missing: bool
    ) -> tuple[pd.DataFrame, Counter[str]]:
        """Return rows without those that break a relation or a condition; and what was broken."""
        plan, found = self.reduction, Counter[str]()
        keep = plan.cells.meets(rows, conditions)
        if not missing:
            keep &= rows.notna().to_numpy(dtype=bool).all(axis=1)
        if not keep.all():
            beside = "; ".join(str(relation) for relation in plan.kept if set(relation.columns) & set(conditions))
            found["the conditions" + f", which must fit {beside}" * bool(beside)] = int((~keep).sum())
        if (rare := plan.undetermined(rows)).any():
            found["what a look-up table says of values that many people share"] = int((rare & keep).sum())
            keep &= ~rare
        for step in (one for one in plan.steps if isinstance(one, Computed) and plan.cells.is_packed(one.target)):
            lost = rows[step.target].isna().to_numpy(dtype=bool) & ~np.isnan(step.exact(rows))
            if lost.any():
                found[f"{step}, which must be a date"] = int((lost & keep).sum())
                keep &= ~lost
        found.update(self._left_out(rows, keep, is_brought_back=True))
        return rows[keep], found

    # -- the generator file's parts -----------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        return {**self.inner.state(), "relations": self.reduction.to_plain()}

    @classmethod
    def around(cls, inner: Backend, plain: Any) -> KeepingBackend:
        """Return a backend around a fitted one, with the part ``relations`` of its generator file."""
        with reading("relations"):
            reduction = Reduction.from_plain(plain)
        learnt = {name for name, kind in inner.kinds.items() if kind not in ("id", "ignore")}
        if learnt != set(reduction.learnt):
            raise CorruptArtifactError("the file's relations and its transforms do not belong together")
        return (_KeepingReader if isinstance(inner, ReadsRows) else cls)(inner, reduction)


class _KeepingReader(KeepingBackend, ReadsRows):
    """Around a backend that reads rows, too."""

    def __init__(self, inner: Backend, reduction: Reduction | None = None) -> None:
        super().__init__(inner, reduction)
        cast("NativeBackend", inner).beside = self._numbers

    def _numbers(self, drawn: pd.DataFrame) -> NDArray[np.float32]:
        """Return the numbers and dates that relations speak of, in rows of the reduced table: errors add up in what is computed."""
        rows, columns = self.reduction.restore(drawn), self.reduction.columns.transforms
        found = [_as_floats(rows[one.name]) for one in columns if one.kind in ("continuous", "datetime")]
        return np.column_stack([*found, np.zeros((len(rows), 0), np.float32)])

    @property
    def _reader(self) -> ReadsRows:
        return cast("ReadsRows", self.inner)

    def prepare(
        self, df: pd.DataFrame, metadata: Metadata, *, seed: np.random.SeedSequence, is_sample: bool = False
    ) -> None:
        reduced, described = self._reduced(df, metadata, seed)
        self._reader.prepare(reduced, described, seed=seed, is_sample=is_sample)
        self._is_prepared = True

    def check_conditions(self, conditions: Mapping[Hashable, Any]) -> None:
        if self._reduction is not None:
            self._reader.check_conditions(translated(self.reduction, conditions)[0])

    def _from_values(
        self, n_rows: int, asked: Mapping[Any, Condition], seed: Any, steps: int | None = None, **how: Any
    ) -> Iterator[pd.DataFrame]:
        plan = self.reduction
        if not asked or not all(c.form == "in" and len(c.values) == 1 and not c.missing for c in asked.values()):
            return
        for block, start in enumerate(range(0, n_rows, BLOCK)):
            given = pd.DataFrame(index=range(BLOCK))
            for name, condition in asked.items():
                is_number = name in plan.written and plan.cells.is_number(name)
                value = np.full(1, plan.cells.ends(name, condition)[0]) if is_number else None
                cell = condition.values[0] if value is None else plan.cells.write(name, value).iloc[0]
                given[name] = [cell] * BLOCK
            rows = self.complete(given, seed=child(seed, Draw.ROWS, block), **how)
            yield rows.iloc[: n_rows - start].copy()

    def _drawn_again(self, drawn: pd.DataFrame, seed: np.random.SeedSequence, decode: str | None) -> pd.DataFrame:
        plan = self.reduction
        if plan.is_repair:
            return drawn
        draw_inside(plan, cast("NativeBackend", self.inner), drawn, seed, decode)  # no other learns a reduced table
        whens = (one for one in plan.corrected if isinstance(one, MissingWhen))
        for i, relation in enumerate(one for one in whens if one.when not in plan.made and one.target in drawn):
            draw_what_is_there(plan, self._reader, drawn, relation, seed, i)
        return drawn

    def complete(
        self,
        df: pd.DataFrame,
        *,
        seed: np.random.SeedSequence,
        missing: bool = True,
        decode: str | None = None,
        first_id: int = 0,
    ) -> pd.DataFrame:
        """Draw the empty cells of ``df`` and the columns that it lacks, so that every row keeps the relations.

        Raises:
            ConditionError: Known cells break a relation, or no draw fits them.
        """
        plan = self.reduction
        self._check_known(df)

        def fill(partial: pd.DataFrame, seed: np.random.SeedSequence) -> pd.DataFrame:
            return self._reader.complete(partial, seed=seed, missing=missing, decode=decode)

        given = df.reset_index(drop=True)
        out, left, places = completed(plan, self.inner, given, fill, seed, missing=missing)
        if left:
            raise ConditionError(self._no_room(given.iloc[places], places, left))
        for name in plan.distances.keys() & {*df.columns}:  # a base plus a distance is off by the last digit of a float
            if isinstance(out[name].dtype, np.dtype) and out[name].dtype.kind == "f":
                out[name] = df[name].reset_index(drop=True).astype(out[name].dtype).fillna(out[name])
        return self._identified(out, first_id, generator(seed, Read.CELLS))

    def _check_known(self, df: pd.DataFrame) -> None:
        refuse_unknown(df, self.reduction.modelled)
        unseen = self.reduction.unseen(df)
        problems = never_seen({name: np.flatnonzero(cells).tolist() for name, cells in unseen.items()})
        for relation in self.reduction.kept:
            if set(relation.columns) <= set(df.columns):
                wrong = relation.breaks(df) & known(df, relation.columns)
                if wrong.any():
                    text = f"{int(wrong.sum())} rows contradict the relation {relation}"
                    told = f"{text} ({data_rows(np.flatnonzero(wrong).tolist())})"
                    problems.append(Problem(where_of(relation.columns[-1]), told))
        ConditionError.raise_any(problems)

    def _no_room(self, rows: pd.DataFrame, places: NDArray[np.int64], left: Sequence[Relation]) -> list[Problem]:
        """Say why partial rows, at these places of the user's table, leave no room: cells outside of what was learnt, or a contradiction."""
        names, rest, problems = {name for one in left for name in one.columns}, np.ones(len(rows), dtype=bool), []
        why = f"leaves no room for {', '.join(map(str, left))}"
        for name, outside in self.reduction.cells.table.outside(rows[[n for n in rows if n in names]]).items():
            if outside.any():
                text = f"{int(outside.sum())} known cells lie outside of what was learnt"
                told = f"{text} ({data_rows(places[outside].tolist())}), which {why}"
                problems.append(Problem(where_of(name), f"{told}; leave them empty to have them drawn"))
                rest &= ~outside
        if rest.any():
            text = f"must be partial rows that can be completed, found {int(rest.sum())} that cannot"
            told = f"{text} ({data_rows(places[rest].tolist())}): what is known of them {why} within the ranges that were learnt"
            problems.append(Problem("table", told))
        return problems

    def impute(
        self, df: pd.DataFrame, *, seed: np.random.SeedSequence, may_lack: Collection[Hashable] = ()
    ) -> pd.DataFrame:
        """Fill the missing cells of ``df`` so that every row keeps the relations that its known cells keep.

        A cell that a relation says must be missing stays so. A value that no look-up knows stays, and tells nothing of
        other cells. Warns of both, and of rows that were filled but break a relation.
        """
        plan = self.reduction
        names = list(plan.modelled)
        require_columns(df, names)
        rows = np.flatnonzero(df[names].isna().to_numpy(dtype=bool).any(axis=1))
        out = df.copy()
        if not len(rows):
            return out
        given = df.iloc[rows][names].reset_index(drop=True)
        unseen = plan.unseen(given)
        for name, cells in unseen.items():
            given[name] = given[name].mask(cells)
        cure = "they stay, and tell nothing of other cells; mend them, or leave them empty to have them filled"
        told = list(map(str, never_seen({name: rows[cells].tolist() for name, cells in unseen.items()}, cure)))

        def fill(part: pd.DataFrame, of: np.random.SeedSequence) -> pd.DataFrame:
            # What says where a cell is missing is filled first: a cell that must not be missing would decide it.
            for i, relation in enumerate(one for one in plan.corrected if isinstance(one, MissingWhen)):
                rows = np.flatnonzero(part.reindex(columns=relation.columns).isna().all(axis=1))
                if len(rows) and not plan.made & {relation.when}:
                    first = self._reader.impute(part.iloc[rows], seed=child(of, ROUNDS, i), may_lack=[relation.target])
                    part = part.copy()
                    part[relation.when] = with_cells(part[relation.when], rows, first[relation.when])
            return self._reader.impute(part, seed=of, may_lack=may_lack)

        full, left, places = completed(plan, self.inner, given, fill, seed, missing=False, beyond=True)
        if left:
            told += map(str, self._no_room(given.iloc[places], rows[places], left))
            told.append("these rows are filled all the same")
        if told:
            warn("; ".join(told), CloverWarning)
        for name in names:
            gaps = df[name].iloc[rows].isna().to_numpy(dtype=bool)
            if gaps.any():
                out[name] = with_cells(out[name], rows[gaps], full[name].iloc[np.flatnonzero(gaps)])
        return out

    def outside(self, df: pd.DataFrame) -> dict[Hashable, int]:
        return self._reader.outside(self._as_learnt(df))

    def encode(self, df: pd.DataFrame) -> pd.DataFrame:
        return self._reader.encode(self._as_learnt(df))

    def _as_learnt(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return rows as the backend that learnt reads them."""
        require_columns(df, self.reduction.modelled)
        return df if self.reduction.is_repair else self.reduction.reduce(df)

    def reconstruct(self, df: pd.DataFrame, *, seed: np.random.SeedSequence) -> pd.DataFrame:
        made = self.reduction.brought_back(self._reader.reconstruct(self._as_learnt(df), seed=seed))
        return self._identified(made, 0, generator(seed, Read.CELLS))

    def anomaly_scores(
        self, df: pd.DataFrame, *, seed: np.random.SeedSequence, most_parts: int | None = None
    ) -> pd.DataFrame:
        """Return how odd every row and every cell is, and in ``breaks`` the relations that a row breaks.

        A relation that is broken counts as much as a value that was never seen, shared by its columns; a cell that is
        computed from others adds nothing else.
        """
        plan = self.reduction
        scores = self._reader.anomaly_scores(self._as_learnt(df), seed=seed, most_parts=most_parts)
        cells = scores.iloc[:, 1:].reindex(columns=list(plan.modelled)).fillna(0.0)
        texts = np.full(len(df), "", dtype=object)
        for i, rows in plan.broken(df).items():
            relation = plan.kept[i]
            texts[rows] = [f"{text}; {relation}" if text else str(relation) for text in texts[rows]]
            cost = math.log(self.facts["rows"] + 1.0) / len(relation.columns)
            cells.loc[rows, list(relation.columns)] += cost
        cells.insert(0, "score", cells.sum(axis=1), allow_duplicates=True)
        cells.insert(len(cells.columns), "breaks", texts, allow_duplicates=True)
        return cells


def _too_few(n_found: int, n_rows: int, n_drawn: int, broken: Counter[str]) -> str:
    worst = "; ".join(f"{n:,} rows broke {what}" for what, n in broken.most_common(3))
    return (
        f"{n_found:,} of the {n_rows:,} rows wanted were found among {n_drawn:,} rows drawn: {worst}. Drop or widen the "
        "condition, or let the relation be learnt (handling: learn)"
    )


def _as_floats(cells: pd.Series) -> NDArray[np.float32]:
    """Return numbers, or dates in seconds, as floats; the lowest one for what is missing."""
    numbers = np.asarray(comparable(cells), dtype=np.float64)
    return np.where(np.isnan(numbers), -_HIGHEST, numbers.clip(-_HIGHEST, _HIGHEST)).astype(np.float32)
