"""A whole table as choices and numbers, and back: the transforms of its columns, and cells that equal another of their row.

It is over 450 lines because learning, coding, conditions and the file's part of a table share one list of columns.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.cells import plain_cell
from clover_tvae.columns.dtypes import located, where_of
from clover_tvae.columns.labels import read_labels
from clover_tvae.columns.people import even_rows, least_rows, people_of
from clover_tvae.columns.plain_data import check, fields, integer, list_of, name_from_plain, name_to_plain, one_of
from clover_tvae.conditions import Condition
from clover_tvae.encoded import EncodedTable, TableLayout
from clover_tvae.errors import (
    CloverWarning,
    ColumnsMismatchError,
    ConditionError,
    DataError,
    Problem,
    TooFewRowsError,
    UserError,
    did_you_mean,
    warn,
)
from clover_tvae.metadata import Column, Metadata
from clover_tvae.metadata.validate import name_problems, require_frame
from clover_tvae.transforms.categorical import KINDS, CategoricalTransform
from clover_tvae.transforms.codes import ConditionCodes, Unseen
from clover_tvae.transforms.copies import MAX_COPIES, AnyTransform, carry, find_copies, roots
from clover_tvae.transforms.identifier import IdentifierTransform
from clover_tvae.transforms.numbers import CODECS, NumberTransform
from clover_tvae.transforms.rank_codec import RankCodec


@dataclass(frozen=True, eq=False)
class TableTransform:
    """All fitted columns of a table.

    Args:
        transforms: The modelled columns, in the order of the table.
        identifiers: The columns that are made anew.
        order: Names of all columns that decoding gives, in the order of the table.
        left_out: Columns that are in the table but are not learnt, with their kind (``id`` or ``ignore``).
        numbers: How numbers are coded: ``mode``, ``rank`` or ``raw``.
        copies: For each modelled column, the columns that it may equal.

    Example:
        >>> from clover_tvae.metadata import Metadata
        >>> df = pd.DataFrame({"age": [30, 41, 30, 52], "sex": ["F", "M", None, "F"]})
        >>> metadata = Metadata.of({"continuous": ["age"], "categorical": ["sex"]})
        >>> rng = np.random.default_rng(0)
        >>> table = TableTransform.fit(df, metadata, numbers="rank", copies=False, rng=rng)
        >>> table.decode(table.encode(df, rng)).equals(df)
        True
    """

    transforms: tuple[AnyTransform, ...]
    identifiers: tuple[IdentifierTransform, ...]
    order: tuple[Hashable, ...]
    left_out: tuple[tuple[Hashable, str], ...]
    numbers: str
    copies: tuple[tuple[int, ...], ...]

    @classmethod
    def fit(
        cls,
        df: pd.DataFrame,
        metadata: Metadata,
        *,
        numbers: str = "rank",
        copies: bool = True,
        rng: np.random.Generator,
        min_count: int = 1,
        exact_values: bool = False,
        of_relations: bool = False,
        is_sample: bool = False,
    ) -> TableTransform:
        """Learn every column of a table.

        Args:
            df: The table; it is not changed.
            numbers: ``mode`` (the paper's mode-specific normalisation), ``rank`` (quantiles), or ``raw`` (as they are, for
                an engine that codes them itself).
            copies: Whether to look for columns that repeat other columns' values (only with ``rank``).
            rng: Randomness of the keys of identifiers.
            min_count: Fewest people on whom anything that is stored may rest.
            exact_values: Whether numbers and dates are stored as they are, and not as means over so many people.
            of_relations: Whether the columns are those of relations: rows are computed beyond what is learnt, so ranges end
                at round numbers outside, and nothing is told.
            is_sample: Whether the table is a sample of the rows that are to be learnt: what is told says so.

        Raises:
            DataError: Columns that cannot be learnt, all at once.
        """
        if numbers not in CODECS:
            raise ValueError(f"numbers must be one of {', '.join(CODECS)}, found {numbers!r}")
        columns = {column.name: column for column in metadata.columns}
        require_frame(df)
        DataError.raise_any(name_problems(metadata.columns, [name for name in df.columns if name in columns]))
        problems: list[Problem] = []
        if not len(df):
            raise TooFewRowsError("has no rows; there is nothing to learn from", "table")
        rows, people = df, people_of(df, metadata.unit)
        surely = least_rows(people, min_count)
        if people is not None and min_count > 1:
            # A mean over rows of so many people must not be nearly one person's.
            kept = even_rows(people, min_count)
            rows, people = df[kept], people[kept]
        least = least_rows(people, min_count)  # of numbers, on whose rows means and knots rest
        of_labels: dict[str, Any] = {"least": min_count, "people": people}
        of_numbers: dict[str, Any] = {
            "least": least, "people": people, "n_people": min_count, "exact": exact_values, "outside": of_relations
        }  # fmt: skip
        transforms: list[AnyTransform] = []
        identifiers: list[IdentifierTransform] = []
        left_out: list[tuple[Hashable, str]] = []
        folded: list[tuple[str, bool]] = []
        for name in df.columns:
            column = columns.get(name)
            try:
                if column is None or column.kind in ("id", "ignore"):
                    left_out.append((name, "ignore" if column is None else column.kind))
                    if column is not None and column.kind == "id" and column.regenerate is not None:
                        made = IdentifierTransform.fit(df[name], name, column.regenerate, column.pattern, rng)
                        identifiers.append(made)
                else:
                    transforms.append(_fit_column(rows[name], column, numbers, of_numbers, of_labels))
                    folded += _folded(df[name], transforms[-1], column, surely, min_count)
            except UserError as error:
                problems += located(error, name)
        DataError.raise_any(problems)
        if not transforms:
            raise DataError("has no column to learn: all of them are declared 'id' or 'ignore'", "table")
        if folded and not of_relations:
            cure = "merge categories, name one for the rare ones ('rest' in the metadata), or choose another min_count"
            end = f". Their rows count to what is left; {cure}" if any(is_open for _, is_open in folded) else ""
            told = "; ".join(text for text, _ in folded)
            where = f" in a sample of {len(df):,} rows" if is_sample else ""
            warn(f"held by fewer than {min_count} people{where}, and so not learnt: {told}{end}", CloverWarning)
        made_anew = {column.name for column in (*transforms, *identifiers)}
        order = tuple(plain_cell(name) for name in df.columns if name in made_anew)
        found = find_copies(transforms, rows, least) if copies and numbers == "rank" else ((),) * len(transforms)
        return cls(tuple(transforms), tuple(identifiers), order, tuple(left_out), numbers, found)

    @cached_property
    def names(self) -> tuple[Hashable, ...]:
        """The modelled columns, in the order of the table."""
        return tuple(transform.name for transform in self.transforms)

    @cached_property
    def layout(self) -> TableLayout:
        """What a network has to know of the table."""
        columns = (
            replace(transform.layout, n_choices=transform.layout.n_choices + len(copies), copies=copies)
            for transform, copies in zip(self.transforms, self.copies, strict=True)
        )
        return TableLayout(tuple(columns), self.numbers)

    def encode(self, df: pd.DataFrame, rng: np.random.Generator, unseen: Unseen = "error") -> EncodedTable:
        """Return a table as choices and numbers.

        Args:
            df: A table with the modelled columns, in any order; further columns do not matter.
            unseen: What becomes of cells that training never saw, or too few people held. ``mask``: they get choice -1, and
                so does every cell of an absent column. ``error``: they are refused, save for numbers, which take the
                nearest known value. ``fold``, for the table that was learnt: they count to the nearest, or to the others.

        Raises:
            ColumnsMismatchError: A column is absent (only with ``error``).
            DataError: Cells that cannot be encoded, for all columns at once.
        """
        layout = self.layout
        choices = np.full((len(df), layout.n_columns), -1, dtype=np.int32)
        dtype: Any = np.float64 if self.numbers == "raw" else np.float32
        scalars: NDArray[np.floating[Any]] = np.zeros((len(df), layout.n_scalars), dtype=dtype)
        spreads = np.zeros_like(scalars) if self.numbers == "rank" else None
        in_pairs = {index for pair in layout.copy_pairs for index in (pair.column, pair.source)}
        known: dict[int, NDArray[Any]] = {}
        problems: list[Problem] = []
        for i, transform in enumerate(self.transforms):
            if transform.name not in df.columns:
                if unseen != "mask":
                    message = f"is missing from the table{did_you_mean(transform.name, df.columns)}"
                    problems.append(Problem(where_of(transform.name), message, ColumnsMismatchError))
                continue
            try:
                if isinstance(transform, NumberTransform):
                    numbers, missing = transform.read(df[transform.name])
                    codes = transform.encode_numbers(numbers, missing, rng, unseen)
                    if i in in_pairs:
                        known[i] = transform.reader.to_scale(transform.grid.cast(numbers))
                else:
                    codes = transform.encode(df[transform.name], rng, unseen)
            except UserError as error:
                problems += located(error, transform.name)
                continue
            choices[:, i] = codes.choices
            if codes.scalars is not None:
                scalars[:, layout.scalar_of[i]] = codes.scalars
            if spreads is not None and codes.spreads is not None:
                spreads[:, layout.scalar_of[i]] = codes.spreads
        DataError.raise_any(problems)
        equals = None
        if layout.copy_pairs:
            equals = np.zeros((len(df), len(layout.copy_pairs)), dtype=bool)
            for p, pair in enumerate(layout.copy_pairs):
                if pair.column in known and pair.source in known:
                    both = (choices[:, pair.column] == 0) & (choices[:, pair.source] == 0)
                    equals[:, p] = both & (known[pair.column] == known[pair.source])
        return EncodedTable(choices, scalars, spreads, equals)

    def ranks(self, table: EncodedTable, rows: NDArray[Any] | slice = slice(None)) -> list[NDArray[np.float64] | None]:
        """Return, for columns of numbers, the rank of each choice that is one number, NaN of the others.

        Args:
            table: The encoded table, its numbers as ranks.
            rows: Which of its rows count.
        """
        return [
            one.codec.ranks(np.bincount(choices[rows], minlength=one.layout.n_base))
            if isinstance(one, NumberTransform) and isinstance(one.codec, RankCodec)
            else None
            for one, choices in zip(self.transforms, table.choices.T, strict=True)
        ]

    def outside(self, df: pd.DataFrame) -> dict[Any, NDArray[np.bool_]]:
        """Return which cells of each column that is there lie outside of its range, or are of no category that was learnt.

        Ranges end at means of several people, and rare categories are not learnt: some cells of the very table do, too.
        """
        cells = {}
        for transform in (transform for transform in self.transforms if transform.name in df):
            if isinstance(transform, NumberTransform):
                numbers, missing = transform.read(df[transform.name])
                inside = (numbers >= transform.grid.minimum) & (numbers <= transform.grid.maximum)
            else:
                missing = df[transform.name].isna().to_numpy()
                inside = transform.encode(df[transform.name], np.random.default_rng(0), "mask").choices >= 0
            cells[transform.name] = ~inside & ~missing
        return cells

    def nearly_seen(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        """Return which cells hold numbers less than a range's width outside of the range of their column.

        Ranges end at means of several people: theirs may lie outside.
        """
        near = np.zeros((len(df), len(self.transforms)), dtype=bool)
        for i, transform in enumerate(self.transforms):
            if isinstance(transform, NumberTransform):
                numbers, missing = transform.read(df[transform.name])
                low, high = float(transform.grid.minimum), float(transform.grid.maximum)
                near[:, i] = ~missing & (numbers >= 2 * low - high) & (numbers <= 2 * high - low)
        return near

    def decode(
        self,
        table: EncodedTable,
        rng: np.random.Generator | None = None,
        n_offset: int = 0,
        names: Collection[Hashable] | None = None,
    ) -> pd.DataFrame:
        """Return choices and numbers as a table.

        Args:
            table: Rows with a base choice in every cell. A cell whose ``equals`` flag is set takes the value of its source.
            rng: Draws UUIDs; ``None`` for the ones that belong to this transform.
            n_offset: How many rows came before these: identifiers run on from there.
            names: Decode these columns only, none of them an identifier.

        Returns:
            The columns of training in their order and dtypes, without those that are ignored.
        """
        layout = self.layout
        bases = np.array([column.n_base for column in layout.columns])
        if ((table.choices < 0) | (table.choices >= bases)).any():
            raise ValueError("every cell must hold a base choice: masked cells and copies cannot be decoded")
        copied = roots(table, layout) if table.equals is not None and len(layout.copy_pairs) else {}
        places = [i for i, transform in enumerate(self.transforms) if names is None or transform.name in names]
        givers = {int(source) for i in places if i in copied for source in np.unique(copied[i])}
        numbers = {
            i: transform.codec.decode(table.choices[:, i], self._scalars(table, i))
            for i in sorted({*places, *givers})
            if isinstance(transform := self.transforms[i], NumberTransform)
        }
        columns: dict[Hashable, pd.Series] = {}
        for i in places:
            transform = self.transforms[i]
            if isinstance(transform, CategoricalTransform):
                columns[transform.name] = transform.decode(table.choices[:, i])
                continue
            values, missing = numbers[i]
            for source in np.unique(copied[i]) if i in copied else ():
                giver = self.transforms[source]
                if source != i and isinstance(giver, NumberTransform):
                    rows = copied[i] == source
                    other, gone = numbers[int(source)]
                    values, missing = values.copy(), missing.copy()
                    values[rows] = carry(giver, transform, other[rows])
                    missing[rows] = gone[rows]
            columns[transform.name] = transform.restore(values, missing)
        for identifier in self.identifiers if names is None else ():
            columns[identifier.name] = identifier.make(len(table), n_offset, rng)
        order = [name for name in self.order if name in columns]
        # Built column by column: a dict would give odd names (numbers beside text) a common type.
        out = pd.concat([columns[name] for name in order], axis=1)
        # pandas may choose the type of the index where that changes no name.
        plain = len({type(name) for name in order}) == 1 and not isinstance(order[0], bool)
        out.columns = pd.Index(order, dtype=None if plain else object)
        return out

    def _scalars(self, table: EncodedTable, column: int) -> NDArray[Any] | None:
        """Return a column's numbers: the middle of their interval where they are only known to lie in one."""
        place = self.layout.scalar_of.get(column)
        if place is None:
            return None
        scalars = table.scalars[:, place]
        return scalars if table.spreads is None else scalars + table.spreads[:, place] / 2

    def translate(
        self, column: int, source: int, choices: NDArray[Any], scalars: NDArray[Any] | None, rng: np.random.Generator
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return cells of one column coded as cells of another: what a copy choice makes of them.

        Args:
            choices: Base choices of the source ``(rows,)``.
            scalars: Its numbers ``(rows,)``.
            rng: Draws the rank of a value that has an interval of them.

        Returns:
            Base choices and numbers of the column; choice -1 for a missing cell where the column was never missing.
        """
        giver, taker = self.transforms[source], self.transforms[column]
        if not (isinstance(giver, NumberTransform) and isinstance(taker, NumberTransform)):
            raise TypeError("only columns of numbers can be copied")
        values, missing = giver.codec.decode(np.asarray(choices), scalars)
        codes = taker.codec.encode(carry(giver, taker, values), np.zeros(len(values), dtype=bool), rng, "error")
        made = codes.choices
        made[missing] = -1 if taker.layout.missing is None else taker.layout.missing
        numbers = np.zeros(len(values), np.float32) if codes.scalars is None else codes.scalars
        if codes.spreads is not None:
            numbers = numbers + codes.spreads * rng.random(len(values), dtype=np.float32)
        has_number = (made >= 0) & (made < taker.layout.n_numbered)
        return made, np.where(has_number, numbers, np.float32(0))

    def allow(self, conditions: Mapping[Hashable, Any]) -> dict[int, ConditionCodes]:
        """Return what conditions let through.

        Args:
            conditions: Column name to condition: a value, a list of values, ``None`` for missing, or an operator and its
                values: ``(">=", 65)``, ``("between", 18, 30)``, ``("!=", "F")``, ``("not missing",)``.
                Comparisons are met by cells that are not missing only.

        Returns:
            Index of the column among the modelled ones, and its allowed choices and numbers.

        Raises:
            ConditionError: All conditions that no row can meet, or that name what training never saw.
        """
        index, left_out = {name: i for i, name in enumerate(self.names)}, dict(self.left_out)
        allowed: dict[int, ConditionCodes] = {}
        problems: list[Problem] = []
        for name, condition in conditions.items():
            try:
                if kind := left_out.get(name):
                    raise ConditionError(f"is declared '{kind}' and was not learnt; no condition can hold for it")
                if name not in index:
                    raise ConditionError(f"there is no such column{did_you_mean(name, self.names)}")
                allowed[index[name]] = self.transforms[index[name]].allow(Condition.of(condition))
            except ConditionError as error:
                problems += located(error, name)
        ConditionError.raise_any(problems)
        return allowed

    def meets(
        self, table: EncodedTable, conditions: Mapping[Hashable, Any], *, missing: bool = True
    ) -> NDArray[np.bool_]:
        """Return which encoded rows meet all conditions. **Shape** ``(rows,)``.

        Args:
            table: Rows with a base choice in every cell.
            conditions: As :meth:`allow` takes them.
            missing: Whether rows with missing cells may pass.
        """
        keep = np.ones(len(table), dtype=bool)
        for i, transform in enumerate(self.transforms):
            choices = table.choices[:, i]
            if not missing and transform.layout.missing is not None:
                keep &= choices != transform.layout.missing
            if transform.name in conditions:
                condition = Condition.of(conditions[transform.name])
                keep &= transform.meets(condition, choices, self._scalars(table, i))
        return keep

    def to_plain(self) -> dict[str, Any]:
        """Return all fitted columns as plain data."""
        return {
            "numbers": self.numbers,
            "columns": [{"kind": t.kind, "column": t.to_plain()} for t in self.transforms],
            "identifiers": [identifier.to_plain() for identifier in self.identifiers],
            "order": [name_to_plain(name) for name in self.order],
            "left_out": [[name_to_plain(name), kind] for name, kind in self.left_out],
            "copies": [list(copies) for copies in self.copies],
        }

    @classmethod
    def from_plain(cls, plain: Any) -> TableTransform:
        """Read what ``to_plain`` wrote; ``ValueError`` on anything else."""
        plain = fields(plain, ("numbers", "columns", "identifiers", "order", "left_out", "copies"), "transforms")
        numbers = one_of(plain["numbers"], CODECS, "numbers")
        transforms = [_column_from_plain(column, numbers) for column in list_of(plain["columns"], "columns")]
        identifiers = list(map(IdentifierTransform.from_plain, list_of(plain["identifiers"], "identifiers")))
        order = [name_from_plain(name) for name in list_of(plain["order"], "order")]
        left_out = []
        for pair in list_of(plain["left_out"], "left_out"):
            check(type(pair) is list and len(pair) == 2, "left_out must be pairs of a name and a kind")
            left_out.append((name_from_plain(pair[0]), one_of(pair[1], ("id", "ignore"), "kind")))
        names = [column.name for column in (*transforms, *identifiers)]
        check(len(transforms) > 0, "there must be a column")
        check(len(set(names)) == len(names) and set(names) == set(order), "order must name every column")
        learnt = {transform.name for transform in transforms}
        in_order = len(order) == len(names) and [n for n in order if n in learnt] == [t.name for t in transforms]
        check(in_order, "order must name every column once, in the order of the columns")
        copies = []
        for i, sources in enumerate(list_of(plain["copies"], "copies")):
            sources = [integer(source, "copies", 0, len(transforms) - 1) for source in list_of(sources, "copies")]
            are_others = i < len(transforms) and len(set(sources)) == len(sources) and i not in sources
            check(are_others, "copies must be of other columns")
            # Each pair becomes choices of a head and cells of a mask: without a bound a small file stands for a huge model.
            check(len(sources) <= MAX_COPIES, f"a column must copy at most {MAX_COPIES} others")
            check(not sources or numbers == "rank", "only ranks have copies")
            for j in (i, *sources) if sources else ():
                check(transforms[j].layout.n_numbered == 1, "only columns of numbers are copied")
                check(transforms[j].kind == transforms[i].kind, "only columns of one kind are copied")
            copies.append(tuple(sources))
        check(len(copies) == len(transforms), "copies must be one list a column")
        return cls(tuple(transforms), tuple(identifiers), tuple(order), tuple(left_out), numbers, tuple(copies))


def _fit_column(
    values: pd.Series, column: Column, numbers: str, of_numbers: dict[str, Any], of_labels: dict[str, Any]
) -> AnyTransform:
    if column.kind in ("continuous", "datetime"):
        options = (column.kind, *column.date_options)
        return NumberTransform.fit(values, column.name, numbers, *options, **of_numbers)
    return CategoricalTransform.fit(values, column.name, column.kind, column.order, rest=column.rest, **of_labels)


def _folded(
    values: pd.Series, made: AnyTransform, column: Column, least: int, min_count: int
) -> list[tuple[str, bool]]:
    """Say which cells of a column are held by too few people to be learnt, nothing where all are; and whether they have no category for the rest.

    Args:
        least: Fewest rows that are surely of ``min_count`` people: fewer are not told.
    """

    def told(n: int, what: str) -> str:
        some = f"fewer than {min_count}" if n < min_count else "some"
        return f"{n} {what}" if n >= least else f"{some} {what}"

    is_lost = made.layout.missing is None and values.isna().any()
    found = [(f"missing cells of {column.name!r}", True)] if is_lost else []
    if isinstance(made, CategoricalTransform) and least > 1:
        labels, counts = read_labels(values, column.name, column.kind, column.order)
        rare = [n for value, n in zip(labels.values, counts, strict=False) if made.labels.place(value) < 0]
        if rare:
            text = f"{column.name!r}: {told(len(rare), 'categories')} in {told(int(sum(rare)), 'rows')}"
            if made.rest is not None:
                text += ", which count to the one for the rest"
            elif column.rest is not None:
                text += ", too few for the one for the rest as well"
            found += [(text, made.rest is None)]
    return found


def _column_from_plain(plain: Any, numbers: str) -> AnyTransform:
    plain = fields(plain, ("kind", "column"), "column")
    kind = one_of(plain["kind"], ("continuous", "datetime", *KINDS), "kind")
    if kind not in KINDS:
        return NumberTransform.from_plain(plain["column"], numbers, kind)
    made = CategoricalTransform.from_plain(plain["column"])
    check(made.kind == kind, "the kind of a column is told in two ways")
    return made
