"""A table as any engine can take it: numbers and labels that say nothing, and the way back to the cells.

Numbers stay numbers, dates become whole steps of their resolution, and a category becomes the label of its choice
(``c0``, ``c1``...; a missing category is a choice too). This module knows the transforms of single columns, conditions,
and which columns are learnt. It must not know what learns them: it imports no engine.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.dtypes import CellType
from clover_tvae.columns.numeric import read_numbers
from clover_tvae.columns.plain_data import check, fields, list_of, name_from_plain, name_to_plain, one_of
from clover_tvae.conditions import Condition
from clover_tvae.encoded import ColumnLayout
from clover_tvae.errors import ConditionError, DataError, Problem, UserError, did_you_mean
from clover_tvae.metadata import Metadata
from clover_tvae.transforms.categorical import CategoricalTransform
from clover_tvae.transforms.column import ConditionCodes, NumberCodec
from clover_tvae.transforms.continuous import ContinuousTransform
from clover_tvae.transforms.datetime import Calendar, DatetimeTransform
from clover_tvae.transforms.identifier import IdentifierTransform
from clover_tvae.transforms.numbers import Grid

__all__ = ["FlatTable", "RawCodec"]

Wanted = Mapping[Hashable, Condition]


@dataclass(frozen=True)
class RawCodec:
    """Numbers coded as themselves: the choice ``0`` with the number as it is, and ``missing``.

    Args:
        grid: Type, decimals and range of the numbers.
        missing: Whether missing cells were seen in training.
    """

    grid: Grid
    missing: bool

    @property
    def layout(self) -> ColumnLayout:
        """One numbered choice, then ``missing``."""
        return ColumnLayout(1 + self.missing, 1, 1 if self.missing else None)

    def decode(self, choices: NDArray[Any], scalars: NDArray[Any] | None) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return numbers of the column's type, decimals and range, and which are missing."""
        missing = np.asarray(choices) == 1
        values = np.zeros(len(missing)) if scalars is None else np.where(missing, 0.0, scalars)
        return self.grid.snap(values), missing

    def allow(self, low: float, high: float) -> ConditionCodes:
        """Return what holds numbers of the closed range; ``missing`` is not allowed."""
        choices = np.zeros(1 + self.missing, dtype=bool)
        choices[0] = max(low, self.grid.minimum) <= min(high, self.grid.maximum)
        return ConditionCodes(choices, np.array([low]), np.array([high]))

    def to_plain(self) -> dict[str, Any]:
        """Return the codec as plain data."""
        return {"grid": self.grid.to_plain(), "missing": self.missing}

    @classmethod
    def from_plain(cls, plain: Any) -> RawCodec:
        """Read what ``to_plain`` wrote; ``ValueError`` on anything else."""
        plain = fields(plain, ("grid", "missing"), "numbers")
        check(type(plain["missing"]) is bool, "missing must be true or false")
        return cls(Grid.from_plain(plain["grid"]), plain["missing"])


Transform = CategoricalTransform | ContinuousTransform | DatetimeTransform


@dataclass(frozen=True)
class FlatTable:
    """How the columns of one table become flat columns, and back.

    Args:
        columns: The columns that are learnt, in table order; flat column ``f"column_{i}"`` belongs to ``columns[i]``.
        identifiers: The columns that are made anew.
        names: The columns that come out, in table order.

    Example:
        >>> df = pd.DataFrame({"age": [30, 41, 52], "sex": ["F", None, "M"]})
        >>> table, flat = FlatTable.fit(df, Metadata.of({"continuous": ["age"], "categorical": ["sex"]}))
        >>> flat.to_dict("list")
        {'column_0': [30, 41, 52], 'column_1': ['c0', 'c2', 'c1']}
        >>> table.restore(flat, np.random.default_rng(0)).equals(df)
        True
    """

    columns: tuple[Transform, ...]
    identifiers: tuple[IdentifierTransform, ...]
    names: tuple[Hashable, ...]

    @classmethod
    def fit(
        cls,
        df: pd.DataFrame,
        metadata: Metadata,
        *,
        keep_range: bool = True,
        keep_decimals: bool = True,
        rng: np.random.Generator | None = None,
    ) -> tuple[FlatTable, pd.DataFrame]:
        """Learn how to flatten a table, and flatten it.

        Args:
            df: The table; it is not changed.
            metadata: What its columns are.
            keep_range: Keep numbers inside the range of the table. Dates always stay inside theirs.
            keep_decimals: Keep the decimals of the table. Whole numbers always stay whole.
            rng: Draws the key of new UUIDs.

        Returns:
            The flattening, and the flat table: int64, float64 (NaN where missing) and labels.

        Raises:
            DataError: With every column that cannot be read as what it is declared to be.
        """
        rng = rng or np.random.default_rng(0)
        columns: list[Transform] = []
        identifiers: list[IdentifierTransform] = []
        flat: dict[str, Any] = {}
        problems: list[Problem] = []
        for name in df.columns:
            column, values = metadata.column(name), df[name]
            try:
                if column.kind == "id" and column.regenerate is not None:
                    identifiers.append(IdentifierTransform.fit(values, name, column.regenerate, column.pattern, rng))
                    continue
                if not column.modelled:
                    continue
                transform: Transform
                if column.kind == "continuous":
                    transform, cells = _fit_numbers(values, name, keep_range, keep_decimals)
                elif column.kind == "datetime":
                    transform, cells = _fit_dates(values, name, column.format, column.time_zone)
                else:
                    transform = CategoricalTransform.fit(values, name, column.kind, column.order)
                    cells = _labels(transform.encode(values, rng, "error").choices)
            except UserError as error:
                problems += error.problems
                continue
            flat[f"column_{len(columns)}"] = cells
            columns.append(transform)
        if problems:
            raise DataError.of(problems)
        made_anew = {column.name for column in (*columns, *identifiers)}
        table = cls(tuple(columns), tuple(identifiers), tuple(name for name in df.columns if name in made_anew))
        return table, pd.DataFrame(flat)

    @cached_property
    def flat_names(self) -> tuple[str, ...]:
        """The names of the flat columns."""
        return tuple(f"column_{i}" for i in range(len(self.columns)))

    def is_numeric(self, flat_name: str) -> bool:
        """Whether a flat column holds numbers rather than labels."""
        return not isinstance(self._column(flat_name), CategoricalTransform)

    def name_of(self, flat_name: str) -> Hashable:
        """Return the name in the table of a flat column."""
        return self._column(flat_name).name  # type: ignore[no-any-return]

    def _column(self, flat_name: str) -> Transform:
        return self.columns[self.flat_names.index(flat_name)]

    def restore(self, flat: pd.DataFrame, rng: np.random.Generator, n_offset: int = 0) -> pd.DataFrame:
        """Return a flat table as cells: dtypes, decimals and range as in training.

        Args:
            flat: Flat columns, numbers of any type.
            rng: Draws the key of new UUIDs.
            n_offset: Rows that came before: identifiers go on from there.
        """
        cells: dict[Hashable, pd.Series] = {}
        for flat_name, column in zip(self.flat_names, self.columns, strict=True):
            choices, numbers = _codes(column, flat[flat_name])
            cells[column.name] = column.decode(choices, numbers)
        for identifier in self.identifiers:
            cells[identifier.name] = identifier.make(len(flat), n_offset, rng)
        out = pd.concat([cells[name] for name in self.names], axis=1)
        out.columns = pd.Index(self.names)
        return out

    def understand(self, conditions: Mapping[Hashable, Any]) -> Wanted:
        """Read conditions, and check each against its column.

        Args:
            conditions: Column -> a value, a list of values, ``None`` for missing, ``(">=", 65)``...

        Raises:
            ConditionError: With every problem: columns that were not learnt, values never seen in training, empty ranges.
        """
        wanted: dict[Hashable, Condition] = {}
        problems: list[Problem] = []
        known = {column.name: column for column in self.columns}
        for name, condition in conditions.items():
            where = f"condition on {name!r}"
            if name not in known:
                problems.append(Problem(where, f"no such column was learnt{did_you_mean(name, known)}"))
                continue
            try:
                wanted[name] = Condition.of(condition)
                _allowed(known[name], wanted[name])
            except ConditionError as error:
                problems += [Problem(where, problem.message) for problem in error.problems]
        if problems:
            raise ConditionError(problems)
        return wanted

    def meets(self, flat: pd.DataFrame, wanted: Wanted, *, missing: bool = True) -> NDArray[np.bool_]:
        """Return which rows of a flat table meet all conditions.

        Args:
            flat: Flat columns.
            wanted: What :meth:`understand` returned.
            missing: Whether rows with missing cells may pass.

        Shape:
            ``(rows,)``.
        """
        keep = np.ones(len(flat), dtype=bool)
        for flat_name, column in zip(self.flat_names, self.columns, strict=True):
            if missing and column.name not in wanted:
                continue
            choices, numbers = _codes(column, flat[flat_name])
            if not missing and column.layout.missing is not None:
                keep &= choices != column.layout.missing
            if column.name in wanted:
                keep &= _passes(column, wanted[column.name], choices, numbers)
        return keep

    def to_plain(self) -> dict[str, Any]:
        """Return the flattening as plain data."""
        return {
            "columns": [{"kind": column.kind, **column.to_plain()} for column in self.columns],
            "identifiers": [identifier.to_plain() for identifier in self.identifiers],
            "names": [name_to_plain(name) for name in self.names],
        }

    @classmethod
    def from_plain(cls, plain: Any) -> FlatTable:
        """Read what ``to_plain`` wrote; ``ValueError`` on anything else."""
        plain = fields(plain, ("columns", "identifiers", "names"), "table")
        columns = tuple(_column_from_plain(column) for column in list_of(plain["columns"], "columns"))
        identifiers = tuple(
            IdentifierTransform.from_plain(column) for column in list_of(plain["identifiers"], "identifiers")
        )
        names = tuple(name_from_plain(name) for name in list_of(plain["names"], "names"))
        made_anew = [column.name for column in (*columns, *identifiers)]
        check(
            len(made_anew) == len(set(made_anew)) == len(names) and set(names) == set(made_anew),
            "columns and names differ",
        )
        return cls(columns, identifiers, names)


def _fit_numbers(
    values: pd.Series, name: Hashable, keep_range: bool, keep_decimals: bool
) -> tuple[ContinuousTransform, NDArray[Any]]:
    cells, numbers, missing = read_numbers(values, name)
    exact = values[~missing].map(Decimal) if "decimal" in cells.name.lower() else None
    grid = Grid.of(numbers[~missing], cells, exact)
    if not keep_decimals and grid.kind == "float64":
        grid = replace(grid, decimals=None)
    if not keep_range:
        low, high = _limits(cells, grid)
        grid = replace(grid, minimum=low, maximum=high)
    codec = _codec(grid, missing)
    if grid.single is not None:
        # The decimals of a short float are those of its shortest text: 0.1, not 0.10000000149.
        numbers = numbers.astype(grid.single).astype(str).astype(np.float64)
    return ContinuousTransform(name, cells, codec), _numbers(numbers, missing)


def _fit_dates(
    values: pd.Series, name: Hashable, format: str | None, time_zone: str | None
) -> tuple[DatetimeTransform, NDArray[Any]]:
    calendar, instants, missing = Calendar.learn(values, name, format, time_zone)
    steps = np.where(missing, 0, calendar.steps(instants))
    grid = Grid.of(steps[~missing], CellType("numpy", "int64"))
    return DatetimeTransform(name, calendar, _codec(grid, missing)), _numbers(steps, missing)


def _codec(grid: Grid, missing: NDArray[np.bool_]) -> NumberCodec:
    # A column that holds a raw codec decodes, restores and judges conditions; nobody asks it to encode.
    return cast("NumberCodec", RawCodec(grid, bool(missing.any())))


def _limits(cells: CellType, grid: Grid) -> tuple[Any, Any]:
    """Return the smallest and the largest number that the dtype can hold."""
    if grid.kind == "float64":
        largest = float(np.finfo(grid.single).max) if grid.single else sys.float_info.max
        return -largest, largest
    if "bool" in cells.name.lower():
        return grid.minimum, grid.maximum
    info = np.iinfo(grid.kind if cells.family == "object" else cells.name.lower())
    return int(info.min), int(info.max)


def _numbers(values: NDArray[Any], missing: NDArray[np.bool_]) -> NDArray[Any]:
    return np.where(missing, np.nan, values.astype(np.float64)) if missing.any() else values


def _labels(choices: NDArray[Any]) -> NDArray[Any]:
    n = int(choices.max(initial=-1)) + 1
    return np.array([f"c{i}" for i in range(n)], dtype=object)[choices]


def _codes(column: Transform, flat: pd.Series) -> tuple[NDArray[np.int64], NDArray[np.float64] | None]:
    """Return the choices and numbers of a flat column."""
    if isinstance(column, CategoricalTransform):
        codes, labels = pd.factorize(flat.to_numpy(dtype=object))
        return np.array([int(label[1:]) for label in labels], dtype=np.int64)[codes], None
    numbers = flat.to_numpy(dtype=np.float64, na_value=np.nan)
    missing = np.isnan(numbers)
    # Conditions are about the numbers that come out: rounded and inside the range.
    snapped = column.grid.snap(np.where(missing, 0.0, numbers))
    return missing.astype(np.int64), snapped.astype(np.float64)


def _allowed(column: Transform, wanted: Condition) -> list[ConditionCodes]:
    """Return what meets a condition, as alternatives; for ``not in``, what does not.

    Raises:
        ConditionError: Nothing that was seen in training does.
    """
    if isinstance(column, CategoricalTransform) or wanted.form in ("range", "not missing"):
        return [column.allow(wanted)]
    if wanted.missing and column.layout.missing is None:
        raise ConditionError("asks for missing cells, but the column was never missing in training")
    return [column.allow(Condition("in", values=(value,))) for value in wanted.values]


def _passes(
    column: Transform, wanted: Condition, choices: NDArray[np.int64], numbers: NDArray[np.float64] | None
) -> NDArray[np.bool_]:
    passes = np.zeros(len(choices), dtype=bool)
    for allowed in _allowed(column, wanted):
        met = allowed.choices[choices]
        if numbers is not None:
            met &= (choices == 1) | ((numbers >= allowed.lower[0]) & (numbers <= allowed.upper[0]))
        passes |= met
    if numbers is None:
        return passes
    if wanted.form == "not in":
        return ~passes & (choices == 0)
    return passes | ((choices == 1) & wanted.missing)


def _column_from_plain(plain: Any) -> Transform:
    check(type(plain) is dict and "kind" in plain, "a column must say what it is")
    rest = {key: value for key, value in plain.items() if key != "kind"}
    match one_of(plain["kind"], ("categorical", "boolean", "ordinal", "continuous", "datetime"), "kind"):
        case "continuous":
            rest = dict(fields(rest, ("name", "cells", "codec"), "continuous column"))
            return ContinuousTransform(
                name_from_plain(rest["name"]),
                CellType.from_plain(rest["cells"]),
                cast("NumberCodec", RawCodec.from_plain(rest["codec"])),
            )
        case "datetime":
            rest = dict(fields(rest, ("name", "calendar", "codec"), "datetime column"))
            return DatetimeTransform(
                name_from_plain(rest["name"]),
                Calendar.from_plain(rest["calendar"]),
                cast("NumberCodec", RawCodec.from_plain(rest["codec"])),
            )
        case kind:
            return CategoricalTransform.from_plain({"kind": kind, **rest})
