"""Columns of dates and times: whole numbers of the column's own resolution, coded as any number.

This module puts a ``Calendar``, which knows how dates are written, and a codec, which knows their distribution,
together.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.calendar import Calendar, instant_of
from clover_tvae.columns.cells import zone_of
from clover_tvae.columns.dtypes import CellType
from clover_tvae.columns.plain_data import check, fields, name_from_plain, name_to_plain
from clover_tvae.conditions import Condition
from clover_tvae.encoded import ColumnLayout
from clover_tvae.errors import ConditionError
from clover_tvae.transforms.column import ColumnCodes, ConditionCodes, NumberCodec, Unseen
from clover_tvae.transforms.continuous import CODECS, allow_numbers, fit_codec, located
from clover_tvae.transforms.numbers import Grid

__all__ = ["Calendar", "DatetimeTransform"]


@dataclass(frozen=True, eq=False)
class DatetimeTransform:
    """A fitted column of dates or times.

    Args:
        name: Name of the column.
        calendar: How cells become whole numbers.
        codec: How those are coded.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> dates = pd.Series(["03/01/2020", "04/01/2020", "29/02/2020"])
        >>> column = DatetimeTransform.fit(dates, "hired", "rank", format="%d/%m/%Y")
        >>> codes = column.encode(dates, rng, "error")
        >>> column.decode(codes.choices, codes.scalars + codes.spreads / 2).tolist()
        ['03/01/2020', '04/01/2020', '29/02/2020']
    """

    name: Any
    calendar: Calendar
    codec: NumberCodec
    kind: str = "datetime"

    @classmethod
    def fit(
        cls,
        values: pd.Series,
        name: Any,
        numbers: str,
        format: str | None = None,
        time_zone: str | None = None,
    ) -> DatetimeTransform:
        """Learn the dates of a column.

        Args:
            values: The column.
            name: Its name.
            numbers: ``mode`` or ``rank``.
            format: How text is written.
            time_zone: What text with offsets (``%z``) is written in; text without them keeps its own clock.

        Raises:
            ColumnTypeError: Cells that are not dates, or not of the format.
        """
        calendar, instants, missing = Calendar.learn(values, name, format, time_zone)
        steps = calendar.steps(instants)
        steps[missing] = 0
        grid = Grid.of(steps[~missing], CellType("numpy", "int64"))
        return cls(name, calendar, fit_codec(steps, missing, grid, numbers))

    @property
    def grid(self) -> Grid:
        """Range of the steps."""
        return self.codec.grid

    @property
    def layout(self) -> ColumnLayout:
        """The choices of the codec."""
        return self.codec.layout

    def encode(self, values: pd.Series, rng: np.random.Generator, unseen: Unseen) -> ColumnCodes:
        """Return the cells as choices and numbers."""
        return self.encode_numbers(*self.read(values), rng, unseen)

    def read(self, values: pd.Series) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the steps of cells, and which are missing."""
        if values.isna().all():  # whatever dtype pandas gives a column without a value
            return np.zeros(len(values), np.int64), np.ones(len(values), dtype=bool)
        instants, missing = self.calendar.read(values, self.name)
        return self.calendar.steps(instants), missing

    def encode_numbers(
        self, values: NDArray[Any], missing: NDArray[np.bool_], rng: np.random.Generator, unseen: Unseen
    ) -> ColumnCodes:
        """Return steps as choices and numbers."""
        with located(self.name):
            return self.codec.encode(values, missing, rng, unseen)

    def decode(self, choices: NDArray[Any], scalars: NDArray[Any] | None) -> pd.Series:
        """Return the cells."""
        return self.restore(*self.codec.decode(choices, scalars))

    def restore(self, values: NDArray[Any], missing: NDArray[np.bool_]) -> pd.Series:
        """Return steps as cells."""
        return self.calendar.write(self.calendar.instants(values), missing)

    def allow(self, condition: Condition) -> ConditionCodes:
        """Return what meets a condition; text is read as an ISO date, or in the column's own format."""
        condition.check(self.kind)
        return allow_numbers(self.codec, condition, self._operand)

    def _operand(self, value: Any) -> float:
        """Return a date as steps; half a step more where it lies between two of them."""
        calendar = self.calendar
        zone = None if calendar.zone is None else zone_of(calendar.zone)
        if isinstance(value, str):
            value = self._parse(value)
        if isinstance(value, np.datetime64):
            value = pd.Timestamp(value)
        if not isinstance(value, datetime.datetime):
            value = datetime.datetime(value.year, value.month, value.day)
        if value.tzinfo is None and zone is not None:
            value = value.tz_localize(zone) if isinstance(value, pd.Timestamp) else value.replace(tzinfo=zone)
        elif value.tzinfo is not None and zone is None:
            raise ConditionError("a date without a time zone is expected: the column has none")
        whole, between = instant_of(value, calendar.unit)
        if abs(whole) >= 2**63:
            raise ConditionError("the date is beyond what the column's dtype can hold")
        if calendar.local:
            whole = int(calendar.to_local(np.array([whole], dtype=np.int64))[0])
        steps, rest = divmod(whole, calendar.step)
        return steps + 0.5 if between or rest else steps

    def _parse(self, value: str) -> datetime.datetime:
        for parse in (
            lambda: datetime.datetime.strptime(value, self.calendar.format or ""),
            lambda: datetime.datetime.fromisoformat(value),
        ):
            try:
                return parse()
            except ValueError:
                continue
        form = "" if self.calendar.format is None else f" or in the format {self.calendar.format!r}"
        raise ConditionError(f"text must be a date as in '2020-01-31'{form}")

    def to_plain(self) -> dict[str, Any]:
        """Return the fitted column as plain data."""
        return {"name": name_to_plain(self.name), "calendar": self.calendar.to_plain(), "codec": self.codec.to_plain()}

    @classmethod
    def from_plain(cls, plain: Any, numbers: str) -> DatetimeTransform:
        """Read what ``to_plain`` wrote; ``ValueError`` on anything else."""
        plain = fields(plain, ("name", "calendar", "codec"), "datetime column")
        calendar = Calendar.from_plain(plain["calendar"])
        made = cls(name_from_plain(plain["name"]), calendar, CODECS[numbers].from_plain(plain["codec"]))
        check(made.grid.kind == "int64", "dates are counted in whole steps")
        check(max(abs(made.grid.minimum), abs(made.grid.maximum)) * calendar.step < 2**63, "dates beyond their unit")
        try:
            ends = np.array([made.grid.minimum, made.grid.maximum], dtype=np.int64)
            unknown = np.full(2, made.layout.n_base == 1 and made.layout.missing is not None)
            back, _ = calendar.read(made.restore(ends, unknown), made.name)
            absent = made.restore(ends, unknown | np.array([made.layout.missing is not None, False])).isna()
        except Exception as error:
            raise ValueError("the dates do not fit their dtype") from error
        check(bool(absent.iloc[0]) == (made.layout.missing is not None), "the dtype cannot hold missing cells")
        check(bool((calendar.steps(back) == ends).all()), "the dates do not fit their dtype")
        return made
