"""Columns of numbers, of dates and of times: read as numbers, coded by a codec, and written back as cells.

A reader knows how the cells of a column are numbers: ``NumberCells`` by their dtype, ``DateCells`` by a calendar. A codec knows
how those numbers become choices and scalars.
"""

from __future__ import annotations

import contextlib
import datetime
import math
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.calendar import PER_SECOND, Calendar, instant_of
from clover_tvae.columns.cells import is_number, zone_of
from clover_tvae.columns.date_formats import DAY_OF_TIMES, EPOCH, MICROSECOND, read_texts
from clover_tvae.columns.dtypes import CellType, where_of
from clover_tvae.columns.numeric import read_numbers
from clover_tvae.columns.people import People, ends_of_each
from clover_tvae.columns.plain_data import check, fields, name_from_plain, name_to_plain
from clover_tvae.conditions import Condition
from clover_tvae.encoded import ColumnLayout
from clover_tvae.errors import ConditionError, DataError
from clover_tvae.transforms.codes import ColumnCodes, ConditionCodes, Unseen
from clover_tvae.transforms.grid import Grid
from clover_tvae.transforms.mode_codec import ModeCodec
from clover_tvae.transforms.number_codec import NumberCodec
from clover_tvae.transforms.rank_codec import RankCodec
from clover_tvae.transforms.raw_codec import RawCodec

_YEARS_1_TO_9999 = (-62_135_510_400, 253_402_214_400)  # seconds, a day from either end for the zones

OUTSIDE = "the range must hold a value of the column, found it outside what was seen in training"
"""What is said of a condition that no number of a column meets."""
CODECS: dict[str, type[NumberCodec]] = {"mode": ModeCodec, "rank": RankCodec, "raw": RawCodec}
"""The ways to code numbers, by the name of the setting."""


@dataclass(frozen=True)
class NumberCells:
    """Cells that are numbers."""

    cells: CellType
    kind = "continuous"

    @property
    def scale(self) -> Any:
        """Columns of one scale can be compared cell by cell."""
        return "number"

    @property
    def content(self) -> Literal["number", "truth", "other"]:
        """What the cells are, as ``Condition.check`` calls it."""
        return "truth" if "bool" in self.cells.name else "number"

    def limits(self, grid: Grid) -> tuple[Any, Any]:
        """Return the smallest and the largest number that the dtype can hold."""
        if grid.kind == "float64":
            largest = self.cells.largest_decimal or float(np.finfo(grid.single or grid.kind).max)
            return -largest, largest
        if self.content == "truth":
            return grid.minimum, grid.maximum
        info = np.iinfo(grid.kind if self.cells.family == "object" else self.cells.name.lower())
        return int(info.min), int(info.max)

    def read(self, values: pd.Series, name: Any) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the numbers of cells, and which are missing."""
        return read_numbers(values, name)[1:]

    def write(self, numbers: NDArray[Any], missing: NDArray[np.bool_], grid: Grid) -> pd.Series:
        return self.cells.of_numbers(numbers, missing, grid.decimals)

    def to_scale(self, numbers: NDArray[Any]) -> NDArray[Any]:
        return numbers

    def from_scale(self, numbers: NDArray[Any]) -> NDArray[Any]:
        return numbers

    def number_of(self, value: Any, grid: Grid) -> float:
        """Return a value of a condition as a number of the column."""
        if isinstance(value, int | np.integer):
            return int(value)
        # 0.1 is not the nearest number of a float32 column, nor 0.1 + 0.2 one of a column with one decimal.
        near = float(grid.cast(np.array([float(value)]))[0])
        return near if math.isclose(near, value, rel_tol=1e-6 if grid.single else 1e-12) else float(value)


@dataclass(frozen=True)
class DateCells:
    """Cells that are dates or times: whole steps of the column's own resolution."""

    calendar: Calendar
    kind = "datetime"

    @property
    def cells(self) -> CellType:
        return self.calendar.cells

    @property
    def content(self) -> Literal["number", "other"]:
        """What the cells are, as ``Condition.check`` calls it."""
        return "number" if self.cells.is_number else "other"

    @property
    def scale(self) -> Any:
        """Columns of one scale can be compared cell by cell."""
        return self.calendar.unit, self.calendar.zone is None

    def limits(self, grid: Grid) -> tuple[int, int]:
        """Return the first and the last step that dates can be: of the years 1 to 9999, or of 64 bits."""
        calendar = self.calendar
        ends = [min(max(second * PER_SECOND[calendar.unit], 1 - 2**63), 2**63 - 1) for second in _YEARS_1_TO_9999]
        if calendar.day_of_month:
            first, last = calendar.steps(np.array(ends, dtype=np.int64)).tolist()
            return first + 1, last - 1
        return -(-ends[0] // calendar.step), ends[1] // calendar.step

    def read(self, values: pd.Series, name: Any) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the steps of cells, and which are missing."""
        instants, missing = self.calendar.read(values, name)
        return self.calendar.steps(instants), missing

    def write(self, numbers: NDArray[Any], missing: NDArray[np.bool_], grid: Grid) -> pd.Series:
        return self.calendar.write(self.calendar.instants(numbers), missing)

    def to_scale(self, numbers: NDArray[Any]) -> NDArray[Any]:
        return self.calendar.instants(numbers)

    def from_scale(self, numbers: NDArray[Any]) -> NDArray[Any]:
        return self.calendar.steps(numbers)

    def number_of(self, value: Any, grid: Grid) -> float:
        """Return a date of a condition as steps; half a step more where it lies between two of them.

        Text is read as an ISO date, or in the column's own format; so is a number, where the cells are numbers.
        """
        calendar = self.calendar
        if is_number(value):
            value = str(int(value)) if value == int(value) else str(value)
            if self.cells.is_number and not read_texts([value], calendar.format or "", calendar.century_starts)[1][0]:
                raise ConditionError(f"the number must be a date in the format {calendar.format!r}, found {value}")
        zone = None if calendar.zone is None else zone_of(calendar.zone)
        if isinstance(value, str | np.datetime64):
            value = self._parse(value) if isinstance(value, str) else pd.Timestamp(value)
        if not isinstance(value, datetime.datetime):
            value = datetime.datetime(value.year, value.month, value.day)
        if value.tzinfo is None and zone is not None:
            value = value.tz_localize(zone) if isinstance(value, pd.Timestamp) else value.replace(tzinfo=zone)
        elif value.tzinfo is not None and zone is None:
            raise ConditionError("the date must have no time zone, as the column has none, found one with a time zone")
        whole, between = instant_of(value, calendar.unit)
        if abs(whole) >= 2**63:
            raise ConditionError("the date must lie within what the column's dtype can hold, found one beyond it")
        if calendar.day_of_month:
            step = calendar.steps(np.array([whole], dtype=np.int64))
            return float(step[0] + 0.5 * np.sign(whole + 0.5 * between - calendar.instants(step)[0]))
        if calendar.local:
            whole = int(calendar.to_local(np.array([whole], dtype=np.int64))[0])
        steps, rest = divmod(whole, calendar.step)
        return steps + 0.5 if between or rest else steps

    def _parse(self, value: str) -> datetime.datetime:
        if self.calendar.format is not None:
            instants, readable, offsets = read_texts([value], self.calendar.format, self.calendar.century_starts)
            if readable[0]:
                moment = EPOCH + int(instants[0]) * MICROSECOND
                return moment.replace(tzinfo=datetime.timezone.utc) if offsets else moment
        with contextlib.suppress(ValueError):
            return datetime.datetime.fromisoformat(value)
        with contextlib.suppress(ValueError):  # formats without a date count from this day
            day, time = datetime.date.fromisoformat(DAY_OF_TIMES), datetime.time.fromisoformat(value)
            return datetime.datetime.combine(day, time)
        form = "" if self.calendar.format is None else f" or in the format {self.calendar.format!r}"
        raise ConditionError(f"text must be a date as in '2020-01-31'{form}, found other text")


@dataclass(frozen=True, eq=False)
class NumberTransform:
    """A fitted column of numbers, dates or times.

    Args:
        reader: How its cells are numbers.
        codec: How the numbers are coded.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> ages = pd.Series(rng.integers(18, 90, 1000))
        >>> column = NumberTransform.fit(ages, "age", "rank")
        >>> codes = column.encode(ages, rng, "error")
        >>> bool((column.decode(codes.choices, codes.scalars + codes.spreads / 2) == ages).all())
        True
        >>> dates = pd.Series(["03/01/2020", "04/01/2020", "29/02/2020"])
        >>> column = NumberTransform.fit(dates, "hired", "rank", "datetime", format="%d/%m/%Y")
        >>> codes = column.encode(dates, rng, "error")
        >>> column.decode(codes.choices, codes.scalars + codes.spreads / 2).tolist()
        ['03/01/2020', '04/01/2020', '29/02/2020']
    """

    name: Any
    reader: NumberCells | DateCells
    codec: NumberCodec

    @classmethod
    def fit(
        cls,
        values: pd.Series,
        name: Any,
        numbers: str,
        kind: str = "continuous",
        format: str | None = None,
        time_zone: str | None = None,
        century_starts: int | None = None,
        *,
        least: int = 1,
        people: People | None = None,
        n_people: int | None = None,
        exact: bool = False,
        outside: bool = False,
    ) -> NumberTransform:
        """Learn the numbers of a column.

        Args:
            numbers: ``mode``, ``rank`` or ``raw``.
            format: Of dates, how text or whole numbers are written.
            time_zone: Of dates, what text with offsets (``%z``) is written in; text without them keeps its own clock.
            century_starts: Of dates, the first of the hundred years that years of two digits mean.
            least: Fewest rows that anything stored may rest on.
            people: The number of the person of each row; ``None``: every row is one.
            n_people: Fewest people that the ends may rest on; ``None``: as many as rows.
            exact: Whether numbers are stored as they are, and not as means over so many rows.
            outside: Whether the range ends at round numbers outside, not where its outermost rows would, spread about their mean.

        Raises:
            ColumnTypeError: Cells that are not numbers, or no dates of the format.
            NonFiniteError: Infinite cells.
        """
        reader: NumberCells | DateCells
        rests_on = 1 if exact else least
        if kind == "datetime":
            calendar, instants, missing = Calendar.learn(values, name, format, time_zone, century_starts, rests_on)
            reader, read = DateCells(calendar), np.where(missing, 0, calendar.steps(instants))
            grid = Grid.of(read[~missing], CellType("numpy", "int64"), least=rests_on)
            if calendar.months_told == 12:  # of few years, too
                grid = replace(grid, unit=math.lcm(grid.unit, 12))
        else:
            cells, read, missing = read_numbers(values, name)
            reader = NumberCells(cells)
            decimals = values[~missing].map(Decimal) if "decimal" in cells.name.lower() else None
            grid = Grid.of(read[~missing], cells, decimals, rests_on)
        n_missing, known = int(missing.sum()), grid.cast(read[~missing])
        known = grid.snap(known) if grid.unit > 1 else known
        if 0 < len(known) < least:
            cure = "declare it 'ignore', or gather more people"
            raise DataError(f"must hold values in at least {least} rows, found fewer; {cure}", where_of(name))
        if not exact:
            # Ends are found among people, each of whom has one lowest and one highest number.
            outer, k = list(ends_of_each(known, None if people is None else people[~missing])), n_people or least
            if len(known):
                low, high = (grid.pulled_in(values, k) for values in outer)
                known, *outer = (np.clip(values, low.min(), high.max()) for values in (known, *outer))
                grid = replace(grid, minimum=known.min().item(), maximum=known.max().item())
            if outside:
                grids = [grid.rounded(values, k, *reader.limits(grid)) for values in outer]
            elif numbers == "rank" and kind == "continuous":  # of dates, none is later than all that were seen
                grids = [grid.spread(values, k, *reader.limits(grid)) for values in outer]
            else:
                grids = [grid.shared(values, k) for values in outer]
            grid = replace(grid, minimum=grids[0].minimum, maximum=grids[1].maximum)
        told = n_missing if n_missing >= least else 0
        return cls(name, reader, CODECS[numbers].fit(known, told, grid, rests_on))

    @property
    def kind(self) -> str:
        """``continuous`` or ``datetime``."""
        return self.reader.kind

    @property
    def grid(self) -> Grid:
        """Type, decimals and range of the numbers."""
        return self.codec.grid

    @property
    def layout(self) -> ColumnLayout:
        """The choices of the codec."""
        return self.codec.layout

    def read(self, values: pd.Series) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the numbers of cells, and which are missing."""
        return self.reader.read(values, self.name)

    def encode(self, values: pd.Series, rng: np.random.Generator, unseen: Unseen) -> ColumnCodes:
        return self.encode_numbers(*self.read(values), rng, unseen)

    def encode_numbers(
        self, values: NDArray[Any], missing: NDArray[np.bool_], rng: np.random.Generator, unseen: Unseen
    ) -> ColumnCodes:
        """Return numbers of the column as choices and numbers."""
        try:
            return self.codec.encode(values, missing, rng, unseen)
        except DataError as error:
            message = f"{error}; remove those rows, or fit on data that have them"
            raise DataError(message, where_of(self.name)) from None

    def decode(self, choices: NDArray[Any], scalars: NDArray[Any] | None) -> pd.Series:
        return self.restore(*self.codec.decode(choices, scalars))

    def restore(self, values: NDArray[Any], missing: NDArray[np.bool_]) -> pd.Series:
        """Return numbers of the column as its cells."""
        return self.reader.write(values, missing, self.grid)

    def allow(self, condition: Condition) -> ConditionCodes:
        """Return what meets a condition.

        Raises:
            ConditionError: No cell does, or not one range of numbers alone.
        """
        condition.check(self.kind, self.reader.content)
        allowed = self.codec.allow(-math.inf, math.inf)
        if condition.form == "range":
            low, high = self.ends(condition)
            allowed = self.codec.allow(low, high)
            if low > high or not allowed.choices.any():
                raise ConditionError(OUTSIDE)
        elif condition.form != "not missing":
            allowed = self._allow_values(condition, allowed)
        return allowed.with_missing(condition, self.layout)

    def ends(self, condition: Condition) -> tuple[float, float]:
        """Return the smallest and the largest number of a range."""
        low, high, grid = -math.inf, math.inf, self.grid
        if condition.low is not None:
            low = grid.first_at_least(self.reader.number_of(condition.low, grid), condition.above)
        if condition.high is not None:
            high = grid.last_at_most(self.reader.number_of(condition.high, grid), condition.below)
        return low, high

    def _allow_values(self, condition: Condition, every: ConditionCodes) -> ConditionCodes:
        grid, layout, exact = self.grid, self.layout, isinstance(self.codec, RawCodec)
        values = [self.reader.number_of(value, grid) for value in condition.values]
        each = [self.codec.allow(value, value) for value in values]
        numbered = [alone for alone in each if alone.choices[: layout.n_numbered].any()]
        if condition.form == "not in":
            if numbered and not exact:
                raise ConditionError("'!=' needs a value that repeats often in the column; use '<' or '>' here")
            held = np.any([alone.choices for alone in each], axis=0) & (not exact)
            return ConditionCodes(every.choices & ~held, every.lower, every.upper)
        absent = [value for value, alone in zip(values, each, strict=True) if not alone.choices.any()]
        if grid.decimals is None and any(grid.minimum <= value <= grid.maximum for value in absent):
            raise ConditionError("its numbers have so many digits that none equals another; use ('between', low, high)")
        if absent:
            raise ConditionError(f"{len(absent)} of {len(values)} values are outside what was seen in training")
        if len(numbered) > 1 and not exact:
            raise ConditionError("a list of several numbers needs values that repeat often; use ('between', low, high)")
        mask = np.any([np.zeros(layout.n_base, dtype=bool), *(alone.choices for alone in each)], axis=0)
        ends = numbered[-1] if numbered else every
        return ConditionCodes(mask, ends.lower, ends.upper)

    def meets(self, condition: Condition, choices: NDArray[Any], scalars: NDArray[Any] | None) -> NDArray[np.bool_]:
        """Return which cells, by choices and numbers, meet a condition."""
        return self.met_by(condition, *self.codec.decode(choices, scalars))

    def met_by(self, condition: Condition, numbers: NDArray[Any], missing: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which numbers of the column, as :meth:`read` gives them, meet a condition."""
        if condition.form == "range":
            low, high = self.ends(condition)
            return (numbers >= low) & (numbers <= high) & ~missing
        found = np.isin(numbers, [self.reader.number_of(value, self.grid) for value in condition.values]) & ~missing
        if condition.form == "in":
            return found | (missing & condition.missing)
        return ~found & ~missing

    def to_plain(self) -> dict[str, Any]:
        cells = self.reader.calendar if isinstance(self.reader, DateCells) else self.reader.cells
        key = "calendar" if self.kind == "datetime" else "cells"
        return {"name": name_to_plain(self.name), key: cells.to_plain(), "codec": self.codec.to_plain()}

    @classmethod
    def from_plain(cls, plain: Any, numbers: str, kind: str = "continuous") -> NumberTransform:
        """Read what ``to_plain`` wrote; ``ValueError`` on anything else."""
        key = "calendar" if kind == "datetime" else "cells"
        plain = fields(plain, ("name", key, "codec"), f"{kind} column")
        dated, cells = kind == "datetime", plain[key]
        reader = DateCells(Calendar.from_plain(cells)) if dated else NumberCells(CellType.from_plain(cells))
        made = cls(name_from_plain(plain["name"]), reader, CODECS[numbers].from_plain(plain["codec"]))
        grid, may_be_missing = made.grid, made.layout.missing is not None
        if isinstance(reader, DateCells):
            furthest = max(abs(grid.minimum), abs(grid.maximum))
            if reader.calendar.day_of_month and furthest < 2**40:
                days = reader.calendar.even_steps(np.array([grid.minimum, grid.maximum]).astype(np.int64))
                furthest = int(np.abs(days).max())
            is_within = (furthest + 1) * reader.calendar.step < 2**63
            check(grid.kind == "int64" and is_within, "dates are counted in whole steps, within their unit")
        if numbers == "raw":  # the range may be that of the dtype, which not every cell type can be read back from
            return made
        try:
            ends = np.array([grid.minimum, grid.maximum], dtype=grid.dtype)
            unknown = np.full(2, made.layout.n_base == 1 and may_be_missing)
            back, _ = reader.read(made.restore(ends, unknown), made.name)
            absent = made.restore(ends, unknown | np.array([may_be_missing, False])).isna()
        except Exception as error:
            raise ValueError("the numbers do not fit their dtype") from error
        check(bool(absent.iloc[0]) == may_be_missing, "the dtype cannot hold missing cells")
        check(bool((back == ends).all()), "the numbers do not fit their dtype")
        return made
