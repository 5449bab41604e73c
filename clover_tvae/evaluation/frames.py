"""Tables made comparable: every column a number or a category, coded once for all the tables of one evaluation.

A DataFrame's columns become two arrays::

    numbers float64 (rows, number columns)      NaN: missing; a date is nanoseconds since 1970
    codes   int32   (rows, category columns)    -1: missing; the same code is the same category in every table

so that figures, bootstraps and splits are array work, and two tables never disagree on what a code means.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.calendar import PER_SECOND, Calendar
from clover_tvae.columns.date_formats import read_texts
from clover_tvae.columns.dtypes import CellType, where_of
from clover_tvae.columns.numeric import read_numbers
from clover_tvae.errors import (
    ColumnsMismatchError,
    ColumnTypeError,
    DataError,
    Problem,
    TooFewRowsError,
    did_you_mean,
)
from clover_tvae.metadata.validate import require_frame

__all__ = ["CodedTable", "CodedTables", "code_tables", "column_kinds", "resolve_metadata"]

_CATEGORY_KINDS = frozenset({"categorical", "boolean", "ordinal"})
_NUMBER_KINDS = frozenset({"continuous", "datetime"})


@dataclass(frozen=True)
class CodedTable:
    """One table as numbers and category codes.

    Args:
        numbers: float64, NaN where missing.
        codes: int32, -1 where missing.

    Shape:
        ``numbers`` is (rows, number columns); ``codes`` is (rows, category columns).
    """

    numbers: NDArray[Any]
    codes: NDArray[Any]

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.numbers)

    def take(self, rows: NDArray[Any] | slice) -> CodedTable:
        """Return the given rows, by position or by mask."""
        return CodedTable(self.numbers[rows], self.codes[rows])

    def draw(self, n_rows: int, rng: np.random.Generator) -> CodedTable:
        """Return at most ``n_rows`` of the rows, in random order."""
        return self.take(rng.permutation(self.n_rows)[:n_rows])

    def append(self, other: CodedTable) -> CodedTable:
        """Return the rows of this table, then those of ``other``."""
        return CodedTable(np.vstack([self.numbers, other.numbers]), np.vstack([self.codes, other.codes]))


@dataclass(frozen=True)
class CodedTables:
    """Several tables of the same columns, coded alike.

    Args:
        names: The columns compared, in the order of the metadata, or of the first table without one.
        number_names: Those of them that are numbers; column ``j`` of every ``numbers``.
        category_names: Those that are categories; column ``j`` of every ``codes``.
        categories: For each category column the values behind its codes. Values of the data: never put them in messages.
        dates: The number columns that are dates.
        tables: The coded tables by role (``"real"``, ``"synthetic"``, ``"holdout"``, ...).
    """

    names: tuple[Hashable, ...]
    number_names: tuple[Hashable, ...]
    category_names: tuple[Hashable, ...]
    categories: tuple[NDArray[Any], ...]
    dates: frozenset[Hashable]
    tables: Mapping[str, CodedTable]

    def __getitem__(self, role: str) -> CodedTable:
        return self.tables[role]

    def by_column(self, of_numbers: Iterable[float], of_categories: Iterable[float]) -> pd.Series:
        """Return one float a column, indexed by name, from those of the numbers and those of the categories."""
        values = dict(zip((*self.number_names, *self.category_names), [*of_numbers, *of_categories], strict=True))
        index = pd.Index(self.names, dtype=object, name="column", tupleize_cols=False)
        return pd.Series([values[name] for name in self.names], index=index, dtype=np.float64)

    @property
    def n_categories(self) -> tuple[int, ...]:
        """Number of categories of each category column, over all tables."""
        return tuple(len(values) for values in self.categories)


def resolve_metadata(metadata: Any) -> Any:
    """Return an object with ``names`` and ``column(name).kind``, or ``None``.

    Args:
        metadata: ``None``, a ``Metadata``, or what ``Metadata.of`` reads (Clover's mapping, a path).
    """
    if metadata is None or hasattr(metadata, "column"):
        return metadata
    from clover_tvae.metadata import Metadata

    return Metadata.of(metadata)


def column_kinds(real: pd.DataFrame, metadata: Any = None) -> dict[Hashable, str]:
    """Return the kind of every column that is compared: ``continuous``, ``datetime`` or ``categorical``.

    Args:
        real: The table whose dtypes decide where there is no metadata.
        metadata: See ``resolve_metadata``; identifiers and ignored columns are left out.

    Example:
        >>> column_kinds(pd.DataFrame({"age": [31, 40], "sex": ["F", "M"]}))
        {'age': 'continuous', 'sex': 'categorical'}
    """
    metadata = resolve_metadata(metadata)
    if metadata is None:
        return {name: _kind_of_dtype(real.iloc[:, position].dtype) for position, name in enumerate(real.columns)}
    kinds: dict[Hashable, str] = {}
    for name in metadata.names:
        kind = metadata.column(name).kind
        if kind in _NUMBER_KINDS:
            kinds[name] = kind
        elif kind in _CATEGORY_KINDS:
            kinds[name] = "categorical"
    return kinds


def _kind_of_dtype(dtype: Any) -> str:
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return "datetime"
    if pd.api.types.is_bool_dtype(dtype) or isinstance(dtype, pd.CategoricalDtype):
        return "categorical"
    if pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_timedelta64_dtype(dtype):
        return "continuous"
    return "categorical"


def code_tables(tables: Mapping[str, pd.DataFrame | None], metadata: Any = None, *, min_rows: int = 1) -> CodedTables:
    """Check that the tables can be compared and code their columns alike.

    Args:
        tables: The tables by role; the first one decides the columns and, without metadata, their kinds.
            ``None`` tables are left out.
        metadata: See ``resolve_metadata``.
        min_rows: Fewest rows a table may have.

    Returns:
        The coded tables; columns that are identifiers or ignored are left out.

    Raises:
        DataError: All problems of all tables at once: other columns, duplicate names, too few rows, a column that
            cannot be read as its kind, infinities.
    """
    given = {role: table for role, table in tables.items() if table is not None}
    problems: list[Problem] = []
    for role, table in given.items():
        try:
            require_frame(table)
        except DataError as error:
            problems += [Problem(f"{role} table", str(Problem(p.where, p.message)), p.kind) for p in error.problems]
    if problems:
        raise DataError.of(problems)

    metadata = resolve_metadata(metadata)
    first = next(iter(given))
    kinds = column_kinds(given[first], metadata)
    for role, table in given.items():
        problems += _column_problems(role, table, kinds, metadata)
        if len(table) < min_rows:
            problems.append(
                Problem(f"{role} table", f"must have at least {min_rows} row(s), found {len(table)}", TooFewRowsError)
            )
    if not kinds:
        problems.append(Problem(f"{first} table", "no column is left to compare; all are identifiers or ignored"))
    if problems:
        raise DataError.of(problems)
    return _code(given, kinds, metadata)


def _column_problems(role: str, table: pd.DataFrame, kinds: Mapping[Hashable, str], metadata: Any) -> list[Problem]:
    known = set(kinds) if metadata is None else set(metadata.names)
    missing = [name for name in kinds if name not in table.columns]
    extra = [name for name in table.columns if name not in known]
    texts = [f"column {name!r} is missing{did_you_mean(name, extra)}" for name in missing]
    texts += [
        f"column {name!r} is not one of the {len(kinds)} columns to compare{did_you_mean(name, missing)}; drop it"
        for name in extra
    ]
    return [Problem(f"{role} table", text, ColumnsMismatchError) for text in texts]


def _code(given: Mapping[str, pd.DataFrame], kinds: Mapping[Hashable, str], metadata: Any) -> CodedTables:
    number_names = tuple(name for name, kind in kinds.items() if kind != "categorical")
    category_names = tuple(name for name, kind in kinds.items() if kind == "categorical")
    dates = frozenset(name for name, kind in kinds.items() if kind == "datetime")
    problems: list[Problem] = []

    numbers = {role: np.empty((len(table), len(number_names))) for role, table in given.items()}
    for position, name in enumerate(number_names):
        format = getattr(metadata.column(name), "format", None) if metadata is not None else None
        for role, table in given.items():
            try:
                column = table[name]
                numbers[role][:, position] = _dates(column, name, format) if name in dates else _numbers(column, name)
            except DataError as error:
                problems += [Problem(f"{role} table, {p.where}", p.message, p.kind) for p in error.problems]

    codes = {role: np.empty((len(table), len(category_names)), dtype=np.int32) for role, table in given.items()}
    categories: list[NDArray[Any]] = []
    for position, name in enumerate(category_names):
        parts_given = [table[name] for table in given.values()]
        try:
            column_codes, values = _category_codes(parts_given)
        except TypeError:
            problems.append(
                Problem(f"column {name!r}", "holds objects that cannot be categories (lists, dicts)", ColumnTypeError)
            )
            continue
        ends = list(itertools.accumulate(len(part) for part in parts_given))
        parts = np.split(column_codes, ends[:-1])
        for role, part in zip(given, parts, strict=True):
            codes[role][:, position] = part
        problems += _text_problems(name, values, dict(zip(given, parts, strict=True)))
        categories.append(values)
    if problems:
        raise DataError.of(problems)
    return CodedTables(
        names=tuple(kinds),
        number_names=number_names,
        category_names=category_names,
        categories=tuple(categories),
        dates=dates,
        tables={role: CodedTable(numbers[role], codes[role]) for role in given},
    )


def _numbers(column: pd.Series, name: Hashable) -> NDArray[Any]:
    if pd.api.types.is_timedelta64_dtype(column.dtype):
        return column.dt.total_seconds().to_numpy(dtype=np.float64)
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    if CellType.of(column, name).holds in ("text", "mixed"):
        column = _all_read(column, pd.to_numeric(column, errors="coerce"), name, "numbers")
    _, values, missing = read_numbers(column, name)
    return np.where(missing, np.nan, values.astype(np.float64))


def _dates(column: pd.Series, name: Hashable, format: str | None) -> NDArray[Any]:
    """Nanoseconds since 1970 as float64; exact to 256 ns for dates of our time, and wide enough for any calendar."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    if CellType.of(column, name).holds == "text":
        if format is not None:
            codes, texts = pd.factorize(column.to_numpy(dtype=object), use_na_sentinel=True)
            instants, readable, _ = read_texts(texts, format)
            values = np.append(np.where(readable, instants * 1e3, np.nan), np.nan)[codes]
            return _all_read(column, pd.Series(values), name, f"dates written as {format}").to_numpy()
        parsed = pd.to_datetime(column.astype(object), errors="coerce", utc=True)
        column = _all_read(column, parsed, name, "dates")
    calendar, instants, missing = Calendar.learn(column, name)
    return np.where(missing, np.nan, instants * (1e9 / PER_SECOND[calendar.unit]))


def _all_read(cells: pd.Series, read: pd.Series, name: Hashable, rule: str) -> pd.Series:
    """Return what was read of text, and refuse cells that could not be."""
    if unreadable := int(read.isna().sum() - cells.isna().sum()):
        message = (
            f"must hold {rule}, found {unreadable} of {len(cells)} cells that are none; mend them, or the metadata"
        )
        raise ColumnTypeError(Problem(where_of(name), message, ColumnTypeError))
    return read


def _category_codes(parts: Sequence[pd.Series]) -> tuple[NDArray[Any], NDArray[Any]]:
    if len({part.dtype for part in parts}) > 1 or isinstance(parts[0].dtype, pd.CategoricalDtype):
        parts = [part.astype(object) for part in parts]
    column = pd.concat(parts, ignore_index=True)
    codes, values = pd.factorize(column)
    return codes.astype(np.int32), np.asarray(values, dtype=object)


def _text_problems(name: Hashable, values: NDArray[Any], parts: Mapping[str, NDArray[Any]]) -> list[Problem]:
    """Find a column that is text in one table and not in the other: no category could ever agree."""
    is_text = np.array([isinstance(value, str) for value in values], dtype=bool)
    if is_text.all() or not is_text.any():
        return []
    text_share = {}
    for role, part in parts.items():
        present = np.unique(part[part >= 0])
        if len(present):
            text_share[role] = is_text[present].mean()
    first = next(iter(text_share))
    words = {0.0: "numbers or booleans", 1.0: "text"}
    return [
        Problem(
            f"{role} table, column {name!r}",
            f"holds {words[share]} where the {first} table holds {words[text_share[first]]}, so that no category can "
            "agree; read both tables with the same dtypes",
            ColumnTypeError,
        )
        for role, share in text_share.items()
        if {share, text_share[first]} == {0.0, 1.0}
    ]
