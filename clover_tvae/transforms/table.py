"""A whole table as choices and numbers, and back.

This module knows the columns' transforms, their order, and cells that equal another cell of their row. It knows no
network: what it writes is an ``EncodedTable``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.dtypes import where_of
from clover_tvae.columns.plain_data import check, fields, integer, list_of, name_from_plain, name_to_plain, one_of
from clover_tvae.conditions import Condition
from clover_tvae.encoded import EncodedTable, TableLayout
from clover_tvae.errors import (
    ColumnsMismatchError,
    ConditionError,
    DataError,
    DuplicateColumnsError,
    Problem,
    TooFewRowsError,
    UserError,
    did_you_mean,
)
from clover_tvae.transforms.categorical import CategoricalTransform
from clover_tvae.transforms.column import ColumnCodes, ConditionCodes, Unseen
from clover_tvae.transforms.continuous import ContinuousTransform
from clover_tvae.transforms.copies import MAX_COPIES, AnyTransform, carry, comparable, find_copies, roots
from clover_tvae.transforms.datetime import DatetimeTransform
from clover_tvae.transforms.identifier import IdentifierTransform

__all__ = ["TableTransform"]


@dataclass(frozen=True, eq=False)
class TableTransform:
    """All fitted columns of a table.

    Args:
        transforms: The modelled columns, in the order of the table.
        identifiers: The columns that are made anew.
        order: Names of all columns that decoding gives, in the order of the table.
        left_out: Columns that are in the table but are not learnt, with their kind (``id`` or ``ignore``).
        numbers: ``mode`` or ``rank``.
        copies: For each modelled column, the columns that it may equal.

    Example:
        >>> from types import SimpleNamespace as Column
        >>> df = pd.DataFrame({"age": [30, 41, 30, 52], "sex": ["F", "M", None, "F"]})
        >>> metadata = Column(columns=(Column(name="age", kind="continuous"), Column(name="sex", kind="categorical")))
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
        cls, df: pd.DataFrame, metadata: Any, *, numbers: str = "rank", copies: bool = True, rng: np.random.Generator
    ) -> TableTransform:
        """Learn every column of a table.

        Args:
            df: The table; it is not changed.
            metadata: What each column is.
            numbers: ``mode`` (the paper's mode-specific normalisation) or ``rank`` (quantiles).
            copies: Whether to look for columns that repeat other columns' values (only with ``rank``).
            rng: Randomness of the keys of identifiers.

        Raises:
            DataError: Columns that cannot be learnt, all at once.
        """
        if numbers not in ("mode", "rank"):
            raise ValueError(f"numbers must be 'mode' or 'rank', found {numbers!r}")
        if not df.columns.is_unique:
            n = int(df.columns.duplicated().sum())
            raise DuplicateColumnsError(f"{n} column names occur more than once; rename them")
        columns = {column.name: column for column in metadata.columns}
        if absent := [name for name in columns if name not in df.columns]:
            raise ColumnsMismatchError(
                [
                    Problem(where_of(name), "is in the metadata but not in the table", ColumnsMismatchError)
                    for name in absent
                ]
            )
        if odd := [name for name in df.columns if not isinstance(name, (str, int, float, np.integer, np.floating))]:
            kinds = ", ".join(sorted({type(name).__name__ for name in odd}))
            raise DataError(f"{len(odd)} column names are of type {kinds}; rename the columns to text or numbers")
        if not len(df):
            raise TooFewRowsError("the table has no rows; there is nothing to learn from")
        transforms: list[AnyTransform] = []
        identifiers: list[IdentifierTransform] = []
        order: list[Hashable] = []
        left_out: list[tuple[Hashable, str]] = []
        problems: list[Problem] = []
        for name in df.columns:
            column = columns.get(name)
            kind = "ignore" if column is None else column.kind
            try:
                if kind in ("id", "ignore"):
                    left_out.append((name, kind))
                    regenerate = getattr(column, "regenerate", None)
                    if kind == "ignore" or regenerate is None:
                        continue
                    pattern = getattr(column, "pattern", None)
                    identifiers.append(IdentifierTransform.fit(df[name], name, regenerate, pattern, rng))
                else:
                    transforms.append(_fit_column(df[name], column, numbers))
                order.append(name)
            except UserError as error:
                problems += [
                    Problem(p.where or where_of(name), p.message, p.kind or type(error)) for p in error.problems
                ]
        if problems:
            raise DataError.of(problems)
        if not transforms:
            raise DataError("the table has no column to learn: all of them are declared 'id' or 'ignore'")
        made = cls(
            tuple(transforms), tuple(identifiers), tuple(order), tuple(left_out), numbers, tuple(() for _ in transforms)
        )
        if copies and numbers == "rank":
            pairs = find_copies(made.transforms, df)
            made = cls(made.transforms, made.identifiers, made.order, made.left_out, numbers, pairs)
        return made

    @cached_property
    def names(self) -> tuple[Hashable, ...]:
        """The modelled columns, in the order of the table."""
        return tuple(transform.name for transform in self.transforms)

    @cached_property
    def layout(self) -> TableLayout:
        """What a network has to know of the table."""
        columns = []
        for transform, copies in zip(self.transforms, self.copies, strict=True):
            base = transform.layout
            columns.append(type(base)(base.n_choices + len(copies), base.n_numbered, base.missing, copies))
        return TableLayout(tuple(columns), self.numbers)

    def encode(self, df: pd.DataFrame, rng: np.random.Generator, unseen: Unseen = "error") -> EncodedTable:
        """Return a table as choices and numbers.

        Args:
            df: A table with the modelled columns, in any order; further columns do not matter.
            rng: Draws the modes of a mixture.
            unseen: What becomes of cells that training never saw. ``mask``: they get choice -1, and so does every cell
                of an absent column. ``error``: they are refused, save for numbers, which take the nearest known value.

        Raises:
            ColumnsMismatchError: A column is absent (only with ``error``).
            DataError: Cells that cannot be encoded, for all columns at once.
        """
        layout = self.layout
        choices = np.full((len(df), layout.n_columns), -1, dtype=np.int32)
        scalars = np.zeros((len(df), layout.n_scalars), dtype=np.float32)
        spreads = np.zeros_like(scalars) if self.numbers == "rank" else None
        place = {column: s for s, column in enumerate(layout.scalar_columns)}
        wanted = {index for pair in layout.copy_pairs for index in (pair.column, pair.source)}
        known: dict[int, NDArray[Any]] = {}
        problems: list[Problem] = []
        for i, transform in enumerate(self.transforms):
            if transform.name not in df.columns:
                if unseen == "error":
                    message = f"is missing from the table{did_you_mean(transform.name, df.columns)}"
                    problems.append(Problem(where_of(transform.name), message, ColumnsMismatchError))
                continue
            try:
                codes, numbers = _encode_column(transform, df[transform.name], rng, unseen)
            except UserError as error:
                problems += [Problem(p.where, p.message, p.kind or type(error)) for p in error.problems]
                continue
            choices[:, i] = codes.choices
            if i in place and codes.scalars is not None:
                scalars[:, place[i]] = codes.scalars
                if spreads is not None and codes.spreads is not None:
                    spreads[:, place[i]] = codes.spreads
            if i in wanted and numbers is not None:
                known[i] = comparable(transform, numbers)
        if problems:
            raise DataError.of(problems)
        equals = None
        if layout.copy_pairs:
            equals = np.zeros((len(df), len(layout.copy_pairs)), dtype=bool)
            for p, pair in enumerate(layout.copy_pairs):
                if pair.column in known and pair.source in known:
                    both = (choices[:, pair.column] == 0) & (choices[:, pair.source] == 0)
                    equals[:, p] = both & (known[pair.column] == known[pair.source])
        return EncodedTable(choices, scalars, spreads, equals)

    def decode(self, table: EncodedTable, rng: np.random.Generator | None = None, n_offset: int = 0) -> pd.DataFrame:
        """Return choices and numbers as a table.

        Args:
            table: Rows with a base choice in every cell. A cell whose ``equals`` flag is set takes the value of its source.
            rng: Draws UUIDs; ``None`` for the ones that belong to this transform.
            n_offset: How many rows came before these: identifiers run on from there.

        Returns:
            The columns of training in their order and dtypes, without those that are ignored.
        """
        layout = self.layout
        bases = np.array([column.n_base for column in layout.columns])
        if ((table.choices < 0) | (table.choices >= bases)).any():
            raise ValueError("every cell must hold a base choice: masked cells and copies cannot be decoded")
        place = {column: s for s, column in enumerate(layout.scalar_columns)}
        copied = roots(table, layout) if table.equals is not None and len(layout.copy_pairs) else {}
        numbers: dict[int, tuple[NDArray[Any], NDArray[np.bool_]]] = {}

        def number(i: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
            if i not in numbers:
                transform = self.transforms[i]
                assert not isinstance(transform, CategoricalTransform)
                numbers[i] = transform.codec.decode(table.choices[:, i], self._scalars(table, place.get(i)))
            return numbers[i]

        columns: dict[Hashable, pd.Series] = {}
        for i, transform in enumerate(self.transforms):
            if isinstance(transform, CategoricalTransform):
                columns[transform.name] = transform.decode(table.choices[:, i])
                continue
            values, missing = number(i)
            for source in np.unique(copied[i]) if i in copied else ():
                if source != i:
                    rows = copied[i] == source
                    other, gone = number(int(source))
                    values, missing = values.copy(), missing.copy()
                    values[rows] = carry(self.transforms[source], transform, other[rows])
                    missing[rows] = gone[rows]
            columns[transform.name] = transform.restore(values, missing)
        for identifier in self.identifiers:
            columns[identifier.name] = identifier.make(len(table), n_offset, rng)
        # Built column by column: a dict would give odd names (numbers beside text) a common type.
        out = pd.concat([columns[name] for name in self.order], axis=1)
        out.columns = pd.Index(list(self.order), dtype=None if _plain_names(self.order) else object)
        return out

    @staticmethod
    def _scalars(table: EncodedTable, place: int | None) -> NDArray[Any] | None:
        """Return a column's numbers: the middle of their interval where they are only known to lie in one."""
        if place is None:
            return None
        scalars = table.scalars[:, place]
        return scalars if table.spreads is None else scalars + table.spreads[:, place] / 2

    def translate(
        self, column: int, source: int, choices: NDArray[Any], scalars: NDArray[Any] | None, rng: np.random.Generator
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return cells of one column coded as cells of another: what a copy choice makes of them.

        Args:
            column: The column that copies.
            source: The column that is copied.
            choices: Base choices of the source ``(rows,)``.
            scalars: Its numbers ``(rows,)``.
            rng: Draws the rank of a value that has an interval of them.

        Returns:
            Base choices and numbers of the column; choice -1 for a missing cell where the column was never missing.
        """
        giver, taker = self.transforms[source], self.transforms[column]
        if isinstance(giver, CategoricalTransform) or isinstance(taker, CategoricalTransform):
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
        index = {name: i for i, name in enumerate(self.names)}
        left_out = dict(self.left_out)
        allowed: dict[int, ConditionCodes] = {}
        problems: list[Problem] = []
        for name, condition in conditions.items():
            try:
                if name in left_out:
                    raise ConditionError(
                        f"is declared '{left_out[name]}' and was not learnt; no condition can hold for it"
                    )
                if name not in index:
                    raise ConditionError(f"there is no such column{did_you_mean(name, self.names)}")
                allowed[index[name]] = self.transforms[index[name]].allow(Condition.of(condition))
            except ConditionError as error:
                problems += [Problem(p.where or where_of(name), p.message, ConditionError) for p in error.problems]
        if problems:
            raise ConditionError(problems)
        return allowed

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
        """Read what ``to_plain`` wrote.

        Raises:
            ValueError: Anything else.
        """
        plain = fields(plain, ("numbers", "columns", "identifiers", "order", "left_out", "copies"), "transforms")
        numbers = one_of(plain["numbers"], ("mode", "rank"), "numbers")
        transforms = [_column_from_plain(column, numbers) for column in list_of(plain["columns"], "columns")]
        identifiers = [
            IdentifierTransform.from_plain(column) for column in list_of(plain["identifiers"], "identifiers")
        ]
        order = [name_from_plain(name) for name in list_of(plain["order"], "order")]
        left_out = []
        for pair in list_of(plain["left_out"], "left_out"):
            check(type(pair) is list and len(pair) == 2, "left_out: a name and a kind are expected")
            left_out.append((name_from_plain(pair[0]), one_of(pair[1], ("id", "ignore"), "kind")))
        names = [column.name for column in (*transforms, *identifiers)]
        check(len(transforms) > 0, "there must be a column")
        check(
            len(set(names)) == len(names) == len(order) and set(names) == set(order),
            "order must name every column once",
        )
        check(
            [name for name in order if name in {t.name for t in transforms}] == [t.name for t in transforms],
            "order differs",
        )
        copies = []
        for i, sources in enumerate(list_of(plain["copies"], "copies")):
            sources = [integer(source, "copies", 0, len(transforms) - 1) for source in list_of(sources, "copies")]
            check(
                i < len(transforms) and len(set(sources)) == len(sources) and i not in sources,
                "copies of other columns",
            )
            # Each pair becomes choices of a head and cells of a mask: without a bound a small file stands for a huge model.
            check(len(sources) <= MAX_COPIES, f"a column copies at most {MAX_COPIES} others")
            check(not sources or numbers == "rank", "only ranks have copies")
            for j in (i, *sources) if sources else ():
                check(transforms[j].layout.n_numbered == 1, "only columns of numbers are copied")
                check(transforms[j].kind == transforms[i].kind, "only columns of one kind are copied")
            copies.append(tuple(sources))
        check(len(copies) == len(transforms), "copies: one list a column is expected")
        return cls(tuple(transforms), tuple(identifiers), tuple(order), tuple(left_out), numbers, tuple(copies))


def _plain_names(names: tuple[Hashable, ...]) -> bool:
    """Return whether pandas may choose the type of the column index without changing a name."""
    return len({type(name) for name in names}) == 1 and not isinstance(names[0], bool)


def _fit_column(values: pd.Series, column: Any, numbers: str) -> AnyTransform:
    match column.kind:
        case "continuous":
            return ContinuousTransform.fit(values, column.name, numbers)
        case "datetime":
            format, time_zone = getattr(column, "format", None), getattr(column, "time_zone", None)
            return DatetimeTransform.fit(values, column.name, numbers, format, time_zone)
        case _:
            order = getattr(column, "order", None) if column.kind == "ordinal" else None
            return CategoricalTransform.fit(values, column.name, column.kind, order)


def _column_from_plain(plain: Any, numbers: str) -> AnyTransform:
    plain = fields(plain, ("kind", "column"), "column")
    readers: dict[str, Callable[[Any], AnyTransform]] = {
        "continuous": lambda column: ContinuousTransform.from_plain(column, numbers),
        "datetime": lambda column: DatetimeTransform.from_plain(column, numbers),
        "categorical": CategoricalTransform.from_plain,
        "boolean": CategoricalTransform.from_plain,
        "ordinal": CategoricalTransform.from_plain,
    }
    made = readers[one_of(plain["kind"], readers, "kind")](plain["column"])
    check(made.kind == plain["kind"], "the kind of a column is told in two ways")
    return made


def _encode_column(
    transform: AnyTransform, values: pd.Series, rng: np.random.Generator, unseen: Unseen
) -> tuple[ColumnCodes, NDArray[Any] | None]:
    """Return the codes of a column, and its numbers if it has any."""
    if isinstance(transform, CategoricalTransform):
        return transform.encode(values, rng, unseen), None
    numbers, missing = transform.read(values)
    return transform.encode_numbers(numbers, missing, rng, unseen), transform.grid.cast(numbers)
