"""Tables made comparable: every column a number or a category, coded once for all the tables of one evaluation.

A DataFrame's columns become two arrays::

    numbers float64 (rows, number columns)      NaN: missing; a date is nanoseconds since 1970
    codes   int32   (rows, category columns)    -1: missing; the same code is the same category in every table

so that figures, bootstraps and splits are array work, and two tables never disagree on what a code means.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.calendar import PER_SECOND, Calendar
from clover_tvae.columns.dtypes import CellType, where_of
from clover_tvae.columns.numeric import read_numbers
from clover_tvae.columns.people import People, count_people, joined_people, people_of
from clover_tvae.errors import ColumnsMismatchError, ColumnTypeError, DataError, Problem, TooFewRowsError, did_you_mean
from clover_tvae.metadata import Metadata
from clover_tvae.metadata.validate import require_frame

# How the kinds of a metadata are compared; identifiers and ignored columns are not.
_COMPARED_AS = {"continuous": "continuous", "datetime": "datetime"} | dict.fromkeys(
    ("categorical", "boolean", "ordinal"), "categorical"
)


@dataclass(frozen=True)
class CodedTable:
    """One table as numbers, NaN where missing, and category codes, -1 where missing.

    ``people`` is the number of the person of each row; ``None`` where every row is a person.

    Shape:
        ``numbers``, float64, is (rows, number columns); ``codes``, int32, is (rows, category columns).
    """

    numbers: NDArray[Any]
    codes: NDArray[Any]
    people: People | None = None

    @property
    def n_rows(self) -> int:
        return len(self.numbers)

    @property
    def person_of_row(self) -> People:
        """Number of the person of each row; the row's own where every row is a person."""
        return np.arange(self.n_rows) if self.people is None else self.people

    @property
    def n_people(self) -> int:
        return count_people(self.people, self.n_rows)

    @cached_property
    def row_hashes(self) -> NDArray[Any]:
        """One 64-bit hash a row; equal rows, missing cells included, have equal ones."""
        return self.cell_hashes().sum(axis=1, dtype=np.uint64)

    def cell_hashes(self) -> NDArray[Any]:
        """Hashes of all cells, whose sum without a column is the hash of the row without it."""
        cells = np.hstack([self.numbers + 0.0, self.codes])  # + 0.0 makes -0.0 the 0.0 that it equals
        cells[np.isnan(cells)] = np.nan  # one NaN
        hashes = [pd.util.hash_array(column, categorize=False) for column in np.ascontiguousarray(cells.T)]
        salts = np.random.default_rng(0).integers(1, 2**63, len(hashes), dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        return np.stack(hashes, axis=1) * salts if hashes else np.zeros((self.n_rows, 0), dtype=np.uint64)

    def take(self, rows: NDArray[Any] | slice) -> CodedTable:
        """Return the given rows, by position or by mask."""
        return CodedTable(self.numbers[rows], self.codes[rows], None if self.people is None else self.people[rows])

    def draw(self, n_rows: int, rng: np.random.Generator) -> CodedTable:
        """Return at most ``n_rows`` of the rows, in random order."""
        return self.take(rng.permutation(self.n_rows)[:n_rows])

    def append(self, other: CodedTable) -> CodedTable:
        """Return the rows of this table, then those of ``other``."""
        people = joined_people([(self.people, self.n_rows), (other.people, other.n_rows)])
        return CodedTable(np.vstack([self.numbers, other.numbers]), np.vstack([self.codes, other.codes]), people)


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
        learnt_holdout: Why a holdout that was given is left out, in a sentence: it was learnt. Empty where it was not.
    """

    names: tuple[Hashable, ...]
    number_names: tuple[Hashable, ...]
    category_names: tuple[Hashable, ...]
    categories: tuple[NDArray[Any], ...]
    dates: frozenset[Hashable]
    tables: Mapping[str, CodedTable]
    learnt_holdout: str = ""

    def __getitem__(self, role: str) -> CodedTable:
        return self.tables[role]

    def cells(self, role: str, name: Hashable) -> NDArray[Any]:
        """Return the numbers, or the codes, of one column of one table."""
        if name in self.number_names:
            return np.asarray(self[role].numbers[:, self.number_names.index(name)])
        return np.asarray(self[role].codes[:, self.category_names.index(name)])

    def in_one_order(self) -> CodedTables:
        """Return the tables with the synthetic rows ordered by their hashes: what is drawn of them does not hang on their order."""
        rows = self["synthetic"]
        return replace(self, tables={**self.tables, "synthetic": rows.take(np.argsort(rows.row_hashes))})

    def without(self, name: Hashable) -> CodedTables:
        """Return the tables without one of their columns."""
        numbers, codes = ([other != name for other in names] for names in (self.number_names, self.category_names))
        return replace(
            self,
            names=tuple(other for other in self.names if other != name),
            number_names=tuple(itertools.compress(self.number_names, numbers)),
            category_names=tuple(itertools.compress(self.category_names, codes)),
            categories=tuple(itertools.compress(self.categories, codes)),
            tables={
                role: replace(table, numbers=table.numbers[:, numbers], codes=table.codes[:, codes])
                for role, table in self.tables.items()
            },
        )

    def by_column(self, of_numbers: Iterable[float], of_categories: Iterable[float]) -> pd.Series:
        """Return one float a column, indexed by name, from those of the numbers and those of the categories."""
        values = dict(zip((*self.number_names, *self.category_names), [*of_numbers, *of_categories], strict=True))
        index = pd.Index(self.names, dtype=object, name="column", tupleize_cols=False)
        return pd.Series([values[name] for name in self.names], index=index, dtype=np.float64)


def resolve_metadata(metadata: Any) -> Any:
    """Return an object with ``names`` and ``column(name).kind``, or ``None``.

    Args:
        metadata: ``None``, a ``Metadata``, or what ``Metadata.of`` reads (Clover's mapping, a path).
    """
    return metadata if metadata is None or hasattr(metadata, "column") else Metadata.of(metadata)


def read_frames(tables: Mapping[str, pd.DataFrame | None], metadata: Any) -> dict[str, pd.DataFrame | None]:
    """Return tables as they are learnt (``Metadata.read``); what is read already, and what is no DataFrame, as it is.

    Raises:
        DataError: Cells that cannot be read, of all tables at once.
    """
    read, problems = dict(tables), list[Problem]()
    for role, table in tables.items():
        if isinstance(table, pd.DataFrame) and isinstance(metadata, Metadata):
            with _collected(role, problems):
                read[role] = metadata.read(table)
    DataError.raise_any(problems)
    return read


def column_kinds(real: pd.DataFrame, metadata: Any = None) -> dict[Hashable, str]:
    """Return the kind of every column that is compared: ``continuous``, ``datetime`` or ``categorical``.

    Args:
        real: The table whose dtypes decide where there is no metadata.
        metadata: As ``resolve_metadata`` returns it; identifiers and ignored columns are left out.

    Example:
        >>> column_kinds(pd.DataFrame({"age": [31, 40], "sex": ["F", "M"]}))
        {'age': 'continuous', 'sex': 'categorical'}
    """
    if metadata is None:
        return {name: _kind_of_dtype(dtype) for name, dtype in zip(real.columns, real.dtypes, strict=True)}
    kinds = {name: _COMPARED_AS.get(metadata.column(name).kind) for name in metadata.names}
    return {name: kind for name, kind in kinds.items() if kind is not None}


def _kind_of_dtype(dtype: Any) -> str:
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return "datetime"
    if pd.api.types.is_bool_dtype(dtype) or isinstance(dtype, pd.CategoricalDtype):
        return "categorical"
    if pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_timedelta64_dtype(dtype):
        return "continuous"
    return "categorical"


def code_tables(tables: Mapping[str, pd.DataFrame | None], metadata: Any = None) -> CodedTables:
    """Check that the tables can be compared and code their columns alike.

    Args:
        tables: The tables by role; the first one decides the columns and, without metadata, their kinds.
            ``None`` tables are left out.
        metadata: See ``resolve_metadata``.

    Returns:
        The coded tables; columns that are identifiers or ignored are left out.

    Raises:
        DataError: All problems of all tables at once: other columns, duplicate names, no rows, a column that cannot be
            read as its kind, infinities.
    """
    given = {role: table for role, table in tables.items() if table is not None}
    problems: list[Problem] = []
    for role, table in given.items():
        with _collected(role, problems):
            require_frame(table, any_names=True)
    DataError.raise_any(problems)

    metadata = resolve_metadata(metadata)
    given = {role: table for role, table in read_frames(given, metadata).items() if table is not None}
    first = next(iter(given))
    kinds = column_kinds(given[first], metadata)
    for role, table in given.items():
        problems += _column_problems(role, table, kinds, metadata)
        if not len(table):
            problems.append(Problem(f"{role} table", "must have at least 1 row, found 0", TooFewRowsError))
    if not kinds:
        problems.append(Problem(f"{first} table", "no column is left to compare; all are identifiers or ignored"))
    DataError.raise_any(problems)
    return _code(given, kinds, metadata)


@contextlib.contextmanager
def _collected(role: str, problems: list[Problem]) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        problems += [Problem(f"{role} table, {p.where}".removesuffix(", "), p.message, p.kind) for p in error.problems]


def _column_problems(role: str, table: pd.DataFrame, kinds: Mapping[Hashable, str], metadata: Any) -> list[Problem]:
    known = set(kinds) if metadata is None else set(metadata.names)
    missing = [name for name in kinds if name not in table.columns]
    extra = [name for name in table.columns if name not in known]
    unit = getattr(metadata, "unit", None)
    if unit is not None and role != "synthetic" and unit not in table.columns:
        missing.append(unit)
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
    coded = {
        role: CodedTable(
            np.empty((len(table), len(number_names))),
            np.empty((len(table), len(category_names)), dtype=np.int32),
            None if role == "synthetic" else people_of(table, getattr(metadata, "unit", None)),
        )
        for role, table in given.items()
    }
    problems: list[Problem] = []
    for position, name in enumerate(number_names):
        described = None if metadata is None else metadata.column(name)
        options = getattr(described, "format", None), getattr(described, "century_starts", None)
        for role, table in given.items():
            with _collected(role, problems):
                column = table[name]
                if isinstance(column.dtype, pd.CategoricalDtype):
                    column = column.astype(object)
                values = _dates(column, name, *options) if name in dates else _numbers(column, name)
                coded[role].numbers[:, position] = values
    categories: list[NDArray[Any]] = []
    ends = np.cumsum([len(table) for table in given.values()])
    for position, name in enumerate(category_names):
        columns = [table[name] for table in given.values()]
        if len({column.dtype for column in columns}) > 1 or isinstance(columns[0].dtype, pd.CategoricalDtype):
            columns = [column.astype(object) for column in columns]
        try:
            codes, known = pd.factorize(pd.concat(columns, ignore_index=True))
        except TypeError:
            text = "holds objects that cannot be categories (lists, dicts)"
            problems.append(Problem(where_of(name), text, ColumnTypeError))
            continue
        categories.append(np.asarray(known, dtype=object))
        parts = dict(zip(given, np.split(codes, ends[:-1]), strict=True))
        problems += _text_problems(name, categories[-1], parts)
        for role, part in parts.items():
            coded[role].codes[:, position] = part
    DataError.raise_any(problems)
    return CodedTables(tuple(kinds), number_names, category_names, tuple(categories), dates, coded)


def _numbers(column: pd.Series, name: Hashable) -> NDArray[Any]:
    if pd.api.types.is_timedelta64_dtype(column.dtype):
        return column.dt.total_seconds().to_numpy(dtype=np.float64)
    if CellType.of(column, name).holds in ("text", "mixed"):
        column = _all_read(column, pd.to_numeric(column, errors="coerce"), name, "numbers")
    _, values, missing = read_numbers(column, name)
    return np.where(missing, np.nan, values.astype(np.float64))


def _dates(column: pd.Series, name: Hashable, format: str | None, century_starts: int | None) -> NDArray[Any]:
    """Nanoseconds since 1970 as float64; exact to 256 ns for dates of our time, and wide enough for any calendar."""
    if format is None and CellType.of(column, name).holds == "text":
        parsed = pd.to_datetime(column.astype(object), errors="coerce", utc=True)
        column = _all_read(column, parsed, name, "dates")
    as_dates = format is None or CellType.of(column, name).holds == "datetime"
    calendar, instants, missing = Calendar.learn(column, name, *(() if as_dates else (format, "UTC", century_starts)))
    return np.where(missing, np.nan, instants * (1e9 / PER_SECOND[calendar.unit]))


def _all_read(cells: pd.Series, read: pd.Series, name: Hashable, rule: str) -> pd.Series:
    """Return what was read of text, and refuse cells that could not be."""
    if unreadable := int(read.isna().sum() - cells.isna().sum()):
        found = f"{unreadable} of {len(cells)} cells that are none"
        raise ColumnTypeError(f"must hold {rule}, found {found}; mend them, or the metadata", where_of(name))
    return read


def _text_problems(name: Hashable, values: NDArray[Any], parts: Mapping[str, NDArray[Any]]) -> list[Problem]:
    """Find a column that is text in one table and not in the other: no category could ever agree."""
    is_text = np.array([isinstance(value, str) for value in values], dtype=bool)
    if is_text.all() or not is_text.any():
        return []
    present = {role: np.unique(part[part >= 0]) for role, part in parts.items()}
    text_share = {role: is_text[codes].mean() for role, codes in present.items() if len(codes)}
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
